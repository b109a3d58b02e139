"""The catalogue of attacks: permanent names, a requirement each, checks that exist."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from acb.checks import book as acb_book
from cos_party.checks import check_book
from meter_sim.checks import meter_checks
from probe.attacks.making import attack as attack_function
from probe.attacks.making import written_in
from probe.catalogue import NOT_ATTACKED, NOT_RUN, catalogue, chosen, sample
from probe.document import document
from probe.matrix import recorded, weakened, without
from probe.model import Attack, Rung
from probe.result import Observed, Refusal
from probe.world import COS
from services.link.checks import link_checks, request_checks, response_checks
from services.registration import checks as registration_checks
from services.smki_repository import checks as smki_checks
from stack.systems import SYSTEMS

ATTACKS = catalogue()


def test_names_are_unique_and_of_one_form() -> None:
    assert not [n for n, count in Counter(a.id for a in ATTACKS).items() if count > 1]
    assert [a.id for a in ATTACKS if not re.fullmatch(r"[a-z0-9]+([.-][a-z0-9_-]+)+", a.id)] == []


def test_every_attack_says_what_it_tests_and_what_it_takes() -> None:
    for attack in ATTACKS:
        assert re.match(r"(ECoS separation|December 2022) consultation, \d", attack.requirement)
        assert attack.title
        assert attack.holds
        assert attack.expected is None or attack.expected.party in SYSTEMS


def test_there_are_attacks_on_every_rung_but_the_generated_one() -> None:
    assert {a.rung for a in ATTACKS} == set(Rung) - {Rung.CHECK_OFF}
    assert len(ATTACKS) > 150


def test_what_must_succeed_is_an_honest_run_or_shown_on_purpose() -> None:
    for attack in ATTACKS:
        if attack.expected is None:
            assert attack.rung is Rung.HONEST or "shown" in attack.tags, attack.id


def books() -> dict[str, set[str]]:
    """Every check of every system, but those of the edge, which each system makes for itself."""
    return {
        "acb": {c["id"] for c in acb_book(response_checks()).describe()},
        **{
            party: {c["id"] for c in [*check_book(party, cos).describe(), *link()]}
            for cos, party in COS.items()
        },
        "meter_sim": {c.id for c in meter_checks()},
        "registration": {c.id for c in [*registration_checks.CHECKS, *request_checks()]},
        "smki_repository": {c.id for c in [*smki_checks.CHECKS, *request_checks()]},
    }


def link() -> list[dict[str, str]]:
    return [{"id": check.id} for check in link_checks()]


EDGE = re.compile(r"[a-z]+\.request\.(size|encoding|method|route|target|trailers)")


def test_the_checks_named_exist() -> None:
    known = books()
    for attack in ATTACKS:
        refusal = attack.expected
        if refusal is not None and not EDGE.fullmatch(refusal.check):
            assert refusal.check in known[refusal.party], attack.id


@pytest.mark.parametrize("party", SYSTEMS)
def test_every_check_is_attacked_or_it_is_said_why_not(party: str) -> None:
    attacked = {a.expected.check for a in ATTACKS if a.expected and a.expected.party == party}
    excused = {check for whose, check in NOT_ATTACKED if whose in (party, "*")}
    missing = books()[party] - attacked
    assert missing - excused == set()
    own = {check for whose, check in NOT_ATTACKED if whose == party}
    assert own <= missing, "said not to be attacked, but is"


def test_why_a_check_is_not_attacked_is_in_the_document() -> None:
    said = {what for what, _ in NOT_RUN}
    assert set(NOT_ATTACKED.values()) <= said


def test_choosing_by_name_family_tag_and_rung() -> None:
    one = chosen(ATTACKS, ["link.ecos.replay.same-process"])
    assert [a.id for a in one] == ["link.ecos.replay.same-process"]
    family = chosen(ATTACKS, ["link.ecos"])
    assert {a.id.split(".")[1] for a in family} == {"ecos"}
    assert len(family) > 100
    assert {a.rung for a in chosen(ATTACKS, rungs=[7])} == {Rung.OLD_KEYS}
    assert all("separation" in a.tags for a in chosen(ATTACKS, tags=["separation"]))
    assert chosen(ATTACKS, ["link.ec"]) == []


def test_the_fifth_rung_is_every_refused_attack_without_its_check() -> None:
    again = list(weakened(ATTACKS))
    assert {a.id.removesuffix(".without-its-check") for a in again} == set(recorded())
    assert {a.rung for a in again} == {Rung.CHECK_OFF}
    assert all(a.off is not None for a in again)


def attack(name: str, check: str | None) -> Attack:
    expected = None if check is None else Refusal("acb", check)
    return Attack(name, "t", Rung.WIRE, "r", "h", lambda _: None, expected)  # type: ignore[arg-type,return-value]


def test_the_document_tells_what_gets_through_and_what_is_untested() -> None:
    attacks = [attack("a.one", "acb.x"), attack("a.two", "acb.x"), attack("a.three", "acb.y")]
    lines = {"a.one": None, "a.two": Refusal("acb", "acb.y"), "a.three": Refusal("acb", "acb.z")}
    checks = [{"party": "acb", "id": f"acb.{n}", "title": n} for n in "xyz"]
    text = document(attacks, lines, checks)
    assert "| acb | `acb.x` | 2 | 1 | `acb.y` |" in text
    assert "| acb | `acb.y` | 1 | 0 | `acb.z` |" in text
    assert "- acb: `acb.z`" in text
    assert text == document(attacks, lines, checks)
    assert all(what in text for what, _ in NOT_RUN)


def test_both_cos_parties_have_one_line_where_it_is_the_same() -> None:
    attacks = [
        Attack(f"a.{cos}.{name}", "t", Rung.WIRE, "r", "h", lambda _: Observed(None),
               Refusal(party, f"{cos}.{name}"))
        for cos, party in COS.items() for name in ("same", "differs")
    ]  # fmt: skip
    lines = dict.fromkeys((a.id for a in attacks), None) | {
        "a.ecos.same": Refusal("ecos_party", "ecos.next"),
        "a.tcos.same": Refusal("tcos_party", "tcos.next"),
        "a.ecos.differs": Refusal("ecos_party", "ecos.next"),
    }
    checks = [{"party": party, "id": f"{cos}.{name}", "title": name}
              for cos, party in COS.items() for name in ("same", "differs")]  # fmt: skip
    text = document(attacks, lines, checks)
    assert "| tcos_party, ecos_party | `cos.same` | 1 | 0 | `cos.next` |" in text
    assert "| tcos_party | `tcos.differs` | 1 | 1 | - |" in text
    assert "| ecos_party | `ecos.differs` | 1 | 0 | `ecos.next` |" in text
    assert text.count(".same`") == 1


def test_the_sample_is_all_of_ecos_and_each_family_check_and_rung_of_tcos() -> None:
    taken = sample(ATTACKS)
    left = {a.id for a in ATTACKS} - {a.id for a in taken}
    assert left
    assert all("tcos" in name.split(".") for name in left)

    def kinds(attacks: list[Attack]) -> set[tuple[str, Refusal | None, Rung]]:
        return {(a.id.partition(".")[0], a.expected, a.rung) for a in attacks}

    assert kinds(taken) == kinds(ATTACKS)
    assert len(taken) < 0.85 * len(ATTACKS)


def test_what_runs_beside_others_changes_nothing_of_the_stack() -> None:
    beside = [a for a in ATTACKS if not a.alone]
    assert len(beside) > 0.6 * len(ATTACKS)
    assert all(a.expected and not a.may_change and not a.prepares for a in beside)


@attack_function(
    "x.{cos}.y", check="link.request.nonce", party="{party}", rung=Rung.WIRE,
    requirement="r", holds="a key of {other}", tags=("z",), prepares=True,
)  # fmt: skip
def at_each(world: object, party: str) -> Observed:
    """To {party}: what {cos} is.

    More about it.
    """
    del world
    return Observed(None, party)


def test_a_function_is_an_attack_at_each_cos_party() -> None:
    tcos, ecos = written_in({"__name__": __name__, "f": at_each})
    assert (tcos.id, ecos.id) == ("x.tcos.y", "x.ecos.y")
    assert tcos.title == "To tcos_party: what tcos is"
    assert (tcos.holds, ecos.holds) == ("a key of ecos_party", "a key of tcos_party")
    assert ecos.expected == Refusal("ecos_party", "link.request.nonce")
    assert (tcos.tags, tcos.prepares, tcos.rung) == (("x", "z"), True, Rung.WIRE)
    assert ecos.act(None).note == "ecos_party"  # type: ignore[arg-type]
    assert tcos.written_at[0] == __file__
    assert list(written_in({"__name__": "another", "f": at_each})) == []


def test_without_its_check_an_attack_keeps_its_act() -> None:
    original = attack("a.one", "acb.x")
    again = without(original, None)
    assert again.act is original.act
    assert (again.off, again.expected) == (Refusal("acb", "acb.x"), None)
