"""The ceremony: exactly the folder that the systems expect, from a plan read strictly."""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from keys.certificate import Certificate
from keys.crl import read_crl_pem
from keys.errors import CeremonyError
from keys.issuing.ceremony import load_plan, run_ceremony
from keys.issuing.plan import CeremonyPlan
from keys.path import validate_path
from keys.profile_rules import broken_rules, profile_of
from keys.roles import Usage
from keys.stores.software import SoftwareKeyStore, read_secret
from keys.verify import verify_folder
from tests.unit.keys.workshop import NOW

PARTIES = {
    "acb": {"digital-signing": "04", "key-agreement": "04", "xml-signing": "89", "link": None},
    "tcos_party": {"digital-signing": "05", "link": None},
    "ecos_party": {"digital-signing": "05", "link": None},
    "registration": {"link": None},
    "smki_repository": {"link": None},
    "meter_sim": {},
}
SUPPLIER_KEYS = {
    "digital-signing": "02",
    "key-agreement": "02",
    "prepayment-key-agreement": "02",
    "xml-signing": "87",
}
AUTHORITIES = {
    "organisation-root": "CN=SIM-ZA,OU=00",
    "organisation-issuing": "CN=SIM-Z1,OU=07",
    "device-root": "CN=SIM-E0",
    "device-issuing": "CN=SIM-E1",
    "infrastructure-root": "CN=SIM-I1",
}
ESME_CELLS = {
    "root/keyCertSign/management": (None, "00"),
    "recovery/digitalSignature/management": ("0253494d00000001", "01"),
    "supplier/digitalSignature/management": ("0253494d10000000", "02"),
    "supplier/keyAgreement/management": ("0253494d10000000", "02"),
    "supplier/keyAgreement/prePaymentTopUp": ("0253494d10000000", "02"),
    "networkOperator/digitalSignature/management": ("0253494d40000000", "03"),
    "networkOperator/keyAgreement/management": ("0253494d40000000", "03"),
    "accessControlBroker/keyAgreement/management": ("0253494d00000002", "04"),
}


def open_keys(folder: Path) -> SoftwareKeyStore:
    return SoftwareKeyStore.open(folder / "keys", read_secret(folder / "passphrase"))


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def pem(path: Path) -> Certificate:
    return Certificate.from_pem(path.read_bytes())


def all_certificates(data: Path) -> Iterator[Certificate]:
    for path in data.rglob("*.pem"):
        yield pem(path)


@pytest.mark.parametrize("system", PARTIES)
def test_each_system_has_its_keys_and_no_others(system: str, ceremony: Path):
    store = open_keys(ceremony / system)
    held = {name for name in store.names() if name != "device-seed"}
    assert held == set(PARTIES[system])
    for name in held:
        assert store.certificate(name).role == PARTIES[system][name]
    assert ("device-seed" in store.names()) == (system == "meter_sim")
    assert read_secret(ceremony / system / "lab.token") != read_secret(
        ceremony / system / "passphrase"
    )


@pytest.mark.parametrize(
    ("name", "eui"),
    [("A", "0253494d10000000"), ("B", "0253494d20000000"), ("C", "0253494d30000000")],
)
def test_each_supplier_has_its_four_keys(name: str, eui: str, ceremony: Path):
    folder = ceremony / "suppliers" / name
    store = open_keys(folder)
    assert {k: store.certificate(k).role for k in store.names()} == SUPPLIER_KEYS
    assert {store.certificate(k).subject_eui for k in store.names()} == {eui}
    assert read(folder / "supplier.json") == {
        "name": name,
        "participant": f"SUP{name}",
        "eui": eui,
    }
    assert store.certificate("xml-signing").usage is Usage.DIGITAL_SIGNATURE
    assert store.certificate("prepayment-key-agreement").usage is Usage.KEY_AGREEMENT


def test_the_authorities_are_named_as_simulated(ceremony: Path):
    store = open_keys(ceremony / "smki")
    assert {name: store.certificate(name).subject for name in store.names()} == AUTHORITIES


