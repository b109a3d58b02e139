"""How many values a body may hold: counted before it is read, by what it is for."""

from __future__ import annotations

import json

import pytest

from services.chassis.checks import CheckFailed
from services.link import envelope, parts
from services.link.envelope import read_json_object


def register(homes: int) -> bytes:
    """An extract of so many homes, as registration writes it: two registrations each."""
    periods = [
        {"participant": "A", "effective_from": "2026-01-01T00:00:00Z", "effective_to": None}
    ] * 2
    points = [
        {"mpxn": f"{home:013d}", "devices": [f"{home:016x}"], "registrations": periods}
        for home in range(homes)
    ]
    told = {"version": 1, "number": 1, "unchanged": False, "participants": []}
    return json.dumps({**told, "meter_points": points}, separators=(",", ":")).encode()


@pytest.mark.parametrize("value", [{}, {"a": 1}, {"a": {}}, {"a": [1, 2, [3]]}, {"a": {"b": "c"}}])
def test_no_fewer_are_counted_than_there_are(value: object) -> None:
    def values(one: object) -> int:
        if isinstance(one, dict):
            return 1 + sum(values(inner) for inner in one.values())
        return 1 + sum(values(inner) for inner in one) if isinstance(one, list) else 1

    body = json.dumps(value).encode()
    assert values(value) <= parts.count_parts(body) + 1 + body.count(b"{")
    assert parts.count_parts(body) <= len(body)


def test_a_body_of_too_many_parts_is_not_read_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"a":[' + b",".join([b"1"] * parts.MOST) + b"]}"

    def read(*_: object, **__: object) -> object:
        raise AssertionError("it was read")

    monkeypatch.setattr(envelope.json, "loads", read)
    with pytest.raises(CheckFailed, match="too many parts") as failed:
        read_json_object(body)
    assert (failed.value.expected, failed.value.found) == (
        f"at most {parts.MOST}",
        str(parts.count_parts(body)),
    )


def test_a_body_of_just_as_many_is_read() -> None:
    body = b'{"a":[' + b",".join([b"1"] * (parts.MOST - 1)) + b"]}"
    assert parts.count_parts(body) == parts.MOST
    assert len(read_json_object(body)["a"]) == parts.MOST - 1


def test_a_register_of_ten_thousand_homes_is_read_as_an_answer_and_as_nothing_else() -> None:
    most = parts.most_parts("registration-extract", answer=True)
    assert 3 * 10 * parts.count_parts(register(1000)) < most
    assert parts.count_parts(register(1000)) > parts.MOST
    for purpose, answer in (
        ("registration-extract", False),
        ("cos-command", True),
        ("smki-certificates", True),
        ("", True),
    ):
        assert parts.most_parts(purpose, answer=answer) == parts.MOST
