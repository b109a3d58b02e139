"""The DCC alert `CoSCertificateAlert`: which CoS certificate a device holds.

DUIS 5.4 has the body, `{DeviceID, CertificateSerialNumber?}`; its purpose is an inference
(docs/sources.md#codes, #migration). When it is sent, to whom and under which number is a
reconstruction, all of it here and in `acb.rules.codes`:

- the record of the device's role-5 cell changed: a device said that it replaced the certificate
  there (a migration from one CoS Party to the other, a recovery). With the serial number;
- a device says, asked for its credentials, that its role-5 cell holds another key than the record
  has. Without a serial number, which a device does not tell. The record stays as it is: it holds
  certificates, and a key identifier is none;
- nobody can be asked to sign a change of supplier that was accepted, because the device's role-5
  certificate is of no CoS Party connected here (`acb.cos_party.unavailable`). With the serial
  number. A request refused for that at once (`acb.device.cos_party`) changes nothing, so that
  nobody can have others sent alerts by asking.

The responsible supplier is told (whose certificate the record has in the supplier's signing cell);
of the third, whoever asked as well. Each is told of one certificate of one device once, until
something else is to be told of that device.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Column, ForeignKey, Table, Text, select
from sqlalchemy.dialects.sqlite import insert

from acb.model import COS_CELL, SUPPLIER_CELL, DeviceRecord, Tracked
from acb.steps.notify import Notifier
from acb.store import records
from acb.store.tables import tables
from gbcs.payloads.credentials import CellId
from gbcs.payloads.details import CredentialDetails
from keys.certificate import Certificate
from services.chassis.data.connection import StoreConnection

told_table: Final = Table(
    "acb_cos_told",
    tables,
    Column(
        "device",
        Text,
        ForeignKey(records.device_table.c.eui, ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("user", Text, primary_key=True),
    Column("held", Text, nullable=False),
)
"""What each user was told last of a device's CoS certificate: its key identifier and serial."""


class CosCertificates:
    """Has the alert sent when it is due, in the caller's transaction."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    async def recorded(
        self,
        conn: StoreConnection,
        tracked: Tracked,
        before: DeviceRecord | None,
        changed: Mapping[str, Certificate],
    ) -> None:
        """The record of some cells changed: is the CoS Party's among them?"""
        new = changed.get(COS_CELL)
        if before is None or new is None:
            return
        old = before.cells.get(COS_CELL)
        if old is None or old.der != new.der:
            await self._alert(conn, tracked, before, (new.key_identifier, new.serial))

    async def read(
        self,
        conn: StoreConnection,
        tracked: Tracked,
        details: CredentialDetails,
    ) -> None:
        """A device told what its cells hold: is the CoS Party's what the record has?"""
        device = await records.find_device(conn, tracked.target)
        if device is None:
            return
        held = device.cells.get(COS_CELL)
        known = None if held is None else (held.subject_unique_id, held.key_identifier)
        for role in details.roles:
            for said in role.held or ():
                cell = CellId(role.role, said.key_usage, said.cell_usage)
                if cell.name == COS_CELL and (said.subject, said.key_id) != known:
                    await self._alert(conn, tracked, device, (said.key_id, None))

    async def nobody_signs(
        self, conn: StoreConnection, tracked: Tracked, device: DeviceRecord
    ) -> None:
        """No CoS Party connected here can sign for the device."""
        held = device.cells.get(COS_CELL)
        if held is not None:
            holds = held.key_identifier, held.serial
            await self._alert(conn, tracked, device, holds, also=(tracked.originator,))

    async def _alert(
        self,
        conn: StoreConnection,
        tracked: Tracked,
        device: DeviceRecord,
        holds: tuple[bytes, int | None],
        also: tuple[str, ...] = (),
    ) -> None:
        """Have everybody concerned alerted, once: `holds` are key identifier and serial."""
        key_identifier, serial = holds
        supplier = device.cells.get(SUPPLIER_CELL)
        responsible = None if supplier is None else supplier.subject_eui
        held = f"{key_identifier.hex()} {'' if serial is None else serial}"
        for user in sorted({*also, responsible or ""}):
            if await records.find_user(conn, user) is None:
                continue
            here = told_table.c.device == device.eui, told_table.c.user == user
            last = (await conn.execute(select(told_table.c.held).where(*here))).scalar_one_or_none()
            if last == held:
                continue
            await conn.execute(
                insert(told_table)
                .values(device=device.eui, user=user, held=held)
                .on_conflict_do_update(index_elements=["device", "user"], set_={"held": held})
            )
            await self._notifier.enqueue_cos_certificate(conn, tracked, device.eui, serial, user)
