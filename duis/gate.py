"""The strict gate: octets in, a document that every reader understands alike out.

Two readers who disagree about what a document says are a way round both. So anything that XML tools
are known to treat differently is refused here by name, before any meaning is looked for:

* refused in the octets, before an XML parser sees them: too large (`too_large`), a byte order mark
  (`byte_order_mark`), anything not UTF-8 (`encoding`), XML other than 1.0 (`xml_version`), DOCTYPE
  (`doctype`), comments (`comment`), CDATA sections (`cdata`), processing instructions
  (`processing_instruction`), entities other than the five predefined and character references
  (`entity`);
* refused by counting, before a tree is built: more elements, levels, attributes or namespace
  declarations than any document has use for (`duis.bounds`);
* refused in the tree: another root than sr:Request or sr:Response (`root_element`), namespaces
  nobody defined (`unknown_namespace`), namespace declarations other than on the root and on
  ds:Signature (`namespace_declaration`), a prefix given a second meaning there
  (`namespace_rebinding`), xml:space and its kin (`xml_attribute`), xsi:type and its kin
  (`qualified_attribute`), text beside elements (`mixed_content`) and white space between elements
  (`inter_element_white_space`).

Why white space between elements is refused: a strict verifier must digest the octets as they were
sent, white space included; Smart DCC's own verifier takes text nodes of white space out first
(docs/sources.md#devices-as-they-are). A document with such white space therefore verifies at one
and fails at the other, or can be changed without the other noticing. Documents here have none, so
both say the same. An element that holds only white space counts as well: whether it is layout or
content is just what tools disagree about. White space beside or within a value is digested as it
stands, and read as the type of the value says (`duis.text_forms`). Smart DCC's tool collapses it
before it digests: what is to verify there as well is signed with no other white space in its values
than single blanks.

Templates written for people do have comments and white space; `parse(..., template=True)` reads
those, and its result is marked so that it is never taken for a document that was received.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.resources import as_file, files

from lxml import etree

from duis.bounds import check_bounds
from duis.errors import MalformedXml, SchemaInvalid, SchemaVersionRefused, UnsupportedService
from duis.exact import Exact, exact_of
from duis.model import Response, ServiceRequest
from duis.names import DS, KNOWN_NAMESPACES, SCHEMA_VERSION, SR, XML, ds, sr
from duis.services import BODY_ELEMENTS, RESPONSE_BODY_ELEMENTS
from duis.signature_form import SignatureParts
from duis.tally import COUNTS

DEFAULT_LIMIT = 256 * 1024

MOST_KEPT = 128
"""Documents kept as read, the latest used: what is under way at one time, and little more."""
LARGEST_KEPT = 16 * 1024
"""Octets of the longest that is kept: a request for a change of supplier has five thousand."""

NO_LAYOUT = (
    "comments and white space between elements are digested by some verifiers and not by others: "
    "take them out, then sign"
)
"""What is said of a document laid out for people."""

_WHITE_SPACE = " \t\r\n"
_DECLARATION = re.compile(
    rb"""<\?xml[ \t\r\n]+version=(?P<q1>["'])(?P<version>[0-9.]+)(?P=q1)"""
    rb"""(?:[ \t\r\n]+encoding=(?P<q2>["'])(?P<encoding>[A-Za-z0-9._-]+)(?P=q2))?"""
    rb"""(?:[ \t\r\n]+standalone=(?P<q3>["'])(?:yes|no)(?P=q3))?[ \t\r\n]*\?>"""
)
_LONG_VALUE = re.compile(r"('[^']{60})[^']+'")
"""A value in what libxml2 says of it, long enough to crowd out what is wrong with it."""
_VERSION = re.compile(rf"[ \t\r\n]*\+?0*{re.escape(SCHEMA_VERSION)}0*[ \t\r\n]*")
"""The version is a number, an xs:decimal: 5.40 is 5.4, and 5.41 is not."""
_FOREIGN_ENTITY = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)")
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe")


class Parsed:
    """A document that passed the gate, and what has been found out about it since.

    All of it follows from the octets alone, so with a document in the exact spelling it is kept and
    never found out twice. Whom to believe, and when, is judged elsewhere and kept nowhere here.

    Attributes:
        data: the octets as received.
        exact: the document as a pattern knows it, if it has the exact spelling (`duis.exact`).
        template: True when comments and white space were taken out to read it: not as received.
        valid: it has been held against the schema, and holds.
        value: what it says, once it has been read.
        signature: what its signature holds, once that has been read.
    """

    __slots__ = ("_root", "data", "exact", "signature", "template", "valid", "value")

    def __init__(
        self,
        data: bytes,
        root: etree._Element | None,
        exact: Exact | None = None,
        *,
        template: bool = False,
    ) -> None:
        self.data = data
        self.exact = exact
        self.template = template
        self.valid = False
        self.value: ServiceRequest | Response | None = None
        self.signature: SignatureParts | None = None
        self._root = root

    @property
    def root(self) -> etree._Element:
        """The tree; of a document in the exact spelling it is made anew each time."""
        return _tree(self.data, template=False) if self._root is None else self._root

    @property
    def kind(self) -> str:
        """`Request` or `Response`."""
        return etree.QName(self.root).localname if self.exact is None else self.exact.shape.kind

    @property
    def signed(self) -> bool:
        """Whether a ds:Signature stands directly below the root; says nothing of its worth."""
        if self.exact is not None:
            return self.exact.signed
        return self.root.find(ds("Signature")) is not None


