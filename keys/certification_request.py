"""Reading a device's certification request, as a CS02c response carries it.

PKCS#10, version 0, empty subject, and an extensionRequest of exactly critical keyUsage and
critical subjectAltName hardwareModuleName (RTDS CS02c vector, docs/sources.md#device-credentials).
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from keys.errors import CertificateError
from keys.hardware_module import HARDWARE_MODULE_NAME, read_hardware_module_name
from keys.key_usage import key_usage_extension
from keys.octets import READ_ERRORS, members, public_key_fault, whole_octets_fault
from keys.roles import Usage

MAX_REQUEST_OCTETS = 4096
_USAGES = (Usage.DIGITAL_SIGNATURE, Usage.KEY_AGREEMENT)


@dataclass(frozen=True, slots=True)
class CertificationRequest:
    """What a device asks for; its signature (proof of possession) has been verified.

    Attributes:
        eui: the device, 16 lower-case hexadecimal digits.
        usage: what the key is for.
        public_key: the key to certify, on P-256.
    """

    eui: str
    usage: Usage
    public_key: ec.EllipticCurvePublicKey


def read_certification_request(der: bytes) -> CertificationRequest:
    """Read and verify a device's certification request, DER.

    Raises:
        CertificateError: it is not the request above, or the key in it did not sign it.
    """
    if len(der) > MAX_REQUEST_OCTETS:
        raise CertificateError(f"longer than {MAX_REQUEST_OCTETS} octets")
    try:
        asked = _read(x509.load_der_x509_csr(der))
    except READ_ERRORS as error:
        raise CertificateError(f"not readable: {error}") from error
    _check_forms(der)
    return asked


def _check_forms(der: bytes) -> None:
    """Hold key and signature to the one way they are written.

    Raises:
        CertificateError: as `read_certification_request`.
    """
    information, _, signature = members(der)
    if fault := public_key_fault(members(information)[2]):
        raise CertificateError(fault, "subjectPKInfo")
    if fault := whole_octets_fault(signature):
        raise CertificateError(fault, "signature")


def _read(request: x509.CertificateSigningRequest) -> CertificationRequest:
    public_key = request.public_key()
    if not isinstance(public_key, ec.EllipticCurvePublicKey) or not isinstance(
        public_key.curve, ec.SECP256R1
    ):
        raise CertificateError("not a P-256 key", "subjectPKInfo")
    if not request.is_signature_valid:
        raise CertificateError("the key in it did not sign it", "signature")
    if list(request.subject):
        raise CertificateError("not empty", "subject")
    extensions = {type(e.value): e for e in request.extensions if e.critical}
    if len(list(request.extensions)) != 2 or set(extensions) != {
        x509.KeyUsage,
        x509.SubjectAlternativeName,
    }:
        raise CertificateError("not exactly critical keyUsage and subjectAltName", "extensions")
    usages = [u for u in _USAGES if key_usage_extension(u) == extensions[x509.KeyUsage].value]
    if not usages:
        raise CertificateError("not exactly digitalSignature or keyAgreement", "keyUsage")
    names = list(extensions[x509.SubjectAlternativeName].value)
    if (
        len(names) != 1
        or not isinstance(names[0], x509.OtherName)
        or names[0].type_id != HARDWARE_MODULE_NAME
    ):
        raise CertificateError("not one hardwareModuleName", "subjectAltName")
    eui = read_hardware_module_name(names[0].value).hex()
    return CertificationRequest(eui, usages[0], public_key)
