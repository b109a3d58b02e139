"""How much cryptography and reading this process has done: counted where it is done.

A change of supplier must cost what its signatures, verifications and key agreements cost; so these
are counted, always, at the one place where each is made. What a cache answers is not counted, for
it costs no cryptography; `path` alone counts every path that was asked about.

| name | one is |
|---|---|
| `sign` | one ECDSA signature made with a private key held here |
| `verify` | one ECDSA signature of a message, document or envelope verified |
| `certificate.verify` | one certificate's signature verified |
| `crl.verify` | one revocation list's signature verified |
| `agree` | one ECDH key agreement |
| `path` | one certification path judged |
| `certificate.parse`, `crl.parse` | one certificate, one revocation list read |
| `gbcs.decode` | one GBCS message read |
| `duis.parse`, `duis.validate` | one DUIS document read, one held against the schema |
| `link.parse` | one message of the signed link read |

Plain numbers, without a lock: exact where one thread counts, near enough where several do. Nothing
decides by them.
"""

from __future__ import annotations

import sys
from typing import Final

COUNTS: Final = dict.fromkeys(
    (
        "sign",
        "verify",
        "certificate.verify",
        "crl.verify",
        "agree",
        "path",
        "certificate.parse",
        "crl.parse",
        "gbcs.decode",
        "duis.parse",
        "duis.validate",
        "link.parse",
    ),
    0,
)
"""What has been counted in this room, by the names above."""

_ROOMS: Final = ("gbcs.tally", "duis.tally", "services.link.wire.tally")
"""The pure rooms count for themselves, because they know nothing of this one."""


def count(name: str) -> None:
    """One more of these; `name` is one of the table's.

    Raises:
        KeyError: it is not.
    """
    COUNTS[name] += 1


def counts() -> dict[str, int]:
    """All that has been counted in this process so far, of whatever rooms it has loaded."""
    found = dict(COUNTS)
    for name in _ROOMS:
        room = sys.modules.get(name)
        if room is not None:
            for what, number in room.COUNTS.items():
                found[what] = found.get(what, 0) + number
    return found
