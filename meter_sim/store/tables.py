"""The meters' tables: certificates once each, changed devices a row each, fleets a row each."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, ForeignKey, Integer, LargeBinary, MetaData, Table, Text

from services.chassis.data.store import UtcDateTime

metadata: Final = MetaData()

certificates: Final = Table(
    "meter_certificates",
    metadata,
    Column("fingerprint", Text, primary_key=True),
    Column("der", LargeBinary, nullable=False),
)

devices: Final = Table(
    "meter_devices",
    metadata,
    Column("eui", Text, primary_key=True),
    Column("device_type", Text, nullable=False),
    Column("cells", Text, nullable=False),
    Column("counters", Text, nullable=False),
    Column("alert_counter", Integer, nullable=False),
    Column("own_keys", Text, nullable=False),
    Column("wrapped_contingency", LargeBinary),
    Column("factory", Text, nullable=False),
    Column("installed_at", UtcDateTime, nullable=False),
)

pending: Final = Table(
    "meter_pending",
    metadata,
    Column("eui", Text, ForeignKey("meter_devices.eui", ondelete="CASCADE"), primary_key=True),
    Column("role", Text, primary_key=True),
    Column("reference", Text, nullable=False),
    Column("execution_date_time", Text, nullable=False),
    Column("due", UtcDateTime, nullable=False, index=True),
    Column("message", LargeBinary, nullable=False),
)

tallies: Final = Table(
    "meter_alert_tallies",
    metadata,
    Column("eui", Text, primary_key=True),
    Column("code", Integer, primary_key=True),
    Column("since", UtcDateTime, nullable=False),
    Column("refusals", Integer, nullable=False),
    Column("alerted", Boolean, nullable=False),
    Column("unsaid", Integer, nullable=False),
)
"""How each security alert code stands on each device: see meter_sim.device.alerts."""

fleets: Final = Table(
    "meter_fleets",
    metadata,
    Column("first_eui", Text, primary_key=True),
    Column("last_eui", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("device_type", Text, nullable=False),
    Column("cells", Text, nullable=False),
    Column("wrapped_contingency", LargeBinary),
    Column("factory", Text, nullable=False),
    Column("installed_at", UtcDateTime, nullable=False),
)
"""Devices that are all alike until they change: from the first EUI-64 to the last, inclusive."""

scrapped: Final = Table("meter_scrapped", metadata, Column("eui", Text, primary_key=True))
"""Devices of a fleet that are no more."""
