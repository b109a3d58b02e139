"""What an interface says at ``GET /openapi.json`` of its routes of the signed link."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from services.chassis.web.openapi import PROOF, body, content

SCHEMES: Final = {
    "signedLink": {
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


def link_body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of a route of the signed link whose body is that model in JSON."""
    described = content("application/json", schema=model.model_json_schema(), example=example)
    says = (model.__doc__ or "").partition("\n\n")[0]
    return {**body(" ".join(says.split()), described), PROOF: SCHEMES}
