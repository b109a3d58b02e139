"""What may be issued after the ceremony: honest additions, and flawed certificates for testers."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from keys.certificate import Certificate, require_simulated
from keys.crl import read_crl, read_crl_pem, revocation_times
from keys.errors import CeremonyError, CertificateError, NotSimulated, PathError, PathFailure
from keys.issuing.authorities import DEVICE_ISSUING, ORGANISATION_ISSUING, Authorities, revoke
from keys.issuing.issue import (
    ODD_FORMS,
    Flaw,
    add_devices,
    certify_request,
    flawed_certificate,
    publish,
)
from keys.issuing.plan import DevicesPlan, load_plan
from keys.path import validate_path
from keys.profile_rules import broken_rules, profile_of
from keys.roles import OrganisationRole, Usage
from keys.stores.software import SoftwareKeyStore, read_secret
from keys.verify import verify_folder
from tests.unit.keys.workshop import NOW, Workshop, new_key

LATER = NOW + timedelta(hours=1)
EUI = "0253494d30000000"
CRL = Path("smki_repository/repository/crl/organisation.crl")
CERTIFICATES = Path("smki_repository/repository/certificates")


def trusted(data: Path, kind: str) -> tuple[Certificate, Certificate]:
    trust = data / "acb" / "trust"
    issuing, root = (trust / f"{kind}-{name}.pem" for name in ("issuing", "root"))
    return Certificate.from_pem(issuing.read_bytes()), Certificate.from_pem(root.read_bytes())


def check(data: Path, certificate: Certificate, kind: str = "organisation") -> None:
    issuing, root = trusted(data, kind)
    crl = read_crl_pem((data / CRL).with_stem(kind).read_bytes()).der
    validate_path(certificate, [issuing], root, at=LATER, crls=[crl])


def flawed(data: Path, flaw: Flaw) -> Certificate:
    return flawed_certificate(
        data,
        flaw,
        eui=EUI,
        role=OrganisationRole.SUPPLIER,
        usage=Usage.DIGITAL_SIGNATURE,
        public_key=new_key().public_key(),
        now=LATER,
    )


@pytest.mark.parametrize(
    ("flaw", "failure"),
    [
        (Flaw.EXPIRED, PathFailure.EXPIRED),
        (Flaw.NOT_YET_VALID, PathFailure.NOT_YET_VALID),
        (Flaw.UNKNOWN_ISSUER, PathFailure.UNKNOWN_ISSUER),
        (Flaw.FORGED_ISSUER, PathFailure.SIGNATURE),
        (Flaw.OTHER_POLICY, PathFailure.POLICY),
        (Flaw.COMPRESSED_POINT, PathFailure.PUBLIC_KEY_FORM),
        (Flaw.EXPLICIT_CURVE, PathFailure.PUBLIC_KEY_FORM),
        (Flaw.GENERALIZED_TIME, PathFailure.ENCODING),
        (Flaw.NAMED_BITS, PathFailure.ENCODING),
        (Flaw.REVOKED, PathFailure.REVOKED),
    ],
)
def test_a_flaw_fails_by_its_own_name(flaw: Flaw, failure: PathFailure, data: Path):
    with pytest.raises(PathError) as refused:
        check(data, flawed(data, flaw))
    assert refused.value.failure is failure


def test_a_wrong_role_or_usage_is_genuine_and_someone_elses_business(data: Path):
    role, usage = flawed(data, Flaw.WRONG_ROLE), flawed(data, Flaw.WRONG_USAGE)
    assert (role.role, role.usage) == ("03", Usage.DIGITAL_SIGNATURE)
    assert (usage.role, usage.usage) == ("02", Usage.KEY_AGREEMENT)
    for certificate in (role, usage):
        check(data, certificate)


@pytest.mark.parametrize("flaw", Flaw)
def test_a_flawed_certificate_has_no_other_flaw(flaw: Flaw, data: Path):
    before = {path.name for path in (data / CERTIFICATES).iterdir()}
    certificate = flawed(data, flaw)
    assert certificate.subject_eui == EUI
    broken = {broken.rule for broken in broken_rules(certificate, profile_of(certificate))}
    assert len(broken) == (flaw in ODD_FORMS)
    if flaw is Flaw.OTHER_POLICY:
        with pytest.raises(NotSimulated):
            require_simulated(certificate)
    else:
        require_simulated(certificate)
    assert {path.name for path in (data / CERTIFICATES).iterdir()} == before


def test_the_other_roles_and_usages_are_turned_round_too(data: Path):
    certificate = flawed_certificate(
        data,
        Flaw.WRONG_ROLE,
        eui=EUI,
        role=OrganisationRole.TRANSITIONAL_COS,
        usage=Usage.KEY_AGREEMENT,
        public_key=new_key().public_key(),
        now=LATER,
    )
    assert certificate.role == "02"


def test_revoking_adds_to_the_list_and_keeps_what_was_there(data: Path):
    pem = data / "suppliers" / "C" / "keys"
    first, second = (
        Certificate.from_pem((pem / f"{name}.pem").read_bytes())
        for name in ("digital-signing", "xml-signing")
    )
    check(data, first)
    revoke(data, first, NOW)
    der = revoke(data, second, LATER)
    crl = read_crl(der)
    assert crl == read_crl_pem((data / CRL).read_bytes())
    assert crl.number == 3
    assert revocation_times(crl) == {first.serial: NOW, second.serial: LATER}
    for certificate in (first, second):
        with pytest.raises(PathError, match="revoked"):
            check(data, certificate)
    revoke(data, first, LATER)
    assert revocation_times(read_crl_pem((data / CRL).read_bytes()))[first.serial] == NOW
    assert not list((data / CRL).parent.glob("*.new"))


def test_a_device_certificate_goes_on_the_devices_list(data: Path):
    pem = data / CERTIFICATES / "device-0253494dd0000001-digital-signing.pem"
    certificate = Certificate.from_pem(pem.read_bytes())
    before = (data / CRL).read_bytes()
    revoke(data, certificate, LATER)
    assert (data / CRL).read_bytes() == before
    with pytest.raises(PathError, match="revoked"):
        check(data, certificate, "device")


def test_what_another_authority_issued_cannot_be_revoked(data: Path, workshop: Workshop):
    before = {path: path.read_bytes() for path in (data / CRL).parent.iterdir()}
    for stranger in (workshop.leaf(), flawed(data, Flaw.UNKNOWN_ISSUER)):
        with pytest.raises(CeremonyError, match="no authority of this folder"):
            revoke(data, stranger, LATER)
    assert {path: path.read_bytes() for path in (data / CRL).parent.iterdir()} == before


def run(**changes: object) -> DevicesPlan:
    new = {"first_eui": "0253494dd0000011", "first_mpxn": "1200000000011", "count": 2} | changes
    return load_plan().devices[0].model_copy(update=new)


def test_more_devices_can_be_made(data: Path):
    made = add_devices(data, run(), LATER)
    assert [d["eui"] for d in made] == ["0253494dd0000011", "0253494dd0000012"]
    devices = json.loads((data / "devices.json").read_text())
    assert devices[2:] == made
    assert made[0]["cells"] == devices[0]["cells"]
    point = json.loads((data / "estate.json").read_text())["meter_points"][-1]
    assert point["devices"] == ["0253494dd0000012"]
    assert point["registrations"] == [
        {"participant": "SUPA", "effective_from": LATER.isoformat(), "effective_to": None}
    ]
    assert verify_folder(data, now=LATER) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"first_eui": "0253494dd0000000"}, "0253494dd0000001 is in use"),
        ({"first_mpxn": "1200000000002"}, "1200000000002 is in use"),
        ({"supplier": "Z"}, "no supplier of this estate"),
        ({"cos_party": "registration"}, "needs registration-digital-signing"),
    ],
)
def test_devices_that_do_not_fit_change_nothing(
    changes: dict[str, object], reason: str, data: Path
):
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    with pytest.raises(CeremonyError, match=reason):
        add_devices(data, run(**changes), LATER)
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


def test_devices_need_their_seed(data: Path):
    (data / "meter_sim" / "keys" / "device-seed.key").unlink()
    with pytest.raises(CeremonyError, match="no system of this estate holds a device seed"):
        add_devices(data, run(), LATER)


@pytest.mark.parametrize("usage", [Usage.DIGITAL_SIGNATURE, Usage.KEY_AGREEMENT])
def test_a_device_gets_a_certificate_for_its_request(usage: Usage, data: Path):
    folder = data / "meter_sim"
    keys = SoftwareKeyStore.open(folder / "keys", read_secret(folder / "passphrase")).device_keys()
    eui = "0253494dd0000001"
    certificate = certify_request(data, keys.certification_request(eui, usage, 1), LATER)
    assert (certificate.subject_eui, certificate.usage) == (eui, usage)
    assert certificate.public_key == keys.public_key(eui, usage, 1)
    check(data, certificate, "device")
    assert verify_folder(data, now=LATER) == []


def test_a_request_that_is_none_gets_nothing(data: Path):
    before = {path.name for path in (data / CERTIFICATES).iterdir()}
    with pytest.raises(CertificateError):
        certify_request(data, b"not a request", LATER)
    assert {path.name for path in (data / CERTIFICATES).iterdir()} == before


def test_what_is_published_stays(data: Path, workshop: Workshop):
    with pytest.raises(CeremonyError, match="published already"):
        publish(data, "A-digital-signing", workshop.leaf())


def test_estate_and_device_files_must_be_readable(data: Path):
    (data / "estate.json").write_text("no JSON")
    with pytest.raises(CeremonyError, match=r"estate\.json cannot be read"):
        add_devices(data, run(), LATER)


def test_the_authorities_are_who_they_say(data: Path):
    authorities = Authorities.open(data)
    assert authorities.issuer(ORGANISATION_ISSUING).certificate.subject == "CN=SIM-Z1,OU=07"
    assert authorities.issuer(DEVICE_ISSUING).certificate.subject == "CN=SIM-E1"
