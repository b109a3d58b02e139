"""Every check on a service request, at both CoS Parties.

For each: what is refused, by exactly that check, and that nothing came of it; and the twin, the
same act with that one check off, which then succeeds, or is stopped by the next check that cannot
do without what the first one guards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from respelling import oddly

from cos_party.checks import READ_BACK, REQUEST
from cos_party.checks import RETURN as RETURN_CHECKS
from cos_party.model import Thresholds
from cos_party.store import decisions as store
from duis.model import CANCEL_DATE, Header, ReadInventory, ServiceRequest
from duis.xml import request_to_xml
from services.chassis.checks import Refused
from tests.unit.cos_party import pki
from tests.unit.cos_party.estate import (
    MPXN,
    OTHER_DEVICE,
    RETURN,
    SUPPLIER_A,
    SUPPLIER_B,
    SUPPLIER_C,
    Asking,
    Estate,
    Party,
    extract,
)
from tests.unit.cos_party.pki import NOW

LONG_MPXN = MPXN + "0"
SIGNED = "signed"


def honest(estate: Estate) -> Asking:
    return estate.ask()


def signed(asking: Asking) -> bytes:
    return asking.signed


def read_inventory(asking: Asking) -> bytes:
    """A service request of another kind, honestly made and signed."""
    request = ServiceRequest(
        Header(asking.request.header.request_id, 8, "8.2", "8.2"), ReadInventory(mpxn=MPXN)
    )
    return asking.sign(request_to_xml(request))


async def as_it_is(party: Party, estate: Estate) -> None:
    """An estate in which nothing is out of order."""


@dataclass(frozen=True)
class Case:
    """One way to be refused, and what the same act leads to with the check off."""

    check: str
    twin: str
    ask: Callable[[Estate], Asking] = honest
    content: Callable[[Asking], bytes] = signed
    world: Callable[[Party, Estate], Any] = as_it_is
    label: str = ""


async def know(party: Party, *identities: pki.Identity) -> None:
    party.published.certificates += [identity.certificate for identity in identities]


async def know_lapsed(party: Party, estate: Estate) -> None:
    await know(party, estate.xml_signer(SUPPLIER_B, valid=pki.LAPSED))


async def know_stranger(party: Party, estate: Estate) -> None:
    await know(party, estate.xml_signer(SUPPLIER_B, above=estate.stranger_issuing))


async def know_supplier_key(party: Party, estate: Estate) -> None:
    await know(party, estate.supplier(SUPPLIER_B, "digital_signature"))


async def know_agreement_key(party: Party, estate: Estate) -> None:
    await know(party, estate.supplier(SUPPLIER_B, "key_agreement"))


async def revoke_signer(party: Party, estate: Estate) -> None:
    serial = estate.xml_signer(SUPPLIER_B).certificate.serial
    party.published.revoke(estate.issuing, "organisation", serial)


async def revoke_replacement(party: Party, estate: Estate) -> None:
    serial = estate.supplier(SUPPLIER_B, "key_agreement").certificate.serial
    party.published.revoke(estate.issuing, "organisation", serial)


async def revoke_path_certificate(party: Party, estate: Estate) -> None:
    serial = estate.issuing.certificate.serial
    party.published.lists["root"] = estate.root.revocation_list(serial)


async def no_list_of_second(party: Party, estate: Estate) -> None:
    del party.published.lists["second"]


async def stale_lists(party: Party, estate: Estate) -> None:
    party.published.lists["organisation"] = estate.issuing.revocation_list(
        at=NOW - timedelta(days=60), days=30
    )


async def forged_list(party: Party, estate: Estate) -> None:
    """A list in the authority's name that another key signed: not taken in, so none is held."""
    forger = pki.authority("SIM-Z1", "07", estate.root)
    forged = pki.Authority(
        pki.key("forger"), forger.certificate, forger.name, forger.policy
    ).revocation_list()
    party.published.lists = {"organisation": forged}


async def registration_gone(party: Party, estate: Estate) -> None:
    """Registration answered once and has been down for longer than its copy may serve."""
    await party.gatherer.puller.sync()
    party.published.down.add("registration")
    party.clock.step(timedelta(hours=24, seconds=1))


async def registration_never_there(party: Party, estate: Estate) -> None:
    party.published.down.add("registration")


async def two_suppliers_at_once(party: Party, estate: Estate) -> None:
    points = extract().model_dump()["meter_points"]
    points[0]["registrations"].append(
        {"participant": "SUPA", "effective_from": NOW - timedelta(days=2), "effective_to": None}
    )
    party.published.extract = extract(number=2, meter_points=points)