def parse(data: bytes, *, limit: int = DEFAULT_LIMIT, template: bool = False) -> Parsed:
    """Read a whole document, or refuse it.

    Args:
        data: the document.
        limit: most octets accepted.
        template: also read comments and white space between elements, and drop them. Only for
            material of our own; what it returns is not what a signature was made over.

    Raises:
        MalformedXml: with one of the reasons listed in this module's description, or
            `not_well_formed`.
    """
    if len(data) > limit:
        raise MalformedXml("too_large", f"{len(data)} octets", f"the limit is {limit} octets")
    if template:
        return Parsed(data, _tree(data, template=True), template=True)
    known = _kept(data) if len(data) <= LARGEST_KEPT else _exactly(data)
    return known or _by_tree(data)


def validate(parsed: Parsed) -> None:
    """Hold a document against the version, the services spoken and our schema, in that order.

    Raises:
        SchemaVersionRefused: schemaVersion is missing or not the number 5.4 (reason
            `schema_version`).
        UnsupportedService: the body holds something this project does not speak
            (reasons `unsupported_service`, `unsupported_response`).
        SchemaInvalid: not valid (reason `schema`).
    """
    if parsed.valid:
        return
    COUNTS["duis.validate"] += 1
    if parsed.exact is not None:
        parsed.value = parsed.exact.read()
        if parsed.value is not None:
            parsed.valid = True
            return
    version = parsed.root.get("schemaVersion")
    if version is None or _VERSION.fullmatch(version) is None:
        found = "none" if version is None else version[:20]
        raise SchemaVersionRefused("schema_version", found, f"this interface is {SCHEMA_VERSION}")
    _refuse_unsupported(parsed)
    schema = _schema()
    if not schema.validate(parsed.root):
        # "<string>:line:column:level:domain:kind: what is wrong"
        told = str(schema.error_log).partition("\n")[0].replace("{" + SR + "}", "sr:")
        place, _, message = told.partition(": ")
        line = place.split(":")[1] if place.count(":") > 1 else "?"
        raise SchemaInvalid("schema", f"line {line}", _LONG_VALUE.sub(r"\1...'", message)[:300])
    parsed.valid = True


def _exactly(data: bytes) -> Parsed | None:
    exact = exact_of(data)
    if exact is None:
        return None
    COUNTS["duis.parse"] += 1
    return Parsed(data, None, exact)


_kept = lru_cache(maxsize=MOST_KEPT)(_exactly)
"""By the octets themselves. Never with a tree: whoever changed one would change it for all."""


def _by_tree(data: bytes) -> Parsed:
    COUNTS["duis.parse"] += 1
    return Parsed(data, _tree(data, template=False))


def _tree(data: bytes, *, template: bool) -> etree._Element:
    """Read a document as a tree, or refuse it."""
    _refuse_octets(data, template=template)
    check_bounds(data)
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=template,
        strip_cdata=False,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise MalformedXml("not_well_formed", _line_of(error), str(error)[:200]) from None
    if root is None:  # libxml2 may report nothing for an empty document
        raise MalformedXml("not_well_formed", "", "no document element")
    if root.tag not in (sr("Request"), sr("Response")):
        raise MalformedXml("root_element", str(root.tag)[:120], "wanted sr:Request or sr:Response")
    if template:
        _drop_white_space(root)
    _refuse_namespaces(root)
    for element in root.iter():
        _refuse_element(element)
    return root


