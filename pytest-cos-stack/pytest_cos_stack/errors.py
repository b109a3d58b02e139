"""What goes wrong between a test and the stack."""

from __future__ import annotations

from pytest_cos_stack.visible import visible


class CosError(Exception):
    """No stack, a system that cannot be reached, a `cos` command that failed: in one sentence.

    What systems and processes said comes escaped: pytest writes the sentence to a terminal.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(visible(sentence))


class RefusedError(CosError):
    """A system refused what was asked.

    Attributes:
        party: who refused, as it said.
        check: its named check, as it said; None where none is named.
        status: of the HTTP answer.
    """

    def __init__(self, party: str, check: str | None, status: int, why: str) -> None:
        super().__init__(f"{party} refused{f' [{check}]' if check else ''}: {why}")
        self.party = party
        self.check = check
        self.status = status
