"""Whose keys are known: pinning, the trust folder, revocation lists, one's own identity."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from keys.crl import read_crl
from services.chassis.web.problems import Problem
from services.link.errors import LinkSetupError
from services.link.identity import LinkIdentity
from services.link.opened import Opened, encode_answer
from services.link.trust import LinkTrust
from tests.unit.services.link.estate import NOW, Authority, Estate, HeldClock, Party
from tests.unit.services.link.forge import Forge


@pytest.fixture
def folder(tmp_path: Path, estate: Estate):
    """A trust folder as the ceremony lays it out."""
    root = tmp_path / "trust"
    (root / "link").mkdir(parents=True)
    (root / "infrastructure-root.pem").write_bytes(estate.authority.certificate.to_pem())
    for system, held in estate.holders.items():
        (root / "link" / f"{system}.pem").write_bytes(held.certificate.to_pem())
    return root


def test_a_trust_folder_is_read(folder: Path, estate: Estate):
    trust = LinkTrust.open(folder)
    assert set(trust.systems) == set(estate.holders)
    found = trust.find(estate.holders["acb"].key_id)
    assert found is not None
    assert (found.system, found.named, found.simulated) == ("acb", "acb", True)
    assert found.failure(NOW) is None
    assert trust.find("0" * 16) is None
    assert trust.find("") is None


@pytest.mark.parametrize("spoil", ["missing-root", "not-pem", "twice"])
def test_a_trust_folder_that_is_not_in_order(folder: Path, spoil: str):
    if spoil == "missing-root":
        (folder / "infrastructure-root.pem").unlink()
    elif spoil == "not-pem":
        (folder / "link" / "acb.pem").write_text("nothing")
    else:
        (folder / "link" / "other.pem").write_bytes((folder / "link" / "acb.pem").read_bytes())
    with pytest.raises(LinkSetupError):
        LinkTrust.open(folder)


@pytest.mark.parametrize(
    ("days", "failure"), [(-2, "not_yet_valid"), (0, None), (364, None), (366, "expired")]
)
def test_dates_are_looked_at_each_time(estate: Estate, days: int, failure: str | None):
    trust = estate.trust()
    found = trust.find(estate.holders["acb"].key_id)
    assert found is not None
    assert found.failure(NOW) is None
    assert found.failure(NOW + timedelta(days=days)) == failure


def revocation(estate: Estate, **given: object) -> bytes:
    serial = estate.holders["tcos_party"].certificate.serial
    return estate.authority.revocation_list(serial, **given)


def failure_of(trust: LinkTrust, estate: Estate, system: str, days: float = 0) -> str | None:
    found = trust.find(estate.holders[system].key_id)
    assert found is not None
    return found.failure(NOW + timedelta(days=days))


def test_a_revocation_list(estate: Estate):
    trust = LinkTrust(
        estate.authority.certificate, estate.without_private(), [revocation(estate, days=3)]
    )
    assert failure_of(trust, estate, "acb") is None
    assert failure_of(trust, estate, "tcos_party") == "revoked"
    assert failure_of(trust, estate, "acb", -0.5) == "crl_not_yet_valid"
    assert failure_of(trust, estate, "acb", 4) == "crl_stale"


def test_a_newer_revocation_list_is_taken_and_an_older_is_not(estate: Estate):
    trust = estate.trust()
    assert failure_of(trust, estate, "tcos_party") is None
    trust.take_revocation_lists([revocation(estate, number=5)])
    assert failure_of(trust, estate, "tcos_party") == "revoked"
    with pytest.raises(LinkSetupError, match="older"):
        trust.take_revocation_lists([estate.authority.revocation_list(number=4)])
    assert failure_of(trust, estate, "tcos_party") == "revoked"
    trust.take_revocation_lists([estate.authority.revocation_list(number=6)])
    assert failure_of(trust, estate, "tcos_party") is None


def test_of_the_lists_that_come_the_newest_of_the_authority_is_heeded(estate: Estate):
    """Whoever fetches lists offers them all: what is no better than what is held does nothing."""
    trust = estate.trust()
    serial = estate.holders["tcos_party"].certificate.serial
    trust.offer(read_crl(Authority("SIM-XX").revocation_list(serial, number=9)))
    trust.offer(read_crl(Authority().revocation_list(serial, number=9)))  # the name alone
    assert failure_of(trust, estate, "tcos_party") is None
    trust.offer(read_crl(revocation(estate, number=5)))
    trust.offer(read_crl(estate.authority.revocation_list(number=4)))
    trust.offer(read_crl(estate.authority.revocation_list(number=5)))
    assert failure_of(trust, estate, "tcos_party") == "revoked"
    trust.offer(read_crl(estate.authority.revocation_list(number=6)))
    assert failure_of(trust, estate, "tcos_party") is None


@pytest.mark.parametrize("spoil", ["other-authority", "same-name", "not-a-list", "none"])
def test_a_revocation_list_that_is_not_the_authoritys(estate: Estate, spoil: str):
    lists = {
        "other-authority": [Authority("SIM-XX").revocation_list()],
        "same-name": [Authority().revocation_list()],
        "not-a-list": [b"0"],
        "none": [],
    }
    with pytest.raises(LinkSetupError):
        LinkTrust(estate.authority.certificate, estate.without_private(), lists[spoil])


def test_an_identity_is_simulated_and_its_own(estate: Estate):
    held = estate.holders["acb"]
    identity = LinkIdentity("acb", held)
    assert identity.key_id == held.certificate.key_identifier.hex()
    assert len(identity.sign(b"x")) == 64
    with pytest.raises(LinkSetupError, match="names 'acb'"):
        LinkIdentity("ecos_party", held)
    with pytest.raises(LinkSetupError, match="simulated"):
        LinkIdentity("acb", Authority("I1").issue("acb"))


def test_every_stamp_has_a_nonce_of_its_own(estate: Estate, clock: HeldClock):
    identity = LinkIdentity("acb", estate.holders["acb"])
    nonces = {identity.stamp(clock).nonce for _ in range(100)}
    assert len(nonces) == 100
    assert {len(nonce) for nonce in nonces} == {22}  # 128 bits in base64url


class Body(BaseModel):
    """A strict body."""

    model_config = ConfigDict(strict=True, extra="forbid")
    version: int
    transaction: str


async def test_a_body_is_read_strictly_and_its_values_are_not_repeated(party: Party, forge: Forge):
    await party.send(forge.request())
    opened: Opened = party.handled[0]
    assert opened.read(Body) == Body(version=1, transaction="t-1")

    class Other(BaseModel):
        model_config = ConfigDict(strict=True, extra="forbid")
        version: str

    with pytest.raises(Problem) as refused:
        opened.read(Other)
    assert refused.value.status == 422
    assert refused.value.check == "link.request.body"
    assert "t-1" not in refused.value.detail


def test_answers_are_compact_and_finite():
    assert encode_answer({"a": [1, "é"]}) == b'{"a":[1,"\\u00e9"]}'
    assert encode_answer(Body(version=1, transaction="t")) == b'{"version":1,"transaction":"t"}'
    with pytest.raises(ValueError, match="Out of range"):
        encode_answer({"a": float("nan")})
