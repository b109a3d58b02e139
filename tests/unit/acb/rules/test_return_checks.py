"""What a CoS Party returns: every departure is refused by the check whose business it is.

Each case is a command that is well signed by the party's own key (unless the signature is the
point): a CoS Party that is mistaken or dishonest. The twin shows that this check, and those named
as `also`, are all that stands in the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from acb.checks import RETURN_CHECKS
from acb.model import CosParty, ReturnEvidence
from acb.steps import gather
from duis.model import CANCEL_DATE, ServiceRequest
from gbcs.codes import CellUsage, Cra, CredentialsReplacementMode, KeyUsage, RemotePartyRole
from gbcs.message import Message, OtherInformation, encode
from gbcs.payloads.credentials import (
    CellId,
    Replacement,
    SeqNumberChange,
    SpecialistSeqNumber,
    UpdateCredentials,
    encode_update,
)
from gbcs.protect import add_mac, sign
from services.chassis.checks import CheckBook, Refused
from tests.unit.acb.estate import (
    DEVICE,
    ECOS,
    OTHER_DEVICE,
    SUPPLIER_A,
    TCOS,
    Estate,
    command_message,
    signed_octets,
    update_for,
)

COUNTER = 5
LAST = 4
LATER = datetime(2030, 1, 2, tzinfo=UTC)
ROLE = RemotePartyRole
SUPPLIER_DS = CellId(ROLE.SUPPLIER, KeyUsage.DIGITAL_SIGNATURE)
NETWORK_DS = CellId(ROLE.NETWORK_OPERATOR, KeyUsage.DIGITAL_SIGNATURE)
TOP_UP = CellId(ROLE.SUPPLIER, KeyUsage.KEY_AGREEMENT, CellUsage.PREPAYMENT_TOP_UP)


@dataclass
class Party:
    """What a CoS Party under test works with."""

    estate: Estate
    request: ServiceRequest

    def sign(self, data: bytes) -> bytes:
        return self.estate.party_keys[TCOS].signer("digital-signing").sign(data)

    @property
    def update(self) -> UpdateCredentials:
        return update_for(self.request.body, COUNTER)

    def command(self, update: UpdateCredentials | bytes | None = None, **header: Any) -> bytes:
        header.setdefault("counter", COUNTER)
        return signed_octets(
            command_message(self.update if update is None else update, **header), self.sign
        )

    def changed(self, **changes: Any) -> bytes:
        return self.command(replace(self.update, **changes))


def judge(
    checks: CheckBook, estate: Estate, request: ServiceRequest, raw: bytes
) -> tuple[str | None, ReturnEvidence]:
    """The identifier of the check that refused; None if the whole list said yes."""
    evidence = gather.read_returned(
        ReturnEvidence(
            raw=raw,
            request=request,
            cos_party=CosParty("tcos_party", TCOS),
            certificate=estate.cos_certificate(TCOS),
            path=estate.path,
            last_counter=LAST,
        )
    )
    run = checks.start("test", "return")
    try:
        for check in RETURN_CHECKS:
            run.apply(check, evidence)
    except Refused as refused:
        return refused.check, evidence
    run.approve()
    return None, evidence


@pytest.fixture
def party(estate: Estate) -> Party:
    return Party(estate, estate.request())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"execution_date_time": LATER},
        {"execution_date_time": CANCEL_DATE},
        {"apply_time_checks": False},
        {"prepayment_top_up_floor": None},
        {"key_agreement": None},
        {"key_agreement": None, "key_agreement_top_up": None},
        {"supplier_floor": 2**63 - 1, "prepayment_top_up_floor": 0},
    ],
)
def test_the_faithful_command_passes_every_check(
    checks: CheckBook, estate: Estate, changes: dict[str, Any]
) -> None:
    party = Party(estate, estate.request(**changes))

    refused, _ = judge(checks, estate, party.request, party.command())

    assert refused is None


def test_a_cancellation_with_floors_is_refused(checks: CheckBook, estate: Estate) -> None:
    """Published cancellations leave [6] out although the request carries a floor."""
    party = Party(estate, estate.request(execution_date_time=CANCEL_DATE))
    floors = (SeqNumberChange(ROLE.SUPPLIER, 1000, (SpecialistSeqNumber(2000),)),)

    refused, _ = judge(checks, estate, party.request, party.changed(other_changes=floors))

    assert refused == "acb.return.floors"


@dataclass(frozen=True)
class Case:
    """One departure: what comes back, which check refuses it, which others would too."""

    name: str
    check: str
    make: Callable[[Party], bytes]
    also: tuple[str, ...] = ()


def unsigned(party: Party, signature: bytes | None) -> bytes:
    return encode(replace(command_message(party.update, counter=COUNTER), signature=signature))


def with_mac(party: Party) -> bytes:
    message = sign(command_message(party.update, counter=COUNTER), party.sign)
    return encode(add_mac(message, bytes(32)))


def by_other_key(party: Party) -> bytes:
    other = party.estate.party_keys[ECOS].signer("digital-signing")
    return signed_octets(command_message(party.update, counter=COUNTER), other.sign)


def spoilt(party: Party) -> bytes:
    octets = bytearray(party.command())
    octets[-1] ^= 1
    return bytes(octets)


def of_supplier_a(party: Party, name: str = "digital-signing") -> bytes:
    return party.estate.suppliers[SUPPLIER_A].certificate(name).der


def replacements(party: Party, *items: Replacement) -> bytes:
    return party.changed(replacements=items)


PAYLOAD = ("nothing_else",)

CASES = [
    Case(
        "date-time",
        "form",
        lambda p: p.command(date_time=bytes.fromhex("07df0101ff00000000800000")),
    ),
    Case("response flag", "form", lambda p: p.command(cra=Cra.RESPONSE)),
    Case("a MAC of its own", "form", with_mac),
    Case("empty signature", "form", lambda p: unsigned(p, b""), ("signature",)),
    Case(
        "supplementary party",
        "form",
        lambda p: p.command(other=OtherInformation(0x0107, SUPPLIER_A)),
    ),
    Case(
        "supplementary counter",
        "form",
        lambda p: p.command(other=OtherInformation(0x0107, SUPPLIER_A, 1)),
    ),
    Case(
        "key agreement certificate",
        "form",
        lambda p: p.command(
            other=OtherInformation(0x0107, SUPPLIER_A, 1, 1, of_supplier_a(p, "key-agreement"))
        ),
    ),
    Case("other originator", "originator", lambda p: p.command(originator=ECOS)),
    Case("other device", "recipient", lambda p: p.command(recipient=OTHER_DEVICE)),
    Case("other use case", "message_code", lambda p: p.command(code=0x0106)),
    Case("unknown use case", "message_code", lambda p: p.command(code=0xFFFF)),
    Case(
        "counter again",
        "counter",
        lambda p: p.command(replace(p.update, authorising_counter=LAST), counter=LAST),
    ),
    Case("counters differ", "counter", lambda p: p.command(counter=COUNTER + 1)),
    Case("another key", "signature", by_other_key),
    Case("spoilt signature", "signature", spoilt),
    *(
        Case(
            f"mode {mode.value}",
            "mode",
            lambda p, mode=mode: p.changed(mode=mode),
            PAYLOAD,
        )
        for mode in CredentialsReplacementMode
        if mode != CredentialsReplacementMode.SUPPLIER_BY_TRANS_COS
    ),
    Case("no authority", "authorising_cell", lambda p: p.changed(authorising_cell=None), PAYLOAD),
    Case(
        "authority of the supplier",
        "authorising_cell",
        lambda p: p.changed(authorising_cell=SUPPLIER_DS),
        PAYLOAD,
    ),
    Case("no replacement", "certificates", replacements, PAYLOAD),
    Case(
        "one less", "certificates", lambda p: replacements(p, *p.update.replacements[:2]), PAYLOAD
    ),
    Case(
        "one twice",
        "certificates",
        lambda p: replacements(p, *p.update.replacements, p.update.replacements[0]),
        PAYLOAD,
    ),
    Case(
        "another cell too",
        "certificates",
        lambda p: replacements(
            p, *p.update.replacements, Replacement(of_supplier_a(p), NETWORK_DS)
        ),
        PAYLOAD,
    ),
    Case(
        "another supplier's certificate",
        "certificates",
        lambda p: replacements(
            p, Replacement(of_supplier_a(p), SUPPLIER_DS), *p.update.replacements[1:]
        ),
        PAYLOAD,
    ),
    Case(
        "cells exchanged",
        "certificates",
        lambda p: replacements(
            p,
            p.update.replacements[0],
            replace(p.update.replacements[1], cell=TOP_UP),
            replace(p.update.replacements[2], cell=p.update.replacements[1].cell),
        ),
        PAYLOAD,
    ),
    Case(
        "another order",
        "certificates",
        lambda p: replacements(p, *reversed(p.update.replacements)),
        PAYLOAD,
    ),
    Case("no path", "path_certificates", lambda p: p.changed(path_certificates=()), PAYLOAD),
    Case(
        "another path",
        "path_certificates",
        lambda p: p.changed(path_certificates=(p.estate.root.der,)),
        PAYLOAD,
    ),
    Case(
        "longer path",
        "path_certificates",
        lambda p: p.changed(path_certificates=(p.estate.issuing.der, p.estate.root.der)),
        PAYLOAD,
    ),
    Case("no floors", "floors", lambda p: p.changed(other_changes=None), PAYLOAD),
    Case("empty floors", "floors", lambda p: p.changed(other_changes=()), PAYLOAD),
    Case(
        "another floor",
        "floors",
        lambda p: p.changed(
            other_changes=(SeqNumberChange(ROLE.SUPPLIER, 999, (SpecialistSeqNumber(2000),)),)
        ),
        PAYLOAD,
    ),
    Case(
        "no top-up floor",
        "floors",
        lambda p: p.changed(other_changes=(SeqNumberChange(ROLE.SUPPLIER, 1000),)),
        PAYLOAD,
    ),
    Case(
        "another role's floor too",
        "floors",
        lambda p: p.changed(
            other_changes=(
                *(p.update.other_changes or ()),
                SeqNumberChange(ROLE.NETWORK_OPERATOR, 0),
            )
        ),
        PAYLOAD,
    ),
    Case("its own floor", "floors", lambda p: p.changed(new_floor=0), PAYLOAD),
    Case(
        "its own top-up floor",
        "floors",
        lambda p: p.changed(new_specialist_floors=(SpecialistSeqNumber(0),)),
        PAYLOAD,
    ),
    Case("no time checks", "time_checks", lambda p: p.changed(apply_time_checks=False), PAYLOAD),
    Case(
        "later than asked",
        "execution_date",
        lambda p: p.changed(execution_date_time="20300102000000Z"),
        PAYLOAD,
    ),
    Case(
        "cancelled instead",
        "execution_date",
        lambda p: p.changed(execution_date_time="99991231235959Z"),
        PAYLOAD,
    ),
    Case(
        "a symmetric key",
        "nothing_else",
        lambda p: p.changed(plaintext_symmetric_key=bytes(16)),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_departure_is_refused_by_its_check(
    checks: CheckBook, estate: Estate, party: Party, case: Case
) -> None:
    refused, _ = judge(checks, estate, party.request, case.make(party))

    assert refused == f"acb.return.{case.check}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_with_that_check_off_the_departure_passes(
    checks: CheckBook, estate: Estate, party: Party, case: Case
) -> None:
    raw = case.make(party)
    for name in (case.check, *case.also):
        assert judge(checks, estate, party.request, raw)[0] == f"acb.return.{name}"
        checks.turn_off(f"acb.return.{name}")

    refused, _ = judge(checks, estate, party.request, raw)

    assert refused is None


UNREADABLE = [
    ("nothing", lambda _: b""),
    ("noise", lambda _: b"\xdf" + bytes(40)),
    ("cut short", lambda p: p.command()[:-1]),
    ("one octet more", lambda p: p.command() + b"\x00"),
    ("another payload", lambda p: p.command(b"\x30\x00")),
    ("the default written out", lambda p: p.command(explicit_default(p.update))),
    ("a Pre-Command", lambda p: unsigned(p, None)),
]


def explicit_default(update: UpdateCredentials) -> bytes:
    """The same command, with the time checks' default written, which DER forbids."""
    der = encode_update(update)
    assert der[:2] == b"\x30\x82"
    inner = der.index(b"\x02\x01\x07")
    assert der[inner - 2] == 0x30
    control = der[inner - 1]
    return b"".join(
        (
            b"\x30\x82",
            (int.from_bytes(der[2:4]) + 3).to_bytes(2),
            der[4 : inner - 1],
            bytes((control + 3,)),
            b"\x02\x01\x07\x81\x01\x00",
            der[inner + 3 :],
        )
    )


