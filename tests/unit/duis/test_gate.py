"""Each thing the gate refuses: refused alone, by name, and its honest twin let through."""

from __future__ import annotations

import pytest
from lxml import etree

from duis import bounds
from duis.errors import (
    DuisError,
    MalformedXml,
    SchemaInvalid,
    SchemaVersionRefused,
    UnsupportedService,
)
from duis.gate import DEFAULT_LIMIT, parse, validate
from duis.names import DS, SR
from tests.unit.duis.documents import declaration, put, signed, unsigned

ROOT = b"<sr:Request "
HEADER = b"<sr:Header>"
FLOOR = b">1000<"


def before_root(text: str):
    return put(ROOT, text.encode() + ROOT)


MALFORMED = {
    "a DOCTYPE": (before_root("<!DOCTYPE sr:Request>"), "doctype"),
    "a DOCTYPE with an entity": (
        before_root('<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
        "doctype",
    ),
    "a comment in the prolog": (before_root("<!-- x -->"), "comment"),
    "a comment inside a value": (
        put("<sr:ServiceReference>6.", "<sr:ServiceReference>6.<!--x-->"),
        "comment",
    ),
    "a comment after the root": (lambda d: d + b"<!-- x -->", "comment"),
    "CDATA": (put(FLOOR, b"><![CDATA[1000]]><"), "cdata"),
    "a processing instruction": (put(HEADER, b"<?x y?>" + HEADER), "processing_instruction"),
    "a style sheet": (before_root("<?xml-stylesheet href='x'?>"), "processing_instruction"),
    "white space before the declaration": (lambda d: b"\n" + d, "processing_instruction"),
    "an entity nobody declared": (put(FLOOR, b">&floor;<"), "entity"),
    "a bare ampersand": (put(FLOOR, b">&<"), "entity"),
    "a byte order mark": (lambda d: b"\xef\xbb\xbf" + d, "byte_order_mark"),
    "UTF-16 with its mark": (lambda d: d.decode().encode("utf-16"), "byte_order_mark"),
    "UTF-16 without": (lambda d: d.decode().encode("utf-16-le"), "encoding"),
    "Latin-1 octets": (put(FLOOR, b">1000\xe9<"), "encoding"),
    "Latin-1 declared": (declaration('<?xml version="1.0" encoding="ISO-8859-1"?>'), "encoding"),
    "UTF-7 declared": (declaration('<?xml version="1.0" encoding="UTF-7"?>'), "encoding"),
    "a NUL": (put(FLOOR, b">1000\x00<"), "encoding"),
    "XML 1.1": (declaration('<?xml version="1.1" encoding="UTF-8"?>'), "xml_version"),
    "a broken declaration": (declaration('<?xml encoding="UTF-8"?>'), "not_well_formed"),
    "an open element": (lambda d: d[:-3], "not_well_formed"),
    "two documents": (lambda d: d + d[d.index(b"?>") + 2 :], "not_well_formed"),
    "an attribute twice": (
        put(b'schemaVersion="5.4"', b'schemaVersion="5.4" schemaVersion="5.4"'),
        "not_well_formed",
    ),
    "a control character by reference": (put(FLOOR, b">1000&#1;<"), "not_well_formed"),
    "another root": (
        lambda d: d.replace(b"sr:Request>", b"sr:Other>").replace(b"sr:Request ", b"sr:Other "),
        "root_element",
    ),
    "a root of no namespace": (lambda d: b"<Request/>", "root_element"),
    "the document wrapped": (
        lambda d: b"<w:Wrap xmlns:w='urn:w'>" + d[d.index(b"?>") + 2 :] + b"</w:Wrap>",
        "root_element",
    ),
    "an unknown namespace on the root": (
        put(ROOT, ROOT + b'xmlns:x="urn:x" '),
        "unknown_namespace",
    ),
    "an element of no namespace": (put(HEADER, b"<Extra></Extra>" + HEADER), "unknown_namespace"),
    "a declaration on the body": (
        put(b"<sr:Body>", f'<sr:Body xmlns:ds="{DS}">'.encode()),
        "namespace_declaration",
    ),
    "the same prefix declared again": (
        put(HEADER, f'<sr:Header xmlns:sr="{SR}">'.encode()),
        "namespace_declaration",
    ),
    "xml:space": (put(HEADER, b'<sr:Header xml:space="preserve">'), "xml_attribute"),
    "xml:base": (put(ROOT, ROOT + b'xml:base="urn:x" '), "xml_attribute"),
    "xml:id": (put(HEADER, b'<sr:Header xml:id="a">'), "xml_attribute"),
    "xsi:type": (
        put(
            ROOT,
            ROOT + b'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="sr:Request" ',
        ),
        "qualified_attribute",
    ),
    "white space between elements": (put(HEADER, b"\n" + HEADER), "inter_element_white_space"),
    "white space as a character reference": (
        put(HEADER, b"&#32;" + HEADER),
        "inter_element_white_space",
    ),
    "white space at the end of an element": (
        put(b"</sr:Body>", b"\t</sr:Body>"),
        "inter_element_white_space",
    ),
    "an element that holds only white space": (put(FLOOR, b"> <"), "inter_element_white_space"),
    "text beside elements": (put(HEADER, b"x" + HEADER), "mixed_content"),
}


@pytest.mark.parametrize(("change", "reason"), MALFORMED.values(), ids=MALFORMED)
def test_refused_by_name_before_any_meaning_is_looked_for(change, reason):
    with pytest.raises(MalformedXml) as refused:
        parse(change(unsigned()))
    assert refused.value.reason == reason


def test_the_honest_twin_of_all_of_them_is_accepted():
    parsed = parse(unsigned())
    validate(parsed)
    assert (parsed.kind, parsed.signed, parsed.template) == ("Request", False, False)
    assert parsed.data == unsigned()


def test_a_prefix_may_not_get_another_meaning_on_the_signature():
    change = put(
        f'<ds:Signature xmlns:ds="{DS}">', f'<ds:Signature xmlns:ds="{DS}" xmlns:sr="{DS}">'
    )
    with pytest.raises(MalformedXml) as refused:
        parse(change(signed()))
    assert refused.value.reason == "namespace_rebinding"


def test_the_signature_may_declare_its_own_prefixes_as_published_signers_do():
    change = put(f'<ds:Signature xmlns:ds="{DS}">', f'<ds:Signature xmlns:ds="{DS}" xmlns="{DS}">')
    assert parse(change(signed())).signed


@pytest.mark.parametrize(
    "change",
    [
        declaration(""),
        declaration('<?xml version="1.0"?>'),
        declaration("<?xml version='1.0' encoding='utf-8' standalone='no' ?>"),
        declaration('<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'),
        lambda d: d + b"\n",
    ],
)
def test_what_differs_only_outside_the_root_is_accepted(change):
    validate(parse(change(unsigned())))


def test_size():
    data = unsigned()
    assert parse(data, limit=len(data)).kind == "Request"
    with pytest.raises(MalformedXml, match="too_large"):
        parse(data, limit=len(data) - 1)
    with pytest.raises(MalformedXml, match="too_large"):
        parse(b" " * (DEFAULT_LIMIT + 1))


def redundant(count: int) -> bytes:
    """Declarations of one namespace under many prefixes: all legal, none of use."""
    return b"".join(b' xmlns:a%d="%s"' % (n, SR.encode()) for n in range(count))


def attributes(count: int) -> bytes:
    return b"".join(b' a%d=""' % n for n in range(count))


def elements(count: int, inside: bytes = b"<sr:a/>"):
    return put(HEADER, HEADER + inside * count)


TOO_MUCH = {
    "declarations": (put(ROOT, ROOT[:-1] + redundant(2700) + b" "), "too_many_namespaces"),
    "declarations, each alone": (
        elements(20, b"<sr:a" + redundant(1) + b"/>"),
        "too_many_namespaces",
    ),
    "attributes": (put(ROOT, ROOT[:-1] + attributes(24_000) + b" "), "too_many_attributes"),
    "attributes, few each": (elements(200, b'<sr:a b="" c=""/>'), "too_many_attributes"),
    "elements": (elements(20_000), "too_many_elements"),
    "levels": (
        put(HEADER, HEADER + b"<sr:a>" * 5000 + b"</sr:a>" * 5000),
        "too_deep",
    ),
    "the name of an element": (elements(1, b"<sr:" + b"a" * 2000 + b"/>"), "name_too_long"),
    "the name of an attribute": (elements(1, b"<sr:a " + b"a" * 2000 + b'=""/>'), "name_too_long"),
    "the value of an attribute": (
        put(b'schemaVersion="5.4"', b'schemaVersion="' + b"5" * 9000 + b'"'),
        "value_too_long",
    ),
}


@pytest.mark.parametrize("template", [False, True], ids=["received", "template"])
@pytest.mark.parametrize(("change", "reason"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_too_much_is_refused_before_a_tree_is_built(monkeypatch, change, reason, template):
    document = change(unsigned())
    monkeypatch.setattr(etree, "fromstring", None)  # whoever builds a tree fails
    with pytest.raises(MalformedXml) as refused:
        parse(document, template=template)
    assert refused.value.reason == reason


def test_the_twin_as_much_as_there_may_be():
    """Every bound reached, none passed."""
    used = parse(unsigned()).root
    declared = len(used.nsmap)
    document = put(ROOT, ROOT[:-1] + redundant(bounds.MOST_NAMESPACES - declared) + b" ")(
        unsigned()
    )
    document = put(HEADER, HEADER + b"<sr:a" + attributes(bounds.MOST_ATTRIBUTES) + b"/>")(document)
    document = put(HEADER, HEADER + b"<sr:a>" * 14 + b"</sr:a>" * 14)(document)
    count = sum(1 for _ in parse(document).root.iter())
    document = put(HEADER, HEADER + b"<sr:a/>" * (bounds.MOST_ELEMENTS - count))(document)
    assert sum(1 for _ in parse(document).root.iter()) == bounds.MOST_ELEMENTS
    with pytest.raises(MalformedXml, match="too_many_elements"):
        parse(put(HEADER, HEADER + b"<sr:a/>")(document))


def test_a_value_may_be_as_long_as_the_document():
    long = b"A" * (DEFAULT_LIMIT - 8192)
    document = put(b"<sr:KeyAgreementCertificate>", b"<sr:KeyAgreementCertificate>" + long)
    validate(parse(document(unsigned())))


def test_no_external_entity_is_ever_fetched(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    document = before_root(f'<!DOCTYPE r [<!ENTITY x SYSTEM "{secret.as_uri()}">]>')(unsigned())
    document = put(FLOOR, b">&x;<")(document)
    for template in (False, True):
        with pytest.raises(MalformedXml) as refused:
            parse(document, template=template)
        assert refused.value.reason == "doctype"
        assert "secret" not in str(refused.value)


# The schema and what comes with it


def change_and_validate(change):
    validate(parse(change(unsigned())))


@pytest.mark.parametrize("version", ["5.3", "5.41", "5.04", "-5.4", "5 .4", "5,4", "", "5", ".4"])
def test_only_version_5_4_is_spoken(version):
    with pytest.raises(SchemaVersionRefused) as refused:
        change_and_validate(put('schemaVersion="5.4"', f'schemaVersion="{version}"'))
    assert refused.value.reason == "schema_version"


@pytest.mark.parametrize("version", ["5.40", "05.4", "+5.4", " 5.4", "5.4&#9;", "\n5.4 "])
def test_the_version_is_a_number_however_it_is_written(version):
    change_and_validate(put('schemaVersion="5.4"', f'schemaVersion="{version}"'))


def test_a_document_without_version():
    with pytest.raises(SchemaVersionRefused) as refused:
        change_and_validate(put(' schemaVersion="5.4"', ""))
    assert refused.value.where == "none"


FLOOR_ELEMENT = b"<sr:SupplierFloorSeqNumber>1000</sr:SupplierFloorSeqNumber>"
INVALID = {
    "an element twice": put(FLOOR_ELEMENT, FLOOR_ELEMENT * 2),
    "an element missing": put(FLOOR_ELEMENT, b""),
    "an element nobody knows": put(FLOOR_ELEMENT, FLOOR_ELEMENT + b"<sr:Extra>1</sr:Extra>"),
    "a signature's element inside the body": lambda d: put(
        ROOT, ROOT + f'xmlns:ds="{DS}" '.encode()
    )(put(b"</sr:Body>", b"<ds:Object></ds:Object></sr:Body>")(d)),
    "elements in another order": put(
        b"<sr:CommandVariant>1</sr:CommandVariant><sr:ServiceReference>6.23</sr:ServiceReference>",
        b"<sr:ServiceReference>6.23</sr:ServiceReference><sr:CommandVariant>1</sr:CommandVariant>",
    ),
    "a floor of 2^63": put(FLOOR, b">9223372036854775808<"),
    "a floor below zero": put(FLOOR, b">-1<"),
    "a floor with a space in it": put(FLOOR, b">1 000<"),
    "a floor after a space that XML does not call one": put(FLOOR, b">\xc2\xa01000<"),
    "a floor in other digits": put(FLOOR, ">\u0661<".encode()),
    "a floor in words": put(FLOOR, b">thousand<"),
    "an empty floor": put(FLOOR, b"><"),
    "a yes that is not true": put(b">true<", b">yes<"),
    "a truth in capitals": put(b">true<", b">TRUE<"),
    "a truth in two figures": put(b">true<", b">01<"),
    "an MPxN of 14 digits": put(b">1234567890123<", b">12345678901234<"),
    "an MPxN with a letter": put(b">1234567890123<", b">12345678901A<"),
    "base64 with another character in it": put(b"<sr:Certificate>", b"<sr:Certificate>AA*AA"),
    "base64 in the alphabet of URLs": put(b"<sr:Certificate>", b"<sr:Certificate>AA-_AA"),
    "base64 cut short": put(b"<sr:Certificate>", b"<sr:Certificate>A"),
    "base64 with stray bits": put(b">aXNzdWluZyBhdXRob3JpdHk=<", b">aXNzdWluZyBhdXRob3JpdHl=<"),
    "no certificate at all": put(
        b"</sr:CertificationPathCertificates>",
        b"<sr:Certificate></sr:Certificate></sr:CertificationPathCertificates>",
    ),
    "four path certificates": put(
        b"</sr:CertificationPathCertificates>",
        b"<sr:Certificate>AAAA</sr:Certificate>" * 3 + b"</sr:CertificationPathCertificates>",
    ),
    "command variant 9": put(b"<sr:CommandVariant>1<", b"<sr:CommandVariant>9<"),
    "a request identifier with leading zeros": put(b":1006<", b":01006<"),
    "an attribute nobody knows": put(b"<sr:Body>", b'<sr:Body a="b">'),
    "a second body": put(b"</sr:Body>", b"</sr:Body><sr:Body></sr:Body>"),
    "two contents": put(
        b"</sr:Body>",
        b"<sr:IssueSecurityCredentials><sr:CredentialType>Key Agreement</sr:CredentialType>"
        b"</sr:IssueSecurityCredentials></sr:Body>",
    ),
    "a 31st of February": put(
        FLOOR_ELEMENT,
        b"<sr:ExecutionDateTime>2030-02-31T00:00:00Z</sr:ExecutionDateTime>" + FLOOR_ELEMENT,
    ),
}


@pytest.mark.parametrize("change", INVALID.values(), ids=INVALID)
def test_the_schema_refuses(change):
    with pytest.raises(SchemaInvalid) as refused:
        change_and_validate(change)
    assert refused.value.reason == "schema"
    assert refused.value.where.startswith("line ")
    assert len(refused.value.detail) <= 300


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"A" * 1000 + b"*", "is not accepted by the pattern '[A-Za-z0-9+/ ]+(= ?){0,2}'."),
        (b"A" * 999, "is not a valid value of the atomic type 'sr:octets'."),
    ],
)
def test_a_refusal_of_a_long_value_says_what_is_wrong_with_it(text, told):
    with pytest.raises(SchemaInvalid) as refused:
        change_and_validate(put(b"<sr:Certificate>", b"<sr:Certificate>" + text))
    assert f"'{'A' * 60}...'" in refused.value.detail
    assert refused.value.detail.endswith(told)


def test_a_service_that_is_not_spoken_is_named():
    change = put(
        unsigned()[unsigned().index(b"<sr:UpdateSec") : unsigned().index(b"</sr:Body>")],
        b"<sr:ReadInstantaneousImportRegisters></sr:ReadInstantaneousImportRegisters>",
    )
    renamed = put(b"Variant>6.23<", b"Variant>4.1.1<")
    with pytest.raises(UnsupportedService) as refused:
        validate(parse(renamed(change(unsigned()))))
    assert refused.value.reason == "unsupported_service"
    assert refused.value.where == "4.1.1 ReadInstantaneousImportRegisters"


def test_a_response_body_that_is_not_spoken_is_named():
    document = (
        f'<sr:Response xmlns:sr="{SR}" schemaVersion="5.4"><sr:Header></sr:Header><sr:Body>'
        "<sr:SMETS1ResponseMessage></sr:SMETS1ResponseMessage></sr:Body></sr:Response>"
    )
    with pytest.raises(UnsupportedService) as refused:
        validate(parse(document.encode()))
    assert (refused.value.reason, refused.value.where) == (
        "unsupported_response",
        "SMETS1ResponseMessage",
    )


# Templates


def test_a_template_is_read_over_its_comments_and_white_space_and_says_so():
    pretty = etree.tostring(etree.fromstring(unsigned()), pretty_print=True)
    template = put(HEADER, b"<!-- who & what -->" + HEADER)(pretty)
    with pytest.raises(MalformedXml):
        parse(template)
    parsed = parse(template, template=True)
    validate(parsed)
    assert parsed.template


@pytest.mark.parametrize("reason", ["doctype", "processing_instruction", "cdata", "xml_attribute"])
def test_a_template_may_not_have_what_changes_its_meaning(reason):
    changes = [change for change, found in MALFORMED.values() if found == reason]
    assert changes
    for change in changes:
        with pytest.raises(MalformedXml) as refused:
            parse(change(unsigned()), template=True)
        assert refused.value.reason == reason


def test_a_refusal_reads_as_one_line():
    with pytest.raises(DuisError) as refused:
        parse(before_root("<!DOCTYPE x>")(unsigned()))
    assert str(refused.value) == "doctype at octet 38: not allowed"
