"""The repository's interface: two questions over the signed link."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from services.link.openapi import link_body
from services.link.opened import Opened
from services.link.server import LinkServer
from services.smki_repository.model import CertificatesQuestion, RevocationQuestion
from services.smki_repository.workflow import Repository


def link_routes(link: LinkServer, repository: Repository) -> APIRouter:
    """The routes of the interface."""
    router = APIRouter(tags=["link"])

    @router.post(
        "/link/smki-certificates",
        openapi_extra=link_body(
            CertificatesQuestion, {"version": 1, "by": "eui", "eui": "0253494d20000000"}
        ),
    )
    @link.route("smki-certificates")
    async def smki_certificates(opened: Opened) -> dict[str, Any]:
        """Certificates by entity identifier, by issuer and serial number, or by key identifier."""
        return await repository.certificates(opened)

    @router.post(
        "/link/smki-revocation",
        openapi_extra=link_body(RevocationQuestion, {"version": 1, "known": {"organisation": 3}}),
    )
    @link.route("smki-revocation")
    async def smki_revocation(opened: Opened) -> dict[str, Any]:
        """The revocation lists that are later than those the caller holds."""
        return await repository.revocation(opened)

    return router
