"""Loading a certificate whose octets anyone may have written."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning

from gbcs.errors import ParseError


def load_certificate(der: bytes) -> x509.Certificate:
    """The certificate of these octets. Whether it is a good one is for others to say.

    Raises:
        ParseError: they are none.
    """
    try:
        return x509.load_der_x509_certificate(der)
    # The library warns of serial numbers that are not positive, and where warnings count as
    # errors the warning comes out as an exception.
    except (
        ValueError,
        TypeError,
        x509.InvalidVersion,
        UnsupportedAlgorithm,
        CryptographyDeprecationWarning,
    ):
        raise ParseError("not a certificate") from None
