"""What a caller of the interface sees: answers, and problem documents that leak nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from structlog.testing import capture_logs

if TYPE_CHECKING:
    from conftest import BuildParty, Party

LIMIT = 1000  # octets: the settings of the test party


def assert_problem(answer: httpx.Response, status: int, check: str | None) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["party"] == "test_party"
    assert document["check"] == check
    assert document["instance"] == answer.request.url.path
    assert {"type", "title", "detail"} <= set(document)
    return document


async def in_chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_what_is_allowed_is_answered(party: Party) -> None:
    answer = await party.interface.post("/orders", json={"amount": 5})
    assert (answer.status_code, answer.json()) == (200, {"ordered": 5})
    assert "lab-weakened" not in answer.headers


async def test_a_refusal_names_its_check(party: Party) -> None:
    answer = await party.interface.post("/orders", json={"amount": 101})
    document = assert_problem(answer, 403, "test.order.small")
    assert document["type"] == "urn:x-cos:check:test.order.small"
    assert (document["expected"], document["found"]) == ("at most 100", "101")
    assert document["code"] == "E9"


async def test_the_twin_with_that_check_off_is_answered(party: Party) -> None:
    await party.lab.put("/lab/checks/test.order.small", json={"enabled": False})
    answer = await party.interface.post("/orders", json={"amount": 101})
    assert (answer.status_code, answer.json()) == (200, {"ordered": 101})
    assert "lab-weakened" not in answer.headers  # nothing of the lab on the interface


async def test_a_problem_raised_on_purpose(party: Party) -> None:
    assert_problem(await party.interface.get("/problem"), 409, "test.twice")


async def test_unknown_routes_and_methods(party: Party) -> None:
    assert_problem(await party.interface.get("/nowhere"), 404, "test.request.route")
    answer = await party.interface.get("/orders")
    assert_problem(answer, 405, "test.request.method")
    assert answer.headers["allow"] == "POST"


async def test_a_path_is_written_in_one_way(party: Party) -> None:
    """Not redirected either: the address would be made of what the caller says our name is."""
    for path in ("/orders/", "//orders", "/orders;a"):
        answer = await party.interface.post(path, headers={"host": "evil.example"})
        assert_problem(answer, 404, "test.request.route")
        assert "location" not in answer.headers


@pytest.mark.parametrize("path", ["/lab/checks", "/lab/openapi/interface.json", "/docs", "/redoc"])
async def test_nothing_of_the_lab_is_on_the_interface(party: Party, path: str) -> None:
    token = party.lab.headers["authorization"]
    answer = await party.interface.get(path, headers={"authorization": token})
    assert_problem(answer, 404, "test.request.route")


@pytest.mark.parametrize(
    "content", [b"not json", b"{}", b'{"amount": "5"}', b'{"amount": 5, "hunter2": 1}', b"[]"]
)
async def test_a_body_that_does_not_fit(party: Party, content: bytes) -> None:
    answer = await party.interface.post(
        "/orders", content=content, headers={"content-type": "application/json"}
    )
    document = assert_problem(answer, 422, "test.request.shape")
    assert document["errors"]


async def test_values_of_a_bad_body_are_not_repeated(party: Party) -> None:
    answer = await party.interface.post("/orders", json={"amount": "hunter2"})
    assert_problem(answer, 422, "test.request.shape")
    assert "hunter2" not in answer.text


async def test_a_bug_is_a_fixed_sentence(party: Party) -> None:
    with capture_logs() as logs:
        answer = await party.interface.get("/broken")
    document = assert_problem(answer, 500, None)
    assert "hunter2" not in answer.text
    assert "ValueError" not in answer.text
    recorded = next(entry for entry in logs if entry["event"] == "unexpected exception")
    assert recorded["trace_id"] == document["trace_id"]
    assert "exc_info" not in recorded
    traceback = next(entry for entry in logs if entry["event"] == "traceback")
    assert traceback["log_level"] == "debug"
    assert isinstance(traceback["exc_info"], ValueError)


async def test_a_body_up_to_the_limit_is_read_whole(party: Party) -> None:
    exact = await party.interface.post("/echo", content=bytes(LIMIT))
    assert exact.json() == {"octets": LIMIT}
    streamed = await party.interface.post("/echo", content=in_chunks(b"a" * 400, b"", b"b" * 600))
    assert streamed.json() == {"octets": LIMIT}


async def test_a_declared_body_over_the_limit_is_refused_unread(party: Party) -> None:
    answer = await party.interface.post("/echo", content=bytes(LIMIT + 1))
    document = assert_problem(answer, 413, "test.request.size")
    assert document["expected"] == f"at most {LIMIT} octets"


async def test_what_is_declared_too_large_is_not_read_at_all(party: Party) -> None:
    read: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"x"

    answer = await party.interface.post(
        "/echo", content=body(), headers={"content-length": str(LIMIT + 1)}
    )
    assert_problem(answer, 413, "test.request.size")
    assert read == []


async def test_a_streamed_body_is_counted_as_it_arrives(party: Party) -> None:
    read: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            read.append(1)
            yield b"x" * 300

    answer = await party.interface.post("/echo", content=endless())
    assert_problem(answer, 413, "test.request.size")
    assert len(read) <= 5


async def test_a_length_that_lies_does_not_help(party: Party) -> None:
    answer = await party.interface.post(
        "/echo", content=in_chunks(b"x" * LIMIT, b"x"), headers={"content-length": "10"}
    )
    assert_problem(answer, 413, "test.request.size")


async def test_the_twin_with_the_size_check_off(party: Party) -> None:
    await party.lab.put("/lab/checks/test.request.size", json={"enabled": False})
    answer = await party.interface.post("/echo", content=bytes(LIMIT * 3))
    assert answer.json() == {"octets": LIMIT * 3}
    answer = await party.interface.post("/echo", content=in_chunks(*[b"x" * 600] * 4))
    assert answer.json() == {"octets": 2400}


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "identity, br", "x"])
async def test_an_encoded_body_is_refused(party: Party, encoding: str) -> None:
    answer = await party.interface.post(
        "/echo", content=b"x", headers={"content-encoding": encoding}
    )
    assert_problem(answer, 415, "test.request.encoding")


async def test_the_twin_with_the_encoding_check_off(party: Party) -> None:
    await party.lab.put("/lab/checks/test.request.encoding", json={"enabled": False})
    answer = await party.interface.post(
        "/echo", content=b"xyz", headers={"content-encoding": "gzip"}
    )
    assert answer.json() == {"octets": 3}  # still the octets that came: nothing is decoded


async def test_identity_is_no_encoding(party: Party) -> None:
    answer = await party.interface.post(
        "/echo", content=b"x", headers={"content-encoding": "Identity"}
    )
    assert answer.json() == {"octets": 1}


async def test_a_client_that_leaves_is_not_served(party: Party) -> None:
    sent: list[Any] = []
    coming = [
        {"type": "http.request", "body": b"half", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:
        return coming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/echo",
        "raw_path": b"/echo",
        "query_string": b"",
        "headers": [],
    }
    await party.service.interface(scope, receive, send)
    assert sent == []


async def test_each_request_has_one_canonical_line(party: Party) -> None:
    with capture_logs() as logs:
        await party.interface.post("/orders", json={"amount": 101})
        await party.interface.post("/orders", json={"amount": 1})
    lines = [entry for entry in logs if entry["event"] == "request"]
    assert len(lines) == 2
    refused, accepted = lines
    assert refused["route"] == "POST /orders"
    assert refused["caller"] == "a customer"
    assert (refused["verdict"], refused["check"]) == ("refused", "test.order.small")
    assert refused["weakened"] == []
    assert (accepted["verdict"], accepted["status"]) == ("accepted", 200)
    assert refused["request_id"] != accepted["request_id"]
    assert accepted["took_ms"] >= 0


async def test_health_and_readiness(build_party: BuildParty) -> None:
    wanting = ["no registration data yet"]

    async def registration() -> str | None:
        return wanting[0] if wanting else None

    async def probe() -> str | None:
        if wanting:
            raise ValueError("the passphrase is hunter2")
        return None

    party = await build_party(ready=(registration, probe))
    for client in (party.interface, party.stranger):
        assert (await client.get("/healthz")).json() == {"status": "alive"}
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["reasons"] == ["no registration data yet", "probe failed"]
    wanting.clear()
    for client in (party.interface, party.stranger):
        assert (await client.get("/readyz")).status_code == 200


async def test_ready_means_that_the_store_can_be_written(
    party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told before a write has failed, on both ports, and again ready when there is space again."""
    with monkeypatch.context() as full:
        full.setattr("services.chassis.data.store.LEAST_FREE", 2**62)
        for client in (party.interface, party.stranger):
            answer = await client.get("/readyz")
            assert answer.status_code == 503
            (reason,) = answer.json()["reasons"]
            assert reason.endswith("are free for the store")
    assert (await party.interface.get("/readyz")).status_code == 200
