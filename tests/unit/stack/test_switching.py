"""Waiting for a request: what is shown meanwhile, and what is said when waiting ends first."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from duis.model import Acknowledgement, Response
from duis.request_id import RequestId
from duis.xml import response_to_xml
from stack.connection import Connection
from stack.errors import UNDER_WAY, UNREACHABLE, CommandError
from stack.layout import Addresses, Stack
from stack.switching import submit

ID = "02-53-49-4D-20-00-00-00:02-53-49-4D-D0-00-00-01:7"
CHECK = "link.response.signature"


def refused(detail: str) -> dict[str, Any]:
    return {
        "at": "2030-01-02T03:04:05+00:00", "kind": "refused", "name": CHECK, "summary": detail,
    }  # fmt: skip


class Broker:
    """A broker that tells the next of `states` each time it is asked, and then the last."""

    def __init__(self, *states: str, trace: list[dict[str, Any]] | None = None) -> None:
        self.states = list(states)
        self.trace = trace or []
        self.answer = httpx.Response(200, content=b"<acknowledged/>")

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method == "POST":
            return self.answer
        if path.startswith("/service-requests/"):
            if not self.states:
                raise httpx.ConnectError("it is gone", request=request)
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            if state == "gone":
                self.states = []
                return self(request)
            return httpx.Response(200, json={"state": state})
        entries = self.trace if request.url.host == "acb" else []
        return httpx.Response(200, json={"entries": entries})


def said_at_once(code: str) -> httpx.Response:
    """The broker's answer to a document that a check stopped, once it knows who asked."""
    at = datetime(2030, 1, 2, tzinfo=UTC)
    request_id = RequestId("0253494d20000000", "0253494dd0000001", 7)
    response = Response(request_id, None, code, at, Acknowledgement("6.23", "6.23"))
    headers = {"Cos-Check": "acb.some.check", "Cos-Party": "acb"}
    return httpx.Response(200, content=response_to_xml(response), headers=headers)


def connected(broker: Broker) -> Connection:
    names = ("acb", "tcos_party", "ecos_party", "meter_sim")
    services = {name: Addresses(f"http://{name}", f"http://{name}") for name in names}
    connection = Connection(Stack(None, services))
    connection.http = httpx.Client(transport=httpx.MockTransport(broker))
    return connection


def test_each_state_and_each_refusal_is_told_once() -> None:
    said: list[str] = []
    broker = Broker("accepted", "accepted", "with_cos_party", "completed", trace=[refused("no")])
    with connected(broker) as connection:
        assert submit(connection, b"<document/>", ID, say=said.append).ok
    assert said == [
        f"{ID}: accepted",
        f"  refused by acb, check {CHECK}: no",
        f"{ID}: with_cos_party",
        f"{ID}: completed",
    ]


@pytest.mark.parametrize("say", [None, lambda _line: None])
def test_giving_up_says_where_it_stands_and_who_refused_last(say: Any) -> None:
    broker = Broker("with_cos_party", trace=[refused("first"), refused("and last")])
    with connected(broker) as connection, pytest.raises(CommandError) as gave_up:
        submit(connection, b"<document/>", ID, say=say, limit=0)
    assert gave_up.value.code == UNDER_WAY
    assert f"{ID} is still with_cos_party" in str(gave_up.value)
    assert f"the last refusal was acb's, {CHECK}: and last" in str(gave_up.value)
    assert json.loads(json.dumps(gave_up.value.facts)) == {
        "request_id": ID,
        "state": "with_cos_party",
        "last_refusal": {"party": "acb", "check": CHECK, "detail": "and last"},
    }


def test_giving_up_without_a_refusal_says_that() -> None:
    with connected(Broker("accepted")) as connection, pytest.raises(CommandError) as gave_up:
        submit(connection, b"<document/>", ID, limit=0)
    assert "nothing has refused it so far" in str(gave_up.value)
    assert gave_up.value.facts["last_refusal"] is None


def test_a_broker_that_goes_meanwhile_is_named_with_the_state_it_told_last() -> None:
    broker = Broker("accepted", "gone")
    with connected(broker) as connection, pytest.raises(CommandError) as ended:
        submit(connection, b"<document/>", ID)
    assert ended.value.code == UNREACHABLE
    assert f"{ID} was accepted when last heard of" in str(ended.value)


def test_what_is_refused_at_once_has_its_code() -> None:
    broker = Broker("unused")
    broker.answer = said_at_once("E12")
    with connected(broker) as connection:
        done = submit(connection, b"<document/>", ID)
    assert (done.state, done.response_code) == ("refused", "E12")
    assert done.refused == {"party": "acb", "check": "acb.some.check"}


def test_what_was_taken_and_is_held_back_is_not_called_refused() -> None:
    broker = Broker("quarantined")
    broker.answer = said_at_once("I99")
    with connected(broker) as connection:
        done = submit(connection, b"<document/>", ID)
    assert (done.state, done.ok) == ("quarantined", False)
