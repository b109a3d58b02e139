"""Documents to values and values to documents.

Reading takes the gate's result, holds it against the schema and the catalogue of services, and
makes frozen values. Writing makes documents without white space between elements and refuses what
the schema would refuse, so that nothing is written that cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from lxml import etree

from duis.alerts import DccAlert
from duis.bodies import (
    DCC_ALERT_CONTENTS,
    DEVICE_ALERT,
    HEADER,
    REQUEST_BODIES,
    RESPONSE_CONTENTS,
)
from duis.codes import RESPONSE_CODES
from duis.errors import MalformedXml, SchemaInvalid
from duis.exact import spell_request, spell_response
from duis.gate import Parsed, parse, validate
from duis.layout import Layout
from duis.model import (
    Acknowledgement,
    DeviceAlert,
    Header,
    RequestBody,
    Response,
    ResponseBody,
    ResponseMessage,
    ServiceRequest,
)
from duis.names import SCHEMA_VERSION, SR, XML_DECLARATION, sr
from duis.request_id import RequestId
from duis.services import refuse_unknown_service
from duis.text_forms import DATE_TIME, OCTETS, REQUEST_ID


def request_from_xml(source: Parsed | bytes) -> ServiceRequest:
    """Read a request; whether it is signed, and by whom, is `duis.signature`'s business.

    Raises:
        DuisError: not a document, not valid, or a service, reference or command variant that does
            not exist here.
    """
    parsed = _judged(source, "Request")
    if not isinstance(parsed.value, ServiceRequest):
        header: Header = HEADER.read(_child(parsed.root, "Header"))
        body = _child(parsed.root, "Body")[0]
        name = etree.QName(body).localname
        refuse_unknown_service(header, name)
        value: RequestBody = REQUEST_BODIES[name].read(body)
        parsed.value = ServiceRequest(header, value)
    return parsed.value


def request_to_xml(request: ServiceRequest) -> bytes:
    """Write a request, unsigned.

    Raises:
        DuisError: a value the schema does not allow, or a body that is not of the service named.
    """
    name = _name_of(REQUEST_BODIES, request.body)
    refuse_unknown_service(request.header, name)
    written = _exactly(lambda: spell_request(request, name))
    if written is not None:
        return written
    root = _root("Request")
    with _writing():
        HEADER.append(etree.SubElement(root, sr("Header")), request.header)
        body = etree.SubElement(etree.SubElement(root, sr("Body")), sr(name))
        REQUEST_BODIES[name].append(body, request.body)
    return _written(root)


def response_from_xml(source: Parsed | bytes) -> Response:
    """Read a response, an acknowledgement or an alert; see `request_from_xml`.

    Raises:
        DuisError: not a document, or not valid.
    """
    parsed = _judged(source, "Response")
    if not isinstance(parsed.value, Response):
        header = _child(parsed.root, "Header")
        request_id = _identifier(header, "RequestID")
        response_id = _identifier(header, "ResponseID")
        at: datetime = DATE_TIME.read(header.findtext(sr("ResponseDateTime")) or "")
        code = _code(header.findtext(sr("ResponseCode")) or "")
        body = _response_body(_child(parsed.root, "Body")[0], acknowledgement=response_id is None)
        parsed.value = Response(request_id, response_id, code, at, body)
    return parsed.value


def response_to_xml(response: Response) -> bytes:
    """Write a response, an acknowledgement or an alert, unsigned.

    Raises:
        DuisError: a value the schema does not allow.
    """
    if isinstance(response.body, Acknowledgement | ResponseMessage):
        _refuse_ambiguous(response.body, answered=response.response_id is not None)
    code = _code(response.code)
    written = _exactly(lambda: spell_response(response, *_shape_of(response.body)))
    if written is not None:
        return written
    root = _root("Response")
    with _writing():
        header = etree.SubElement(root, sr("Header"))
        for name, identifier in (
            ("RequestID", response.request_id),
            ("ResponseID", response.response_id),
        ):
            if identifier is not None:
                etree.SubElement(header, sr(name)).text = identifier.text
        etree.SubElement(header, sr("ResponseCode")).text = code
        etree.SubElement(header, sr("ResponseDateTime")).text = DATE_TIME.write(response.at)
        _append_response_body(etree.SubElement(root, sr("Body")), response.body)
    return _written(root)


def _shape_of(body: ResponseBody) -> tuple[str, str]:
    """The element of a response's body, and of what is in it."""
    match body:
        case DeviceAlert():
            return "DeviceAlertMessage", ""
        case DccAlert():
            return "DCCAlertMessage", _name_of(DCC_ALERT_CONTENTS, body.content)
        case ResponseMessage(gbcs_payload=None, content=content) if content is not None:
            return "ResponseMessage", _name_of(RESPONSE_CONTENTS, content)
        case ResponseMessage(gbcs_payload=payload) if payload is not None:
            return "ResponseMessage", "GBCSPayload"
        case _:
            return "ResponseMessage", ""


