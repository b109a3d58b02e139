"""Nothing is accepted by omission, and a check that is off says so."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from services.chassis.checks import (
    Approved,
    Check,
    CheckBook,
    CheckFailed,
    CheckMisusedError,
    CheckOmitted,
    Refused,
    UnknownCheckError,
    Verdict,
    check,
    placed,
)


def _even(number: int) -> None:
    if number % 2:
        raise CheckFailed("the number is odd", expected="an even number", found=str(number))


def _small(number: int) -> None:
    if number > 10:
        raise CheckFailed("the number is large")


EVEN = Check("p.even", "The number is even", "somewhere 1.2", _even, code="E4", status=409)
SMALL = Check("p.small", "The number is small", "reconstruction", _small)
LATER = Check("p.later", "The answer is small", "reconstruction", _small, section="response")


@pytest.fixture
def book() -> CheckBook:
    return CheckBook("party", (EVEN, SMALL, LATER))


def test_all_yes_is_approved(book: CheckBook) -> None:
    run = book.start("request 1")
    run.apply(EVEN, 4)
    run.apply("p.small", 4)
    approved = run.approve()
    assert (approved.party, approved.section, approved.subject) == (
        "party",
        "request",
        "request 1",
    )
    assert [v.outcome for v in approved.verdicts] == ["passed", "passed"]


def test_a_no_is_refused_by_name(book: CheckBook) -> None:
    run = book.start("request 1")
    with pytest.raises(Refused) as caught:
        run.apply(EVEN, 3)
    refused = caught.value
    assert (refused.party, refused.check, refused.code, refused.status) == (
        "party",
        "p.even",
        "E4",
        409,
    )
    assert (refused.expected, refused.found) == ("an even number", "3")
    assert refused.source == "somewhere 1.2"
    assert [v.outcome for v in run.verdicts()] == ["refused", "not_reached"]
    assert run.verdicts()[0].as_dict() == {
        "check": "p.even",
        "title": "The number is even",
        "source": "somewhere 1.2",
        "outcome": "refused",
        "detail": "the number is odd",
        "expected": "an even number",
        "found": "3",
    }


def test_the_twin_with_that_check_off_succeeds_loudly(book: CheckBook) -> None:
    with capture_logs() as logs:
        book.turn_off("p.even")
        run = book.start("request 1")
        run.apply(EVEN, 3)
        run.apply(SMALL, 3)
        approved = run.approve()
    assert [v.outcome for v in approved.verdicts] == ["off", "passed"]
    assert book.off == ["p.even"]
    loud = [entry for entry in logs if entry["log_level"] == "warning"]
    assert [entry["check"] for entry in loud] == ["p.even", "p.even"]
    book.reset()
    assert book.off == []
    with pytest.raises(Refused):
        book.start("request 2").apply(EVEN, 3)


def test_an_omitted_check_prevents_approval(book: CheckBook) -> None:
    run = book.start("request 1")
    run.apply(EVEN, 4)
    with pytest.raises(CheckOmitted, match=r"p\.small"):
        run.approve()


def test_a_refused_check_prevents_approval_even_if_caught(book: CheckBook) -> None:
    run = book.start("request 1")
    with pytest.raises(Refused):
        run.apply(EVEN, 3)
    run.apply(SMALL, 3)
    with pytest.raises(CheckOmitted, match=r"p\.even"):
        run.approve()


def test_a_refused_check_cannot_be_asked_again(book: CheckBook) -> None:
    run = book.start("request 1")
    with pytest.raises(Refused):
        run.apply(EVEN, 3)
    with pytest.raises(CheckMisusedError, match="already"):
        run.apply(EVEN, 4)
    with pytest.raises(CheckMisusedError, match="already"):
        run.skip(EVEN, "it was inconvenient")


def test_setting_aside_needs_a_reason(book: CheckBook) -> None:
    run = book.start("request 1")
    with pytest.raises(CheckMisusedError, match="reason"):
        run.skip(EVEN, " ")
    run.skip(EVEN, "no number in this request")
    run.apply(SMALL, 1)
    verdict = run.approve().verdicts[0]
    assert (verdict.outcome, verdict.detail) == ("not_applicable", "no number in this request")


def test_a_run_covers_its_section_only(book: CheckBook) -> None:
    run = book.start("request 1", section="response")
    with pytest.raises(CheckMisusedError, match="not a check of section"):
        run.apply(EVEN, 4)
    run.apply(LATER, 1)
    assert [v.check for v in run.approve().verdicts] == ["p.later"]


def test_an_empty_section_approves_nothing(book: CheckBook) -> None:
    with pytest.raises(CheckMisusedError, match="no check in section"):
        book.start("request 1", section="no such")


def test_a_fault_in_a_check_is_not_a_yes(book: CheckBook) -> None:
    run = book.start("request 1")
    with pytest.raises(TypeError):
        run.apply(EVEN, "four")  # type: ignore[arg-type] # the fault under test
    run.apply(SMALL, 4)
    with pytest.raises(CheckOmitted):
        run.approve()


def test_only_a_run_makes_an_approved(book: CheckBook) -> None:
    with pytest.raises(TypeError):
        Approved(object(), "party", "request", "request 1", ())  # type: ignore[call-arg]
    run = book.start("request 1")
    run.apply(EVEN, 4)
    run.apply(SMALL, 4)
    approved = run.approve()
    with pytest.raises(AttributeError):
        approved.subject = "request 2"
    for steal in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            steal(approved)
    with pytest.raises(TypeError):
        type("Forged", (Approved,), {})


def test_names_are_unique_and_known(book: CheckBook) -> None:
    with pytest.raises(CheckMisusedError, match=r"p\.even"):
        book.extend([EVEN])
    with pytest.raises(UnknownCheckError):
        book.turn_off("p.odd")
    with pytest.raises(UnknownCheckError):
        book.start("request 1").apply("p.odd", 1)
    assert "p.even" in book
    assert "p.odd" not in book


def test_the_book_describes_itself_in_order(book: CheckBook) -> None:
    book.turn_off("p.small")
    described = book.describe()
    assert [(c["id"], c["enabled"], c["section"]) for c in described] == [
        ("p.even", True, "request"),
        ("p.small", False, "request"),
        ("p.later", True, "response"),
    ]


def test_verdicts_are_values() -> None:
    assert Verdict("a", "b", "c", "passed") == Verdict("a", "b", "c", "passed")


def test_what_a_verdict_keeps_for_itself_is_no_part_of_it() -> None:
    asked, fresh = (Verdict("a", "b", "c", "refused", "because") for _ in range(2))
    assert json.loads(asked.written) == asked.as_dict()
    assert (asked, hash(asked), repr(asked)) == (fresh, hash(fresh), repr(fresh))
    assert asked.as_dict() == fresh.as_dict()
    other = replace(asked, detail="another")
    assert '"another"' in other.written


def test_a_verdict_shown_once_and_changed_by_its_reader_is_told_as_it_was(book: CheckBook) -> None:
    for _ in range(2):
        run = book.start("request 1")
        run.apply(EVEN, 4)
        told = [verdict.as_dict() for verdict in run.verdicts()]
        assert [one["outcome"] for one in told] == ["passed", "not_reached"]
        for one in told:
            one["outcome"] = "another"


def test_a_check_that_is_turned_off_is_told_as_off_and_then_as_passed_again(
    book: CheckBook,
) -> None:
    said = []
    for act in (book.reset, lambda: book.turn_off("p.even"), book.reset):
        act()
        said.append((book.start("request 1").judge(4).verdicts[0].outcome, book.is_off(EVEN)))
    assert said == [("passed", False), ("off", True), ("passed", False)]


def test_a_no_that_is_not_final_has_a_status_of_its_own() -> None:
    def ask_again(_: int) -> None:
        raise CheckFailed("not now", status=503)

    book = CheckBook("party", [Check("p.now", "Now", "test", ask_again, status=409)])
    with pytest.raises(Refused) as refusal:
        book.start("request 1").apply("p.now", 1)
    assert (refusal.value.check, refusal.value.status) == ("p.now", 503)


def test_a_shared_rule_is_the_check_of_one_party_and_section():
    @check("request.shared", source="test", code="C01", status=409)
    def shared(evidence: object) -> None:
        """Is shared."""
        del evidence

    book = CheckBook(
        "x", [*placed("x", "request", [shared]), *placed("x.again", "other", [shared])]
    )
    assert [(c.id, c.section, c.title, c.code, c.status) for c in book] == [
        ("x.request.shared", "request", "Is shared", "C01", 409),
        ("x.again.request.shared", "other", "Is shared", "C01", 409),
    ]
