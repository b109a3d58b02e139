"""Whether the rows of both ends make one exchange: each answer to its question, all there. Pure.

A party writes a message down before it sends it. So what one end holds of the other's, signed, the
other's log must hold too; only what was sent and never arrived may stand in one log alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.link.checks import REQUEST_SECTION
from services.link.store import evidence as link
from stack.evidence.rows import REQUESTS, RESPONSES, SENT, KeptRow

Say = Callable[[str, str, str], None]

_KINDS = {
    "acb": {link.REQUEST_SENT, link.RESPONSE_RECEIVED, link.RESPONSE_REFUSED},
    "": {link.REQUEST_RECEIVED, link.REQUEST_REFUSED, link.RESPONSE_SENT},
}
"""What the broker's log, and a CoS Party's, can hold of an exchange: the broker asks."""


@dataclass(frozen=True)
class Exchange:
    """The signed messages of one exchange, as each end kept them, in the order of its log.

    Attributes:
        transaction: what the broker calls it.
        cos_party: the CoS Party that was asked.
        logs: the rows about it, by party; all with a proof.
        wrong, told, missing, right: where findings go: party, part, detail.
    """

    transaction: str
    cos_party: str
    logs: Mapping[str, Sequence[KeptRow]]
    wrong: Say
    told: Say
    missing: Say
    right: Say

    def judge(self) -> None:
        """Ask everything about it."""
        for party, rows in self.logs.items():
            self._places(party, rows)
            self._answers(party, rows)
        self._requests()
        self._responses()
        self._whole()

    def _places(self, party: str, rows: Sequence[KeptRow]) -> None:
        """Who says what to whom, about what; each message once."""
        kinds = _KINDS.get(party, _KINDS[""])
        for one in rows:
            proof = one.proof
            assert proof is not None
            asks = (proof.signer, proof.recipient)
            between = (
                ("acb", self.cos_party) if proof.kind == "request" else (self.cos_party, "acb")
            )
            if one.kind not in kinds:
                self._blame(party, one, "kind", "is none of this party's in an exchange")
            elif asks != between and one.kind not in (link.REQUEST_REFUSED, link.RESPONSE_REFUSED):
                detail = f"{proof.signer} to {proof.recipient} is not this exchange"
                self._blame(party, one, "parties", detail)
            named = one.document.get("transaction", self.transaction)
            if named != self.transaction:
                self._blame(party, one, "body", f"is about transaction {named!r}")
        counted = Counter(one.proof.signature for one in rows if one.proof and _settled(one))
        for one in rows:
            if one.proof is not None and _settled(one) and counted[one.proof.signature] > 1:
                self._blame(party, one, "place", "the same message is there twice")

    def _answers(self, party: str, rows: Sequence[KeptRow]) -> None:
        """Each answer follows the question that it is signed to."""
        asked: dict[str, KeptRow] = {}
        for one in rows:
            assert one.proof is not None
            if one.kind in REQUESTS:
                asked.setdefault(one.proof.signature, one)
                continue
            question = asked.get(one.asked)
            if one.kind == link.RESPONSE_REFUSED and question is None:
                continue  # an answer to something else is what was refused
            if question is None:
                self._blame(party, one, "request", "no request before it is the one it answers")
                continue
            told = {name: question.record[name] for name in ("method", "path", "headers")}
            if told != one.record["request"]:
                self._blame(party, one, "request", f"is not what row {question.name} holds")

    def _blame(self, party: str, one: KeptRow, part: str, detail: str) -> None:
        """A row that has no place here, whatever is signed in it: nothing is built on it."""
        one.wrong.append((part, detail))
        self.wrong(party, f"row {one.name} {part}", detail)

    def _requests(self) -> None:
        """What the broker asked, and what the CoS Party was asked."""
        ours, theirs = self._by_signature("acb", REQUESTS), self._by_signature("", REQUESTS)
        for signature, one in ours.items():
            other = theirs.get(signature)
            if other is None:
                self.told("acb", f"row {one.name}", f"{self.cos_party} has no such message")
            else:
                self._same(one, other)
        for signature in theirs.keys() - ours.keys():
            one = theirs[signature]
            if one.proof is not None and one.proof.signer == "acb":
                detail = f"lacks what it signed: {self.cos_party} row {one.name}"
                self.wrong("acb", "log", detail)

    def _responses(self) -> None:
        """What the CoS Party answered, and what the broker was answered."""
        ours, theirs = self._by_signature("acb", RESPONSES), self._by_signature("", RESPONSES)
        for signature, one in theirs.items():
            other = ours.get(signature)
            if other is None:
                self.told(self.cos_party, f"row {one.name}", "acb has no such message")
            elif other.kind == link.RESPONSE_RECEIVED:
                self._same(other, one)
        for signature in ours.keys() - theirs.keys():
            one = ours[signature]
            if one.kind != link.RESPONSE_RECEIVED:
                continue
            if _of_the_envelope(one):
                self.told("acb", f"row {one.name}", "a refusal of the envelope, kept by acb alone")
            else:
                detail = f"lacks what it signed: acb row {one.name}"
                self.wrong(self.cos_party, "log", detail)

    def _whole(self) -> None:
        """Each message was answered in the end, and both ends hold question and answer."""
        acb, party = self.logs["acb"], self.logs[self.cos_party]
        asked = {one.proof.signature for one in _of(party, REQUESTS) if one.proof}
        answered = {one.proof.signature for one in _of(party, RESPONSES) if one.proof}
        whole: set[str] = set()
        for one in acb:
            assert one.proof is not None
            kept = one.proof.signature in answered and one.asked in asked
            if (one.proof.status or 500) >= 500:
                continue  # a failure, which settles nothing: whoever hears it asks again
            if one.kind == link.RESPONSE_RECEIVED and (kept or _of_the_envelope(one)):
                whole.add(one.subject)
        for subject in dict.fromkeys(one.subject for one in (*acb, *party)):
            if subject not in whole:
                self.missing(
                    "both ends",
                    f"message {subject}",
                    "no answer that settles it and that both ends hold",
                )
        if self.transaction not in {one.subject for one in acb if one.kind == link.REQUEST_SENT}:
            self.missing("acb", f"message {self.transaction}", "nothing signed asks for a command")

    def _same(self, ours: KeptRow, theirs: KeptRow) -> None:
        if (ours.body, ours.message) == (theirs.body, theirs.message):
            self.right("both ends", ours.name, f"the same in {self.cos_party} row {theirs.name}")
            return
        what = "body" if ours.body != theirs.body else "record"
        self.wrong("acb", f"row {ours.name} {what}", f"{self.cos_party} kept another")
        self.wrong(self.cos_party, f"row {theirs.name} {what}", "acb kept another")

    def _by_signature(self, party: str, kinds: Sequence[str]) -> dict[str, KeptRow]:
        """Messages of these kinds by what names one in both logs; what was taken comes first."""
        found: dict[str, KeptRow] = {}
        for one in _of(self.logs[party or self.cos_party], kinds):
            assert one.proof is not None
            if one.proof.signature not in found or _settled(one):
                found[one.proof.signature] = one
        return found


def _of(rows: Sequence[KeptRow], kinds: Sequence[str]) -> Iterator[KeptRow]:
    return (one for one in rows if one.kind in kinds)


def _settled(one: KeptRow) -> bool:
    """Whether it was sent or taken; what was refused may come again, as a copy."""
    return one.kind in (*SENT, link.REQUEST_RECEIVED, link.RESPONSE_RECEIVED)


def _of_the_envelope(one: KeptRow) -> bool:
    """A refusal before the message was taken: whoever refuses so keeps no answer."""
    check = one.document.get("check")
    refused = one.proof is not None and (one.proof.status or 0) >= 400
    return refused and isinstance(check, str) and check.startswith(f"{REQUEST_SECTION}.")
