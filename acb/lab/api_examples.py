"""What `GET /openapi.json` of the broker shows: documents shortened where certificates would be."""

from __future__ import annotations

from typing import Any, Final

JSON: Final = "application/json"

_ID: Final = "02-53-49-4D-20-00-00-00:02-53-49-4D-D0-00-00-01:1796060966362"
_OPEN: Final = (
    '<sr:{kind} xmlns:sr="http://www.dccinterface.co.uk/ServiceUserGateway" schemaVersion="5.4">'
)
_SIGNATURE: Final = '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#">...</ds:Signature>'

REQUEST: Final = (
    _OPEN.format(kind="Request")
    + f"<sr:Header><sr:RequestID>{_ID}</sr:RequestID><sr:CommandVariant>1</sr:CommandVariant>"
    "<sr:ServiceReference>6.23</sr:ServiceReference>"
    "<sr:ServiceReferenceVariant>6.23</sr:ServiceReferenceVariant></sr:Header>"
    "<sr:Body><sr:UpdateSecurityCredentialsCoS>...</sr:UpdateSecurityCredentialsCoS></sr:Body>"
    + _SIGNATURE
    + "</sr:Request>"
)
RESPONSE: Final = (
    _OPEN.format(kind="Response")
    + f"<sr:Header><sr:RequestID>{_ID}</sr:RequestID><sr:ResponseCode>I99</sr:ResponseCode>"
    "<sr:ResponseDateTime>2030-01-02T03:04:05.00Z</sr:ResponseDateTime></sr:Header>"
    "<sr:Body>...</sr:Body>" + _SIGNATURE + "</sr:Response>"
)
REFUSED_BY: Final = {
    "Cos-Party": "Who refused it or holds it back; only then.",
    "Cos-Check": "By which check; only then.",
}
STATUS: Final[dict[str, Any]] = {
    "schema": {
        "type": "object",
        "required": ["request_id", "state", "response_code", "acknowledgement", "response"],
        "properties": {
            "request_id": {"type": "string"},
            "state": {"type": "string"},
            "response_code": {"type": ["string", "null"]},
            "acknowledgement": {"type": ["string", "null"], "contentEncoding": "base64"},
            "response": {"type": ["string", "null"], "contentEncoding": "base64"},
            "refused": {
                "type": ["object", "null"],
                "properties": {name: {"type": "string"} for name in ("party", "check", "detail")},
            },
        },
    },
    "example": {
        "request_id": _ID,
        "state": "refused",
        "response_code": "E4",
        "acknowledgement": "PHNyOlJlc3BvbnNlIC4uLg==",
        "response": "PHNyOlJlc3BvbnNlIC4uLg==",
        "refused": {
            "party": "tcos_party",
            "check": "tcos.registration.incoming_supplier",
            "detail": "the requester is not the registered supplier of 1200000000001",
        },
    },
}
