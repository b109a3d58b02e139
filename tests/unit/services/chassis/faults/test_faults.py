"""What may be ordered, whom it befalls, and what it does to octets."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import services.chassis
from services.chassis.faults import exchange as fault_seen
from services.chassis.faults.exchange import ExchangeFacts
from services.chassis.faults.orders import (
    FITS,
    TAKES,
    Claim,
    Direction,
    FaultError,
    FaultOrder,
    Kind,
    Match,
    Part,
)
from services.link.wire import profile

REQUEST_ID = "02-53-49-4D-00-00-00-0A:02-53-49-4D-D0-00-00-01:1700"
DEVICE = "0253494dd0000001"


def order(kind: Kind = Kind.DROP, **more: object) -> FaultOrder:
    facts = {"direction": Direction.OUTBOUND, "part": Part.REQUEST} | more
    return FaultOrder(kind=kind, **facts)  # type: ignore[arg-type]


def seen(body: bytes = b"", **more: object) -> ExchangeFacts:
    facts = {"direction": "outbound", "hop": "ecos_party", "method": "POST", "path": "/link/x"}
    return ExchangeFacts(**(facts | more), body=body)  # type: ignore[arg-type]


def on_the_link(message_id: str = "m-1", purpose: str = "cos-command") -> ExchangeFacts:
    headers = ((b"cos-purpose", purpose.encode()), (b"cos-message-id", message_id.encode()))
    return seen(b"{}", headers=headers)


def test_the_headers_are_the_links() -> None:
    known = (fault_seen.PURPOSE, fault_seen.MESSAGE_ID, fault_seen.SENDER)
    assert [name.decode() for name in known] == [
        profile.PURPOSE,
        profile.MESSAGE_ID,
        profile.SENDER,
    ]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("part", Part)
def test_a_kind_is_ordered_only_where_it_can_happen(
    kind: Kind, direction: Direction, part: Part
) -> None:
    if (direction, part) in FITS[kind]:
        assert FaultOrder(kind, direction, part).point == (direction, part)
        return
    with pytest.raises(FaultError) as refused:
        FaultOrder(kind, direction, part)
    assert refused.value.rule == "place"
    assert refused.value.expected


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        *(({name: Claim.OLD if name == "claims" else 400}, "parameter") for name in TAKES),
        ({"times": 3, "among": 2}, "among"),
        ({"times": None, "among": 2}, "among"),
    ],
)
def test_what_makes_no_sense_is_refused_by_a_name(more: dict[str, object], rule: str) -> None:
    with pytest.raises(FaultError) as refused:
        order(Kind.DROP, **more)
    assert refused.value.rule == rule


def test_without_a_seed_it_is_the_next_ones() -> None:
    assert order(times=2, among=5).drawn() == [True, True, False, False, False]
    assert order(times=3).drawn() == [True] * 3
    assert order(times=None).drawn() is None


@given(st.integers(1, 20), st.integers(0, 30), st.integers())
def test_a_seed_draws_as_many_and_always_the_same(times: int, more: int, seed: int) -> None:
    drawn = order(times=times, among=times + more, seed=seed).drawn()
    assert drawn is not None
    assert (sum(drawn), len(drawn)) == (times, times + more)
    assert drawn == order(times=times, among=times + more, seed=seed).drawn()


def test_seeds_differ() -> None:
    draws = {tuple(order(times=3, among=10, seed=seed).drawn() or ()) for seed in range(20)}
    assert len(draws) > 5


@given(st.binary(min_size=1, max_size=40), st.integers(), st.integers(0, 50))
def test_a_bit_flip_changes_one_bit_the_same_each_time(body: bytes, seed: int, fired: int) -> None:
    harm = order(Kind.BIT_FLIP, seed=seed)
    spoiled = harm.spoiled(body, fired)
    assert len(spoiled) == len(body)
    changed = int.from_bytes(spoiled, "big") ^ int.from_bytes(body, "big")
    assert changed.bit_count() == 1
    assert spoiled == harm.spoiled(body, fired)


def test_a_bit_may_be_named_and_each_strike_draws_its_own() -> None:
    assert order(Kind.BIT_FLIP, bit=0).spoiled(b"\x00\x00", 1) == b"\x80\x00"
    assert order(Kind.BIT_FLIP, bit=15).spoiled(b"\x00\x00", 1) == b"\x00\x01"
    assert order(Kind.BIT_FLIP).spoiled(b"", 1) == b""
    draws = {order(Kind.BIT_FLIP, seed=1).spoiled(bytes(50), fired) for fired in range(20)}
    assert len(draws) > 10


def test_a_truncation_leaves_half_or_as_much_as_asked() -> None:
    assert order(Kind.TRUNCATE).spoiled(b"abcde", 1) == b"ab"
    assert order(Kind.TRUNCATE, octets=4).spoiled(b"abcde", 1) == b"abcd"
    assert order(Kind.TRUNCATE, octets=0).spoiled(b"abcde", 1) == b""
    assert order(Kind.TRUNCATE, octets=9).spoiled(b"abcde", 1) == b"abcde"


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        (Match(), True),
        (Match(method="post"), True),
        (Match(method="GET"), False),
        (Match(path="/link/x"), True),
        (Match(path="/link/*"), True),
        (Match(path="/link"), False),
        (Match(purpose="cos-command"), True),
        (Match(purpose="cos-comman"), False),
        (Match(message_id="m-1"), True),
        (Match(message_id="m-*"), True),
        (Match(message_id="m"), False),
        (Match(purpose="cos-command", message_id="n"), False),
    ],
)
def test_all_that_is_given_must_fit(match: Match, fits: bool) -> None:
    assert match.fits(on_the_link()) is fits


def test_whose_and_which_way() -> None:
    assert order().addresses(seen())
    assert order(hop="ecos_party").addresses(seen())
    assert not order(hop="tcos_party").addresses(seen())
    assert not order().addresses(seen(direction="inbound"))


DOCUMENT = f"<sr:RequestID>{REQUEST_ID}</sr:RequestID>".encode()


@pytest.mark.parametrize(
    "exchange",
    [
        seen(DOCUMENT),
        seen(json.dumps({"n": 1, "service_request": base64.b64encode(DOCUMENT).decode()}).encode()),
        seen(path=f"/service-requests/{REQUEST_ID}"),
        on_the_link(f"{REQUEST_ID}.device-response.00ff"),
    ],
)
def test_a_request_id_and_its_device_are_found_wherever_they_are(exchange: ExchangeFacts) -> None:
    assert Match(request_id=REQUEST_ID.lower()).fits(exchange)
    assert Match(device=DEVICE).fits(exchange)
    assert not Match(request_id=REQUEST_ID[:-1] + "1").fits(exchange)
    assert not Match(device="0253494dd0000002").fits(exchange)


def test_a_device_is_found_in_octets_and_in_a_path() -> None:
    octets = b"\xdd" + bytes.fromhex(DEVICE)
    assert Match(device=DEVICE).fits(seen(octets))
    carried = json.dumps({"message": base64.b64encode(octets).decode()}).encode()
    assert Match(device=DEVICE).fits(seen(carried))
    assert Match(device=DEVICE).fits(seen(path=f"/devices/{DEVICE}/messages"))
    assert not Match(device=DEVICE).fits(seen(b"[1, 2]"))


def test_what_a_trace_knows_an_exchange_by() -> None:
    def read(octets: bytes) -> str | None:
        return "a:b:1" if octets == b"a message" else None

    assert on_the_link("t-1").subject(read) == "t-1"
    carried = json.dumps({"service_request": base64.b64encode(DOCUMENT).decode()}).encode()
    assert seen(DOCUMENT).subject(read) == REQUEST_ID
    assert (
        seen(DOCUMENT.lower().replace(b"requestid>", b"RequestID>\n")).subject(read) == REQUEST_ID
    )
    assert seen(carried, headers=((b"cos-message-id", b"t-1"),)).subject(read) == REQUEST_ID
    assert seen(b"a message").subject(read) == "a:b:1"
    forwarded = json.dumps({"message": base64.b64encode(b"a message").decode()}).encode()
    assert seen(forwarded, headers=((b"cos-message-id", b"t-1"),)).subject(read) == "a:b:1"
    assert seen(b"nothing to be read").subject(read) == "POST /link/x"


def test_the_chassis_reads_no_format_that_its_image_does_not_hold() -> None:
    """Registration's and the repository's images have neither GBCS nor DUIS (Dockerfile)."""
    chassis = Path(services.chassis.__file__).parent
    found = {
        path.name
        for path in chassis.rglob("*.py")
        if re.search(r"(?m)^\s*(?:from|import) (?:gbcs|duis)\b", path.read_text())
    }
    assert len(list(chassis.rglob("*.py"))) > 20
    assert found == set()


PAGE = Path(__file__).resolve().parents[5] / "docs" / "faults.md"


def test_the_page_on_faults_names_every_kind_parameter_and_rule() -> None:
    text = PAGE.read_text()
    kinds = text.partition("## Kinds")[2].partition("## Hops")[0]
    assert set(re.findall(r"(?m)^\| `([a-z_]+)` \|", kinds)) == {kind.value for kind in Kind}
    assert {name for name in (*TAKES, *Match.__slots__) if f"`{name}`" not in text} == set()
    rules = {"place", "parameter", "among", "hop", "old_key", "many"}
    assert set(re.findall(r"`lab\.fault\.([a-z_]+)`", text)) - {"fired", "release", "remove"} == (
        rules
    )
