"""What the CoS Party refuses though the broker let it pass, and what nobody stops when it does not.

These are the questions that only the CoS Party asks: is this the incoming supplier, is this its
meter point, are these its certificates? Each refusal has a twin with that one check off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from stack_bench import Bench

from services.chassis.time.clock import SystemClock
from stack.switching import Outcome

pytestmark = pytest.mark.xdist_group("stack")

PARTIES = [("tcos_party", "tcos"), ("ecos_party", "ecos")]


@dataclass
class Attack:
    """A request that a dishonest or mistaken supplier signs with its own good keys."""

    name: str
    make: Callable[[Bench, str], tuple[bytes, str]]  # document, request ID
    check: str  # without the party's prefix
    then: str | None  # what stops it with that check off; None: the change of supplier happens


def by(supplier: str, **how: object) -> Callable[[Bench, str], tuple[bytes, str]]:
    def make(bench: Bench, meter: str) -> tuple[bytes, str]:
        mpxn = str(how.get("mpxn") or bench.mpxn(meter))
        if mpxn == "of the other home":
            mpxn = next(d["mpxn"] for d in bench.devices if d["eui"] != meter)
        other = how.get("certificates_of")
        request_id, document = bench.supplier(supplier).change_of_supplier(
            meter,
            mpxn,
            certificates_of=bench.supplier(str(other)) if other else None,
        )
        return document, str(request_id)

    return make


ATTACKS = [
    Attack("not the incoming supplier", by("C"), "registration.incoming_supplier", None),
    Attack("the supplier until now", by("A"), "registration.incoming_supplier", None),
    Attack("a meter point nobody knows", by("B", mpxn="9999999999999"), "registration.mpxn_known",
           "registration.incoming_supplier"),
    Attack("the meter point of another home", by("B", mpxn="of the other home"),
           "registration.device_mpxn", None),
    Attack("another supplier's certificates", by("B", certificates_of="C"),
           "certificates.owner", None),
]  # fmt: skip


@pytest.mark.parametrize(("cos_party", "prefix"), PARTIES)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name.replace(" ", "-"))
def test_it_is_refused_by_name_and_nothing_changes(
    bench: Bench, attack: Attack, cos_party: str, prefix: str
) -> None:
    meter = bench.meter(cos_party)
    before = bench.state(meter)
    outcome = bench.submit(*attack.make(bench, meter))
    assert refused_by(outcome) == (cos_party, f"{prefix}.{attack.check}")
    assert outcome.response_code not in (None, "I0", "I99")
    assert bench.state(meter) == before
    # The trace, the audit log and the answer say the same name.
    assert {v["check"] for _, v in bench.story(outcome).refusals} == {f"{prefix}.{attack.check}"}


@pytest.mark.parametrize(("cos_party", "prefix"), PARTIES)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name.replace(" ", "-"))
def test_with_that_check_off_it_gets_through_or_is_stopped_elsewhere(
    bench: Bench, attack: Attack, cos_party: str, prefix: str
) -> None:
    meter = bench.meter(cos_party)
    before = bench.cells(meter)
    bench.check(cos_party, f"{prefix}.{attack.check}", enabled=False)
    outcome = bench.submit(*attack.make(bench, meter))
    if attack.then is None:
        assert outcome.ok, outcome
        # Supplier A holds the home already, so there the same certificates come again.
        assert (bench.cells(meter) != before) == (attack.name != "the supplier until now")
    else:
        assert refused_by(outcome) == (cos_party, f"{prefix}.{attack.then}")
        assert bench.cells(meter) == before


def test_a_weakened_party_says_so_on_its_lab_port(bench: Bench) -> None:
    check = "ecos.registration.incoming_supplier"
    bench.check("ecos_party", check, enabled=False)
    stack = bench.connection.stack
    answer = bench.connection.http.get(
        f"{stack.services['ecos_party'].lab}/lab/checks",
        headers={"Authorization": f"Bearer {stack.lab_tokens['ecos_party']}"},
    )
    assert answer.headers["Lab-Weakened"] == check
    bench.reset()
    told = bench.connection.lab("ecos_party", "GET", "/lab/checks")
    assert told["weakened"] == []


def test_not_yet_at_the_execution_date(bench: Bench) -> None:
    """A supplier that will be registered in ten days cannot take the home today."""
    meter = bench.meter("ecos_party")
    mpxn = bench.mpxn(meter)
    starts = SystemClock().now().replace(microsecond=0) + timedelta(days=10)
    bench.connection.lab(
        "registration",
        "POST",
        "/lab/registrations",
        {
            "mpxn": mpxn,
            "participant": bench.supplier("C").participant,
            "effective_from": starts.isoformat(),
        },
    )
    try:
        request_id, document = bench.supplier("C").change_of_supplier(meter, mpxn)
        outcome = bench.submit(document, request_id)
        assert refused_by(outcome) == ("ecos_party", "ecos.registration.incoming_supplier")
        # But it may ask today for the day on which it will be.
        later = starts + timedelta(hours=1)
        request_id, document = bench.supplier("C").change_of_supplier(meter, mpxn, execution=later)
        outcome = bench.submit(document, request_id)
        assert outcome.state == "scheduled", outcome
        assert bench.device(meter)["pending"], "the meter holds the command until its date"
    finally:
        bench.connection.lab("registration", "POST", "/lab/register/reload")


def refused_by(outcome: Outcome) -> tuple[str, str] | None:
    return (outcome.refused["party"], outcome.refused["check"]) if outcome.refused else None
