"""Signing certificates and lists through a callable, so that no authority's key is handed out.

The library signs only with its own key objects, and an authority's key may live in a module
that never gives one up. So the structure is first made with a throw-away key, and then the
part to be signed is lifted out and signed by the authority. What is lifted out does not depend
on the throw-away key.

```
30 82 len
   tbs                                  (Certificate or CertList, to be signed)
   30 0A 06 08 2A8648CE3D040302         ecdsa-with-SHA256
   03 len 00 | 30 len 02 len r 02 len s
```
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from keys.errors import CertificateError
from keys.octets import ECDSA_WITH_SHA256, value

SignRaw = Callable[[bytes], bytes]
"""ECDSA P-256 with SHA-256 over the octets given; answers raw r||s, 64 octets."""


def raw_to_der(signature: bytes) -> bytes:
    """Turn a raw 64-octet r||s into an ECDSA-Sig-Value.

    Raises:
        CertificateError: it is not 64 octets.
    """
    if len(signature) != 64:
        raise CertificateError("a signature of r||s is 64 octets", "signatureValue")
    return encode_dss_signature(
        int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    )


def sign_certificate(builder: x509.CertificateBuilder, sign: SignRaw) -> bytes:
    """Give the DER certificate of a builder, signed through the callable."""
    made = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return assemble(made.tbs_certificate_bytes, sign)


def sign_revocation_list(builder: x509.CertificateRevocationListBuilder, sign: SignRaw) -> bytes:
    """Give the DER revocation list of a builder, signed through the callable."""
    made = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return assemble(made.tbs_certlist_bytes, sign)


def assemble(to_be_signed: bytes, sign: SignRaw) -> bytes:
    """Sign the inner part of a certificate or list through the callable, and give the whole."""
    signature = raw_to_der(sign(to_be_signed))
    return value(0x30, to_be_signed + ECDSA_WITH_SHA256 + value(0x03, b"\x00" + signature))
