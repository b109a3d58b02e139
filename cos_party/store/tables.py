"""The tables of a CoS Party, in its own store. Nobody else reads them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

from services.chassis.data.store import UtcDateTime

metadata: Final = MetaData()

transactions: Final = Table(
    "cos_transaction",
    metadata,
    Column("transaction", Text, primary_key=True),
    Column("digest", Text, nullable=False),
)
"""Which transactions ask for which bytes: a repeated request may come in a new transaction."""

commands: Final = Table(
    "cos_command",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("request_id", Text, nullable=False, index=True),
    Column("requester", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("counter", BigInteger, nullable=False, unique=True),
    Column("intended_at", UtcDateTime, nullable=False),
    Column("pre_command", LargeBinary, nullable=False),
    Column("pre_command_digest", Text, nullable=False),
    Column("signed_at", UtcDateTime),
    Column("command", LargeBinary),
    Index("cos_command_recent", "intended_at"),
    Index("cos_command_recent_of", "requester", "intended_at"),
    Index("cos_command_device", "device", "counter"),
)
"""The intent to sign, with the exact bytes; and the signed command once there is one.

One row per service request as signed by its supplier, known by the digest of its bytes. That no
request identifier has two rows is for `request.duplicate` to see to, not for a constraint.
"""

_dated: Final = text("execute_at IS NOT NULL OR withdraws = 1")
asked: Final = Table(
    "cos_asked",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("requester", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("request_counter", Text, nullable=False),
    Column("mpxn", Text, nullable=False),
    Column("execute_at", UtcDateTime),
    Column("withdraws", Boolean, nullable=False),
    Column("displaces", Text, nullable=False),
    Index("cos_asked_counter", "device", "requester", "request_counter"),
    Index("cos_asked_dated", "device", sqlite_where=_dated, postgresql_where=_dated),
)
"""What each command was asked for, beside its row in `cos_command`: whose turn it is in a device.

`request_counter` is the supplier's own, from the request identifier that it signed: 64 bits, as 20
decimal digits with leading zeros, so that text order is number order. `execute_at` is null for what
is done at once and for a withdrawal. `displaces` names, in JSON, the requests of others whose
waiting changes it lawfully takes the place of.
"""

decisions: Final = Table(
    "cos_decision",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("transaction", Text, nullable=False, index=True),
    Column("request_id", Text, index=True),
    Column("requester", Text),
    Column("device", Text),
    Column("digest", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("check", Text),
    Column("code", Text),
    Column("detail", Text),
    Column("counter", BigInteger),
)
"""Every decision this party took, for its operators."""

registration: Final = Table(
    "registration_copy",
    metadata,
    Column("generation", Integer, primary_key=True),
    Column("number", BigInteger),
    Column("total", Text, nullable=False),
    Column("after", Text),
    Column("confirmed_at", UtcDateTime),
)
"""What registration gave, in generations: what goes on from a copy is written into it, what begins
anew makes a generation that counts once it is complete (`number` is there); those before it are
cleared away by and by. `total` is the sum of its rows (`services.link.register_digest`) in hex,
`after` the position in JSON; none: everything must be asked for. The number is registration's word
and orders nothing here."""

registered_participants: Final = Table(
    "registration_participant",
    metadata,
    Column("generation", Integer, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("document", Text, nullable=False),
)

registered_points: Final = Table(
    "registration_point",
    metadata,
    Column("generation", Integer, primary_key=True),
    Column("mpxn", Text, primary_key=True),
    Column("document", Text, nullable=False),
)

certificates: Final = Table(
    "smki_certificate",
    metadata,
    Column("fingerprint", Text, primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("serial", Text, nullable=False),
    Column("eui", Text, index=True),
    Column("der", LargeBinary, nullable=False),
    Index("smki_certificate_named", "issuer", "serial"),
)

thresholds: Final = Table(
    "cos_threshold",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("window_seconds", Integer, nullable=False),
    Column("per_requester", Integer, nullable=False),
    Column("total", Integer, nullable=False),
)

returns: Final = Table(
    "cos_device_return",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("transaction", Text, primary_key=True),
    Column("device", Text, nullable=False),
    Column("counter", Text, nullable=False),
    Column("is_alert", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("outcome", Text, nullable=False),
    Index("cos_device_return_counter", "device", "is_alert", "counter"),
)
"""What devices answered; the same bytes again are recognised by their digest.

A device counts in 64 unsigned bits, which no database integer holds: `counter` is 20 decimal digits
with leading zeros, so that text order is number order.
"""

cells: Final = Table(
    "cos_device_cell",
    metadata,
    Column("device", Text, primary_key=True),
    Column("cell", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("key_identifier", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("transaction", Text, nullable=False),
)
"""What each cell of a device holds, by the device's signed word; `status` says where it is not."""
