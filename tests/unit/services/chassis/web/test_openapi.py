"""`GET /openapi.json` on every interface: bodies, sentences, examples, who may call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from services.chassis.web.openapi import body, content

if TYPE_CHECKING:
    from conftest import Party


async def described(party: Party) -> dict[str, Any]:
    answer = await party.interface.get("/openapi.json")
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


async def test_it_needs_no_credential_and_says_who_may_call(party: Party) -> None:
    told = await described(party)
    assert told["openapi"].startswith("3.1")
    order = told["paths"]["/orders"]["post"]
    assert (order["security"], order["x-callers"]) == ([], ["anyone"])
    assert told["components"]["securitySchemes"] == {}


async def test_every_route_may_answer_with_a_problem(party: Party) -> None:
    told = await described(party)
    for operations in told["paths"].values():
        for operation in operations.values():
            media = operation["responses"]["default"]["content"]
            assert set(media) == {"application/problem+json"}
            assert "422" not in operation["responses"]
    refused = (await party.interface.post("/orders", json={"amount": 101})).json()
    shape = told["components"]["schemas"]["Problem"]
    assert set(shape["required"]) <= set(refused) - {"code"}


async def test_nothing_of_the_lab_is_described(party: Party) -> None:
    assert not [path for path in (await described(party))["paths"] if path.startswith("/lab")]


@pytest.mark.parametrize("schema", [None, {"type": "object"}])
def test_a_body_is_described_with_its_example(schema: dict[str, Any] | None) -> None:
    told = body("Signed.", content("application/xml", schema=schema, example="<a/>"))["requestBody"]
    assert told["required"]
    assert told["content"]["application/xml"]["example"] == "<a/>"
    assert told["content"]["application/xml"]["schema"]
