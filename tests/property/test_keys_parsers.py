"""Whatever the octets, the readers of the key infrastructure answer or raise a KeysError."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.certificate import Certificate, key_identifier
from keys.certification_request import read_certification_request
from keys.crl import make_crl, read_crl, read_crl_pem
from keys.errors import KeysError, PathError
from keys.hardware_module import read_hardware_module_name, write_hardware_module_name
from keys.issuing import profiles
from keys.issuing.profiles import Issuer, Validity
from keys.path import validate_path
from keys.profile_rules import broken_rules, profile_of
from keys.roles import OrganisationRole, Usage
from keys.simulated import DEVICE_POLICY, INFRASTRUCTURE_POLICY, ORGANISATION_POLICY
from keys.stores.device_keys import DeviceKeys
from keys.stores.private import HeldSigner

NOW = datetime(2026, 6, 1, tzinfo=UTC)
YEARS = Validity(NOW, NOW + timedelta(days=3650))
EUI = "0253494d10000000"


def _root(name: str, policy: str) -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    sign = HeldSigner(key).sign
    der = profiles.root_authority(
        name, OrganisationRole.ROOT, key.public_key(), sign, policy=policy, validity=YEARS
    )
    return Issuer(Certificate.from_der(der), sign)


def _key() -> ec.EllipticCurvePublicKey:
    return ec.generate_private_key(ec.SECP256R1()).public_key()


ROOT = _root("SIM-ZA", ORGANISATION_POLICY)
ORGANISATION = profiles.organisation(
    ROOT,
    EUI,
    OrganisationRole.SUPPLIER,
    Usage.DIGITAL_SIGNATURE,
    _key(),
    policy=ORGANISATION_POLICY,
    validity=YEARS,
)
DEVICE = profiles.device(
    _root("SIM-E0", DEVICE_POLICY),
    "0253494dd0000001",
    Usage.KEY_AGREEMENT,
    _key(),
    policy=DEVICE_POLICY,
    not_before=NOW,
)
LINK = profiles.link(
    _root("SIM-I1", INFRASTRUCTURE_POLICY),
    "acb",
    _key(),
    policy=INFRASTRUCTURE_POLICY,
    validity=YEARS,
)
LIST = make_crl(
    ROOT.certificate,
    ROOT.sign,
    number=3,
    this_update=NOW,
    next_update=NOW + timedelta(days=30),
    revoked={5: NOW, 6: NOW},
)
REQUEST = DeviceKeys(bytes(32)).certification_request("0253494dd0000001", Usage.KEY_AGREEMENT)
CERTIFICATES = [ORGANISATION, DEVICE, LINK, ROOT.certificate.der]


@st.composite
def damaged(draw: st.DrawFn, sources: list[bytes]) -> bytes:
    """One of the sources with a few octets changed, cut out or put in."""
    octets = bytearray(draw(st.sampled_from(sources)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(octets) - 1, 0)))
        match draw(st.sampled_from(["change", "cut", "insert", "repeat"])):
            case "change" if octets:
                octets[at] = draw(st.integers(0, 255))
            case "cut":
                del octets[at : at + draw(st.integers(1, 8))]
            case "insert":
                octets[at:at] = draw(st.binary(min_size=1, max_size=8))
            case _:
                octets[at:at] = octets[at : at + draw(st.integers(1, 40))]
    return bytes(octets)


@settings(max_examples=examples(1500), deadline=None)
@given(damaged(CERTIFICATES))
def test_a_damaged_certificate_is_read_or_refused(der: bytes):
    try:
        certificate = Certificate.from_der(der)
    except KeysError:
        return
    assert certificate.der == der
    assert len(certificate.key_identifier) == 8
    assert len(certificate.subject_unique_id) == 8
    repr(certificate)
    broken_rules(certificate, profile_of(certificate))
    if der not in CERTIFICATES:
        # Whatever still reads was not signed so: never does damage validate.
        with pytest.raises(PathError):
            validate_path(certificate, [], ROOT.certificate, at=None)


READERS: list[tuple[Callable[[bytes], object], list[bytes]]] = [
    (Certificate.from_der, CERTIFICATES),
    (Certificate.from_pem, [ROOT.certificate.to_pem()]),
    (read_crl, [LIST]),
    (read_crl_pem, [read_crl(LIST).to_pem()]),
    (read_certification_request, [REQUEST]),
    (read_hardware_module_name, [write_hardware_module_name(bytes(8))]),
]


@pytest.mark.parametrize(("reader", "sources"), READERS)
@settings(max_examples=examples(400), deadline=None)
@given(data=st.data())
def test_readers_raise_nothing_but_their_own_error(
    reader: Callable[[bytes], object], sources: list[bytes], data: st.DataObject
):
    octets = data.draw(st.one_of(st.binary(max_size=200), damaged(sources)))
    with contextlib.suppress(KeysError):
        reader(octets)


@settings(max_examples=examples(400), deadline=None)
@given(damaged([LIST]))
def test_a_damaged_list_is_refused_or_not_signed(der: bytes):
    try:
        crl = read_crl(der)
    except KeysError:
        return
    assert der == LIST or not crl.signed_by(ROOT.certificate)


@settings(max_examples=examples(60), deadline=None)
@given(
    eui=st.binary(min_size=8, max_size=8).map(bytes.hex),
    role=st.sampled_from([r for r in OrganisationRole if r not in {"00", "07", "87", "89"}]),
    usage=st.sampled_from([Usage.DIGITAL_SIGNATURE, Usage.KEY_AGREEMENT]),
    start=st.datetimes(datetime(1990, 1, 1), datetime(2080, 1, 1)),  # noqa: DTZ001 - made aware below
    days=st.integers(1, 20000),
    serial=st.integers(1, (1 << 127) - 1),
)
def test_what_is_issued_is_read_back_and_validates(
    *, eui: str, role: OrganisationRole, usage: Usage, start: datetime, days: int, serial: int
):
    begin = start.replace(microsecond=0, tzinfo=UTC)
    validity = Validity(begin, begin + timedelta(days=days))
    key = _key()
    certificate = Certificate.from_der(
        profiles.organisation(
            ROOT,
            eui,
            role,
            usage,
            key,
            policy=ORGANISATION_POLICY,
            validity=validity,
            serial=serial,
        )
    )
    assert (certificate.subject_eui, certificate.role) == (eui, role)
    assert (certificate.usage, certificate.serial) == (usage, serial)
    assert (certificate.not_before, certificate.not_after) == (
        validity.not_before,
        validity.not_after,
    )
    assert certificate.key_identifier == key_identifier(key)
    assert validate_path(certificate, [], ROOT.certificate, at=begin)


@settings(max_examples=examples(200), deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), generation=st.integers(0, (1 << 32) - 1))
def test_every_seed_gives_working_device_keys(seed: bytes, generation: int):
    keys = DeviceKeys(seed)
    request = keys.certification_request("0253494dd0000001", Usage.DIGITAL_SIGNATURE, generation)
    assert (
        read_certification_request(request).public_key
        == keys.signer("0253494dd0000001", generation).public_key()
    )
