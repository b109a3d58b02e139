"""What may be published, from the folder and on the lab port; and what a weakened one publishes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from keys.certificate import Certificate
from keys.crl import read_crl
from keys.issuing import profiles
from keys.issuing.authorities import ORGANISATION_ISSUING, Authorities, years_from
from keys.issuing.authorities import revoke as revoke_in_folder
from keys.roles import OrganisationRole, Usage
from keys.simulated import ORGANISATION_POLICY
from services.chassis.app import StartError
from services.smki_repository.checks import CHECKS

if TYPE_CHECKING:
    from conftest import Bench, BuildBench

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
Issue = Callable[..., Certificate]
Revoke = Callable[..., bytes]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def folder_of(data: Path) -> Path:
    return data / "smki_repository" / "repository"


async def test_the_folder_is_published_at_the_start(bench: Bench) -> None:
    state = await bench.state()
    files = list((folder_of(bench.data) / "certificates").glob("*.pem"))
    assert state["certificates"] == len(files)
    assert {name: item["number"] for name, item in state["lists"].items()} == {
        "organisation": 1,
        "device": 1,
        "infrastructure": 1,
    }
    assert await bench.service.not_ready() == []
    kinds = {row["kind"] for row in await bench.service.base.audit.export()}
    assert kinds == {"smki.folder", "smki.list"}


async def test_a_certificate_is_published_once(bench: Bench, issue: Issue) -> None:
    before = await bench.state()
    certificate = issue(bench.data)
    for new in (True, False):
        answer = await bench.lab.post(
            "/lab/certificates", json={"certificate": b64(certificate.der)}
        )
        assert (answer.status_code, answer.json()["new"]) == (200, new)
    assert (await bench.state())["certificates"] == before["certificates"] + 1
    again = await bench.lab.post("/lab/certificates", json={"pem": certificate.to_pem().decode()})
    assert again.json()["fingerprint"] == certificate.fingerprint
    found = await bench.ask("smki-certificates", by="eui", eui="0253494d30000000")
    assert b64(certificate.der) in found.body["certificates"]
    search = await bench.lab.post(
        "/lab/certificates/search",
        json={"version": 1, "by": "eui", "eui": "0253494d30000000"},
    )
    assert certificate.fingerprint in {c["fingerprint"] for c in search.json()["certificates"]}


async def test_what_was_added_survives_a_restart(build_bench: BuildBench, issue: Issue) -> None:
    first = await build_bench()
    certificate = issue(first.data)
    await first.lab.post("/lab/certificates", json={"certificate": b64(certificate.der)})
    before = await first.state()
    second = await build_bench()
    assert await second.state() == before


async def test_a_later_list_is_published(bench: Bench, revoke: Revoke, issue: Issue) -> None:
    certificate = issue(bench.data)
    der = revoke(bench.data, "organisation", 2, certificate.serial)
    answer = await bench.lab.put("/lab/crl/organisation", json={"crl": b64(der)})
    assert answer.json()["serials"] == [str(certificate.serial)]
    lists = (await bench.ask("smki-revocation", known={"organisation": 1})).body["lists"]
    assert base64.b64decode(lists["organisation"]) == der
    pem = read_crl(revoke(bench.data, "device", 5)).to_pem().decode()
    assert (await bench.lab.put("/lab/crl/device", json={"pem": pem})).json()["number"] == 5


async def test_a_revocation_in_the_folder_is_published_by_reloading(
    bench: Bench, issue: Issue
) -> None:
    certificate = issue(bench.data)
    revoke_in_folder(bench.data, certificate, bench.clock.now())
    assert (await bench.state())["lists"]["organisation"]["number"] == 1
    answer = await bench.lab.post("/lab/repository/reload")
    assert answer.json()["lists"]["organisation"]["number"] == 2
    assert str(certificate.serial) in answer.json()["lists"]["organisation"]["serials"]


def real_looking() -> bytes:
    """A well-made authority certificate without the marks of simulated material."""
    private = ec.generate_private_key(ec.SECP256R1())

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return profiles.root_authority(
        "X1",
        OrganisationRole.ROOT,
        private.public_key(),
        sign,
        policy="1.3.6.1.4.1.99999.1",
        validity=years_from(NOW, 10),
        path_length=None,
    )


def twin_of_published(data: Path) -> bytes:
    """Another certificate with the serial number of a published one, by the same authority."""
    path = folder_of(data) / "certificates" / "B-digital-signing.pem"
    published = Certificate.from_pem(path.read_bytes())
    return profiles.organisation(
        Authorities.open(data).issuer(ORGANISATION_ISSUING),
        "0253494d20000000",
        OrganisationRole.SUPPLIER,
        Usage.DIGITAL_SIGNATURE,
        ec.generate_private_key(ec.SECP256R1()).public_key(),
        policy=ORGANISATION_POLICY,
        validity=years_from(NOW, 10),
        serial=published.serial,
    )


class Case:
    """An attempt to publish what may not be: the act, and which check refuses it."""

    def __init__(self, check: str, method: str, path: str, make: Callable[..., Any]) -> None:
        self.check = check
        self.method = method
        self.path = path
        self.make = make

    def __repr__(self) -> str:
        return self.check


def from_another_estate(issue: Issue, revoke: Revoke, data: Path, other: Path) -> dict[str, str]:
    del revoke, data
    return {"certificate": b64(issue(other).der)}


def not_simulated(issue: Issue, revoke: Revoke, data: Path, other: Path) -> dict[str, str]:
    """A well-made certificate of an authority whose name does not begin with SIM-."""
    del issue, revoke, data, other
    return {"certificate": b64(real_looking())}


def same_name(issue: Issue, revoke: Revoke, data: Path, other: Path) -> dict[str, str]:
    """Another certificate under a published issuer and serial number, by the same authority."""
    del issue, revoke, other
    return {"certificate": b64(twin_of_published(data))}


def other_hierarchy(issue: Issue, revoke: Revoke, data: Path, other: Path) -> dict[str, str]:
    del issue, other
    return {"crl": b64(revoke(data, "device", 9))}


def other_signature(issue: Issue, revoke: Revoke, data: Path, other: Path) -> dict[str, str]:
    """A list that names the true authority and its key, with a damaged signature."""
    del issue, other
    der = bytearray(revoke(data, "organisation", 9))
    der[-1] ^= 1
    return {"crl": b64(bytes(der))}


def not_later(issue: Issue, revoke: Revoke, data: Path, other: Path) -> dict[str, str]:
    del issue, other
    return {"crl": b64(revoke(data, "organisation", 1))}


CASES = [
    Case("smki.publish.simulated", "POST", "/lab/certificates", not_simulated),
    Case("smki.publish.path", "POST", "/lab/certificates", from_another_estate),
    Case("smki.publish.unique", "POST", "/lab/certificates", same_name),
    Case("smki.publish.list_issuer", "PUT", "/lab/crl/organisation", other_hierarchy),
    Case("smki.publish.list_signature", "PUT", "/lab/crl/organisation", other_signature),
    Case("smki.publish.list_number", "PUT", "/lab/crl/organisation", not_later),
]
ALSO_OFF = {
    # what is not simulated has no path here either; who is not the issuer cannot have signed
    "smki.publish.simulated": ["smki.publish.path"],
    "smki.publish.list_issuer": ["smki.publish.list_signature"],
}


@pytest.mark.parametrize("case", CASES, ids=repr)
async def test_what_may_not_be_published_is_refused(
    bench: Bench, other_ceremony: Path, issue: Issue, revoke: Revoke, case: Case
) -> None:
    before = await bench.state()
    body = case.make(issue, revoke, bench.data, other_ceremony)
    answer = await bench.lab.request(case.method, case.path, json=body)
    assert (answer.status_code, answer.json()["check"]) == (409, case.check)
    assert answer.json()["party"] == "smki_repository"
    assert await bench.state() == before


@pytest.mark.parametrize("case", CASES, ids=repr)
async def test_the_twin_with_that_check_off_is_published(
    bench: Bench, other_ceremony: Path, issue: Issue, revoke: Revoke, case: Case
) -> None:
    body = case.make(issue, revoke, bench.data, other_ceremony)
    for also in ALSO_OFF.get(case.check, []):
        await bench.lab.put(f"/lab/checks/{also}", json={"enabled": False})
    still = await bench.lab.request(case.method, case.path, json=body)
    assert still.json()["check"] == case.check
    await bench.lab.put(f"/lab/checks/{case.check}", json={"enabled": False})
    answer = await bench.lab.request(case.method, case.path, json=body)
    assert answer.status_code == 200
    assert case.check in answer.headers["lab-weakened"]


def test_every_publishing_check_has_a_case() -> None:
    wanted = {check.id for check in CHECKS if check.section.startswith("publish.")}
    assert wanted == {case.check for case in CASES}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/lab/certificates", {}),
        ("POST", "/lab/certificates", {"certificate": "!!"}),
        ("POST", "/lab/certificates", {"certificate": "AAAA"}),
        ("POST", "/lab/certificates", {"pem": "nonsense"}),
        ("POST", "/lab/certificates", {"pem": "x", "certificate": "AAAA"}),
        ("PUT", "/lab/crl/organisation", {"crl": "AAAA"}),
        ("PUT", "/lab/crl/organisation", {"pem": "nonsense"}),
        ("PUT", "/lab/crl/gas", {"crl": "AAAA"}),
    ],
)
async def test_what_cannot_be_read(
    bench: Bench, method: str, path: str, body: dict[str, str]
) -> None:
    before = await bench.state()
    answer = await bench.lab.request(method, path, json=body)
    assert (answer.status_code, answer.json()["check"]) == (422, "smki.request.shape")
    assert await bench.state() == before


async def test_a_foreign_certificate_in_the_folder_stops_the_start(
    build_bench: BuildBench, data: Path, other_ceremony: Path, issue: Issue
) -> None:
    path = folder_of(data) / "certificates" / "stray.pem"
    path.write_bytes(issue(other_ceremony).to_pem())
    with pytest.raises(StartError, match=r"stray\.pem.*smki\.publish\.path"):
        await build_bench()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("repository/certificates/acb-digital-signing.pem", "acb-digital-signing"),
        ("repository/crl/device.crl", "device.crl"),
        ("trust/organisation-root.pem", "organisation-root"),
    ],
)
async def test_a_damaged_file_stops_the_start(
    build_bench: BuildBench, data: Path, path: str, says: str
) -> None:
    (data / "smki_repository" / path).write_text("nonsense")
    with pytest.raises(StartError, match=says):
        await build_bench()


async def test_an_incomplete_folder_is_not_ready(build_bench: BuildBench, data: Path) -> None:
    (folder_of(data) / "crl" / "device.crl").unlink()
    bench = await build_bench()
    assert await bench.service.not_ready() == ["no device revocation list is published"]
