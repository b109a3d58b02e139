from __future__ import annotations

import json

import pytest

from duis.codes import (
    ACKNOWLEDGED,
    ALERT_MEANINGS,
    RESPONSE_CODES,
    SUCCESS,
    alert_meaning,
    response_meaning,
)
from duis.errors import MalformedXml
from duis.services import SERVICES, SIGNED_PRE_COMMAND
from duis.show import show
from duis.xml import request_to_xml, response_to_xml
from tests.unit.duis.documents import cos_request, put, signed, signer, unsigned
from tests.unit.duis.test_xml import REQUESTS, RESPONSES


@pytest.mark.parametrize("value", REQUESTS.values(), ids=REQUESTS)
def test_every_request_is_shown_as_json(value):
    told = json.loads(json.dumps(show(request_to_xml(value))))
    assert told["document"] == "Request"
    assert told["header"]["request_id"] == value.header.request_id.text
    assert list(told["body"]) == [type(value.body).__name__]


@pytest.mark.parametrize("value", RESPONSES.values(), ids=RESPONSES)
def test_every_response_is_shown_as_json(value):
    told = json.loads(json.dumps(show(response_to_xml(value))))
    assert told["document"] == "Response"
    assert told["header"]["response_code"] == value.code
    assert list(told["body"]) == [type(value.body).__name__]


def test_what_is_shown_of_a_change_of_supplier():
    told = show(signed())
    assert told["service"] == "6.23 Update Security Credentials (CoS)"
    assert told["body"]["UpdateSecurityCredentialsCoS"] == {
        "supplier_floor": 1000,
        "digital_signing": "c2lnbmluZyBjZXJ0aWZpY2F0ZQ==",
        "path_certificates": ["aXNzdWluZyBhdXRob3JpdHk="],
        "import_mpxn": cos_request().body.import_mpxn,
        "prepayment_top_up_floor": 2000,
        "key_agreement": "YWdyZWVtZW50IGNlcnRpZmljYXRl",
        "key_agreement_top_up": "dG9wLXVwIGNlcnRpZmljYXRl",
        "apply_time_checks": True,
    }
    assert told["signature"] == {"issuer": "CN=SIM-Z1,OU=07", "serial": str(signer().serial)}
    assert "read_as" not in told


def test_an_alert_is_shown_with_what_its_code_stands_for_here():
    told = show(response_to_xml(RESPONSES["cos refused"]))
    assert told["alert_meaning"] == alert_meaning("N26")
    assert told["header"]["meaning"] == response_meaning("I0")


def test_a_document_nobody_here_speaks_is_shown_as_it_stands_with_the_reason():
    told = show(put('schemaVersion="5.4"', 'schemaVersion="5.1"')(unsigned()))
    assert told["not_accepted"]["reason"] == "schema_version"
    assert told["schema_version"] == "5.1"
    assert told["elements"]["Header"]["CommandVariant"] == "1"
    assert told["signature"] is None


def test_an_element_that_comes_twice_is_shown_twice():
    again = put(b"</sr:Certificate>", b"</sr:Certificate><sr:Certificate>AA</sr:Certificate>")
    unspoken = again(put('schemaVersion="5.4"', 'schemaVersion="6"')(unsigned()))
    path = show(unspoken)["elements"]["Body"]["UpdateSecurityCredentialsCoS"]
    assert path["CertificationPathCertificates"]["Certificate"] == [
        "aXNzdWluZyBhdXRob3JpdHk=",
        "AA",
    ]


def test_a_signature_of_another_form_is_said_to_be_one():
    told = show(put(b'URI=""', b'URI="#a"')(signed()))
    assert told["signature"]["not_accepted"]["reason"] == "reference_uri"


def test_a_template_is_said_to_be_one():
    assert (
        show(put(b"<sr:Header>", b"\n<!-- x --><sr:Header>")(unsigned()))["read_as"] == "template"
    )


def test_what_is_no_document_is_not_shown():
    with pytest.raises(MalformedXml, match="doctype"):
        show(put(b"<sr:Request ", b"<!DOCTYPE x><sr:Request ")(unsigned()))


def test_every_code_has_a_text_and_every_guess_is_marked_as_one():
    for code in RESPONSE_CODES:
        known = code in {SUCCESS, ACKNOWLEDGED}
        assert response_meaning(code).startswith("reconstruction: ") != known
    assert all(alert_meaning(code).startswith("reconstruction: ") for code in ALERT_MEANINGS)
    assert response_meaning("E999999") == alert_meaning("N1") == "reconstruction: no meaning known"


def test_the_catalogue():
    change = SERVICES["6.23"]
    assert change.element_for(1) == "UpdateSecurityCredentialsCoS"
    assert [change.element_for(variant) for variant in (2, 3, 4, 5, 8, 9)] == [None] * 6
    own = SERVICES["6.15.1"]
    assert own.element_for(4) == "UpdateSecurityCredentialsKRP"
    assert own.element_for(5) == SIGNED_PRE_COMMAND
    assert own.element_for(1) is None
