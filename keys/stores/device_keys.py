"""The private keys of simulated devices, derived from one seed.

A million meters need two million keys; deriving them means that none is stored and a fleet is
the same fleet after a restart. The derivation is our own (real devices make their keys in
their own security module):

```
okm    = HKDF-SHA256(ikm = seed, salt = "", L = 40,
                     info = "SIM device key v1" | usage (1) | EUI-64 (8) | generation (4))
scalar = okm mod (n - 1) + 1          FIPS 186-5 A.2.1, 64 bits more than the order
```
`usage` is 0x00 for digitalSignature and 0x01 for keyAgreement; `generation`, big-endian, counts
the key pairs a device has made (CS02c Generate Key Pair makes the next).
"""

from __future__ import annotations

from typing import NoReturn

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding

from keys.certificate import eui_octets
from keys.errors import KeyStoreError
from keys.hardware_module import hardware_module_name
from keys.kept import Kept
from keys.key_usage import key_usage_extension
from keys.roles import Usage
from keys.stores.private import HeldKeyAgreement, HeldSigner

SEED_OCTETS = 32
KEYS_KEPT = 1024
"""Derived keys that are kept: a device at work uses each of its two several times."""
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_USAGE_OCTET = {Usage.DIGITAL_SIGNATURE: b"\x00", Usage.KEY_AGREEMENT: b"\x01"}


def seed_of(private_key: ec.EllipticCurvePrivateKey) -> bytes:
    """Give the seed that a stored `device-seed` key stands for: its scalar, 32 octets."""
    return private_key.private_numbers().private_value.to_bytes(SEED_OCTETS, "big")


class DeviceKeys:
    """Every simulated device's keys.

    Args:
        seed: 32 secret octets.

    Raises:
        KeyStoreError: the seed is not 32 octets.
    """

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_OCTETS:
            raise KeyStoreError(f"a device seed is {SEED_OCTETS} octets")
        self.__seed = bytes(seed)
        self.__derived: Kept[tuple[str, Usage, int], ec.EllipticCurvePrivateKey] = Kept(KEYS_KEPT)

    def __repr__(self) -> str:
        """Show nothing."""
        return "<DeviceKeys>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise KeyStoreError("a device seed does not leave its store")

    def signer(self, eui: str, generation: int = 0) -> HeldSigner:
        """A device's digital signature key.

        Raises:
            CertificateError: the EUI-64 is not 16 lower-case hexadecimal digits.
            KeyStoreError: the generation is not a 32-bit count.
        """
        return HeldSigner(self._derive(eui, Usage.DIGITAL_SIGNATURE, generation))

    def key_agreement(self, eui: str, generation: int = 0) -> HeldKeyAgreement:
        """A device's key agreement key.

        Raises:
            CertificateError: the EUI-64 is not 16 lower-case hexadecimal digits.
            KeyStoreError: the generation is not a 32-bit count.
        """
        return HeldKeyAgreement(self._derive(eui, Usage.KEY_AGREEMENT, generation))

    def public_key(self, eui: str, usage: Usage, generation: int = 0) -> ec.EllipticCurvePublicKey:
        """The public half of a device's key.

        Raises:
            CertificateError: the EUI-64 is not 16 lower-case hexadecimal digits.
            KeyStoreError: devices have no key for that usage.
        """
        return self._derive(eui, usage, generation).public_key()

    def certification_request(self, eui: str, usage: Usage, generation: int = 0) -> bytes:
        """A device's PKCS#10 certification request, DER, as its CS02c response carries it.

        Empty subject; requested extensions: critical keyUsage and critical subjectAltName
        hardwareModuleName (RTDS CS02c vector, docs/sources.md#device-credentials). A key agreement
        key signs its own request too: that is its proof of possession.

        Raises:
            CertificateError: the EUI-64 is not 16 lower-case hexadecimal digits.
            KeyStoreError: devices have no key for that usage.
        """
        name = hardware_module_name(eui_octets(eui))
        request = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([]))
            .add_extension(key_usage_extension(usage), critical=True)
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .sign(self._derive(eui, usage, generation), hashes.SHA256())
        )
        return request.public_bytes(Encoding.DER)

    def _derive(self, eui: str, usage: Usage, generation: int) -> ec.EllipticCurvePrivateKey:
        key = eui, usage, generation
        return self.__derived.of(key, lambda: self._derive_afresh(eui, usage, generation))

    def _derive_afresh(self, eui: str, usage: Usage, generation: int) -> ec.EllipticCurvePrivateKey:
        if usage not in _USAGE_OCTET:
            raise KeyStoreError(f"devices have no key for {usage}")
        if not 0 <= generation < 1 << 32:
            raise KeyStoreError("a key generation is a count of 32 bits")
        info = (
            b"SIM device key v1"
            + _USAGE_OCTET[usage]
            + eui_octets(eui)
            + generation.to_bytes(4, "big")
        )
        okm = HKDF(hashes.SHA256(), length=40, salt=None, info=info).derive(self.__seed)
        scalar = int.from_bytes(okm, "big") % (_P256_ORDER - 1) + 1
        return ec.derive_private_key(scalar, ec.SECP256R1())
