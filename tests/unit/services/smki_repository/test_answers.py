"""What the repository answers over the signed link, and to whom."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from keys.certificate import Certificate
from keys.crl import read_crl
from services.chassis.web import http
from services.link.errors import EnvelopeRefused, PeerRefused

if TYPE_CHECKING:
    from conftest import Bench

SUPPLIER_B = "0253494d20000000"


def published(data: Path, name: str) -> Certificate:
    folder = data / "smki_repository" / "repository" / "certificates"
    return Certificate.from_pem((folder / f"{name}.pem").read_bytes())


def read(answer: Any) -> list[Certificate]:
    return [Certificate.from_der(base64.b64decode(item)) for item in answer.body["certificates"]]


async def test_certificates_of_an_entity(bench: Bench) -> None:
    found = read(await bench.ask("smki-certificates", by="eui", eui=SUPPLIER_B))
    wanted = {
        published(bench.data, f"B-{name}").fingerprint
        for name in (
            "digital-signing",
            "key-agreement",
            "prepayment-key-agreement",
            "xml-signing",
        )
    }
    assert {certificate.fingerprint for certificate in found} == wanted


async def test_a_certificate_by_issuer_and_serial(bench: Bench) -> None:
    wanted = published(bench.data, "B-xml-signing")
    found = read(
        await bench.ask(
            "smki-certificates",
            by="issuer_serial",
            issuer=wanted.issuer,
            serial=str(wanted.serial),
        )
    )
    assert [certificate.der for certificate in found] == [wanted.der]


async def test_certificates_by_key_identifier(bench: Bench) -> None:
    wanted = published(bench.data, "organisation-issuing")
    found = read(
        await bench.ask(
            "smki-certificates",
            by="key_identifier",
            key_identifier=wanted.key_identifier.hex(),
        )
    )
    assert [certificate.der for certificate in found] == [wanted.der]


async def test_what_is_not_published_is_an_empty_list(bench: Bench) -> None:
    assert (await bench.ask("smki-certificates", by="eui", eui="f" * 16)).body == {
        "version": 1,
        "certificates": [],
    }


@pytest.mark.parametrize(
    "question",
    [
        {"by": "eui"},
        {"by": "eui", "issuer": "CN=x", "serial": "1"},
        {"by": "eui", "eui": SUPPLIER_B, "serial": "1"},
        {"by": "issuer_serial", "issuer": "CN=x"},
        {"by": "key_identifier", "eui": SUPPLIER_B},
    ],
)
async def test_a_muddled_question_is_refused(bench: Bench, question: dict[str, str]) -> None:
    with pytest.raises(PeerRefused) as caught:
        await bench.ask("smki-certificates", **question)
    assert caught.value.check == "smki.certificates.query"


async def test_the_twin_with_that_check_off_is_answered(bench: Bench) -> None:
    await bench.lab.put("/lab/checks/smki.certificates.query", json={"enabled": False})
    found = read(await bench.ask("smki-certificates", by="eui", eui=SUPPLIER_B, serial="1"))
    assert len(found) == 4


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"by": "name"},
        {"by": "eui", "eui": SUPPLIER_B.upper()},
        {"by": "eui", "eui": SUPPLIER_B, "more": "1"},
        {"by": "issuer_serial", "issuer": "CN=x", "serial": "0x1"},
        {"by": "issuer_serial", "issuer": "CN=x", "serial": 1},
        {"by": "issuer_serial", "issuer": "CN=x", "serial": "01"},
    ],
)
async def test_a_question_that_does_not_fit(bench: Bench, question: dict[str, Any]) -> None:
    with pytest.raises(PeerRefused) as caught:
        await bench.ask("smki-certificates", **question)
    assert caught.value.check == "link.request.body"


async def test_all_lists_are_given_to_who_has_none(bench: Bench) -> None:
    lists = (await bench.ask("smki-revocation", known={})).body["lists"]
    assert {name: read_crl(base64.b64decode(item)).number for name, item in lists.items()} == {
        "organisation": 1,
        "device": 1,
        "infrastructure": 1,
    }


async def test_only_later_lists_are_given_to_who_has_some(bench: Bench) -> None:
    known = {"organisation": 1, "device": None, "infrastructure": 0}
    lists = (await bench.ask("smki-revocation", known=known)).body["lists"]
    assert {name: item is None for name, item in lists.items()} == {
        "organisation": True,
        "device": False,
        "infrastructure": False,
    }


@pytest.mark.parametrize(
    ("known", "check"),
    [
        ({"gas": 1}, "smki.revocation.names"),
        ({"organisation": 2}, "smki.revocation.numbers"),
    ],
)
async def test_a_revocation_question_is_refused_and_its_twin_answered(
    bench: Bench, known: dict[str, int], check: str
) -> None:
    with pytest.raises(PeerRefused) as caught:
        await bench.ask("smki-revocation", known=known)
    assert caught.value.check == check
    await bench.lab.put(f"/lab/checks/{check}", json={"enabled": False})
    if check.endswith("names"):
        await bench.lab.put("/lab/checks/smki.revocation.numbers", json={"enabled": False})
    lists = (await bench.ask("smki-revocation", known=known)).body["lists"]
    assert lists["organisation"] is not None


async def test_who_has_no_business_here_is_refused(bench: Bench) -> None:
    for purpose in ("smki-certificates", "smki-revocation"):
        with pytest.raises(EnvelopeRefused) as caught:
            await bench.ask(purpose, system="registration", known={})
        assert caught.value.check == "link.request.peer"


@pytest.mark.parametrize("system", ["acb", "ecos_party", "tcos_party"])
async def test_who_has_is_answered(bench: Bench, system: str) -> None:
    assert (await bench.ask("smki-revocation", system=system, known={})).status == 200


async def test_without_a_signature_nothing_is_told(bench: Bench) -> None:
    plain = http.client(transport=httpx.ASGITransport(bench.service.interface))
    answer = await plain.post(
        "http://repository/link/smki-certificates",
        json={"version": 1, "by": "eui", "eui": SUPPLIER_B},
    )
    assert answer.status_code >= 400
    assert answer.json()["check"].startswith("link.request.")
    assert "certificates" not in answer.json()
