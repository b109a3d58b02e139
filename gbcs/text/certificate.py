"""A certificate as a reader wants to see it; the base64 alone is what is read back."""

from __future__ import annotations

import base64
from typing import Any

from cryptography import x509

from gbcs.certificates import READ_ERRORS, load_certificate
from gbcs.errors import EncodeError, ParseError
from gbcs.text.fields import Fields

_UNIQUE_IDENTIFIER = x509.NameOID.X500_UNIQUE_IDENTIFIER
_SHOWN = ("subject", "issuer", "serial", "key_identifier", "unreadable")


def certificate_to_json(der: bytes) -> dict[str, Any]:
    """Subject, issuer (RFC 4514 text), serial (decimal), key identifier (hex) and base64.

    Octets that are no certificate get `unreadable` in place of the rest.
    """
    try:
        certificate = load_certificate(der)
        shown: dict[str, Any] = {
            "subject": _name(certificate.subject),
            "issuer": _name(certificate.issuer),
            "serial": str(certificate.serial_number),
            "key_identifier": _key_identifier(certificate),
        }
    except (ParseError, *READ_ERRORS):
        shown = {"unreadable": True}
    shown["base64"] = base64.b64encode(der).decode()
    return shown


def certificate_from_json(value: object, name: str) -> bytes:
    """The DER of a description; whatever else it says is for the reader.

    Raises:
        EncodeError: no base64, or an unknown field.
    """
    fields = Fields(value, name)
    der = fields.base64("base64")
    for key in _SHOWN:
        fields.take(key)
    fields.done()
    if not der:
        raise EncodeError(f"{name}: empty")
    return der


def _name(name: x509.Name) -> str:
    parts = []
    for attribute in name:
        if attribute.oid == _UNIQUE_IDENTIFIER and isinstance(attribute.value, bytes):
            parts.append(f"UniqueIdentifier={attribute.value.hex()}")
        else:
            parts.append(attribute.rfc4514_string())
    return ",".join(reversed(parts))


def _key_identifier(certificate: x509.Certificate) -> str | None:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return None
    return found.value.digest.hex()
