"""Putting a CoS Party together: both organisations start, and what does not fit stops the start."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cos_party.assembly import CosKeys, Organisation, assemble
from cos_party.peers.wire import LONGEST_BASE64
from cos_party.settings import LINK_BODY, CosPartySettings
from ecos_party.identity import ORGANISATION as ECOS_PARTY
from ecos_party.main import open_keys as open_ecos_keys
from keys.issuing.ceremony import load_plan, run_ceremony
from keys.stores.software import SoftwareKeyStore, read_secret
from services.chassis.app import Service, StartError
from services.chassis.settings import MAX_BODY, Listen
from tcos_party.identity import ORGANISATION as TCOS_PARTY
from tcos_party.main import open_keys as open_tcos_keys
from tests.unit.cos_party.estate import ECOS, SUPPLIER_B, TCOS
from tests.unit.cos_party.pki import NOW

ORGANISATIONS = {
    "ecos": (ECOS_PARTY, open_ecos_keys, ECOS),
    "tcos": (TCOS_PARTY, open_tcos_keys, TCOS),
}


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ceremony") / "data"
    run_ceremony(load_plan(None), folder, now=NOW)
    return folder


def settings_of(data: Path, prefix: str, store: Path, **changes: Any) -> CosPartySettings:
    organisation, _, eui = ORGANISATIONS[prefix]
    told: dict[str, Any] = {
        "party": organisation.party,
        "eui": eui,
        "data": data / organisation.party,
        "interface": Listen(port=0),
        "lab": Listen(port=0),
        "database": f"sqlite:///{store}",
        "peers": {
            "registration": "http://127.0.0.1:1",
            "smki_repository": "http://127.0.0.1:1",
        },
    }
    return CosPartySettings(**{**told, **changes})


def nobody(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody is there", request=request)


@pytest.fixture
async def service(data: Path, tmp_path: Path, prefix: str) -> AsyncIterator[Service]:
    organisation, open_keys, _ = ORGANISATIONS[prefix]
    settings = settings_of(data, prefix, tmp_path / "store.sqlite3")
    built = await assemble(
        organisation, settings, open_keys(settings), transport=httpx.MockTransport(nobody)
    )
    await built.start()
    yield built
    await built.stop()


def lab_of(service: Service) -> httpx.AsyncClient:
    token = (service.settings.data / "lab.token").read_text().strip()
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(service.lab),
        base_url="http://lab",
        headers={"authorization": f"Bearer {token}"},
    )


async def test_both_organisations_start_and_say_what_they_lack(service: Service) -> None:
    """Nobody answers them here: they run, and say that they cannot do their work and why."""
    async with lab_of(service) as lab:
        assert (await lab.get("/healthz")).is_success
        unready = await lab.get("/readyz")
        assert unready.status_code == 503
        (reason,) = unready.json()["reasons"]
        assert "registration data could not be refreshed since" in reason
        assert "revocation lists could not be refreshed since" in reason
        party = (await lab.get("/lab/party")).json()
    assert party["eui"] == service.settings.eui
    assert party["accepts"] == {
        "POST /link/cos-command": ["acb"],
        "POST /link/device-alert": ["acb"],
        "POST /link/device-response": ["acb"],
    }


async def test_whatever_the_brokers_interface_takes_is_not_too_long_here(
    service: Service, prefix: str
) -> None:
    """An edge's refusal is unsigned and settles nothing: the broker would ask for ever."""
    assert len(base64.b64encode(bytes(MAX_BODY))) < LONGEST_BASE64
    longest = {"version": 1, "transaction": "t" * 128, "service_request": "A" * LONGEST_BASE64}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(service.interface), base_url="http://party"
    ) as broker:
        taken = await broker.post("/link/cos-command", json=longest)
        assert taken.json()["check"] == "link.request.header_present"
        refused = await broker.post("/link/cos-command", content=bytes(LINK_BODY + 1))
        assert (refused.status_code, refused.json()["check"]) == (413, f"{prefix}.request.size")


async def test_its_checks_have_its_prefix_and_their_sections(service: Service, prefix: str) -> None:
    async with lab_of(service) as lab:
        checks = (await lab.get("/lab/checks")).json()["checks"]
    sections = {check["section"] for check in checks}
    assert sections == {"request", "response", "read_back", "link.request", "link.response", "edge"}
    own = [
        check["id"] for check in checks if check["section"] in ("request", "response", "read_back")
    ]
    assert len(own) == 43
    assert all(name.startswith(f"{prefix}.") for name in own)


async def test_the_lab_shows_counter_decisions_and_devices(service: Service) -> None:
    async with lab_of(service) as lab:
        assert (await lab.get("/lab/counters")).json() == {
            "party": service.settings.party,
            "originator": service.settings.eui,
            "last": 0,
        }
        assert (await lab.get("/lab/decisions")).json()["decisions"] == []
        assert (await lab.get(f"/lab/decisions?after={2**63}")).status_code == 422
        device = (await lab.get("/lab/devices/0253494dd0000001")).json()
        assert device["cells"] == {}
        assert (await lab.get("/lab/devices/nothing")).status_code == 422


