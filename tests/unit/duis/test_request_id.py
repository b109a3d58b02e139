from __future__ import annotations

import pytest

from duis.errors import DuisError, RequestIdInvalid
from duis.request_id import RequestId, eui_from_text, eui_to_text

A = "90-B3-D5-1F-30-01-00-00"
B = "00-DB-12-34-56-78-90-A0"


def test_both_ways():
    value = RequestId.from_text(f"{A}:{B}:1006")
    assert value == RequestId("90b3d51f30010000", "00db1234567890a0", 1006)
    assert value.text == str(value) == f"{A}:{B}:1006"


def test_the_answer_has_the_parties_the_other_way_round_and_the_same_counter():
    assert RequestId.from_text(f"{A}:{B}:7").response_id.text == f"{B}:{A}:7"


def test_identifiers_are_read_in_either_case_and_written_in_upper_case():
    assert RequestId.from_text(f"{A.lower()}:{B}:0").text == f"{A}:{B}:0"


@pytest.mark.parametrize("counter", [0, 1, 2**63, 2**64 - 1])
def test_the_whole_range_of_counters(counter):
    assert RequestId.from_text(f"{A}:{B}:{counter}").counter == counter


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{A}:{B}:18446744073709551616", "request_id_counter"),
        (f"{A}:{B}:01", "request_id_counter"),
        (f"{A}:{B}:+1", "request_id_counter"),
        (f"{A}:{B}:-1", "request_id_counter"),
        (f"{A}:{B}: 1", "request_id_counter"),
        (f"{A}:{B}:1_0", "request_id_counter"),
        (f"{A}:{B}:\u0661", "request_id_counter"),  # a digit, but not an ASCII one
        (f"{A}:{B}:1\n", "request_id_counter"),
        (f"{A}:{B}:", "request_id_counter"),
        (f"{A}:{B}", "request_id"),
        (f"{A}:{B}:1:2", "request_id"),
        ("", "request_id"),
        (f"{A[:-1]}:{B}:1", "entity_identifier"),
        (f"{A}:{B.replace('-', '')}:1", "entity_identifier"),
        (f"{A}:{B.replace('A', 'G')}:1", "entity_identifier"),
    ],
)
def test_anything_else_is_refused_by_name(text, reason):
    with pytest.raises(RequestIdInvalid) as refused:
        RequestId.from_text(text)
    assert refused.value.reason == reason


@pytest.mark.parametrize("counter", [-1, 2**64])
def test_no_value_outside_the_range_can_be_made(counter):
    with pytest.raises(RequestIdInvalid, match="request_id_counter"):
        RequestId("0" * 16, "1" * 16, counter)


@pytest.mark.parametrize("eui", ["", "0" * 15, "0" * 17, "A" * 16, "g" * 16, "0" * 16 + "\n"])
def test_an_entity_identifier_is_sixteen_lower_case_hex_digits(eui):
    with pytest.raises(DuisError, match="entity_identifier"):
        eui_to_text(eui)
    with pytest.raises(DuisError, match="entity_identifier"):
        RequestId(eui, "1" * 16, 1)
    with pytest.raises(DuisError, match="entity_identifier"):
        RequestId("1" * 16, eui, 1)


def test_identifier_texts():
    assert eui_to_text("90b3d51f30010000") == A
    assert eui_from_text(A) == "90b3d51f30010000"
