"""The same document with its values written in other ways that their published types allow.

A value is known by its element's name, which in DUIS has one type wherever it stands. A name that
is in no list is an error, so that no element escapes a test by being new.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from hypothesis import strategies as st
from lxml import etree

from duis.names import SR

Draw = Callable[[st.SearchStrategy[Any]], Any]

KINDS: Final[dict[str, str]] = {
    name: kind
    for kind, names in {
        "octets": "DigitalSigningCertificate KeyAgreementCertificate KeyAgreementTopUpCertificate "
        "Certificate DeviceCertificate GBCSPayload CertificateHash",
        "number": "SupplierFloorSeqNumber SupplierPrepaymentTopUpFloorSeqNumber "
        "RemotePartyFloorSeqNumber RemotePartyPrepaymentTopUpFloorSeqNumber CommandVariant UPRN "
        "InstructionNumber TotalCommandInstructions QuarantineEventRef CertificateSerialNumber "
        "DSPScheduleID",
        "truth": "FirstInSequence ApplyTimeBasedCPVChecks",
        "moment": "ExecutionDateTime ResponseDateTime",
        "token": "RemotePartyRole",
        "identifier": "RequestID PrecedingServiceRequestID ResponseID AlertID DeviceID "
        "ChangeOfSupplierServiceRequestID",
        "hex": "AlertCode FutureDatedAlertCode",
        "text": "ServiceReference ServiceReferenceVariant ImportMPxN MPxN SecondaryImportMPAN "
        "ExportMPAN PostCode AddressIdentifier CredentialType GBCSVersion DeviceType DeviceStatus "
        "DeviceManufacturer DeviceModel ResponseCode DCCAlertCode ECoSErrorCode ECoSAlertCode "
        "AdditionalInformation CertificateType",
    }.items()
    for name in names.split()
}

MAY_BE_EMPTY: Final = f"{{{SR}}}SupplierOrNetworkOperatorCertificates"
"""Holds elements, or nothing; never a value."""

blanks = st.text(" \t\r\n", max_size=3)


def leaves(root: etree._Element) -> list[etree._Element]:
    """Every element of DUIS that holds a value."""
    elements = (element for element in root.iter(f"{{{SR}}}*") if len(element) == 0)
    return [element for element in elements if element.tag != MAY_BE_EMPTY]


def kind_of(element: etree._Element) -> str:
    """The kind of value an element holds."""
    return KINDS[etree.QName(element).localname]


def written(root: etree._Element) -> bytes:
    """A tree as a document; a carriage return becomes a character reference."""
    return etree.tostring(root, encoding="utf-8", xml_declaration=True)


def another_way(draw: Draw, kind: str, text: str) -> str:
    """The value of a text as the writers of `duis` write it, in a way drawn from all there are."""
    if kind == "text":
        return text  # an xs:string has one way
    return str(draw(blanks)) + _WAYS[kind](draw, text) + str(draw(blanks))


def _octets(draw: Draw, text: str) -> str:
    if draw(st.booleans()):
        length = draw(st.sampled_from([4, 19, 64, 76]))
        end = draw(st.sampled_from(["\n", "\r\n", " "]))
        return end.join(text[at : at + length] for at in range(0, len(text), length))
    for at in sorted(draw(st.sets(st.integers(0, len(text)), max_size=4)), reverse=True):
        text = text[:at] + draw(blanks) + text[at:]
    return text


def _number(draw: Draw, text: str) -> str:
    sign = draw(st.sampled_from(["", "+", "-"] if text == "0" else ["", "+"]))
    if text.startswith("-"):
        sign, text = "-", text[1:]
    return str(sign) + "0" * int(draw(st.sampled_from([0, 1, 2, 30, 5000]))) + text


def _truth(draw: Draw, text: str) -> str:
    return str(draw(st.sampled_from([text, "1" if text == "true" else "0"])))


def _moment(draw: Draw, text: str) -> str:
    value = datetime.fromisoformat(text)
    offset = draw(st.just(0) | st.sampled_from([60, -60, 840, -840]) | st.integers(-840, 840))
    try:
        local = value.astimezone(timezone(timedelta(minutes=offset)))
        eve = local - timedelta(days=1)
    except OverflowError:
        local, eve, offset = value, value, 0
    zeros = "0" * int(draw(st.sampled_from([0, 1, 3, 60])))
    fraction = f"{local.microsecond:06d}".rstrip("0") + zeros
    hour = f"{local:%H}"
    if local.timetz().replace(tzinfo=None).isoformat() == "00:00:00" and eve < local:
        local, hour = draw(st.sampled_from([(local, "00"), (eve, "24")]))
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    if offset == 0:
        zone = draw(st.sampled_from(["Z", "+00:00", "-00:00"]))
    day = f"{local.year:04d}-{local:%m-%d}"
    return f"{day}T{hour}:{local:%M:%S}{'.' if fraction else ''}{fraction}{zone}"


def _either_case(draw: Draw, text: str) -> str:
    return "".join(draw(st.sampled_from([one.lower(), one.upper()])) for one in text)


_WAYS: Final[dict[str, Callable[[Draw, str], str]]] = {
    "octets": _octets,
    "number": _number,
    "truth": _truth,
    "moment": _moment,
    "token": lambda _draw, text: text,
    "identifier": _either_case,
    "hex": _either_case,
}

VERSIONS: Final = ["5.4", "5.40", "05.4", "+5.4", " 5.4\t", "\n+005.4000\r"]


def respelled(draw: Draw, document: bytes) -> bytes:
    """A document with every value written in a way that is drawn."""
    root = etree.fromstring(document)
    for element in leaves(root):
        element.text = another_way(draw, kind_of(element), element.text or "")
    root.set("schemaVersion", draw(st.sampled_from(VERSIONS)))
    return written(root)


def oddly(document: bytes) -> bytes:
    """A document with every value written unlike the writers of `duis`, always in the same way."""
    root = etree.fromstring(document)
    root.set("schemaVersion", "5.40")
    for element in leaves(root):
        text = element.text or ""
        if kind_of(element) == "octets":
            lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
            element.text = f"\n{lines}\n"
        elif kind_of(element) == "number":
            element.text = f" +000{text}"
        elif kind_of(element) == "truth":
            element.text = "1" if text == "true" else "0"
        elif kind_of(element) == "moment":
            at = datetime.fromisoformat(text).astimezone(UTC)
            element.text = f"{at:%Y-%m-%dT%H:%M:%S}.{at:%f}000+00:00"
        elif kind_of(element) != "text":
            element.text = f"\t{text if kind_of(element) == 'token' else text.lower()}\n"
    return written(root)
