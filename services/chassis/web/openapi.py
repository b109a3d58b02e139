"""What an interface says of itself at ``GET /openapi.json``, so that a client can be written by it.

FastAPI describes paths and parameters. Bodies that a route reads as octets (signed XML, GBCS, the
signed link's) it cannot know: a route says them by `body`. Who may call a route comes from
the authority table, and what every route may answer from `services.chassis.web.problems`.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from services.chassis.web.authority import ANYONE, Authority
from services.chassis.web.problems import MEDIA_TYPE

PATH: Final = "/openapi.json"
SIGNED_LINK: Final = "signedLink"
SCHEMES: Final = {
    SIGNED_LINK: {
        "type": "apiKey",
        "in": "header",
        "name": "Signature",
        "description": (
            "An HTTP message signature (RFC 9421, ecdsa-p256-sha256) by the calling system's link "
            "key over @method, @path, content-type, content-digest, cos-purpose and "
            "cos-message-id, named in Signature-Input; see services/link/README.md."
        ),
    }
}
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


def link_body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of a route of the signed link whose body is that model in JSON."""
    described = content("application/json", schema=model.model_json_schema(), example=example)
    says = (model.__doc__ or "").partition("\n\n")[0]
    return body(" ".join(says.split()), described)


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
    components["securitySchemes"] = SCHEMES
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
    by_anyone = ANYONE in callers
    problem = {
        "description": "It is refused, or cannot be done.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    answers = {
        status: answer
        for status, answer in operation.get("responses", {}).items()
        if status != "422"  # FastAPI's own form of it is not ours
    }
    return {
        **operation,
        "security": [] if by_anyone else [{SIGNED_LINK: []}],
        "x-callers": sorted(callers),
        "responses": {**answers, "default": problem},
    }
