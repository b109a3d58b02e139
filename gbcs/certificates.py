"""Loading a certificate whose octets anyone may have written."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning

from gbcs.errors import ParseError

READ_ERRORS = (
    ValueError,
    TypeError,
    OverflowError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
    # The library warns of serial numbers that are not positive, and where warnings count as errors
    # the warning comes out as an exception.
    CryptographyDeprecationWarning,
)
"""What the library raises of octets that are no good certificate: when it loads one, and when it is
asked for a part, because it reads names, keys and extensions only then."""


def load_certificate(der: bytes) -> x509.Certificate:
    """The certificate of these octets. Whether it is a good one is for others to say.

    Raises:
        ParseError: they are none.
    """
    try:
        return x509.load_der_x509_certificate(der)
    except READ_ERRORS:
        raise ParseError("not a certificate") from None
