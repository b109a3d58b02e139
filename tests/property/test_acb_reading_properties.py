"""Whatever arrives, reading it never breaks the broker: it is evidence that a check refuses."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acb.checks import RESPONSE_CHECKS, book
from acb.peers.outbound import AnswerUnusable, CosPartyLink
from acb.rules.read_back import READ_BACK_CHECKS, question, read_details
from acb.rules.request import FORM_CHECKS
from acb.rules.response import read_device_message
from acb.steps import gather
from services.chassis.checks import Refused
from tests.unit.acb.estate import ACB, DEVICE, Estate, response_message, signed_octets

plain = settings(deadline=None, max_examples=examples(200))
relaxed = settings(
    deadline=None,
    max_examples=examples(200),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    return Estate.make(tmp_path_factory.mktemp("acb") / "data")


def refusal(section: str, checks: Any, evidence: Any) -> str | None:
    run = book().start("property", section)
    try:
        for check in checks:
            run.apply(check, evidence)
    except Refused as refused:
        return refused.check
    return None


@plain
@given(body=st.binary(max_size=400))
def test_noise_is_no_service_request(body: bytes) -> None:
    evidence = gather.read_request("application/xml", body, 1000)

    assert refusal("request", FORM_CHECKS, evidence) == "acb.request.wellformed"


@relaxed
@given(data=st.data())
def test_a_damaged_service_request_never_breaks_the_reader(
    estate: Estate, data: st.DataObject
) -> None:
    document = bytearray(estate.signed(estate.request()))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(document) - 1))
        document[at] = data.draw(st.integers(0, 255))

    evidence = gather.read_request("application/xml", bytes(document), 100_000)

    assert (evidence.request is None) <= (evidence.fault is not None)


@plain
@given(raw=st.binary(max_size=300))
def test_noise_is_no_device_message(raw: bytes) -> None:
    refused = refusal("response", RESPONSE_CHECKS, read_device_message(raw))

    assert refused == ("acb.response.received" if not raw else "acb.response.decode")


@relaxed
@given(data=st.data())
def test_a_damaged_device_message_is_never_accepted(estate: Estate, data: st.DataObject) -> None:
    honest = signed_octets(
        response_message(None, counter=5), estate.device_keys.signer(DEVICE).sign
    )
    raw = bytearray(honest)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))

    assert refusal("response", RESPONSE_CHECKS, read_device_message(bytes(raw))) is not None


@plain
@given(raw=st.binary(max_size=200))
def test_noise_is_no_reading_of_a_device(raw: bytes) -> None:
    command = question(ACB, DEVICE, 1, bytes(32))

    refused = refusal("read_back", READ_BACK_CHECKS, read_details(raw, command, bytes(32)))

    assert refused == ("acb.read_back.received" if not raw else "acb.read_back.decode")


class Says:
    """A peer whose authentic answer is any JSON object."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body

    async def call(self, path: str, purpose: str, message_id: str, body: Any) -> Says:
        json.dumps(body)
        return self


@plain
@given(
    body=st.fixed_dictionaries(
        {},
        optional={
            "version": anything,
            "transaction": anything,
            "signed_command": anything,
            "originator": anything,
            "counter": anything,
            "displaces": anything,
            "more": anything,
        },
    )
)
async def test_any_answer_of_a_cos_party_is_octets_or_unusable(body: dict[str, Any]) -> None:
    try:
        returned = await CosPartyLink(Says(body)).have_signed("t", b"")
    except AnswerUnusable:
        return
    assert body["transaction"] == "t"
    assert base64.b64decode(str(body["signed_command"])) == returned.command
    assert list(returned.displaces) == body.get("displaces", [])
