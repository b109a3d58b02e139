"""What the signed link costs, as multiples of the bare signature made and verified in the same run.

`python -m bench.link` prints the table. Absolute times are of this machine and this moment; the
ratios are what can be compared.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from bench.timing import Act, Cost, measure, show
from services.link.checks import REQUEST_RULES, RESPONSE_RULES, verify
from services.link.envelope import Envelope
from services.link.wire import profile
from services.link.wire.base import Message, signature_base
from services.link.wire.message import HttpRequest, HttpResponse
from services.link.wire.signing import Address, Stamp, sign_request, sign_response

BODY = b'{"version":1,"padding":"' + b"x" * 2970 + b'"}'
ECDSA = ec.ECDSA(hashes.SHA256())
AT = datetime(2026, 3, 26, 12, tzinfo=UTC)


class Key:
    """A pinned key without a certificate: its verdict is kept by the trust folder in any case."""

    simulated = True

    def __init__(self, system: str) -> None:
        self.system = self.named = system
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.public_key = self.private.public_key()

    def sign(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(self.private.sign(data, ECDSA))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def failure(self, at: datetime) -> None:
        del at


class Directory(dict[str, Key]):
    """Keys by identifier."""

    def find(self, key_id: str) -> Key | None:
        return self.get(key_id)


def arrived(message: Message) -> Message:
    """The same message as it arrives: a value of its own, of which nothing is known yet."""
    if isinstance(message, HttpRequest):
        return HttpRequest(message.method, message.path, "", message.headers, message.body)
    return HttpResponse(message.status, message.headers, message.body)


def measured() -> list[Cost]:
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
            message=arrived(question),
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
            message=arrived(answer),
            shape=profile.RESPONSE,
            own="acb",
            peers=("ecos_party",),
            keys=keys,
            now=AT,
            request=question,
        )
        verify(envelope, RESPONSE_RULES)

    base = signature_base(asked.cover(profile.REQUEST.components, "t"), question, None)
    der = acb.private.sign(base, ECDSA)
    return measure([
        Act("bare ECDSA P-256 sign", lambda: acb.private.sign(base, ECDSA), 0),
        Act("bare ECDSA P-256 verify", lambda: acb.public_key.verify(der, base, ECDSA), 1),
        Act("sign a request", request, 0),
        Act("verify a request", take_request, 1),
        Act("sign a response", response, 0),
        Act("verify a response", take_response, 1),
    ])  # fmt: skip


def main() -> None:
    """Print the table."""
    show(f"signed link, body of {len(BODY)} octets, one core", measured())


if __name__ == "__main__":
    main()