def _refuse_octets(data: bytes, *, template: bool) -> None:
    """Everything that can be refused without an XML parser, and so before one is trusted."""
    if data.startswith(_BYTE_ORDER_MARKS):
        raise MalformedXml("byte_order_mark", "octet 0", "documents start with '<'")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedXml("encoding", f"octet {error.start}", "not UTF-8") from None
    if b"\x00" in data:
        raise MalformedXml("encoding", f"octet {data.index(0)}", "a NUL octet: not UTF-8 text")
    start = 0
    if data.startswith(b"<?xml") and data[5:6] in (b" ", b"\t", b"\r", b"\n"):
        declaration = _DECLARATION.match(data)
        if declaration is None:
            raise MalformedXml(
                "not_well_formed", "XML declaration", "not of the form XML 1.0 gives it"
            )
        if declaration["version"] != b"1.0":
            raise MalformedXml("xml_version", declaration["version"][:10].decode(), "wanted 1.0")
        encoding = declaration["encoding"]
        if encoding is not None and encoding.upper() != b"UTF-8":
            raise MalformedXml("encoding", encoding[:40].decode(), "wanted UTF-8")
        start = declaration.end()
    instruction = data.find(b"<?", start)
    if instruction >= 0:
        raise MalformedXml("processing_instruction", f"octet {instruction}", "not allowed")
    for marker, reason in (
        (b"<!DOCTYPE", "doctype"),
        (b"<![CDATA[", "cdata"),
        (b"<!--", "comment"),
    ):
        at = data.find(marker, start)
        if at >= 0 and not (template and reason == "comment"):
            told = NO_LAYOUT if reason == "comment" else "not allowed"
            raise MalformedXml(reason, f"octet {at}", told)
    entity = _FOREIGN_ENTITY.search(data)
    if entity is not None and not template:
        raise MalformedXml(
            "entity", f"octet {entity.start()}", "only predefined entities are allowed"
        )


def _refuse_namespaces(root: etree._Element) -> None:
    """Declarations: on the root, and on its ds:Signature where they add and never change."""
    at_root: dict[str, str] = {}
    pending: list[tuple[str, str]] = []
    for event, item in etree.iterwalk(root, events=("start-ns", "start")):
        if event == "start-ns":
            pending.append(item)
            continue
        for prefix, uri in pending:
            where = f"xmlns:{prefix}" if prefix else "xmlns"
            if uri not in KNOWN_NAMESPACES:
                raise MalformedXml("unknown_namespace", where, uri[:120])
            if item is root:
                at_root[prefix] = uri
            elif item.tag != ds("Signature") or item.getparent() is not root:
                raise MalformedXml(
                    "namespace_declaration", where, "only on the root and its signature"
                )
            elif at_root.get(prefix, uri) != uri:
                raise MalformedXml(
                    "namespace_rebinding", where, "the prefix has another meaning already"
                )
        pending.clear()


def _refuse_element(element: etree._Element) -> None:
    """What two readers of one element may see differently."""
    name = etree.QName(element)
    if name.namespace not in KNOWN_NAMESPACES:
        raise MalformedXml(
            "unknown_namespace", name.localname[:80], "element of no known namespace"
        )
    for attribute in element.attrib:
        qualified = etree.QName(attribute)
        if qualified.namespace == XML:
            raise MalformedXml("xml_attribute", f"xml:{qualified.localname}"[:80], "not allowed")
        if qualified.namespace is not None:
            raise MalformedXml("qualified_attribute", str(attribute)[:120], "not allowed")
    if len(element) > 0:
        texts = [element.text, *(child.tail for child in element)]
        for text in texts:
            if text:
                reason = (
                    "mixed_content" if text.strip(_WHITE_SPACE) else "inter_element_white_space"
                )
                told = "text beside elements" if reason == "mixed_content" else NO_LAYOUT
                raise MalformedXml(reason, name.localname[:80], told)
    elif element.text and not element.text.strip(_WHITE_SPACE):
        raise MalformedXml("inter_element_white_space", name.localname[:80], NO_LAYOUT)


def _drop_white_space(root: etree._Element) -> None:
    for element in root.iter():
        if element.text and not element.text.strip(_WHITE_SPACE):
            element.text = None
        if element.tail and not element.tail.strip(_WHITE_SPACE):
            element.tail = None


def _refuse_unsupported(parsed: Parsed) -> None:
    """Name the service before the schema would only say "unexpected element"."""
    body = parsed.root.find(sr("Body"))
    if body is None or len(body) == 0:
        return  # the schema says what is missing
    name = etree.QName(body[0])
    shown = name.localname[:80] if name.namespace != DS else f"ds:{name.localname}"[:80]
    if parsed.kind == "Request" and shown not in BODY_ELEMENTS:
        variant = parsed.root.findtext(f"{sr('Header')}/{sr('ServiceReferenceVariant')}") or "?"
        raise UnsupportedService(
            "unsupported_service", f"{variant[:20]} {shown}", "not spoken here"
        )
    if parsed.kind == "Response" and shown not in RESPONSE_BODY_ELEMENTS:
        raise UnsupportedService("unsupported_response", shown, "not spoken here")


def _line_of(error: Exception) -> str:
    line = getattr(error, "lineno", None)
    return f"line {line}" if line else ""


@cache
def _schema() -> etree.XMLSchema:
    """Our schema, compiled once per process, from the package's own files and from nowhere else."""
    parser = etree.XMLParser(no_network=True, load_dtd=False, resolve_entities=False)
    with as_file(files("duis") / "schema") as folder:
        return etree.XMLSchema(etree.parse(str(folder / "duis.xsd"), parser))
