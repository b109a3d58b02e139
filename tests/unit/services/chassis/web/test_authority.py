"""A route without a line, or a line without a route, does not start."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI
from starlette.routing import Mount

from services.chassis.web.authority import Authority, AuthorityError, mounted_routes

GOOD = """
[accepts]
"GET /a" = ["anyone"]
"POST /link/x" = ["acb", "tcos_party"]
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "authority.toml"
    path.write_text(text)
    return path


def routes(*paths: str) -> APIRouter:
    router = APIRouter()

    async def nothing() -> None:
        """Only a name."""

    for line in paths:
        method, path = line.split()
        router.add_api_route(path, nothing, methods=[method])
    return router


def test_a_table_says_who(tmp_path: Path) -> None:
    authority = Authority.read(write(tmp_path, GOOD))
    assert authority.callers("POST /link/x") == {"acb", "tcos_party"}
    assert authority.allowed("POST /link/x", "acb")
    assert not authority.allowed("POST /link/x", "ecos_party")
    assert authority.allowed("GET /a", "whoever")
    assert not authority.allowed("GET /b", "acb")
    assert authority.callers("GET /b") == frozenset()


def test_agreement_starts(tmp_path: Path) -> None:
    authority = Authority.read(write(tmp_path, GOOD))
    app = FastAPI(openapi_url=None)
    outer = APIRouter(prefix="/link")
    outer.include_router(routes("POST /x"))
    app.include_router(outer)
    app.include_router(routes("GET /a"))
    authority.compare(app.routes)
    assert sorted(mounted_routes(app.routes)) == ["GET /a", "POST /link/x"]


@pytest.mark.parametrize(
    ("mounted", "says"),
    [
        (("GET /a",), "line without a route: POST /link/x"),
        (("GET /a", "POST /link/x", "GET /b"), "route without a line: GET /b"),
        (("GET /a", "PUT /link/x"), "route without a line: PUT /link/x"),
    ],
)
def test_disagreement_does_not(tmp_path: Path, mounted: tuple[str, ...], says: str) -> None:
    authority = Authority.read(write(tmp_path, GOOD))
    with pytest.raises(AuthorityError, match=says):
        authority.compare(routes(*mounted).routes)


def test_what_no_table_can_name_does_not_start(tmp_path: Path) -> None:
    authority = Authority.read(write(tmp_path, GOOD))
    with pytest.raises(AuthorityError, match="no authority table"):
        authority.compare([Mount("/files", app=FastAPI())])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[accepts]\n"GET /a" = []', "nobody"),
        ('[accepts]\n"GET /a" = ["anyone", "acb"]', "beside names"),
        ('[accepts]\n"GET /a" = "anyone"', "list of names"),
        ('[accepts]\n"GET /a" = [1]', "list of names"),
        ('[accepts]\n"GET /a" = ["ACB!"]', "no system's name"),
        ('[accepts]\n"/a" = ["acb"]', "METHOD /path"),
        ('[accepts]\n"get /a" = ["acb"]', "METHOD /path"),
        ('[accept]\n"GET /a" = ["acb"]', "unknown table"),
        ("", "no .accepts. table"),
        ("accepts = 1", "no .accepts. table"),
        ("[accepts", "cannot be read"),
    ],
)
def test_a_bad_table_does_not_start(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(AuthorityError, match=says):
        Authority.read(write(tmp_path, text))


def test_an_absent_table_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(AuthorityError, match="cannot be read"):
        Authority.read(tmp_path / "authority.toml")