def _exactly(spell: Callable[[], bytes]) -> bytes | None:
    """A document in the exact spelling; None where it has none, or there is something wrong."""
    try:
        data = spell()
        exact = parse(data).exact
    except Exception:  # noqa: BLE001 - whatever is wrong, the tree's writer says what
        return None
    return None if exact is None else data


def _refuse_ambiguous(body: Acknowledgement | ResponseMessage, *, answered: bool) -> None:
    """An acknowledgement is told from an answer without content by its missing ResponseID."""
    if isinstance(body, Acknowledgement):
        if answered:
            raise SchemaInvalid("acknowledgement", "ResponseID", "an acknowledgement has none")
    elif body.gbcs_payload is not None and body.content is not None:
        raise SchemaInvalid("schema", "ResponseMessage", "one content, not two")
    elif not answered and body.empty:
        raise SchemaInvalid(
            "acknowledgement", "ResponseID", "missing: it would be an acknowledgement"
        )


def _judged(source: Parsed | bytes, kind: str) -> Parsed:
    parsed = parse(source) if isinstance(source, bytes) else source
    if parsed.kind != kind:
        raise SchemaInvalid("document_kind", f"sr:{parsed.kind}", f"wanted sr:{kind}")
    validate(parsed)
    return parsed


def _response_body(element: etree._Element, *, acknowledgement: bool) -> ResponseBody:
    name = etree.QName(element).localname
    if name == "DeviceAlertMessage":
        alert: DeviceAlert = DEVICE_ALERT.read(element)
        return alert
    if name == "DCCAlertMessage":
        content = _child(element, "DCCAlert")[0]
        layout = DCC_ALERT_CONTENTS[etree.QName(content).localname]
        return DccAlert(element.findtext(sr("DCCAlertCode")) or "", layout.read(content))
    reference = element.findtext(sr("ServiceReference")) or ""
    variant = element.findtext(sr("ServiceReferenceVariant")) or ""
    if len(element) == 2:
        if acknowledgement:
            return Acknowledgement(reference, variant)
        return ResponseMessage(reference, variant)
    content = element[2]
    if content.tag == sr("GBCSPayload"):
        payload: bytes = OCTETS.read(content.text or "")
        return ResponseMessage(reference, variant, payload)
    layout = RESPONSE_CONTENTS[etree.QName(content).localname]
    return ResponseMessage(reference, variant, content=layout.read(content))


def _append_response_body(body: etree._Element, value: ResponseBody) -> None:
    if isinstance(value, DeviceAlert):
        DEVICE_ALERT.append(etree.SubElement(body, sr("DeviceAlertMessage")), value)
        return
    if isinstance(value, DccAlert):
        message = etree.SubElement(body, sr("DCCAlertMessage"))
        etree.SubElement(message, sr("DCCAlertCode")).text = value.alert_code
        name = _name_of(DCC_ALERT_CONTENTS, value.content)
        alert = etree.SubElement(etree.SubElement(message, sr("DCCAlert")), sr(name))
        DCC_ALERT_CONTENTS[name].append(alert, value.content)
        return
    message = etree.SubElement(body, sr("ResponseMessage"))
    etree.SubElement(message, sr("ServiceReference")).text = value.service_reference
    etree.SubElement(message, sr("ServiceReferenceVariant")).text = value.variant
    if isinstance(value, Acknowledgement):
        return
    if value.gbcs_payload is not None:
        etree.SubElement(message, sr("GBCSPayload")).text = OCTETS.write(value.gbcs_payload)
    if value.content is not None:
        name = _name_of(RESPONSE_CONTENTS, value.content)
        RESPONSE_CONTENTS[name].append(etree.SubElement(message, sr(name)), value.content)


def _name_of(layouts: dict[str, Layout], value: object) -> str:
    for name, layout in layouts.items():
        if layout.type is type(value):
            return name
    raise SchemaInvalid("schema", type(value).__name__, "no element holds this kind of value")


def _child(parent: etree._Element, name: str) -> etree._Element:
    found = parent.find(sr(name))
    if found is None:
        raise SchemaInvalid("schema", name, "missing")
    return found


def _code(text: str) -> str:
    if text not in RESPONSE_CODES:
        raise SchemaInvalid("response_code", str(text)[:20], "not a code spoken here")
    return text


@contextmanager
def _writing() -> Iterator[None]:
    """Writing a value of another type than its field's, or a character XML has no way to write."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise SchemaInvalid("value_not_writable", "", str(error)[:200]) from None


def _identifier(header: etree._Element, name: str) -> RequestId | None:
    text = header.findtext(sr(name))
    if text is None:
        return None
    identifier: RequestId = REQUEST_ID.read(text)
    return identifier


def _root(name: str) -> etree._Element:
    return etree.Element(sr(name), schemaVersion=SCHEMA_VERSION, nsmap={"sr": SR})


def _written(root: etree._Element) -> bytes:
    data = XML_DECLARATION + etree.tostring(root, encoding="utf-8", xml_declaration=False)
    try:
        validate(parse(data))
    except MalformedXml as error:
        raise SchemaInvalid("value_not_writable", error.where, error.reason) from None
    return data
