"""How often this room has read, held against the schema and verified a document in this process.

For a bench that wants to know what a system did, not only how long it took. Nothing here decides
anything. Plain numbers without a lock: exact where one thread counts, near enough where several do.
`keys.tally.counts` adds up what the rooms of a process have counted.
"""

from __future__ import annotations

from typing import Final

COUNTS: Final = {"duis.parse": 0, "duis.validate": 0, "verify": 0}
"""By name: documents parsed, validated, ECDSA signatures verified (whatever the verdict)."""
