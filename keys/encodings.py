"""The octets of a certificate or a certification request, as files hold them.

PEM (RFC 7468), with text before and after the block; DER; or the base64 of a PEM block without its
first and last line, wrapped or not.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from keys.certificate import Certificate
from keys.errors import CertificateError

CERTIFICATE: Final = "CERTIFICATE"
REQUEST: Final = "CERTIFICATE REQUEST"
_MEANT: Final = {CERTIFICATE: CERTIFICATE, REQUEST: REQUEST, f"NEW {REQUEST}": REQUEST}
"""What a PEM label stands for; the third is an older spelling of the second (RFC 7468 7)."""
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_SEQUENCE: Final = b"\x30"


def der_of(data: bytes, label: str) -> bytes:
    """The DER in a file, whichever of the three forms that has. It is not read any further.

    Args:
        data: the file's octets.
        label: `CERTIFICATE` or `REQUEST`.

    Raises:
        CertificateError: it has none of the forms, another thing is in its PEM block, or there
            is not exactly one.
    """
    if b"-----BEGIN" in data:
        blocks = _BLOCK.findall(data)
        if len(blocks) != 1:
            raise CertificateError(f"{len(blocks)} whole PEM blocks where one was expected")
        found = blocks[0][0].decode("ascii")
        if _MEANT.get(found) != label:
            raise CertificateError(f"a PEM block of {found}, not of {label}")
        return _from_base64(blocks[0][1])
    return data if data.startswith(_SEQUENCE) else _from_base64(data)


def certificate_of(data: bytes) -> Certificate:
    """The certificate in a file.

    Raises:
        CertificateError: as `der_of` and `Certificate.from_der`.
    """
    return Certificate.from_der(der_of(data, CERTIFICATE))


def _from_base64(text: bytes) -> bytes:
    try:
        der = base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        der = b""
    if not der.startswith(_SEQUENCE):
        raise CertificateError("neither PEM, DER nor base64 of DER")
    return der
