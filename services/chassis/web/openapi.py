"""What an interface says of itself at ``GET /openapi.json``, so that a client can be written by it.

FastAPI describes paths and parameters. Bodies that a route reads as octets it cannot know: a route
says them by `body`, and how a caller proves who it is as `PROOF`. Who may call a route comes from
the authority table, and what every route may answer from `services.chassis.web.problems`.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from services.chassis.web.authority import ANYONE, Authority
from services.chassis.web.problems import MEDIA_TYPE

PATH: Final = "/openapi.json"
PROOF: Final = "x-proof"
"""In a route's `openapi_extra`: the security schemes, by name, by which a caller proves itself."""
PROBLEM: Final = {
    "type": "object",
    "description": "RFC 9457: what was refused or went wrong, who says so, and by which check.",
    "required": ["type", "title", "status", "detail", "instance", "party", "check"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "party": {"type": "string"},
        "check": {"type": ["string", "null"]},
        "expected": {"type": "string"},
        "found": {"type": "string"},
    },
}


def content(
    media_type: str, *, schema: dict[str, Any] | None = None, example: Any = None
) -> dict[str, Any]:
    """The content of a body or an answer in one media type; octets where no schema is given."""
    told: dict[str, Any] = {"schema": schema or {"type": "string", "format": "binary"}}
    if example is not None:
        told["example"] = example
    return {media_type: told}


def body(description: str, told: dict[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its body as octets."""
    return {"requestBody": {"required": True, "description": description, "content": told}}


def describe(app: FastAPI, authority: Authority, version: str) -> dict[str, Any]:
    """The whole description of an interface.

    Args:
        app: the interface's application.
        authority: who may call what there.
        version: of this project.
    """
    told = dict(app.openapi())
    told["info"] = {
        "title": app.title,
        "version": version,
        "description": (
            "A simulation: never connect it to anything real. A refusal is a problem document "
            "that names the party and the check."
        ),
    }
    components = {key: dict(value) for key, value in told.get("components", {}).items()}
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    components["securitySchemes"] = {
        name: scheme
        for operations in told.get("paths", {}).values()
        for operation in operations.values()
        for name, scheme in operation.get(PROOF, {}).items()
    }
    told["components"] = components
    told["paths"] = {
        path: {
            method: _operation(operation, authority.callers(f"{method.upper()} {path}"))
            for method, operation in operations.items()
        }
        for path, operations in told.get("paths", {}).items()
    }
    return told


def _operation(operation: dict[str, Any], callers: frozenset[str]) -> dict[str, Any]:
    problem = {
        "description": "It is refused, or cannot be done.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    answers = {
        status: answer
        for status, answer in operation.get("responses", {}).items()
        if status != "422"  # FastAPI's own form of it is not ours
    }
    proofs: list[dict[str, list[str]]] = (
        [] if ANYONE in callers else [{name: []} for name in operation.get(PROOF, {})]
    )
    return {
        **{key: value for key, value in operation.items() if key != PROOF},
        "security": proofs,
        "x-callers": sorted(callers),
        "responses": {**answers, "default": problem},
    }
