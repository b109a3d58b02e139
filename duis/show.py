"""What a document says, as an object for people and scripts. Nothing is verified here."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from lxml import etree

from duis.alerts import DccAlert
from duis.codes import alert_meaning, response_meaning
from duis.errors import DuisError, MalformedXml
from duis.gate import Parsed, parse
from duis.names import ds
from duis.request_id import RequestId
from duis.services import SERVICES
from duis.signature import signature_reference
from duis.xml import request_from_xml, response_from_xml


def show(data: bytes) -> dict[str, Any]:
    """Describe any request or response, for people: nothing is verified.

    Keys: `document`, `schema_version`; for a document this project speaks `service`, `header` and
    `body`; for any other well-formed one `not_accepted` (reason, where, detail) and `elements`, as
    they stand. `read_as` is `template` when comments or white space had to be read over, which no
    party here would accept from the wire. `signature` is None, or says whose certificate is named,
    or why its form is not the one accepted.

    Raises:
        MalformedXml: not a document at all.
    """
    told: dict[str, Any] = {}
    try:
        parsed = parse(data)
    except MalformedXml as error:
        if error.reason not in ("comment", "inter_element_white_space"):
            raise
        parsed = parse(data, template=True)
        told["read_as"] = "template"
    told["document"] = parsed.kind
    told["schema_version"] = parsed.root.get("schemaVersion")
    try:
        told |= _request(parsed) if parsed.kind == "Request" else _response(parsed)
    except DuisError as error:
        told["not_accepted"] = _refusal(error)
        told["elements"] = _elements(parsed.root)
    told["signature"] = _signature(parsed) if parsed.signed else None
    return told


def _request(parsed: Parsed) -> dict[str, Any]:
    request = request_from_xml(parsed)
    service = SERVICES[request.header.service_reference_variant]
    return {
        "service": f"{service.variant} {service.title}",
        "header": plain(request.header),
        "body": {type(request.body).__name__: plain(request.body)},
    }


def _response(parsed: Parsed) -> dict[str, Any]:
    response = response_from_xml(parsed)
    told: dict[str, Any] = {
        "header": {
            "request_id": plain(response.request_id),
            "response_id": plain(response.response_id),
            "response_code": response.code,
            "meaning": response_meaning(response.code),
            "at": plain(response.at),
        },
        "body": {type(response.body).__name__: plain(response.body)},
    }
    if isinstance(response.body, DccAlert):
        told["alert_meaning"] = alert_meaning(response.body.alert_code)
    return told


def _signature(parsed: Parsed) -> dict[str, Any]:
    try:
        reference = signature_reference(parsed)
    except DuisError as error:
        return {"not_accepted": _refusal(error)}
    return {"issuer": reference.issuer, "serial": str(reference.serial)}


def _refusal(error: DuisError) -> dict[str, str]:
    return {"reason": error.reason, "where": error.where, "detail": error.detail}


def _elements(element: etree._Element) -> Any:
    """Texts by element name, in order; a list where a name comes more than once."""
    if len(element) == 0:
        return element.text or ""
    told: dict[str, Any] = {}
    for child in element:
        if child.tag == ds("Signature"):
            continue
        name = etree.QName(child).localname
        inside = _elements(child)
        if name not in told:
            told[name] = inside
        elif isinstance(told[name], list):
            told[name].append(inside)
        else:
            told[name] = [told[name], inside]
    return told


def plain(value: object) -> Any:
    """A value as JSON has it: octets in base64, times in ISO form, absent fields left out."""
    if isinstance(value, RequestId):
        return value.text
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name))
            for field in fields(value)
            if getattr(value, field.name) is not None
        }
    return value
