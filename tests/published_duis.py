"""The published DUIS schema, for the tests that compare ours with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lxml import etree

# The published schema imports the schema of parsed responses (MMC), which has no part in what it
# says about requests and responses: three of its types are named, so empty ones stand in.
STAND_IN = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"
    targetNamespace="http://www.dccinterface.co.uk/ResponseAndAlert">
  <xs:complexType name="HeaderType"/>
  <xs:complexType name="ResponsePayload"/>
  <xs:complexType name="DeviceAlertMessageType"/>
</xs:schema>"""


def published_folder(shared: Path) -> Path:
    """Where the published material is; the test is skipped where there is none."""
    folder = shared / "duis"
    if not folder.is_dir():
        pytest.skip("published DUIS material not found beside the vectors")
    return folder


def published_schema(shared: Path, scratch: Path) -> etree.XMLSchema:
    """The published schema, compiled without network.

    libxml2 skips a schemaLocation with a space in it without a word, and the schema of XML
    signatures starts with a DOCTYPE that points to the network: scratch copies have neither.
    """
    folder = published_folder(shared)
    text = (folder / "duis-5.4.xsd").read_text(encoding="utf-8")
    text, imports = re.subn(r'schemaLocation="MMC Schema[^"]*"', 'schemaLocation="mmc.xsd"', text)
    assert imports == 1
    (scratch / "duis.xsd").write_text(text, encoding="utf-8")
    (scratch / "mmc.xsd").write_text(STAND_IN, encoding="utf-8")
    text = (folder / "xmldsig-core-schema.xsd").read_text(encoding="utf-8")
    text, doctypes = re.subn(r"<!DOCTYPE.*?\]>", "", text, count=1, flags=re.DOTALL)
    assert doctypes == 1
    (scratch / "xmldsig-core-schema.xsd").write_text(text, encoding="utf-8")
    parser = etree.XMLParser(no_network=True, load_dtd=False, resolve_entities=False)
    return etree.XMLSchema(etree.parse(scratch / "duis.xsd", parser))
