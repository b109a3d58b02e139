"""The fixed names of the format: namespaces, algorithms, the version spoken."""

from __future__ import annotations

SR = "http://www.dccinterface.co.uk/ServiceUserGateway"
RA = "http://www.dccinterface.co.uk/ResponseAndAlert"
DS = "http://www.w3.org/2000/09/xmldsig#"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XSD = "http://www.w3.org/2001/XMLSchema"
XML = "http://www.w3.org/XML/1998/namespace"

KNOWN_NAMESPACES = frozenset({SR, RA, DS, XSI, XSD})

SCHEMA_VERSION = "5.4"

EXCLUSIVE_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
ECDSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
ENVELOPED_SIGNATURE = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"

XML_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>'


def sr(local: str) -> str:
    """The qualified name, as lxml writes it, of an element of the user gateway namespace."""
    return f"{{{SR}}}{local}"


def ds(local: str) -> str:
    """The qualified name, as lxml writes it, of an element of the XML signature namespace."""
    return f"{{{DS}}}{local}"