def test_every_system_trusts_the_same_authorities_and_links(ceremony: Path):
    linked = {name for name, keys in PARTIES.items() if "link" in keys}
    for system in PARTIES:
        trust = ceremony / system / "trust"
        assert {path.stem for path in trust.glob("*.pem")} == set(AUTHORITIES)
        for name in AUTHORITIES:
            assert pem(trust / f"{name}.pem") == pem(ceremony / "smki" / "keys" / f"{name}.pem")
        assert {path.stem for path in (trust / "link").glob("*.pem")} == linked
        for other in linked:
            assert pem(trust / "link" / f"{other}.pem") == pem(
                ceremony / other / "keys" / "link.pem"
            )


def test_every_certificate_is_marked_obeys_its_profile_and_began_yesterday(ceremony: Path):
    certificates = list(all_certificates(ceremony))
    assert len(certificates) > 60
    for certificate in certificates:
        assert certificate.simulated
        assert broken_rules(certificate, profile_of(certificate)) == ()
        assert certificate.not_before == NOW - timedelta(days=1)


def test_validity_is_ten_years_for_organisations_and_endless_for_devices(ceremony: Path):
    published = ceremony / "smki_repository" / "repository" / "certificates"
    supplier = pem(published / "A-digital-signing.pem")
    assert supplier.not_after - supplier.not_before == timedelta(days=3650)
    assert pem(published / "device-0253494dd0000001-digital-signing.pem").not_after.year == 9999
    link = pem(ceremony / "acb" / "keys" / "link.pem")
    assert link.not_after - link.not_before == timedelta(days=3650)


def test_the_repository_publishes_everything_but_link_certificates(ceremony: Path):
    repository = ceremony / "smki_repository" / "repository"
    published = {pem(path).fingerprint for path in (repository / "certificates").iterdir()}
    links = {
        pem(ceremony / s / "keys" / "link.pem").fingerprint for s in PARTIES if s != "meter_sim"
    }
    made = {c.fingerprint for c in all_certificates(ceremony)}
    assert published == made - links
    numbers = {}
    for path in (repository / "crl").iterdir():
        crl = read_crl_pem(path.read_bytes())
        numbers[path.name] = (crl.issuer, crl.number, crl.serials)
        assert crl.this_update == NOW
    assert numbers == {
        "organisation.crl": ("CN=SIM-Z1,OU=07", 1, frozenset()),
        "device.crl": ("CN=SIM-E1", 1, frozenset()),
        "infrastructure.crl": ("CN=SIM-I1", 1, frozenset()),
    }


@pytest.mark.parametrize(
    ("number", "cos_party", "cos_eui"),
    [(1, "tcos_party", "0253494d00000004"), (2, "ecos_party", "0253494d00000005")],
)
def test_the_two_meters_hold_the_full_set_of_cells(
    number: int, cos_party: str, cos_eui: str, ceremony: Path
):
    device = read(ceremony / "devices.json")[number - 1]
    assert {key: device[key] for key in ("eui", "device_type", "supplier", "cos_party")} == {
        "eui": f"0253494dd000000{number}",
        "device_type": "ESME",
        "supplier": "A",
        "cos_party": cos_party,
    }
    assert len(device["mpxn"]) == 13
    expected = ESME_CELLS | {"transitionalCoS/digitalSignature/management": (cos_eui, "05")}
    cells = {n: Certificate.from_der(base64.b64decode(t)) for n, t in device["cells"].items()}
    assert {n: (c.subject_eui, c.role) for n, c in cells.items()} == expected
    for name, certificate in cells.items():
        assert certificate.usage == name.split("/")[1]
    assert (
        cells["supplier/keyAgreement/management"] != cells["supplier/keyAgreement/prePaymentTopUp"]
    )


def test_the_meters_keys_come_from_the_seed_and_chain_to_the_device_root(ceremony: Path):
    keys = open_keys(ceremony / "meter_sim").device_keys()
    trust = ceremony / "acb" / "trust"
    crl = read_crl_pem((ceremony / "smki_repository/repository/crl/device.crl").read_bytes()).der
    for device in read(ceremony / "devices.json"):
        for name, text in device["certificates"].items():
            certificate = Certificate.from_der(base64.b64decode(text))
            usage = certificate.usage
            assert usage is not None
            assert certificate.public_key == keys.public_key(device["eui"], usage)
            assert name == ("digital-signing", "key-agreement")[usage is Usage.KEY_AGREEMENT]
            between, anchor = pem(trust / "device-issuing.pem"), pem(trust / "device-root.pem")
            assert validate_path(certificate, [between], anchor, at=NOW, crls=[crl])


