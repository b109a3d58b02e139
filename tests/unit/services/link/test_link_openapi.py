"""What an interface says of its routes of the signed link."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from pydantic import BaseModel

from services.chassis.web.authority import Authority
from services.chassis.web.openapi import describe
from services.link.openapi import link_body


class Question(BaseModel):
    """What is asked.

    Attributes:
        known: a number.
    """

    known: int


def test_a_link_body_is_its_model_and_the_model_s_first_sentence() -> None:
    told = link_body(Question, {"known": 1})["requestBody"]
    assert told["description"] == "What is asked."
    assert told["content"]["application/json"]["schema"]["properties"]["known"]["type"] == "integer"


def test_who_calls_a_route_of_the_link_proves_itself_by_its_signature(tmp_path: Path) -> None:
    app = FastAPI()

    @app.post("/link/question", openapi_extra=link_body(Question, {"known": 1}))
    async def question() -> None: ...

    table = tmp_path / "authority.toml"
    table.write_text('[accepts]\n"POST /link/question" = ["acb"]\n')
    told = describe(app, Authority.read(table), "0")
    operation = told["paths"]["/link/question"]["post"]
    assert (operation["security"], operation["x-callers"]) == ([{"signedLink": []}], ["acb"])
    assert "x-proof" not in operation
    assert set(told["components"]["securitySchemes"]) == {"signedLink"}
