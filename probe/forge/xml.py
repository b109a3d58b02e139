"""Making service requests that no honest supplier would sign, and the two doors they come in by.

The front door is the broker's interface. The back door is what a dishonest broker has: its link
key, with which it can hand a CoS Party any document, so that the CoS Party stands alone.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from duis.model import Header, ServiceRequest, UpdateSecurityCredentialsCoS
from duis.names import DS
from duis.request_id import RequestId
from duis.signature import sign_document
from duis.xml import request_to_xml
from keys.stores.store import Signer
from probe.forge.link import LinkForge, command_body, send
from probe.result import Observed
from probe.world import World
from stack.supplier import Supplier

DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>'
SIGNATURE = re.compile(rb"<ds:Signature .*</ds:Signature>", re.DOTALL)
SIGNED_INFO = re.compile(rb"<ds:SignedInfo>(.*)</ds:SignedInfo>", re.DOTALL)
VALUE = re.compile(rb"<ds:SignatureValue>[^<]*</ds:SignatureValue>")

Document = Callable[[World, str], bytes]
"""A document about the meter of the CoS Party named."""


def honest(world: World, party: str, supplier: str = "B", **body: Any) -> bytes:
    """A request as a supplier's tools make it, with other values in its body where given.

    `requester`, `meter` and `mpxn` change the request identifier and the meter point; `signer` is
    whose XML signing key signs; `counter` the request counter; `header` values of the header.
    """
    account = world.supplier(supplier)
    meter = str(body.pop("meter", world.meter(party)))
    mpxn = str(body.pop("mpxn", world.device(world.meter(party))["mpxn"]))
    requester = str(body.pop("requester", account.eui))
    counter = int(body.pop("counter", 0)) or world.next_counter()
    signer: Signer = body.pop("signer", None) or account.keys.signer("xml-signing")
    head = body.pop("header", {})
    request_id = RequestId(requester, meter, counter)
    values: dict[str, Any] = {
        "execution_date_time": None,
        "supplier_floor": counter,
        "prepayment_top_up_floor": counter,
        "digital_signing": account.keys.certificate("digital-signing").der,
        "key_agreement": account.keys.certificate("key-agreement").der,
        "key_agreement_top_up": account.keys.certificate("prepayment-key-agreement").der,
        "path_certificates": (account.issuing_authority.der,),
        "apply_time_checks": True,
        "import_mpxn": mpxn,
        **body,
    }
    header = Header(
        request_id=request_id,
        command_variant=1,
        service_reference="6.23",
        service_reference_variant="6.23",
    )
    request = ServiceRequest(replace(header, **head), UpdateSecurityCredentialsCoS(**values))
    return signed(request_to_xml(request), signer)


def signed(document: bytes, signer: Signer) -> bytes:
    """Sign with a key, naming its own certificate."""
    certificate = signer.certificate
    return sign_document(document, certificate.issuer, certificate.serial, signer.sign)


def unsigned(document: bytes) -> bytes:
    """The document without its signature."""
    return SIGNATURE.sub(b"", document)


def signed_again(supplier: Supplier, document: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Change SignedInfo and sign that with the supplier's own key, so that the arithmetic holds."""
    changed = change(document)
    found = SIGNED_INFO.search(changed)
    if found is None:
        raise ValueError("the change left no SignedInfo")
    inside = b'<ds:SignedInfo xmlns:ds="' + DS.encode() + b'">' + found[1] + b"</ds:SignedInfo>"
    value = b64encode(supplier.keys.signer("xml-signing").sign(inside))
    return VALUE.sub(b"<ds:SignatureValue>" + value + b"</ds:SignatureValue>", changed)


def at_broker(document: Document, party: str, content_type: str = "application/xml") -> (
    Callable[[World], Observed]
):  # fmt: skip
    """Post it to the broker as a supplier would."""
    return lambda world: world.to_broker(document(world, party), content_type)


def at_cos_party(document: Document, party: str) -> Callable[[World], Observed]:
    """Hand it to the CoS Party over the link with the broker's key, as a dishonest broker can."""

    def act(world: World) -> Observed:
        body = command_body(world, party, document(world, party))
        return send(world, party, LinkForge(to=party, body=body).request(world))

    return act


def in_days(world: World, days: float) -> datetime:
    """A whole second so many days from the stack's now."""
    told = world.lab("acb", "GET", "/lab/clock")["now"]
    return datetime.fromtimestamp(int(datetime.fromisoformat(told).timestamp() + days * 86400),
                                  tz=datetime.fromisoformat(told).tzinfo)  # fmt: skip