async def one_signed_already(party: Party, estate: Estate) -> None:
    await party.command(estate.ask().signed, "t-first")


async def newer_signed_already(party: Party, estate: Estate) -> None:
    await party.command(estate.ask(counter=2**64 - 1).signed, "t-newer")


async def change_of_c_waits(party: Party, estate: Estate) -> None:
    """C will be the supplier from RETURN on, and has its change waiting for that day."""
    asked = estate.ask(requester=SUPPLIER_C, execution_date_time=RETURN, counter=1)
    await party.command(asked.signed, "t-c")


async def begun_with_another(party: Party, estate: Estate) -> None:
    await party.command(estate.ask(counter=1).signed, "t-1")


async def no_more_for_requester(party: Party, estate: Estate) -> None:
    await set_thresholds(party, Thresholds(per_requester=0))


async def no_more_in_total(party: Party, estate: Estate) -> None:
    await set_thresholds(party, Thresholds(total=0))


async def set_thresholds(party: Party, thresholds: Thresholds) -> None:
    async with party.base.database.begin() as conn:
        await store.write_thresholds(conn, thresholds)


CASES = [
    Case(
        "request.wellformed",
        "request.schema",
        content=lambda a: a.signed.replace(b"<sr:Body>", b"<!-- --><sr:Body>"),
    ),
    Case(
        "request.schema",
        "request.supported",
        content=lambda a: a.sign_changed(MPXN.encode(), LONG_MPXN.encode()),
    ),
    Case(
        "request.schema",
        "request.supported",
        ask=lambda e: e.ask(requester=SUPPLIER_C, execution_date_time=RETURN),
        content=lambda a: a.sign_changed(b"Z</sr:Execution", b"</sr:Execution"),
        label="no zone",
    ),
    Case(
        "request.supported",
        "request.command_variant",
        content=lambda a: a.sign_changed(b"ServiceReference>6.23<", b"ServiceReference>6.21<"),
        label="header and body",
    ),
    Case("request.supported", "request.command_variant", content=read_inventory),
    Case(
        "request.command_variant",
        "request.originator",
        content=lambda a: a.sign_changed(b"CommandVariant>1<", b"CommandVariant>4<"),
    ),
    Case("request.signature_form", "request.certificate_known", content=lambda a: a.unsigned),
    Case(
        "request.certificate_known",
        "request.certificate_path",
        ask=lambda e: e.ask(signer=e.xml_signer(SUPPLIER_B, label="never published")),
    ),
    Case(
        "request.certificate_path",
        SIGNED,
        ask=lambda e: e.ask(signer=e.xml_signer(SUPPLIER_B, valid=pki.LAPSED)),
        world=know_lapsed,
        label="expired",
    ),
    Case(
        "request.certificate_path",
        "request.certificate_revoked",
        ask=lambda e: e.ask(signer=e.xml_signer(SUPPLIER_B, above=e.stranger_issuing)),
        world=know_stranger,
        label="of a stranger's authority",
    ),
    Case("request.certificate_revoked", SIGNED, world=revoke_signer),
    Case("request.certificate_revoked", "certificates.revoked", world=stale_lists, label="stale"),
    Case("request.certificate_revoked", "certificates.revoked", world=forged_list, label="forged"),
    Case(
        "request.signing_role",
        SIGNED,
        ask=lambda e: e.ask(signer=e.supplier(SUPPLIER_B, "digital_signature")),
        world=know_supplier_key,
        label="OU 02",
    ),
    Case(
        "request.originator",
        SIGNED,
        ask=lambda e: e.ask(signer=e.xml_signer(SUPPLIER_C)),
    ),
    Case(
        "request.signature",
        SIGNED,
        content=lambda a: a.but(supplier_floor=123456).signed.replace(b">123456<", b">654321<"),
        label="a changed value",
    ),
    Case(
        "request.signature",
        SIGNED,
        ask=lambda e: e.ask(
            signer=e.xml_signer(SUPPLIER_C),
            key_info=(
                e.xml_signer(SUPPLIER_B).certificate.issuer,
                e.xml_signer(SUPPLIER_B).certificate.serial,
            ),
        ),
        label="another key",
    ),
    Case(
        "request.execution_date",
        SIGNED,
        ask=lambda e: e.ask(execution_date_time=NOW - timedelta(seconds=1)),
        label="past",
    ),
    Case(
        "request.execution_date",
        SIGNED,
        ask=lambda e: e.ask(
            requester=SUPPLIER_C, execution_date_time=NOW + timedelta(days=30, seconds=1)
        ),
        label="too far ahead",
    ),
    Case(
        "request.execution_date",
        SIGNED,
        ask=lambda e: e.ask(execution_date_time=NOW + timedelta(microseconds=500_000)),
        label="half a second",
    ),
    Case(
        "request.duplicate",
        SIGNED,
        ask=lambda e: e.ask(supplier_floor=99),
        world=one_signed_already,
        label="request identifier",
    ),
    Case(
        "request.duplicate",
        SIGNED,
        content=lambda a: a.sign(oddly(a.unsigned)),
        world=one_signed_already,
        label="request identifier, in another spelling",
    ),
    Case("request.duplicate", SIGNED, world=begun_with_another, label="transaction"),
    Case("request.order", SIGNED, world=newer_signed_already),
    Case("registration.fresh", SIGNED, world=registration_gone, label="too old"),
    Case(
        "registration.fresh",
        "registration.mpxn_known",
        world=registration_never_there,
        label="none",
    ),
    Case(
        "registration.mpxn_known",
        "registration.incoming_supplier",
        ask=lambda e: e.ask(import_mpxn="1399999999999"),
    ),
    Case(
        "registration.incoming_supplier",
        SIGNED,
        ask=lambda e: e.ask(requester=SUPPLIER_A),
        label="the old supplier",
    ),
    Case(
        "registration.incoming_supplier",
        SIGNED,
        ask=lambda e: e.ask(requester=SUPPLIER_C),
        label="the next supplier, too early",
    ),
    Case(
        "registration.incoming_supplier",
        SIGNED,
        ask=lambda e: e.ask(execution_date_time=NOW + timedelta(days=25)),
        label="no longer the supplier then",
    ),
    Case(
        "registration.incoming_supplier",
        SIGNED,
        world=two_suppliers_at_once,
        label="two at once",
    ),
    Case(
        "registration.pending_change",
        SIGNED,
        ask=lambda e: e.ask(execution_date_time=CANCEL_DATE),
        world=change_of_c_waits,
        label="withdrawn by the supplier until then",
    ),
    Case(
        "registration.pending_change",
        SIGNED,
        ask=lambda e: e.ask(execution_date_time=RETURN - timedelta(days=1)),
        world=change_of_c_waits,
        label="displaced by the supplier until then",
    ),
    Case("registration.device_mpxn", SIGNED, ask=lambda e: e.ask(device=OTHER_DEVICE)),
    Case(
        "certificates.profile",
        "certificates.path",
        ask=lambda e: e.ask(key_agreement=e.key_agreement(policy="1.2.3.4")),
        label="another policy",
    ),
    Case(
        "certificates.profile",
        "certificates.role",
        ask=lambda e: e.ask(key_agreement=b"\x30\x03\x02\x01\x01"),
        label="no certificate",
    ),
    Case(
        "certificates.profile",
        "certificates.role",
        ask=lambda e: e.ask(digital_signing=e.device.certificate.der),
        label="a device's",
    ),
    Case(
        "certificates.role",
        SIGNED,
        ask=lambda e: e.ask(digital_signing=e.digital_signing(role="08")),
    ),
    Case(
        "certificates.owner",
        SIGNED,
        ask=lambda e: e.ask(key_agreement=e.key_agreement(SUPPLIER_C)),
    ),
    Case(
        "certificates.usage",
        SIGNED,
        ask=lambda e: e.ask(digital_signing=e.key_agreement(label="for signing")),
    ),
    Case(
        "certificates.path",
        SIGNED,
        ask=lambda e: e.ask(key_agreement=e.key_agreement(above=e.second_issuing)),
        label="issuer not supplied",
    ),
    Case(
        "certificates.path",
        SIGNED,
        ask=lambda e: e.ask(key_agreement=e.key_agreement(valid=pki.LAPSED)),
        label="expired",
    ),
    Case(
        "certificates.path",
        SIGNED,
        ask=lambda e: e.ask(
            key_agreement=e.key_agreement(valid=pki.LAPSED), apply_time_checks=False
        ),
        label="expired, and the device is told not to look",
    ),
    Case(
        "certificates.path",
        SIGNED,
        ask=lambda e: e.ask(
            execution_date_time=NOW + timedelta(days=10),
            key_agreement=e.key_agreement(valid=(NOW - timedelta(days=9), NOW + timedelta(days=9))),
        ),
        label="expired by then",
    ),
    Case("certificates.revoked", SIGNED, world=revoke_replacement, label="a replacement"),
    Case("certificates.revoked", SIGNED, world=revoke_path_certificate, label="an authority"),
    Case(
        "certificates.revoked",
        SIGNED,
        ask=lambda e: e.ask(
            key_agreement=e.key_agreement(above=e.second_issuing),
            path_certificates=(e.issuing.certificate.der, e.second_issuing.certificate.der),
        ),
        world=no_list_of_second,
        label="no list held",
    ),
    Case(
        "certificates.path_unused",
        SIGNED,
        ask=lambda e: e.ask(
            path_certificates=(e.issuing.certificate.der, e.second_issuing.certificate.der)
        ),
        label="needed by none",
    ),
    Case(
        "certificates.path_unused",
        SIGNED,
        ask=lambda e: e.ask(path_certificates=(e.issuing.certificate.der,) * 2),
        label="twice",
    ),
    Case(
        "certificates.path_unused",
        SIGNED,
        ask=lambda e: e.ask(path_certificates=(e.issuing.certificate.der, e.root.certificate.der)),
        label="the root, which the device has",
    ),
    Case(
        "certificates.distinct",
        SIGNED,
        ask=lambda e: e.ask(key_agreement_top_up=e.key_agreement()),
        label="one certificate",
    ),
    Case(
        "certificates.distinct",
        SIGNED,
        ask=lambda e: e.ask(
            key_agreement=e.key_agreement(key_name="one key"),
            key_agreement_top_up=e.top_up(key_name="one key"),
        ),
        label="one key",
    ),
    Case(
        "floors.headroom",
        SIGNED,
        ask=lambda e: e.ask(supplier_floor=2**63 - 1),
        label="supplier",
    ),
    Case(
        "floors.headroom",
        SIGNED,
        ask=lambda e: e.ask(prepayment_top_up_floor=2**63 - 2**32),
        label="top-up",
    ),
    Case("floors.top_up", SIGNED, ask=lambda e: e.ask(key_agreement_top_up=None)),
    Case("anomaly.threshold", SIGNED, world=no_more_for_requester, label="requester"),
    Case("anomaly.threshold", SIGNED, world=no_more_in_total, label="total"),
]

