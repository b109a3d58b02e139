"""Remote party roles and key usages, as certificates write them.

An organisation certificate states its role in the subject's OU as two upper-case hexadecimal
digits. Confirmed by the RTDS test certificates (docs/sources.md#certificates); 87 and 89 are the
two roles that sign XML rather than GBCS payloads.
"""

from __future__ import annotations

from enum import StrEnum


class OrganisationRole(StrEnum):
    """The OU of an organisation certificate: the remote party role, two hexadecimal digits."""

    ROOT = "00"
    RECOVERY = "01"
    SUPPLIER = "02"
    NETWORK_OPERATOR = "03"
    ACCESS_CONTROL_BROKER = "04"
    TRANSITIONAL_COS = "05"
    WAN_PROVIDER = "06"
    ISSUING_AUTHORITY = "07"
    LOAD_CONTROLLER = "08"
    OTHER = "7F"
    XML_SIGNING = "87"
    DSP_XML_SIGNING = "89"


AUTHORITY_ROLES = frozenset({OrganisationRole.ROOT, OrganisationRole.ISSUING_AUTHORITY})
XML_SIGNING_ROLES = frozenset({OrganisationRole.XML_SIGNING, OrganisationRole.DSP_XML_SIGNING})


class Usage(StrEnum):
    """The one thing a certificate's key is for (RFC 5280 4.2.1.3, GBCS 12: exactly one)."""

    DIGITAL_SIGNATURE = "digitalSignature"
    KEY_AGREEMENT = "keyAgreement"
    KEY_CERT_SIGN = "keyCertSign"
