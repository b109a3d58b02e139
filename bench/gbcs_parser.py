"""How many times as fast as Smart DCC's gbcs-parser a message is read here.

`python -m bench.gbcs_parser`, where the environment variable GBCS_PARSER_DIR names a built copy of
that package (its `main` is `dist/index.js`) and there is a `node`. It reads a message, agrees the
secret, derives the key and checks the MAC; it verifies no signature. So that is what is compared:
frame, payload, key agreement, MAC; nothing is answered from a memory on this side.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bench.messages import Desk
from cli.keys_commands import hold_ceremony
from gbcs.message import decode, encode
from gbcs.payloads.credentials import decode_response, decode_update, forget_payloads
from gbcs.protect import add_mac, verify_mac

WHERE: Final = "GBCS_PARSER_DIR"
TIMES_AS_FAST: Final = 3.0
"""What is asked of this project's reader."""
ROUNDS = 20


class Unavailable(Exception):  # noqa: N818 - it is no error
    """There is nothing to compare with; the text says what is missing."""


def compared(data: Path) -> dict[str, float]:
    """For each kind of message: how many times as fast as gbcs-parser.

    Raises:
        Unavailable: no gbcs-parser is named, or no node is there, or it could not be run.
    """
    folder, node = os.environ.get(WHERE), shutil.which("node")
    if not folder or not Path(folder).is_dir():
        raise Unavailable(f"{WHERE} names no folder of a built gbcs-parser")
    if node is None:
        raise Unavailable("there is no node to run gbcs-parser with")
    desk = Desk(data)
    device, party = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    z = party.exchange(ec.ECDH(), device.public_key())
    kinds: dict[str, tuple[Callable[[], bytes], Callable[[bytes], object]]] = {
        "command": (desk.command, decode_update),
        "response": (lambda: desk.response(long_lengths=False), decode_response),
        "response_long_lengths": (lambda: desk.response(long_lengths=True), decode_response),
    }
    messages = {
        name: [encode(add_mac(decode(make()), z)) for _ in range(ROUNDS)]
        for name, (make, _) in kinds.items()
    }
    theirs = _theirs(node, Path(folder), _keys(desk, device, party), messages)

    def read(octets: bytes, payload: Callable[[bytes], object]) -> None:
        message = decode(octets)
        verify_mac(message, party.exchange(ec.ECDH(), device.public_key()))
        payload(message.payload)

    return {
        name: theirs[name] / _time(messages[name], lambda octets, of=of: read(octets, of))  # type: ignore[misc]
        for name, (_, of) in kinds.items()
    }


def _keys(
    desk: Desk, device: ec.EllipticCurvePrivateKey, party: ec.EllipticCurvePrivateKey
) -> dict[str, str]:
    """Keys by `eui-use-half`; whoever is asked for gets those of its end."""
    signing = {
        desk.party: desk.signer.certificate.public_key,
        desk.eui: desk.meter_key.public_key(),
    }
    found = {f"{eui}-DS-public": _public(key) for eui, key in signing.items()}
    broker = desk.broker.certificate.subject_eui or ""
    for eui, key in ((desk.eui, device), (desk.party, party), (broker, party)):
        found[f"{eui}-KA-public"] = _public(key.public_key())
        found[f"{eui}-KA-private"] = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode()
    return found


def _public(key: ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _theirs(
    node: str, folder: Path, keys: dict[str, str], messages: dict[str, list[bytes]]
) -> dict[str, float]:
    """Microseconds of CPU a message, by kind."""
    asked = {
        "rounds": ROUNDS,
        "keys": keys,
        "messages": {
            name: [base64.b64encode(octets).decode() for octets in several]
            for name, several in messages.items()
        },
    }
    script = Path(__file__).with_suffix(".cjs")
    done = subprocess.run(
        [node, str(script), str(folder.resolve())],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        raise Unavailable(f"gbcs-parser could not be run: {done.stderr.strip()[-300:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _time(messages: Sequence[bytes], read: Callable[[bytes], object]) -> float:
    took = []
    for _ in range(ROUNDS):
        forget_payloads()  # so that each is read anew
        began = time.process_time()
        for octets in messages:
            read(octets)
        took.append((time.process_time() - began) / len(messages) * 1e6)
    return median(took)


def main() -> int:
    """Print the figures; 1 where one is below what is asked."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        hold_ceremony(data)
        try:
            found = compared(data)
        except Unavailable as missing:
            print(f"not compared: {missing}")
            return 0
    for name, times in found.items():
        print(f"  {name:44} {times:6.1f} times as fast as gbcs-parser")
    return 0 if min(found.values()) >= TIMES_AS_FAST else 1


if __name__ == "__main__":
    sys.exit(main())