def test_supplier_a_is_registered_until_now_and_b_from_now(ceremony: Path):
    estate = read(ceremony / "estate.json")
    assert estate["acb_eui"] == estate["parties"]["acb"] == "0253494d00000002"
    assert [s["participant"] for s in estate["suppliers"]] == ["SUPA", "SUPB", "SUPC"]
    assert len(estate["meter_points"]) == 2
    for point, device in zip(estate["meter_points"], read(ceremony / "devices.json"), strict=True):
        assert (point["mpxn"], point["devices"]) == (device["mpxn"], [device["eui"]])
        assert point["registrations"] == [
            {
                "participant": "SUPA",
                "effective_from": "2020-01-01T00:00:00+00:00",
                "effective_to": NOW.isoformat(),
            },
            {"participant": "SUPB", "effective_from": NOW.isoformat(), "effective_to": None},
        ]


def test_no_two_stores_share_a_key_or_a_secret(ceremony: Path):
    keys = [path.read_bytes() for path in ceremony.rglob("*.key")]
    secrets = [p.read_bytes() for n in ("passphrase", "lab.token") for p in ceremony.rglob(n)]
    assert len(set(keys)) == len(keys)
    assert len(set(secrets)) == len(secrets)
    owned = [pem(path).key_identifier for path in ceremony.rglob("keys/*.pem")]
    assert len(set(owned)) == len(owned)


def test_two_ceremonies_share_nothing(ceremony: Path, tmp_path: Path):
    run_ceremony(load_plan(), tmp_path / "again", now=NOW)
    ours = {c.key_identifier for c in all_certificates(ceremony)}
    theirs = {c.key_identifier for c in all_certificates(tmp_path / "again")}
    assert not ours & theirs


def test_a_folder_that_holds_anything_is_never_touched(data: Path, tmp_path: Path):
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    with pytest.raises(CeremonyError, match="nothing is overwritten"):
        run_ceremony(load_plan(), data, now=NOW)
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
    (tmp_path / "mounted" / "acb").mkdir(parents=True)  # an empty volume of one system is fine
    run_ceremony(load_plan(), tmp_path / "mounted", now=NOW)
    assert verify_folder(tmp_path / "mounted", now=NOW) == []


def test_a_fraction_of_a_second_does_not_matter(tmp_path: Path):
    now = NOW + timedelta(microseconds=123456)
    run_ceremony(load_plan(), tmp_path / "data", now=now)
    assert verify_folder(tmp_path / "data", now=now) == []


def test_more_devices_are_shared_between_the_cos_parties(tmp_path: Path):
    plan = load_plan().with_devices(7)
    run_ceremony(plan, tmp_path / "data", now=NOW)
    devices = read(tmp_path / "data" / "devices.json")
    assert [d["eui"] for d in devices] == [f"0253494dd000000{n}" for n in range(1, 8)]
    assert len({d["mpxn"] for d in devices}) == 7
    assert [d["cos_party"] for d in devices] == ["tcos_party"] * 4 + ["ecos_party"] * 3
    assert verify_folder(tmp_path / "data", now=NOW) == []


@pytest.mark.parametrize("count", [0, 1, -3])
def test_fewer_devices_than_runs_make_no_plan(count: int):
    with pytest.raises(CeremonyError, match="cannot be shared"):
        load_plan().with_devices(count)


def test_devices_may_have_the_load_controllers_cells(tmp_path: Path):
    run_ceremony(changed(tmp_path, devices={"load_controller": True}), tmp_path / "d", now=NOW)
    cells = read(tmp_path / "d" / "devices.json")[0]["cells"]
    assert len(cells) == 11
    for usage in ("digitalSignature", "keyAgreement"):
        der = base64.b64decode(cells[f"loadController/{usage}/management"])
        assert Certificate.from_der(der).role == "08"


