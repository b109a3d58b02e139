"""Every way a value may be written is read as that value; and the ways are the published ones.

The first half needs nothing beside the project. The second compares our readers with the published
schema, form by form, and skips where that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from effort import examples
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lxml import etree
from published_duis import published_schema
from respelling import another_way, kind_of, leaves, oddly, respelled, written

from duis.errors import DuisError
from duis.gate import parse
from duis.model import ServiceRequest
from duis.signature import verify_document
from duis.xml import request_from_xml, request_to_xml, response_from_xml, response_to_xml
from tests.property.test_duis_documents import requests, responses
from tests.unit.duis.documents import signer
from tests.unit.duis.test_xml import REQUESTS, RESPONSES

BLANK = " \t\r\n"
every_request = st.sampled_from(list(REQUESTS.values())) | requests()
every_response = st.sampled_from(list(RESPONSES.values())) | responses()
documents = every_request.map(request_to_xml) | every_response.map(response_to_xml)


def read(data: bytes) -> Any:
    """What a document says."""
    is_request = parse(data).kind == "Request"
    return request_from_xml(data) if is_request else response_from_xml(data)


@given(documents, st.data())
def test_every_way_of_writing_a_value_reads_as_that_value(document, data):
    assert read(respelled(data.draw, document)) == read(document)


@pytest.mark.parametrize("value", [*REQUESTS.values(), *RESPONSES.values()])
def test_a_document_written_oddly_throughout_reads_the_same(value):
    is_request = isinstance(value, ServiceRequest)
    document = request_to_xml(value) if is_request else response_to_xml(value)
    assert oddly(document) != document
    assert read(oddly(document)) == value


@given(documents, st.data())
@settings(max_examples=examples(50))
def test_what_is_signed_is_the_way_it_was_written(document, data):
    """The spelling is signed as it stands: the same values spelled otherwise do not verify."""
    odd = respelled(data.draw, document)
    assume(read(odd) == read(document) and parse(odd).root.get("schemaVersion") != "5.4")
    sealed = signer().sign_xml(odd)
    verified = verify_document(sealed, signer().certificate)
    assert read(verified.signed_xml) == read(sealed) == read(document)
    plain = re.sub(rb'schemaVersion="[^"]*"', b'schemaVersion="5.4"', sealed)
    with pytest.raises(DuisError, match="digest_mismatch"):
        verify_document(plain, signer().certificate)


# Against the published schema


@dataclass(frozen=True)
class Difference:
    """Where we and the published schema differ on purpose.

    Attributes:
        why: the reason.
        covers: whether a value's name, kind and text fall under it.
        example: the name of an element and a text, which must show it.
    """

    why: str
    covers: Callable[[str, str, str], bool]
    example: tuple[str, str]


MOMENT = re.compile(r"(-?\d{4,})-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def moment(test: Callable[[re.Match[str]], object]) -> Callable[[str, str, str], bool]:
    def covers(_name: str, kind: str, text: str) -> bool:
        found = MOMENT.fullmatch(text.strip(BLANK))
        return kind == "moment" and found is not None and bool(test(found))

    return covers


def number(text: str) -> int:
    return int(text.strip(BLANK))


NARROWER = {
    "nothing but white space": Difference(
        "some verifiers take such text out before they digest it: the gate refuses it everywhere",
        lambda _, kind, text: kind in ("text", "octets") and text != "" and not text.strip(BLANK),
        ("AddressIdentifier", " "),
    ),
    "no octets": Difference(
        "a certificate or payload of no octets is none",
        lambda _, kind, text: kind == "octets" and text == "",
        ("Certificate", ""),
    ),
    "a time without its zone": Difference(
        "it names no moment",
        moment(lambda found: found[3] is None),
        ("ExecutionDateTime", "2030-01-02T00:00:00"),
    ),
    "a year that cannot be held": Difference(
        "1 to 9999 can",
        moment(lambda found: len(found[1]) > 4 or found[1] in ("0001", "9999")),
        ("ExecutionDateTime", "12030-01-02T00:00:00Z"),
    ),
    "a fraction that cannot be held": Difference(
        "a microsecond can",
        moment(lambda found: len((found[2] or "").rstrip("0")) > 6),
        ("ExecutionDateTime", "2030-01-02T00:00:00.1234567Z"),
    ),
    "a meter point that is not digits": Difference(
        "no meter point is",
        lambda name, _, text: name.endswith(("MPxN", "MPAN")) and not re.fullmatch("[0-9]+", text),
        ("ImportMPxN", "ABC"),
    ),
    "a serial number of no certificate": Difference(
        "RFC 5280 4.1.2.2: at most 20 octets, and positive",
        lambda name, _, text: name == "CertificateSerialNumber" and not 0 <= number(text) < 2**159,
        ("CertificateSerialNumber", str(2**159)),
    ),
    "an alert code of another length": Difference(
        "a code is two octets",
        lambda _, kind, text: kind == "hex" and len(text.strip(BLANK)) != 4,
        ("AlertCode", "8F"),
    ),
    "a command variant the service does not have": Difference(
        "which variants a service has the published schema does not say",
        lambda name, _, __: name == "CommandVariant",
        ("CommandVariant", "9"),
    ),
    "a service that is not spoken": Difference(
        "only some services are",
        lambda name, _, __: name.startswith("ServiceReference"),
        ("ServiceReference", "1.1"),
    ),
    "a response code that is not spoken": Difference(
        "only codes of the services spoken are",
        lambda name, _, __: name == "ResponseCode",
        ("ResponseCode", "E010101"),
    ),
}

WIDER = {
    "a service in a response": Difference(
        "the services are listed once, and there are a hundred more",
        lambda name, _, __: name.startswith("ServiceReference"),
        ("ServiceReference in a response", "9.9"),
    ),
    "the code of a dated command's alert": Difference(
        "the published schema has two; which a device may send is a check of the broker",
        lambda name, _, __: name == "FutureDatedAlertCode",
        ("FutureDatedAlertCode", "8F68"),
    ),
}


@pytest.fixture(scope="session")
def published(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> etree.XMLSchema:
    return published_schema(shared_dir, tmp_path_factory.mktemp("published"))


B64 = "[A-Za-z0-9+/] ?"
BASE64_BINARY = re.compile(
    f"(?:(?:{B64}){{4}})*"
    f"(?:(?:{B64}){{3}}[A-Za-z0-9+/]|(?:{B64}){{2}}[AEIMQUYcgkosw048] ?=|{B64}[AQgw] ?= ?=)"
)
"""XML Schema Part 2, 3.2.16, with white space collapsed; not of no octets."""


def as_published(schema: etree.XMLSchema, document: bytes) -> bool:
    """Whether the published schema allows a document, where libxml2 does not say so truly.

    libxml2 does not collapse white space round an xs:dateTime without a pattern, and reads over
    characters that are not base64: the first is done for it, the second is judged by the grammar.
    """
    root = etree.fromstring(document)
    for element in leaves(root):
        text = element.text or ""
        if kind_of(element) == "moment":
            element.text = text.strip(BLANK)
        elif kind_of(element) == "octets":
            collapsed = " ".join(re.split(f"[{BLANK}]+", text.strip(BLANK)))
            if collapsed and BASE64_BINARY.fullmatch(collapsed) is None:
                return False
    return bool(schema.validate(root))


def here(document: bytes) -> bool:
    """Whether we read it."""
    try:
        read(document)
    except DuisError:
        return False
    return True


near = (
    st.text("0123456789+-:.TZ= \n\tABCabcEINx/*_", max_size=12)
    | st.sampled_from(["", "0", "-0", "+0", "1", "-1", "+1", "00", "1.0", "9" * 60, "-" + "9" * 9])
    | st.sampled_from(["true", "TRUE", "false", "yes", "AAAA", "AA==", "AB==", "A A A A", "AA= ="])
    | st.sampled_from(["Supplier", " Root ", "Supp lier", "Key Agreement", " Key Agreement"])
    | st.sampled_from(["8F66", "8f67", "8F6", "8F6600", "E1", "I99", "1.1", "6.23", "6.15.1"])
    | st.sampled_from(["02-53-49-4D-D0-00-00-01", "02-53-49-4d-D0-00-00-01:" * 2 + "01"])
    | st.from_regex(
        r"\A-?[0-9]{4,5}-(0[1-9]|1[0-2])-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
        r"(\.[0-9]{0,9})?(Z|[+-][01][0-9]:[0-5][0-9])?\Z",
        alphabet="0123456789-+:.TZ",
    )
)


@given(document=documents, data=st.data())
@settings(max_examples=examples(400), suppress_health_check=[HealthCheck.too_slow])
def test_a_form_is_read_here_if_and_only_if_the_published_schema_allows_it(
    published, document, data
):
    assume(as_published(published, document))
    root = etree.fromstring(document)
    element = data.draw(st.sampled_from(leaves(root)))
    name, kind = etree.QName(element).localname, kind_of(element)
    if data.draw(st.booleans()):
        text = another_way(data.draw, kind, element.text or "")
    else:
        text = data.draw(near)
    element.text = text
    changed = written(root)
    allowed, accepted = as_published(published, changed), here(changed)
    if allowed != accepted:
        known = NARROWER if allowed else WIDER
        assert any(one.covers(name, kind, text) for one in known.values()), (name, text)


@given(document=documents, data=st.data())
@settings(max_examples=examples(50), suppress_health_check=[HealthCheck.too_slow])
def test_every_other_way_of_writing_is_a_published_one(published, document, data):
    assume(as_published(published, document))
    assert as_published(published, respelled(data.draw, document))


def with_value(name: str, text: str) -> bytes:
    """A document we write, with another text in the element named."""
    name, _, response = name.partition(" in a ")
    values = [*([] if response else REQUESTS.values()), *RESPONSES.values()]
    for value in values:
        is_request = isinstance(value, ServiceRequest)
        root = etree.fromstring(request_to_xml(value) if is_request else response_to_xml(value))
        for element in leaves(root):
            if etree.QName(element).localname == name:
                element.text = text
                return written(root)
    raise AssertionError(f"nothing we write has a {name}")


@pytest.mark.parametrize("name", NARROWER)
def test_what_only_the_published_schema_allows(published, name):
    document = with_value(*NARROWER[name].example)
    assert as_published(published, document)
    assert not here(document)


@pytest.mark.parametrize("name", WIDER)
def test_what_only_we_read(published, name):
    document = with_value(*WIDER[name].example)
    assert not as_published(published, document)
    assert here(document)


def test_where_libxml2_does_not_do_what_the_published_schema_says(published):
    """Why this file helps it: if a later libxml2 does, the help can go."""
    padded = etree.fromstring(with_value("ExecutionDateTime", " 2030-01-02T00:00:00Z"))
    assert not published.validate(padded)
    stray = etree.fromstring(with_value("Certificate", "AA*AA"))
    assert published.validate(stray)


def test_the_request_that_was_refused_for_its_line_breaks(shared_dir: Path):
    document = (shared_dir / "field" / "08-623-certificate-wrapped-at-64.xml").read_bytes()
    unwrapped = re.sub(rb"(?<=[A-Za-z0-9+/=])\n(?=[A-Za-z0-9+/=])", b"", document)
    assert unwrapped.count(b"\n") < document.count(b"\n")
    assert request_from_xml(document) == request_from_xml(unwrapped)