@pytest.mark.parametrize(("name", "make"), UNREADABLE, ids=[name for name, _ in UNREADABLE])
def test_what_cannot_be_read_is_refused_first(
    checks: CheckBook, estate: Estate, party: Party, name: str, make: Callable[[Party], bytes]
) -> None:
    """A Pre-Command can be read; that it is not signed is the next check's business."""
    expected = "form" if name == "a Pre-Command" else "decode"

    refused, _ = judge(checks, estate, party.request, make(party))

    assert refused == f"acb.return.{expected}"


@pytest.mark.parametrize(("name", "make"), UNREADABLE, ids=[name for name, _ in UNREADABLE])
def test_no_single_check_switched_off_lets_the_unreadable_pass(
    checks: CheckBook, estate: Estate, party: Party, name: str, make: Callable[[Party], bytes]
) -> None:
    """There is no twin that succeeds: what cannot be read, every later check refuses too."""
    checks.turn_off("acb.return.decode")
    checks.turn_off("acb.return.form")

    refused, evidence = judge(checks, estate, party.request, make(party))

    assert refused is not None
    assert evidence.update is None or evidence.message is None or not evidence.message.signature


@pytest.mark.parametrize("why", ["revoked", "expired", "crl_missing", "unknown_issuer"])
def test_a_cos_party_whose_certificate_is_no_longer_good(
    checks: CheckBook, estate: Estate, party: Party, why: str
) -> None:
    certificate = estate.cos_certificate(TCOS)
    path = estate.path
    if why == "revoked":
        path = replace(path, revocation_lists=(estate.revoking(certificate.serial),))
    elif why == "expired":
        path = replace(path, now=path.now + timedelta(days=365 * 40))
    elif why == "crl_missing":
        path = replace(path, revocation_lists=())
    else:
        path = replace(path, intermediates=())
    evidence = gather.read_returned(
        ReturnEvidence(
            raw=party.command(),
            request=party.request,
            cos_party=CosParty("tcos_party", TCOS),
            certificate=certificate,
            path=path,
            last_counter=LAST,
        )
    )

    with pytest.raises(Refused) as refused:
        run_all(checks, evidence)

    assert (refused.value.check, refused.value.found) == ("acb.return.signer", why)
    checks.turn_off("acb.return.signer")
    run_all(checks, evidence)


def run_all(checks: CheckBook, evidence: ReturnEvidence) -> None:
    run = checks.start("test", "return")
    for check in RETURN_CHECKS:
        run.apply(check, evidence)
    run.approve()


def test_every_check_of_the_list_has_a_case() -> None:
    covered = {f"acb.return.{case.check}" for case in CASES}
    covered |= {"acb.return.decode", "acb.return.signer"}
    covered.add("acb.return.pending_change")  # test_whose_change.py

    assert covered == {check.id for check in RETURN_CHECKS}


def test_a_message_is_judged_by_the_certificate_on_record(
    checks: CheckBook, estate: Estate, party: Party
) -> None:
    """The other CoS Party's key is as good a key, but not the one this device trusts."""
    other = estate.party_keys[ECOS].signer("digital-signing")
    message: Message = command_message(party.update, counter=COUNTER, originator=TCOS)

    refused, _ = judge(checks, estate, party.request, signed_octets(message, other.sign))

    assert refused == "acb.return.signature"
    assert message.header.recipient == DEVICE
