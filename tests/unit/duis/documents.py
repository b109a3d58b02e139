"""Documents, keys and certificates of the tests' own making."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from duis.model import Header, ServiceRequest, UpdateSecurityCredentialsCoS
from duis.request_id import RequestId
from duis.signature import sign_document
from duis.xml import request_to_xml

SUPPLIER = "0253494d10000000"
METER = "0253494dd0000001"
REQUEST_ID = RequestId(SUPPLIER, METER, 1006)
MPXN = "1234567890123"


@dataclass(frozen=True)
class XmlSigner:
    """A key and a certificate for it, by an authority that nobody here asks about."""

    key: ec.EllipticCurvePrivateKey
    certificate: bytes
    issuer: str
    serial: int

    def sign(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def sign_xml(self, xml: bytes) -> bytes:
        return sign_document(xml, self.issuer, self.serial, self.sign)


def make_signer(
    serial: int = 0x5A01020304050607,
    *,
    curve: ec.EllipticCurve | None = None,
    authority: str = "SIM-Z1",
    public_key: ec.EllipticCurvePublicKey | None = None,
) -> XmlSigner:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    issuer = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "07"),
            x509.NameAttribute(NameOID.COMMON_NAME, authority),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SIM supplier")]))
        .serial_number(serial)
        .public_key(public_key or key.public_key())
        .not_valid_before(datetime(2015, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2016, 1, 1, tzinfo=UTC))  # long past: not this room's business
        .sign(key, SHA256())
    )
    return XmlSigner(key, certificate.public_bytes(Encoding.DER), f"CN={authority},OU=07", serial)


@cache
def signer() -> XmlSigner:
    return make_signer()


def cos_request(**changes: object) -> ServiceRequest:
    fields: dict[str, object] = {
        "supplier_floor": 1000,
        "prepayment_top_up_floor": 2000,
        "digital_signing": b"signing certificate",
        "key_agreement": b"agreement certificate",
        "key_agreement_top_up": b"top-up certificate",
        "path_certificates": (b"issuing authority",),
        "import_mpxn": MPXN,
    }
    body = UpdateSecurityCredentialsCoS(**{**fields, **changes})  # type: ignore[arg-type]
    return ServiceRequest(Header(REQUEST_ID, 1, "6.23", "6.23"), body)


@cache
def unsigned() -> bytes:
    return request_to_xml(cos_request())


@cache
def signed() -> bytes:
    return signer().sign_xml(unsigned())


Change = Callable[[bytes], bytes]


def put(old: str | bytes, new: str | bytes, count: int = 1) -> Change:
    """A change of octets that fails loudly when there is nothing to change."""
    before = old.encode() if isinstance(old, str) else old
    after = new.encode() if isinstance(new, str) else new

    def change(data: bytes) -> bytes:
        assert before in data, before
        return data.replace(before, after, count)

    return change


def declaration(text: str) -> Change:
    """Another XML declaration."""

    def change(data: bytes) -> bytes:
        return text.encode() + data[data.index(b"?>") + 2 :]

    return change