async def test_thresholds_are_set_recorded_and_reset(service: Service) -> None:
    new = {"window_seconds": 60, "per_requester": 1, "total": 2}
    async with lab_of(service) as lab:
        first = (await lab.get("/lab/thresholds")).json()
        assert first == {"window_seconds": 86_400, "per_requester": 10_000, "total": 50_000}
        assert (await lab.put("/lab/thresholds", json=new)).json() == new
        assert (await lab.get("/lab/thresholds")).json() == new
        audit = (await lab.get("/lab/audit")).json()["rows"]
        assert ("lab.thresholds", new) in [(row["kind"], row["record"]) for row in audit]
        await lab.post("/lab/reset")
        assert (await lab.get("/lab/thresholds")).json() == first


@pytest.mark.parametrize(
    "body",
    [
        {"window_seconds": 0, "per_requester": 1, "total": 2},
        {"window_seconds": 60, "per_requester": -1, "total": 2},
        {"window_seconds": 60, "per_requester": True, "total": 2},
        {"window_seconds": 60, "per_requester": 1},
        {"window_seconds": 60, "per_requester": 1, "total": 2, "more": 3},
    ],
)
async def test_thresholds_that_make_no_sense_are_not_taken(
    service: Service, body: dict[str, Any]
) -> None:
    async with lab_of(service) as lab:
        before = (await lab.get("/lab/thresholds")).json()
        assert (await lab.put("/lab/thresholds", json=body)).status_code == 422
        assert (await lab.get("/lab/thresholds")).json() == before


async def test_a_sync_says_who_did_not_answer(service: Service) -> None:
    async with lab_of(service) as lab:
        said = (await lab.post("/lab/sync")).json()
    assert said["registration"].startswith("registration was not available")
    assert said["revocation"].startswith("the SMKI repository was not available")


@pytest.mark.parametrize("path", ["cos-command", "device-response", "device-alert"])
async def test_nothing_unsigned_gets_in(service: Service, path: str) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(service.interface), base_url="http://party"
    ) as stranger:
        answer = await stranger.post(f"/link/{path}", content=json.dumps({"version": 1}))
    assert answer.status_code == 401
    assert answer.json()["check"].startswith("link.request.")


async def test_nothing_of_the_lab_is_on_the_interface(service: Service) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(service.interface), base_url="http://party"
    ) as stranger:
        for path in ("/lab/checks", "/lab/decisions", "/lab/counters", "/docs"):
            assert (await stranger.get(path)).status_code == 404


async def refused_start(data: Path, tmp_path: Path, **changes: Any) -> str:
    keys = changes.pop("keys", None)
    organisation: Organisation = changes.pop("organisation", ECOS_PARTY)
    settings = settings_of(data, "ecos", tmp_path / "store.sqlite3", **changes)
    with pytest.raises(StartError) as stopped:
        await assemble(organisation, settings, keys or open_ecos_keys(settings))
    return str(stopped.value)


async def test_the_settings_of_the_other_party_stop_the_start(data: Path, tmp_path: Path) -> None:
    said = await refused_start(data, tmp_path, organisation=TCOS_PARTY)
    assert said == "these settings are for ecos_party"


async def test_the_key_of_the_other_party_stops_the_start(data: Path, tmp_path: Path) -> None:
    other = open_tcos_keys(settings_of(data, "tcos", tmp_path / "other.sqlite3"))
    said = await refused_start(data, tmp_path, keys=other)
    assert said == f"the signing certificate is of {TCOS}, not {ECOS}"


async def test_a_supplier_s_key_stops_the_start(data: Path, tmp_path: Path) -> None:
    own = open_ecos_keys(settings_of(data, "ecos", tmp_path / "x.sqlite3"))
    folder = data / "suppliers" / "B"
    supplier = SoftwareKeyStore.open(folder / "keys", read_secret(folder / "passphrase"))
    keys = CosKeys(supplier.signer("digital-signing"), own.link)
    said = await refused_start(data, tmp_path, keys=keys, eui=SUPPLIER_B)
    assert said == "the signing certificate is for OU 02, not a CoS Party's"


async def test_a_missing_peer_stops_the_start(data: Path, tmp_path: Path) -> None:
    said = await refused_start(data, tmp_path, peers={"registration": "http://127.0.0.1:1"})
    assert said == "the settings name no address for smki_repository"


async def test_a_route_without_a_line_stops_the_start(data: Path, tmp_path: Path) -> None:
    authority = tmp_path / "authority.toml"
    authority.write_text('[accepts]\n"POST /link/cos-command" = ["acb"]\n')
    organisation = Organisation("ecos_party", "ecos", authority)
    said = await refused_start(data, tmp_path, organisation=organisation)
    assert "device-response" in said


async def test_a_folder_without_keys_stops_the_start(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "ecos", tmp_path / "x.sqlite3")
    with pytest.raises(StartError):
        open_ecos_keys(settings)
