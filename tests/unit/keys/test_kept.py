"""What is kept by content is bounded, is told from all else, and never hides what may change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from keys import certificate, crl, path, profile_rules, tally
from keys.certificate import Certificate
from keys.crl import read_crl
from keys.errors import KeyStoreError, PathError, PathFailure, RevocationListError
from keys.kept import Kept
from keys.path import validate_path
from keys.profile_rules import broken_rules, profile_of
from keys.roles import Usage
from keys.stores.device_keys import KEYS_KEPT, DeviceKeys
from keys.stores.private import SECRETS_KEPT, HeldKeyAgreement
from tests.unit.keys.workshop import NOW, Workshop, issuing, new_key, policy, usage

ALL = (
    certificate._CERTIFICATES,
    crl._LISTS,
    crl._SIGNED,
    path._STRUCTURES,
    path._SIGNED,
    profile_rules._BROKEN,
)


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    for kept in ALL:
        kept.forget()
    yield
    for kept in ALL:
        kept.forget()


def counted(act: Callable[[], object]) -> dict[str, int]:
    """What an act adds to the counts."""
    before = tally.counts()
    act()
    return {name: n - before[name] for name, n in tally.counts().items() if n != before[name]}


def never() -> int:
    raise AssertionError("made again")


def test_a_value_is_made_once_for_each_key() -> None:
    kept: Kept[bytes, int] = Kept(3)
    assert kept.of(b"a", lambda: 1) == 1
    assert kept.of(bytes(bytearray(b"a")), never) == 1
    assert kept.of(b"b", lambda: 2) == 2


def test_the_one_not_asked_for_longest_is_forgotten() -> None:
    kept: Kept[bytes, int] = Kept(2)
    for name, number in ((b"a", 1), (b"b", 2), (b"a", 1), (b"c", 3)):
        kept.of(name, lambda number=number: number)
    assert len(kept) == 2
    assert kept.of(b"a", never) == 1
    assert kept.of(b"b", lambda: 7) == 7


def test_octets_are_bounded_too() -> None:
    kept: Kept[bytes, int] = Kept(100, most_octets=10, weigh=len)
    kept.of(b"12345", lambda: 1)
    kept.of(b"abcde", lambda: 2)
    kept.of(b"x", lambda: 3)
    assert len(kept) == 2
    assert kept.of(b"abcde", never) == 2
    kept.of(b"eleven octe", lambda: 4)  # alone too many, so nothing gives way to it
    assert len(kept) == 2
    assert kept.of(b"x", never) == 3


def test_what_is_raised_is_not_kept() -> None:
    kept: Kept[bytes, int] = Kept(2)

    def fail() -> int:
        raise ValueError("once")

    with pytest.raises(ValueError, match="once"):
        kept.of(b"a", fail)
    assert kept.of(b"a", lambda: 5) == 5


def test_nothing_kept_is_shown() -> None:
    kept: Kept[bytes, bytes] = Kept(2)
    kept.of(b"peer", lambda: b"secret")
    assert repr(kept) == "<Kept 1 of 2>"


def test_every_memory_is_bounded() -> None:
    assert all(kept.most <= 2048 for kept in ALL)
    assert crl._LISTS.most_octets == crl._SIGNED.most_octets == crl.MAX_LIST_OCTETS


def test_a_path_is_verified_once_and_judged_each_time(workshop: Workshop) -> None:
    leaf, between, anchor = workshop.leaf(), workshop.issuing.certificate, workshop.root.certificate
    lists = [workshop.crl()]

    def ask() -> tuple[Certificate, ...]:
        return validate_path(leaf, [between], anchor, at=NOW, crls=lists)

    first = counted(ask)
    assert first == {"path": 1, "certificate.verify": 2, "crl.parse": 1, "crl.verify": 1}
    assert counted(ask) == {"path": 1}
    assert ask() == (leaf, between, anchor)


def test_time_is_judged_each_time(workshop: Workshop) -> None:
    leaf, between, anchor = workshop.leaf(), workshop.issuing.certificate, workshop.root.certificate
    validate_path(leaf, [between], anchor, at=NOW)
    for at, failure in (
        (NOW + timedelta(days=9999), PathFailure.EXPIRED),
        (NOW - timedelta(days=9999), PathFailure.NOT_YET_VALID),
    ):
        with pytest.raises(PathError) as refused:
            validate_path(leaf, [between], anchor, at=at)
        assert refused.value.failure is failure
    validate_path(leaf, [between], anchor, at=NOW)


def test_revocation_is_judged_each_time(workshop: Workshop) -> None:
    leaf, between, anchor = workshop.leaf(), workshop.issuing.certificate, workshop.root.certificate
    clean, full = workshop.crl(number=1), workshop.crl(leaf, number=2)
    for lists, failure in (
        ([clean], None),
        ([clean, full], PathFailure.REVOKED),
        ([], PathFailure.CRL_MISSING),
        ([clean], None),
    ):
        if failure is None:
            validate_path(leaf, [between], anchor, at=NOW, crls=lists)
            continue
        with pytest.raises(PathError) as refused:
            validate_path(leaf, [between], anchor, at=NOW, crls=lists)
        assert refused.value.failure is failure
    with pytest.raises(PathError) as refused:
        validate_path(leaf, [between], anchor, at=NOW + timedelta(days=31), crls=[clean])
    assert refused.value.failure is PathFailure.CRL_STALE


def test_a_changed_certificate_is_judged_anew(workshop: Workshop) -> None:
    leaf, between, anchor = workshop.leaf(), workshop.issuing.certificate, workshop.root.certificate
    validate_path(leaf, [between], anchor, at=NOW)
    changed = Certificate.from_der(leaf.der[:-1] + bytes((leaf.der[-1] ^ 1,)))
    with pytest.raises(PathError) as refused:
        validate_path(changed, [between], anchor, at=NOW)
    assert refused.value.failure is PathFailure.SIGNATURE
    validate_path(leaf, [between], anchor, at=NOW)


def test_a_refusal_kept_is_the_same_refusal_of_the_same_question(workshop: Workshop) -> None:
    other = issuing(workshop.root, "SIM-Z7")
    leaf, between = workshop.leaf(issuer=other), workshop.issuing.certificate
    told = []
    for _ in range(2):
        with pytest.raises(PathError) as refused:
            validate_path(leaf, [between], workshop.root.certificate, at=NOW)
        told.append((refused.value.failure, refused.value.detail))
    assert told[0] == told[1]
    assert told[0][0] is PathFailure.UNKNOWN_ISSUER
    validate_path(leaf, [between, other.certificate], workshop.root.certificate, at=NOW)


def test_another_anchor_is_another_question(workshop: Workshop) -> None:
    leaf, between = workshop.leaf(), workshop.issuing.certificate
    validate_path(leaf, [between], workshop.root.certificate, at=NOW)
    with pytest.raises(PathError):
        validate_path(leaf, [between], issuing(workshop.root, "SIM-Z8").certificate, at=NOW)


def test_a_changed_list_is_read_and_verified_anew(workshop: Workshop) -> None:
    der = workshop.crl()
    assert read_crl(der) is read_crl(bytes(bytearray(der)))
    assert read_crl(der).signed_by(workshop.issuing.certificate)
    changed = der[:-1] + bytes((der[-1] ^ 1,))
    assert not read_crl(changed).signed_by(workshop.issuing.certificate)
    assert not read_crl(der).signed_by(workshop.root.certificate)
    assert read_crl(der).signed_by(workshop.issuing.certificate)
    for _ in range(2):
        with pytest.raises(RevocationListError):
            read_crl(der[:-1])


def test_rules_are_by_certificate_and_profile(workshop: Workshop) -> None:
    leaf, authority = workshop.leaf(), workshop.issuing.certificate
    assert broken_rules(leaf, profile_of(leaf)) == ()
    assert broken_rules(leaf, profile_of(authority)) != ()
    assert broken_rules(leaf, profile_of(leaf)) == ()


def agreement_certificate(
    workshop: Workshop, key: ec.EllipticCurvePublicKey, kind: Usage = Usage.KEY_AGREEMENT
) -> Certificate:
    return workshop.leaf(key=key, extensions=[usage(kind), policy()])


def test_a_secret_is_agreed_once_with_each_key(workshop: Workshop) -> None:
    peer, other = new_key(), new_key()
    own = new_key()
    held = HeldKeyAgreement(own)
    certificates = [agreement_certificate(workshop, key.public_key()) for key in (peer, other)]
    for certified, key in zip(certificates, (peer, other), strict=True):
        assert held.shared_secret(certified) == key.exchange(ec.ECDH(), own.public_key())
    assert counted(lambda: [held.shared_secret(item) for item in certificates]) == {}


def test_what_a_certificate_allows_is_asked_each_time(workshop: Workshop) -> None:
    peer = new_key().public_key()
    held = HeldKeyAgreement(new_key())
    held.shared_secret(agreement_certificate(workshop, peer))
    with pytest.raises(KeyStoreError, match="not keyAgreement"):
        held.shared_secret(agreement_certificate(workshop, peer, Usage.DIGITAL_SIGNATURE))


def test_secrets_and_derived_keys_are_bounded() -> None:
    assert HeldKeyAgreement(new_key())._HeldKeyAgreement__agreed.most == SECRETS_KEPT  # type: ignore[attr-defined]
    keys = DeviceKeys(bytes(32))
    derived = keys._DeviceKeys__derived  # type: ignore[attr-defined]
    assert derived.most == KEYS_KEPT
    first = keys.public_key("0253494dd0000001", Usage.KEY_AGREEMENT)
    assert keys.public_key("0253494dd0000001", Usage.KEY_AGREEMENT) == first
    assert keys.public_key("0253494dd0000001", Usage.KEY_AGREEMENT, 1) != first
    assert len(derived) == 2