def shipped() -> dict[str, Any]:
    return tomllib.loads(resources.files("keys").joinpath("ceremony.toml").read_text())


def changed(tmp_path: Path, **changes: Any) -> CeremonyPlan:
    """The shipped plan with tables changed; in a list of tables, in its first."""
    tables = shipped()
    for name, change in changes.items():
        if isinstance(change, dict):
            table = tables[name][0] if isinstance(tables[name], list) else tables[name]
            table.update(change)
        else:
            tables[name] = change
    path = tmp_path / "plan.toml"
    path.write_text(tomli_w.dumps(tables))
    return load_plan(path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"surprise": 1}, "surprise: Extra inputs"),
        ({"link_years": "1"}, "link_years: Input should be a valid integer"),
        ({"organisation_root": {"name": "ZA"}}, "organisation_root.name"),
        ({"organisation_root": {"role": "55"}}, "organisation_root.role"),
        ({"parties": {"eui": "90b3d51f30000002"}}, "parties.0.eui"),
        ({"parties": {"eui": "0253494d00000004"}}, "entity identifier 0253494d00000004"),
        ({"parties": {"system": "tcos_party"}}, "system tcos_party is in the plan 2 times"),
        ({"parties": {"system": "../acb"}}, "parties.0.system"),
        ({"organisations": {"name": "B"}}, "organisation B is in the plan 2 times"),
        ({"organisations": {"participant": "SUPB"}}, "participant SUPB"),
        ({"organisations": {"name": "../../x"}}, "organisations.0.name"),
        ({"devices": {"count": 2}}, "entity identifier 0253494dd0000002"),
        ({"devices": {"count": 0}}, "devices.0.count"),
        ({"devices": {"supplier": "Z"}}, "supplier 'Z'"),
        ({"devices": {"cos_party": "registration"}}, "'registration' is not in the plan"),
        ({"devices": {"device_type": "KETTLE"}}, "devices.0.device_type"),
        ({"devices": {"first_eui": "0253494dffffffff", "count": 2}}, "leaves the simulated"),
        ({"devices": {"first_mpxn": "1200000000002"}}, "MPxN 1200000000002"),
        ({"registrations": {"incoming": "network-operator"}}, "no supplier of the plan"),
        ({"registrations": {"since": "2020-01-01T00:00:00"}}, "registrations.since"),
        ({"parties": []}, "is not in the plan"),
    ],
)
def test_a_plan_that_does_not_fit_together_is_refused_before_anything_is_made(
    changes: dict[str, Any], reason: str, tmp_path: Path
):
    with pytest.raises(CeremonyError) as refused:
        changed(tmp_path, **changes)
    assert reason in str(refused.value)


def test_a_plan_without_the_seed_or_with_two_is_refused(tmp_path: Path):
    parties = shipped()["parties"]
    without = [p for p in parties if p["system"] != "meter_sim"]
    twice = [*parties, {"system": "other_sim", "device_seed": True}]
    for wrong in (without, twice):
        with pytest.raises(CeremonyError, match="one system holds the seed"):
            changed(tmp_path, parties=wrong)


def test_keys_need_an_entity_identifier(tmp_path: Path):
    parties = shipped()["parties"]
    del parties[0]["eui"]
    with pytest.raises(CeremonyError, match="acb has keys but no entity identifier"):
        changed(tmp_path, parties=parties)


def test_a_cell_that_nobody_can_fill_stops_the_ceremony(tmp_path: Path):
    organisations = [o for o in shipped()["organisations"] if o["name"] != "recovery"]
    plan = changed(tmp_path, organisations=organisations)
    with pytest.raises(CeremonyError, match="needs recovery-digital-signing"):
        run_ceremony(plan, tmp_path / "data", now=NOW)


@pytest.mark.parametrize("content", [b"= nonsense", b"\xff\xfe", b"a = 12:00:00"])
def test_a_file_that_is_no_plan_is_refused(content: bytes, tmp_path: Path):
    path = tmp_path / "plan.toml"
    path.write_bytes(content)
    with pytest.raises(CeremonyError):
        load_plan(path)
    with pytest.raises(CeremonyError, match="cannot be read"):
        load_plan(tmp_path / "nowhere.toml")
