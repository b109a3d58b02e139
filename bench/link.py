"""What the signed link costs, as multiples of the bare signature made and verified in the same run.

`python -m bench.link` prints the table. Absolute times are of this machine and this moment; the
ratios are what can be compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from services.link.checks import REQUEST_RULES, RESPONSE_RULES, verify
from services.link.envelope import Envelope
from services.link.wire import profile
from services.link.wire.base import signature_base
from services.link.wire.message import HttpRequest, HttpResponse
from services.link.wire.signing import Address, Stamp, sign_request, sign_response

BODY = b'{"version":1,"padding":"' + b"x" * 2970 + b'"}'
AT = datetime(2026, 3, 26, 12, tzinfo=UTC)


class Key:
    """A pinned key without a certificate: its verdict is kept by the trust folder in any case."""

    simulated = True

    def __init__(self, system: str) -> None:
        self.system = self.named = system
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.public_key = self.private.public_key()

    def sign(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def failure(self, at: datetime) -> None:
        del at


class Directory(dict[str, Key]):
    """Keys by identifier."""

    def find(self, key_id: str) -> Key | None:
        return self.get(key_id)


@dataclass(frozen=True, slots=True)
class Cost:
    """Median microseconds of one operation, and as a multiple of the bare one."""

    name: str
    microseconds: float
    ratio: float


def _time(act: Callable[[], object], rounds: int) -> float:
    started = time.perf_counter()
    for _ in range(rounds):
        act()
    return (time.perf_counter() - started) / rounds * 1e6


def measure(rounds: int = 100, repetitions: int = 15) -> list[Cost]:
    """Time signing and the full ordered verification of a request and of a response."""
    acb, ecos = Key("acb"), Key("ecos_party")
    keys = Directory({"aa": acb, "ee": ecos})
    asked = Stamp("aa", "A" * 22, int(AT.timestamp()))
    answered = Stamp("ee", "B" * 22, int(AT.timestamp()))
    address = Address("cos-command", "m-1", "acb", "ecos_party")

    def request() -> HttpRequest:
        return sign_request("/link/cos-command", BODY, address, asked, acb.sign)

    question = request()

    def response() -> HttpResponse:
        return sign_response(
            question, 200, BODY, sender="ecos_party", stamp=answered, sign=ecos.sign
        )

    answer = response()

    def take_request() -> None:
        envelope = Envelope(
            message=question,
            shape=profile.REQUEST,
            own="ecos_party",
            peers=("acb",),
            keys=keys,
            now=AT,
            purposes={"cos-command": ("acb",)},
            route="cos-command",
            nonce_fresh=True,
        )
        verify(envelope, REQUEST_RULES)

    def take_response() -> None:
        envelope = Envelope(
            message=answer,
            shape=profile.RESPONSE,
            own="acb",
            peers=("ecos_party",),
            keys=keys,
            now=AT,
            request=question,
        )
        verify(envelope, RESPONSE_RULES)

    base = signature_base(asked.cover(profile.REQUEST.components, "t"), question, None)
    der = acb.private.sign(base, ec.ECDSA(hashes.SHA256()))
    acts: list[tuple[str, Callable[[], object], int]] = [
        ("bare ECDSA P-256 sign", lambda: acb.private.sign(base, ec.ECDSA(hashes.SHA256())), 0),
        (
            "bare ECDSA P-256 verify",
            lambda: acb.public_key.verify(der, base, ec.ECDSA(hashes.SHA256())),
            1,
        ),
        ("sign a request", request, 0),
        ("verify a request", take_request, 1),
        ("sign a response", response, 0),
        ("verify a response", take_response, 1),
    ]
    # every repetition times all of them, so that a busy machine slows all of them alike
    times = [[_time(act, rounds) for _, act, _ in acts] for _ in range(repetitions)]
    return [
        Cost(
            name,
            median(row[number] for row in times),
            median(row[number] / row[bare] for row in times),
        )
        for number, (name, _, bare) in enumerate(acts)
    ]


def main() -> None:
    """Print the table."""
    print(f"signed link, body of {len(BODY)} octets, one core")
    for cost in measure():
        print(f"{cost.name:26} {cost.microseconds:8.1f} us   x {cost.ratio:.2f}")


if __name__ == "__main__":
    main()
