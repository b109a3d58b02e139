"""What DUIS documents cost to take in and to write, against the bare cryptography in the same run.

Taking in is all that follows from the octets: the gate, the schema, reading them into a value, the
signature's form and the signature itself, and reading the value again from what was signed. Writing
ends in a signed document. Every round has a document that was never seen before, so nothing is
remembered but what a process has from its peers: their certificates.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from acb.peers.replies import Replies
from bench.messages import open_store
from duis.gate import parse, validate
from duis.model import DeviceAlert, Header, Response, ResponseMessage
from duis.request_id import RequestId
from duis.signature import sign_document, signature_reference, verify_document
from duis.xml import request_from_xml, response_to_xml
from stack.supplier import Supplier

ECDSA = ec.ECDSA(hashes.SHA256())
ROUNDS = 30
REPETITIONS = 11
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ratios(data: Path) -> dict[str, dict[str, float]]:
    """Each act as a multiple of its bare act: median and spread of the repetitions.

    Args:
        data: a folder that holds a ceremony's keys.
    """
    return {name: _told([of / bare for of, bare in costs]) for name, costs in _costs(data).items()}


def show(data: Path) -> None:
    """Print a table."""
    print("\nDUIS documents, one core")
    for name, costs in _costs(data).items():
        told = _told([of / bare for of, bare in costs])
        microseconds = median(of for of, _ in costs)
        print(
            f"  {name:44} {microseconds:9.1f} us   x {told['median']:.2f} +- {told['spread']:.2f}"
        )


def _told(found: list[float]) -> dict[str, float]:
    """The median, and half of what the middle half of the repetitions differ by."""
    ordered, quarter = sorted(found), len(found) // 4
    return {
        "median": round(median(ordered), 3),
        "spread": round((ordered[-1 - quarter] - ordered[quarter]) / 2, 3),
    }


def _costs(data: Path) -> dict[str, list[tuple[float, float]]]:
    """Each act's microseconds and its bare act's, a pair to each repetition."""
    acts, sign, verify = _acts(data)
    for act, _ in acts.values():
        act()
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in acts}
    for _ in range(REPETITIONS):
        bare = {"sign": _time(sign), "verify": _time(verify)}
        for name, (act, against) in acts.items():
            costs[name].append((_time(act), bare[against]))
    return costs


def _acts(
    data: Path,
) -> tuple[dict[str, tuple[Callable[[], object], str]], Callable[[], object], Callable[[], object]]:
    device = json.loads((data / "devices.json").read_text())[0]
    supplier = Supplier.open(data, "B")
    signer = open_store(data, "acb").signer("xml-signing")
    replies = Replies("90b3d51f30010000", signer)
    own = supplier.keys.certificate("xml-signing")
    number, payload = count(1), os.urandom(700)

    def header() -> Header:
        return Header(RequestId(supplier.eui, device["eui"], next(number)), 1, "6.23", "6.23")

    def answer() -> bytes:
        name = header().request_id
        body = ResponseMessage("6.23", "6.23", payload)
        response = Response(name, name.response_id, "I0", AT, body)
        certificate = signer.certificate
        return sign_document(
            response_to_xml(response), certificate.issuer, certificate.serial, signer.sign
        )

    def alert() -> bytes:
        name = header().request_id
        response = Response(None, name.response_id, "I0", AT, DeviceAlert(0x8F66, payload))
        certificate = signer.certificate
        return sign_document(
            response_to_xml(response), certificate.issuer, certificate.serial, signer.sign
        )

    def request() -> bytes:
        return supplier.change_of_supplier(device["eui"], device["mpxn"], counter=next(number))[1]

    def acknowledgement() -> bytes:
        return replies.acknowledgement(header(), AT)

    bare = ec.generate_private_key(ec.SECP256R1())
    octets = request()
    signature, public = bare.sign(octets, ECDSA), bare.public_key()

    def take_request(document: bytes) -> None:
        parsed = parse(document)
        validate(parsed)
        value = request_from_xml(parsed)
        signature_reference(parsed)
        verified = verify_document(document, own.der)
        assert request_from_xml(verified.signed_xml) == value

    writers = {
        "request": request,
        "acknowledgement": acknowledgement,
        "response": answer,
        "device alert": alert,
    }
    acts: dict[str, tuple[Callable[[], object], str]] = {}
    for name, write in writers.items():
        acts[f"write and sign: {name}"] = (write, "sign")
    for name, write in writers.items():
        documents = _ready(write)
        take = take_request if name == "request" else supplier.read
        acts[f"take in and verify: {name}"] = (_each(take, documents), "verify")
    return acts, lambda: bare.sign(octets, ECDSA), lambda: public.verify(signature, octets, ECDSA)


def _ready(write: Callable[[], bytes]) -> Iterator[bytes]:
    """Documents enough for every round, made beforehand."""
    return iter([write() for _ in range(ROUNDS * REPETITIONS + 1)])


def _each(take: Callable[[bytes], object], documents: Iterator[bytes]) -> Callable[[], object]:
    return lambda: take(next(documents))


def _time(act: Callable[[], object]) -> float:
    started = time.process_time()
    for _ in range(ROUNDS):
        act()
    return (time.process_time() - started) / ROUNDS * 1e6