each_case = pytest.mark.parametrize(
    "case", CASES, ids=[f"{c.check} {c.label}".strip().replace(" ", "_") for c in CASES]
)


def test_every_check_has_a_case_and_a_code_of_three_characters() -> None:
    assert {case.check for case in CASES} == {check.id for check in REQUEST}
    codes = [check.code or "" for check in (*REQUEST, *RETURN_CHECKS, *READ_BACK)]
    assert all(len(code) == 3 for code in codes)
    assert len(set(codes)) == len(codes)


@each_case
async def test_refused_by_exactly_that_check_and_nothing_came_of_it(
    party: Party, estate: Estate, case: Case
) -> None:
    check = f"{party.prefix}.{case.check}"
    await case.world(party, estate)
    content = case.content(case.ask(estate))
    before, kept = await party.effects(), len(party.remembered)
    with pytest.raises(Refused) as refusal:
        await party.command(content, "t-1")
    refused = refusal.value
    assert (refused.party, refused.check) == (party.base.settings.party, check)
    assert refused.code == party.base.book.get(check).code
    assert await party.effects() == before
    assert len(party.remembered) == kept
    verdicts = await last_verdicts(party)
    at = [verdict["check"] for verdict in verdicts].index(check)
    assert {verdict["outcome"] for verdict in verdicts[:at]} <= {"passed"}
    assert verdicts[at]["outcome"] == "refused"
    assert {verdict["outcome"] for verdict in verdicts[at + 1 :]} <= {"not_reached"}


