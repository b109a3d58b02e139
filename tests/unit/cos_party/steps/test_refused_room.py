"""What is kept of refusals: not without end, each at its own cost, always by which check."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from cos_party.model import Thresholds
from cos_party.steps.judging import RECORDS
from cos_party.store import decisions as store
from services.chassis.checks import Refused
from services.chassis.data.audit import audit_table
from services.chassis.data.quota import RECORD, UnauthenticatedQuota
from services.chassis.data.trace import trace_table
from tests.unit.cos_party.estate import Estate, Party
from tests.unit.services.link.estate import HeldClock

ROOM = 3
ANOTHER = "0253494d2fffffff"


def quota(party: Party, size: int) -> None:
    enough = ROOM * (size + RECORDS * RECORD) + RECORD
    party.base.audit.unauthenticated = UnauthenticatedQuota(
        HeldClock(), sender_quota=enough, per_second=0
    )


async def refused(party: Party, content: bytes, transaction: str) -> str:
    with pytest.raises(Refused) as caught:
        await party.command(content, transaction)
    return caught.value.check


async def kept(party: Party, check: str) -> dict[str, int]:
    """How many rows there are of refusals by this check, by table."""
    async with party.base.database.connect() as conn:
        listed = await store.list_decisions(conn, after=0, limit=1000)
        texts = select(func.count()).where(trace_table.c.message.is_not(None))
        rows = select(func.count()).where(audit_table.c.record.contains(f'"{check}"'))
        return {
            "decisions": len([one for one in listed if one["check"] == check]),
            "texts": int((await conn.execute(texts)).scalar_one()),
            "audit": int((await conn.execute(rows)).scalar_one()),
        }


async def test_a_suppliers_refusals_are_kept_while_its_quota_lasts(
    party: Party, estate: Estate
) -> None:
    check = f"{party.prefix}.registration.mpxn_known"
    size = len(estate.ask(import_mpxn="1399999999999").signed)
    quota(party, size)
    before = await party.effects()
    for number in range(1, 4 * ROOM):
        asked = estate.ask(import_mpxn="1399999999999", counter=number).signed
        assert await refused(party, asked, f"t-{number}") == check
    found = await kept(party, check)
    assert found == {"decisions": ROOM, "texts": ROOM, "audit": 4 * ROOM - 1}
    assert await party.effects() == before
    # at nobody else's cost: the broker's own quota, another supplier's, and what is approved
    assert party.base.audit.unauthenticated.admit(sender="acb")
    assert party.base.audit.unauthenticated.admit(sender=ANOTHER)
    assert (await party.command(estate.ask(counter=100).signed))["counter"] == 6001


async def test_what_no_supplier_signed_is_at_the_cost_of_who_brought_it(
    party: Party, estate: Estate
) -> None:
    check = f"{party.prefix}.request.wellformed"
    quota(party, len(b"<no") + 1)
    for number in range(10, 10 + 4 * ROOM):
        assert await refused(party, b"<%d" % number, f"t-{number}") == check
    assert await kept(party, check) == {"decisions": ROOM, "texts": ROOM, "audit": 4 * ROOM}
    size = len(estate.ask(import_mpxn="1399999999999").signed)
    assert size < 4 * RECORD * RECORDS
    asked = estate.ask(import_mpxn="1399999999999").signed
    await refused(party, asked, "t-supplier")
    found = await kept(party, f"{party.prefix}.registration.mpxn_known")
    assert found["decisions"] == 1


async def test_what_is_quarantined_is_bounded_as_well(ecos: Party, estate: Estate) -> None:
    async with ecos.base.database.begin() as conn:
        await store.write_thresholds(conn, Thresholds(per_requester=0))
    quota(ecos, len(estate.ask(counter=1).signed))
    for number in range(1, 3 * ROOM):
        check = await refused(ecos, estate.ask(counter=number).signed, f"t-{number}")
        assert check == "ecos.anomaly.threshold"
    found = await kept(ecos, "ecos.anomaly.threshold")
    assert (found["decisions"], found["audit"]) == (ROOM, 3 * ROOM - 1)


async def test_what_devices_said_and_was_refused_is_bounded_as_well(ecos: Party) -> None:
    check = "ecos.response.decode"
    quota(ecos, 10)
    for number in range(4 * ROOM):
        with pytest.raises(Refused) as caught:
            await ecos.bring("device-response", b"noise %4d" % number, f"t-{number}")
        check = caught.value.check
    found = await kept(ecos, check)
    assert (found["decisions"], found["audit"]) == (ROOM, 4 * ROOM)
