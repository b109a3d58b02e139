"""Whatever octet of a protected message is changed, the frame, the signature or the MAC tells."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gbcs.codes import Cra
from gbcs.date_time import to_date_time
from gbcs.errors import GbcsError, MacInvalid, ParseError, SignatureInvalid
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.protect import add_mac, sign, verify_mac, verify_signature

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

KEY = ec.generate_private_key(ec.SECP256R1())
SECRET = bytes(range(32))
HEADER = GroupingHeader(
    Cra.COMMAND, 6001, "0253494d00000005", "0253494dd0000001", OtherInformation(0x0107)
)
ANSWER = GroupingHeader(
    Cra.RESPONSE,
    6001,
    "0253494dd0000001",
    "0253494d00000005",
    OtherInformation(0x0107),
    to_date_time(datetime(2026, 1, 1, tzinfo=UTC)),
)


def raw(data: bytes) -> bytes:
    r, s = decode_dss_signature(KEY.sign(data, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def check(octets: bytes, *, signed: bool, maced: bool) -> None:
    """All a receiver does before it looks at the payload."""
    message = decode(octets)
    if signed:
        verify_signature(message, KEY.public_key())
    if maced:
        verify_mac(message, SECRET)


SIGNED = sign(Message(ANSWER, b"a response" * 30, None), raw)
FORMS: dict[str, tuple[bytes, dict[str, bool]]] = {
    "command": (
        encode(add_mac(sign(Message(HEADER, b"a command" * 30, None), raw), SECRET)),
        {"signed": True, "maced": True},
    ),
    "mac only": (
        encode(add_mac(Message(HEADER, b"a question" * 30, b""), SECRET)),
        {"signed": False, "maced": True},
    ),
    "response": (encode(SIGNED), {"signed": True, "maced": False}),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_message_itself_passes(form: Any):
    octets, protection = FORMS[form]
    check(octets, **protection)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_every_single_octet_is_protected(form: Any, flip: Any):
    octets, protection = FORMS[form]
    told: dict[type[GbcsError], int] = {}
    for at in range(len(octets)):
        changed = octets[:at] + bytes((octets[at] ^ flip,)) + octets[at + 1 :]
        with pytest.raises((ParseError, SignatureInvalid, MacInvalid)) as refused:
            check(changed, **protection)
        told[refused.type] = told.get(refused.type, 0) + 1
    assert sum(told.values()) == len(octets)
    assert told[SignatureInvalid if protection["signed"] else MacInvalid] >= 290


@pytest.mark.parametrize("form", FORMS)
@unhurried
@given(data=st.data())
def test_any_disturbance_is_told(form: Any, data: bytes):
    octets, protection = FORMS[form]
    at = data.draw(st.integers(0, len(octets)))
    gone = data.draw(st.integers(0, 12))
    put = data.draw(st.binary(max_size=12))
    changed = octets[:at] + put + octets[at + gone :]
    refusal: Callable[[], Any] = lambda: check(changed, **protection)  # noqa: E731
    if changed == octets:
        refusal()
        return
    with pytest.raises((ParseError, SignatureInvalid, MacInvalid)):
        refusal()


@unhurried
@given(
    counter=st.integers(0, 2**64 - 1),
    payload=st.binary(max_size=300),
    secret=st.binary(min_size=32, max_size=32),
)
def test_a_mac_holds_only_with_its_secret(counter: int, payload: Any, secret: Any):
    header = GroupingHeader(Cra.COMMAND, counter, HEADER.originator, HEADER.recipient, HEADER.other)
    message = decode(encode(add_mac(Message(header, payload, b""), secret)))
    verify_mac(message, secret)
    with pytest.raises(MacInvalid):
        verify_mac(message, bytes(b ^ 1 for b in secret))
