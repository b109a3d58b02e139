"""The repository's own lab routes: see what is published, and publish more."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from fastapi import APIRouter

from keys.certificate import Certificate
from keys.crl import read_crl, read_crl_pem
from keys.errors import KeysError
from services.chassis.web.problems import Problem
from services.smki_repository.folder import FolderError
from services.smki_repository.model import CertificatesQuestion, ListName, NewCertificate, NewList
from services.smki_repository.workflow import Repository


def lab_routes(party: str, repository: Repository) -> APIRouter:
    """The routes of the lab port that only the repository has."""
    router = APIRouter(tags=["repository"])

    @router.get("/lab/repository")
    async def state() -> dict[str, Any]:
        """How many certificates and which lists are published."""
        return {"party": party, **await repository.state()}

    @router.post("/lab/repository/reload")
    async def reload() -> dict[str, Any]:
        """Publish what the repository folder holds now and is not published yet."""
        try:
            await repository.reload()
        except FolderError as error:
            raise Problem(409, "The folder cannot be read", str(error), party=party) from None
        return {"party": party, **await repository.state()}

    @router.post("/lab/certificates/search")
    async def search(question: CertificatesQuestion) -> dict[str, Any]:
        """Published certificates, as the interface would find them, with what they say."""
        return {"certificates": await repository.shown(question)}

    @router.post("/lab/certificates")
    async def publish(new: NewCertificate) -> dict[str, Any]:
        """Publish a certificate."""
        try:
            if new.pem is not None and new.certificate is None:
                certificate = Certificate.from_pem(new.pem)
            else:
                certificate = Certificate.from_der(_octets(new.certificate, new.pem, party))
        except KeysError as error:
            raise _unreadable(f"no certificate: {error}", party) from None
        return await repository.publish_certificate(certificate)

    @router.put("/lab/crl/{name}")
    async def publish_list(name: ListName, new: NewList) -> dict[str, Any]:
        """Publish a revocation list in place of the one of that name."""
        try:
            if new.pem is not None and new.crl is None:
                item = read_crl_pem(new.pem.encode())
            else:
                item = read_crl(_octets(new.crl, new.pem, party))
        except KeysError as error:
            raise _unreadable(f"no revocation list: {error}", party) from None
        return await repository.publish_list(name, item)

    return router


def _octets(text: str | None, other: str | None, party: str) -> bytes:
    if text is None or other is not None:
        raise _unreadable("give the octets either in base64 or as PEM", party)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _unreadable("not base64", party) from None


def _unreadable(detail: str, party: str) -> Problem:
    return Problem(422, "The body cannot be read", detail, party=party, check="smki.request.shape")
