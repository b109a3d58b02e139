"""What goes wrong between a test and the stack."""

from __future__ import annotations


class CosError(Exception):
    """No stack, a system that cannot be reached, a `cos` command that failed: in one sentence."""


class RefusedError(CosError):
    """A system refused what was asked.

    Attributes:
        party: who refused.
        check: its named check; None where none is named.
        status: of the HTTP answer.
    """

    def __init__(self, party: str, check: str | None, status: int, why: str) -> None:
        super().__init__(f"{party} refused{f' [{check}]' if check else ''}: {why}")
        self.party = party
        self.check = check
        self.status = status
