"""What is laid out for people is refused with advice, and can be made ready to sign."""

from __future__ import annotations

from pathlib import Path

import pytest

from duis.errors import MalformedXml
from duis.gate import parse
from duis.names import ds
from duis.signature import from_template, sign_document

HEAD = (
    '<sr:Request xmlns:sr="http://www.dccinterface.co.uk/ServiceUserGateway" schemaVersion="5.4">'
)
PLAIN = f"{HEAD}<sr:Header></sr:Header><sr:Body>1 &amp; 2</sr:Body></sr:Request>"
LAID_OUT = f"""<?xml version="1.0"?>
{HEAD}
  <!-- who asks -->
  <sr:Header/>
  <sr:Body>1 &amp; 2</sr:Body>
  <ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><!-- a place --></ds:Signature>
</sr:Request>
"""


@pytest.mark.parametrize("text", ["<!-- x -->", " ", "\n"])
def test_a_refusal_says_what_to_do(text: str) -> None:
    with pytest.raises(MalformedXml) as refused:
        parse(PLAIN.replace("<sr:Header>", f"{text}<sr:Header>", 1).encode())
    assert refused.value.reason in ("comment", "inter_element_white_space")
    assert "take them out, then sign" in refused.value.detail


def test_layout_and_the_place_of_a_signature_are_taken_out_and_nothing_else() -> None:
    plain = from_template(LAID_OUT.encode())
    assert plain.partition(b"\n")[2] == PLAIN.encode() or plain.endswith(PLAIN.encode())
    assert from_template(plain) == plain


@pytest.mark.parametrize("text", ["<?go away?>", "words", "<![CDATA[x]]>"])
def test_what_is_more_than_layout_is_still_refused(text: str) -> None:
    with pytest.raises(MalformedXml):
        from_template(LAID_OUT.replace("<sr:Header/>", f"{text}<sr:Header/>").encode())


def test_the_published_template_can_be_signed(shared_dir: Path) -> None:
    name = "CS02bSupplierByTransCoS_6.23_IMMEDIATE_SUCCESS_REQUEST_DUIS.XML"
    template = (shared_dir / "duis" / name).read_bytes()
    with pytest.raises(MalformedXml):
        sign_document(template, "CN=SIM-Z1,OU=07", 1, lambda _octets: bytes(64))
    signed = sign_document(
        from_template(template), "CN=SIM-Z1,OU=07", 1, lambda _octets: b"\x01" * 64
    )
    root = parse(signed).root
    assert len(root.findall(ds("Signature"))) == 1
