"""Readers under coverage-guided fuzzing with atheris: only a reader's own error may come out.

`python -m fuzz.coverage TARGET COUNT SEED FOLDER` runs one target, in a process of its own because
libFuzzer ends the process when it is done; `run` starts one for each.
"""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.finding import Tally

if TYPE_CHECKING:  # what is fuzzed is imported under instrumentation, not before
    from duis.model import ServiceRequest

MISSING = "atheris is not installed: .venv/bin/pip install -e '.[fuzz]' --no-build-isolation"
TARGETS = ("gbcs", "duis", "link")
LONGEST = 4096  # octets of an input
Target = Callable[[bytes], None]


def run(target: str, count: int, seed: int) -> Tally:
    """Fuzz one reader with `count` inputs in a process of its own."""
    tally = Tally(f"{target} reader, by coverage")
    if importlib.util.find_spec("atheris") is None:
        tally.skipped = MISSING
        return tally
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "fuzz.coverage", target, str(count), str(seed), folder],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        crashes = [(path.name, path.read_bytes()) for path in Path(folder).glob("crash-*")]
    said = (done.stdout + done.stderr).splitlines()
    finished = [line.split()[1] for line in said if line.startswith("Done ")]
    tally.tried = int(finished[-1]) if finished else 0
    if done.returncode != 0 or not finished:
        told = [line for line in said if not line.startswith(("#", "INFO:", '"'))]
        tally.findings.append("\n".join(told[-25:]))
    tally.findings += [f"{name}: {octets.hex()}" for name, octets in crashes]
    return tally


def gbcs_target() -> tuple[Target, list[bytes]]:
    """Every reader of GBCS octets."""
    from gbcs.block_transfer import decode_block, encode_block, split  # noqa: PLC0415
    from gbcs.errors import GbcsError  # noqa: PLC0415
    from gbcs.message import decode, encode  # noqa: PLC0415
    from gbcs.payloads import (  # noqa: PLC0415
        alerts,
        credentials,
        details,
        device_certificates,
        outcomes,
    )

    readers: list[Callable[[bytes], object]] = [
        getattr(room, name)
        for room in (alerts, credentials, details, device_certificates, outcomes)
        for name in vars(room)
        if name.startswith("decode_") and getattr(room, name).__module__ == room.__name__
    ]

    def read(data: bytes) -> None:
        payloads = [data]
        try:
            message = decode(data)
            if encode(message) != data:
                raise AssertionError("what was read is not what would be written")
            payloads.append(message.payload)
        except GbcsError:
            pass
        try:
            if encode_block(decode_block(data)) != data:
                raise AssertionError("a block that was read is not what would be written")
        except GbcsError:
            pass
        for payload in payloads:
            for reader in readers:
                try:
                    reader(payload)
                except GbcsError:
                    continue

    devices = importlib.import_module("fuzz.devices")
    estate = importlib.import_module("tests.unit.meter_sim.estate").Estate()
    honest = devices.honest_messages(estate)
    payloads = [decode(message).payload for message in honest]
    return read, [*honest, *payloads, *split(honest[0], 700)]


def duis_target() -> tuple[Target, list[bytes]]:
    """The gate and every reader of DUIS documents."""
    from duis.errors import DuisError  # noqa: PLC0415
    from duis.gate import parse, validate  # noqa: PLC0415
    from duis.signature import signature_reference  # noqa: PLC0415
    from duis.xml import request_from_xml, request_to_xml, response_from_xml  # noqa: PLC0415

    readers: tuple[Callable[[bytes], object], ...] = (
        lambda data: validate(parse(data)),
        request_from_xml,
        response_from_xml,
        signature_reference,
    )

    def read(data: bytes) -> None:
        for reader in readers:
            try:
                reader(data)
            except DuisError:
                continue

    return read, [request_to_xml(seed_request())]


def seed_request() -> ServiceRequest:
    """A 6.23 request whose certificates are no certificates: the reader does not read them."""
    from duis.model import (  # noqa: PLC0415
        Header,
        ServiceRequest,
        UpdateSecurityCredentialsCoS,
    )
    from duis.request_id import RequestId  # noqa: PLC0415

    identifier = RequestId("0253494d20000000", "0253494dd0000001", 1000)
    body = UpdateSecurityCredentialsCoS(
        execution_date_time=None,
        supplier_floor=1000,
        prepayment_top_up_floor=None,
        digital_signing=b"0\x00",
        key_agreement=None,
        key_agreement_top_up=None,
        path_certificates=(b"0\x00",),
        apply_time_checks=True,
        import_mpxn="1200000000001",
    )
    return ServiceRequest(Header(identifier, 1, "6.23", "6.23"), body)


def link_target() -> tuple[Target, list[bytes]]:
    """The verifier of signed requests: one line per header, an empty line, the body."""
    from services.link.checks import REQUEST_RULES, verify  # noqa: PLC0415
    from services.link.envelope import Envelope  # noqa: PLC0415
    from services.link.errors import NotVerified  # noqa: PLC0415
    from services.link.wire import profile  # noqa: PLC0415
    from services.link.wire.message import HttpRequest, fold_headers  # noqa: PLC0415

    estates = importlib.import_module("tests.unit.services.link.estate")
    forge = importlib.import_module("tests.unit.services.link.forge")
    estate = estates.Estate()
    trust = estate.trust()
    honest = forge.Forge(estate.holders["acb"]).request()
    good = b"\n".join(f"{name}:{value}".encode() for name, value in honest.headers)

    def read(data: bytes) -> None:
        head, _, body = data.partition(b"\n\n")
        pairs = [(n, v) for n, _, v in (line.partition(b":") for line in head.split(b"\n"))]
        message = HttpRequest("POST", honest.path, "", fold_headers(pairs), body)
        envelope = Envelope(
            message=message,
            shape=profile.REQUEST,
            own="ecos_party",
            peers=("acb",),
            keys=trust,
            now=estates.NOW,
            purposes={"cos-command": frozenset({"acb"})},
            route="cos-command",
            nonce_fresh=True,
        )
        try:
            verify(envelope, REQUEST_RULES)
        except NotVerified:
            return
        if body != honest.body:
            raise AssertionError("a message that nobody signed is taken")

    seed = good + b"\n\n" + honest.body
    read(seed)
    return read, [seed]


def main(target: str, count: str, seed: str, folder: str) -> None:
    """Fuzz in this process, with what is found left in `folder`; does not return."""
    atheris = importlib.import_module("atheris")
    make = {"gbcs": gbcs_target, "duis": duis_target, "link": link_target}[target]
    with atheris.instrument_imports(include=["gbcs", "duis", "services.link"]):
        read, seeds = make()
    corpus = Path(folder) / "corpus"
    corpus.mkdir()
    for number, octets in enumerate(seeds):
        (corpus / f"{number:03}").write_bytes(octets)
    settings = (
        f"-runs={count}",
        f"-seed={seed}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
    )
    atheris.Setup([sys.argv[0], *settings, str(corpus)], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:5])