@each_case
async def test_twin_with_that_check_off(party: Party, estate: Estate, case: Case) -> None:
    await case.world(party, estate)
    content = case.content(case.ask(estate))
    before = await party.effects()
    party.base.book.turn_off(f"{party.prefix}.{case.check}")
    if case.twin != SIGNED:
        with pytest.raises(Refused) as refusal:
            await party.command(content, "t-1")
        assert refusal.value.check == f"{party.prefix}.{case.twin}"
        return
    answer = await party.command(content, "t-1")
    after = await party.effects()
    assert answer["counter"] == after["counter"] == before["counter"] + 1
    assert after["signed"] == before["signed"] + 1
    outcomes = {v["check"]: v["outcome"] for v in await last_verdicts(party)}
    assert outcomes.pop(f"{party.prefix}.{case.check}") == "off"
    assert set(outcomes.values()) == {"passed"}


async def last_verdicts(party: Party) -> list[dict[str, Any]]:
    """The verdicts of the decision taken last."""
    async with party.base.database.connect() as conn:
        decision = (await store.list_decisions(conn, after=0, limit=100))[-1]
    subject = decision["request_id"] or decision["transaction"]
    entries = await party.base.traces.read(subject)
    return [entry for entry in entries if entry["verdicts"]][-1]["verdicts"]
