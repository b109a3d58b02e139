"""The keyUsage extension for each usage (RFC 5280 4.2.1.3; GBCS 12: one usage per key)."""

from __future__ import annotations

from cryptography import x509

from keys.roles import Usage


def key_usage_extension(usage: Usage) -> x509.KeyUsage:
    """Give the extension: one bit set, or keyCertSign with cRLSign for an authority."""
    return x509.KeyUsage(
        digital_signature=usage is Usage.DIGITAL_SIGNATURE,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=usage is Usage.KEY_AGREEMENT,
        key_cert_sign=usage is Usage.KEY_CERT_SIGN,
        crl_sign=usage is Usage.KEY_CERT_SIGN,
        encipher_only=False,
        decipher_only=False,
    )
