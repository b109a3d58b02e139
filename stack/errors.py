"""How a `cos` command fails: one sentence for the person, one exit code for the script.

Exit codes, the same for every command:

==== =========================================================================
0    done, and every outcome was right
1    something was refused, invalid, or not as it must be
2    the input or the usage is wrong (unreadable message, unknown option)
3    a key, certificate or data folder that is needed is missing or unfit
4    a service could not be reached, or answered outside its interface
5    a request is still under way, and the command gave up waiting for its end
==== =========================================================================
"""

from __future__ import annotations

from typing import Any

REFUSED = 1
USAGE = 2
MISSING = 3
UNREACHABLE = 4
UNDER_WAY = 5


class CommandError(Exception):
    """A failure that ends a command with a sentence and an exit code.

    Attributes:
        code: the exit code.
        facts: what `--json` says beside the sentence.
    """

    def __init__(self, message: str, code: int = REFUSED, **facts: Any) -> None:
        super().__init__(message)
        self.code = code
        self.facts = facts
