"""Canonical JSON and written verdicts have the octets that the plain way to write them gives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.chassis.checks import Verdict, written
from services.chassis.data.canonical import NotCanonicalError, canonical

ANY_TEXT = st.text(st.characters())
"""Lone surrogates too."""
KEYS = ANY_TEXT | st.integers() | st.booleans() | st.none() | st.binary(max_size=2)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary(max_size=2)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(ANY_TEXT, inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=10,
)
OUTCOMES = st.sampled_from(["passed", "refused", "not_reached", "off", "not_applicable"])
VERDICTS = st.builds(
    Verdict,
    st.text(),
    st.text(),
    st.text(),
    OUTCOMES,
    *(st.none() | st.text() for _ in range(3)),
)


def plainly(value: Any) -> bytes | None:
    """The same JSON by the library's own function; None where there is none."""
    try:
        return json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        ).encode()
    except (TypeError, ValueError, RecursionError):
        return None


@settings(max_examples=examples(200))
@given(VALUES)
@example({"b": 1, "a": [1.0, -0.0, 1e300, 2**64, True, None, "é\u2028\x00\x7f"]})
@example("\ud800")
@example({"\udfff": 1})
@example(float("nan"))
@example([float("-inf")])
@example({1: "a", "1": "b"})
@example({"a": {1, 2}})
def test_canonical_json_has_the_octets_of_the_plain_way(value: Any) -> None:
    expected = plainly(value)
    if expected is None:
        with pytest.raises(NotCanonicalError):
            canonical(value)
    else:
        assert canonical(value).encode() == expected


def test_what_holds_itself_or_is_too_deep_is_refused_and_the_next_is_written() -> None:
    ring: list[Any] = []
    ring.append(ring)
    deep: Any = 0
    for _ in range(100_000):
        deep = [deep]
    for value in (ring, deep, object()):
        with pytest.raises(NotCanonicalError):
            canonical(value)
    assert canonical({"b": [], "a": {}}) == '{"a":{},"b":[]}'


@settings(max_examples=examples(100))
@given(st.lists(VERDICTS, max_size=5))
def test_written_verdicts_are_their_canonical_json(verdicts: list[Verdict]) -> None:
    told = [
        {
            name: said
            for name in ("check", "title", "source", "outcome", "detail", "expected", "found")
            if (said := getattr(verdict, name)) is not None
        }
        for verdict in verdicts
    ]
    assert [verdict.as_dict() for verdict in verdicts] == told
    for _ in range(2):  # made, and kept
        assert written(verdicts).encode() == plainly(told)
