"""Named checks: the rules of a party as data, and the record of what each of them said.

What it guarantees:

- A check is a pure function of evidence already fetched. It returns nothing when it is satisfied
  and raises `CheckFailed` when it is not; only `CheckRun.apply` turns that into `Refused`.
- Nothing is accepted by omission. `CheckRun.approve` gives an `Approved` only when every check of
  the run's section has passed, was turned off by a loud act, or was set aside with a reason.
- Turning a check off never reaches into the rule: the book replaces its body by `UnsafeSkip`,
  which says so in the log each time it stands in, and the verdict says "off".

What it leaves to others: fetching evidence, deciding what to do with a refusal, rendering it
(`services.chassis.web.problems`), keeping the verdicts (`services.chassis.data.trace`).

Errors::

    CheckFailed          a check says no (raised by check functions only)
    Refused              the verdict of a party, with the check's name (raised by a run)
    CheckMisusedError    a programming error in the use of a book or a run
      CheckOmitted       approval asked for although a check of the section did not say yes
      UnknownCheckError  no check of that name in the book
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, Literal, NoReturn, TypeVar

import structlog

from services.chassis.data.canonical import canonical

E = TypeVar("E")
T = TypeVar("T")

Outcome = Literal["passed", "refused", "not_reached", "off", "not_applicable"]

_log = structlog.get_logger(__name__)


class CheckFailed(Exception):  # noqa: N818 - a verdict, not a fault
    """A check says no.

    `expected` and `found` are shown to callers and testers: never put a secret in them. `status`
    is another HTTP status than the check's own: 503 where the no is not final, and the same thing
    may be asked again.
    """

    def __init__(
        self,
        detail: str,
        expected: str | None = None,
        found: str | None = None,
        *,
        status: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.expected = expected
        self.found = found
        self.status = status


class Refused(Exception):  # noqa: N818 - a verdict, not a fault
    """A party says no, by the name of the check that said it.

    Attributes:
        party: Who refused.
        check: Identifier of the check.
        title: What the check asks.
        detail: What was wrong this time.
        expected: What would have been accepted, where that can be said.
        found: What was found instead. Never a secret.
        source: Document and clause the check comes from, or "reconstruction".
        code: The field's own code for this refusal (for example "E4"), if it has one.
        status: HTTP status of the problem document.
    """

    def __init__(
        self,
        *,
        party: str,
        check: str,
        title: str,
        detail: str,
        expected: str | None = None,
        found: str | None = None,
        source: str = "",
        code: str | None = None,
        status: int = 403,
    ) -> None:
        super().__init__(f"{party} refused, check {check}: {detail}")
        self.party = party
        self.check = check
        self.title = title
        self.detail = detail
        self.expected = expected
        self.found = found
        self.source = source
        self.code = code
        self.status = status


class CheckMisusedError(RuntimeError):
    """A book or a run was used in a way that the program must not."""


class CheckOmitted(CheckMisusedError):  # noqa: N818 - named for what happened
    """Approval was asked for although some check of the section did not say yes."""


class UnknownCheckError(CheckMisusedError):
    """There is no check of that name in this book."""


@dataclass(frozen=True, slots=True)
class Check(Generic[E]):
    """One rule with a permanent name.

    Attributes:
        id: Stable dotted identifier, for example ``acb.request.signature``.
        title: The rule as one sentence.
        source: Document and clause, or "reconstruction".
        run: The rule. Returns nothing or raises `CheckFailed`. Must not do I/O.
        code: The field's own code for this refusal, if it has one.
        status: HTTP status when this check refuses.
        section: Which ordered list it belongs to; a run covers one section.
    """

    id: str
    title: str
    source: str
    run: Callable[[E], None]
    code: str | None = None
    status: int = 403
    section: str = "request"

    def __call__(self, evidence: E) -> None:
        """Ask the rule itself, outside any run.

        Raises:
            CheckFailed: it says no.
        """
        self.run(evidence)

    def again(
        self, identifier: str, *, section: str | None = None, source: str = "", code: str = ""
    ) -> Check[E]:
        """The same rule under another name, for another section; source and code if they differ."""
        return replace(
            self,
            id=identifier,
            section=identifier.split(".")[1] if section is None else section,
            source=source or self.source,
            code=code or self.code,
        )


def need(value: T | None, what: str) -> T:
    """The value, if it is there: how a check takes its evidence.

    Evidence is missing only when the step that should have produced it failed; the check that
    judges that step has then refused already, unless someone turned it off. A later check must not
    pass for want of something to look at: it refuses too.

    Raises:
        CheckFailed: it is not there.
    """
    if value is None:
        raise CheckFailed(f"there is no {what} to examine")
    return value


def check(
    identifier: str,
    *,
    source: str,
    code: str | None = None,
    status: int = 403,
    section: str | None = None,
) -> Callable[[Callable[[E], None]], Check[E]]:
    """Make the rule below a named check; the first line of its docstring is the check's title.

    Args:
        identifier: stable and dotted, ``party.section.name``.
        source: document and clause, or "reconstruction"; a section of docs/sources.md.
        code: the field's own code for this refusal, if it has one.
        status: HTTP status when it refuses.
        section: the ordered list it belongs to; if not said, the identifier's second part.

    A rule that several parties or sections ask has a name without a party (``request.schema``);
    `placed` makes it the check of one of them.
    """

    def named(rule: Callable[[E], None]) -> Check[E]:
        title = (rule.__doc__ or "").partition("\n")[0].removesuffix(".")
        if not title:
            raise CheckMisusedError(f"{identifier} has no docstring, so no title")
        belongs = "".join(identifier.split(".")[1:2]) if section is None else section
        return Check(identifier, title, source, rule, code, status, belongs)

    return named


def placed(prefix: str, section: str, rules: Iterable[Check[E]]) -> list[Check[E]]:
    """Shared rules as the checks of one party and section: in order, their names under `prefix`."""
    return [rule.again(f"{prefix}.{rule.id}", section=section) for rule in rules]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check said in one run."""

    check: str
    title: str
    source: str
    outcome: Outcome
    detail: str | None = None
    expected: str | None = None
    found: str | None = None
    _written: str | None = field(default=None, init=False, compare=False, repr=False)
    """`written`, once it was asked for: a book has one verdict for all times a check passes."""

    def as_dict(self) -> dict[str, Any]:
        """The verdict as JSON-ready values, absent fields left out."""
        said: dict[str, Any] = {
            "check": self.check,
            "title": self.title,
            "source": self.source,
            "outcome": self.outcome,
        }
        for name in _OPTIONAL:
            value = getattr(self, name)
            if value is not None:
                said[name] = value
        return said

    @property
    def written(self) -> str:
        """`as_dict` as canonical JSON.

        Raises:
            NotCanonicalError: Its text cannot be written (a lone surrogate).
        """
        if self._written is None:
            object.__setattr__(self, "_written", canonical(self.as_dict()))
        assert self._written is not None
        return self._written


_OPTIONAL: Final = ("detail", "expected", "found")


def written(verdicts: Iterable[Verdict]) -> str:
    """Verdicts as a canonical JSON array: the same text as `canonical` of their `as_dict`s."""
    return f"[{','.join([verdict.written for verdict in verdicts])}]"


class UnsafeSkip:
    """What stands in for the body of a check that was turned off. It accepts anything, loudly."""

    def __init__(self, party: str, check: Check[Any]) -> None:
        self._party = party
        self._check = check

    def __call__(self, evidence: object) -> None:
        """Accept without looking, and say so in the log."""
        del evidence
        _log.warning(
            "check is OFF and was not run",
            party=self._party,
            check=self._check.id,
            title=self._check.title,
        )


class CheckBook:
    """The ordered list of a party's checks, and which of them are turned off."""

    def __init__(self, party: str, checks: Iterable[Check[Any]]) -> None:
        self.party = party
        self._checks: dict[str, Check[Any]] = {}
        self._sections: dict[str, tuple[Check[Any], ...]] = {}
        self._passed: dict[str, Verdict] = {}
        self._not_reached: dict[str, Verdict] = {}
        self._unsafe: dict[str, UnsafeSkip] = {}
        self._also: list[Callable[[], list[str]]] = []
        self.extend(checks)

    def extend(self, checks: Iterable[Check[Any]]) -> None:
        """Add checks after those already here, for example the signed link's.

        Raises:
            CheckMisusedError: An identifier is already taken.
        """
        for check in checks:
            if check.id in self._checks:
                raise CheckMisusedError(f"two checks are named {check.id}")
            self._checks[check.id] = check
            self._sections[check.section] = (*self._sections.get(check.section, ()), check)
            self._passed[check.id] = _bare(check, "passed")
            self._not_reached[check.id] = _bare(check, "not_reached")

    def __iter__(self) -> Iterator[Check[Any]]:
        """The checks in order."""
        return iter(self._checks.values())

    def __contains__(self, check_id: object) -> bool:
        """Whether a check of that name is here."""
        return check_id in self._checks

    def get(self, check_id: str) -> Check[Any]:
        """The check of that name.

        Raises:
            UnknownCheckError: There is none.
        """
        try:
            return self._checks[check_id]
        except KeyError:
            raise UnknownCheckError(f"{self.party} has no check named {check_id}") from None

    def section(self, name: str) -> tuple[Check[Any], ...]:
        """The checks of one section, in order."""
        return self._sections.get(name, ())

    def passed(self, check: Check[Any]) -> Verdict:
        """The verdict that a check of this book has passed: one value, each time."""
        return self._passed[check.id]

    def not_reached(self, check: Check[Any]) -> Verdict:
        """The verdict that a check of this book was not run: one value, each time."""
        return self._not_reached[check.id]

    def is_off(self, check: Check[Any]) -> bool:
        """Whether this check is turned off."""
        return check.id in self._unsafe

    def turn_off(self, check_id: str) -> None:
        """Weaken the party: replace the body of this check by `UnsafeSkip`."""
        check = self.get(check_id)
        self._unsafe[check_id] = UnsafeSkip(self.party, check)
        _log.warning("check turned OFF: this party is weakened", party=self.party, check=check_id)

    def turn_on(self, check_id: str) -> None:
        """Undo `turn_off`."""
        self.get(check_id)
        if self._unsafe.pop(check_id, None) is not None:
            _log.warning("check turned on again", party=self.party, check=check_id)

    def reset(self) -> None:
        """Turn every check on."""
        for check_id in list(self._unsafe):
            self.turn_on(check_id)

    @property
    def off(self) -> list[str]:
        """Identifiers of the checks that are turned off, in book order."""
        if not self._unsafe:
            return []
        return [check_id for check_id in self._checks if check_id in self._unsafe]

    def weakened_by(self, also: Callable[[], list[str]]) -> None:
        """Have `weakened` say what weakens the party besides checks that are off."""
        self._also.append(also)

    @property
    def weakened(self) -> list[str]:
        """All that weakens the party now: checks that are off, armed faults, quirks."""
        return [*self.off, *(one for also in self._also for one in also())]

    def body(self, check: Check[Any]) -> Callable[[Any], None]:
        """What is run for this check of the book now: its own function, or its `UnsafeSkip`."""
        return self._unsafe.get(check.id, check.run)

    def describe(self) -> list[dict[str, Any]]:
        """Every check in order, with its source and whether it is on."""
        return [
            {
                "id": check.id,
                "title": check.title,
                "source": check.source,
                "section": check.section,
                "code": check.code,
                "status": check.status,
                "enabled": check.id not in self._unsafe,
            }
            for check in self
        ]

    def start(self, subject: str, section: str = "request") -> CheckRun:
        """Begin one pass over one section, about `subject` (a request, a message).

        Raises:
            CheckMisusedError: The section has no check, so that approval would mean nothing.
        """
        if section not in self._sections:
            raise CheckMisusedError(f"{self.party} has no check in section {section!r}")
        return CheckRun(self, subject, section)


_ONLY_A_RUN_APPROVES: Final = object()


class Approved(Generic[E]):
    """Proof that a complete section of checks said yes, and the evidence that they saw last.

    Only a `CheckRun` makes one. What is signed, given a MAC or recorded is taken from `evidence`.
    """

    __slots__ = ("evidence", "party", "section", "subject", "verdicts")

    party: str
    section: str
    subject: str
    verdicts: tuple[Verdict, ...]
    evidence: E

    def __init__(self, token: object, run: CheckRun, verdicts: tuple[Verdict, ...]) -> None:
        if token is not _ONLY_A_RUN_APPROVES:
            raise TypeError("an Approved comes only from CheckRun.approve")
        object.__setattr__(self, "party", run.book.party)
        object.__setattr__(self, "section", run.section)
        object.__setattr__(self, "subject", run.subject)
        object.__setattr__(self, "verdicts", verdicts)
        object.__setattr__(self, "evidence", run.evidence)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse: it says what was said."""
        raise AttributeError("an Approved cannot be changed")

    def __init_subclass__(cls) -> None:
        """Refuse: a subclass could be made without a run."""
        raise TypeError("an Approved cannot be subclassed")

    def __reduce__(self) -> NoReturn:
        """Refuse: it must not outlive the run that made it."""
        raise TypeError("an Approved cannot be copied or stored")

    def __repr__(self) -> str:
        """Party, section and subject."""
        return f"Approved({self.party}, {self.section}, {self.subject})"


@dataclass(slots=True)
class CheckRun:
    """One pass over one section of a book. Made by `CheckBook.start`."""

    book: CheckBook
    subject: str
    section: str
    evidence: Any = None
    _said: dict[str, Verdict] = field(default_factory=dict)

    def judge(self, evidence: E) -> Approved[E]:
        """Run every check of the section that was not run yet, in order, and approve.

        Raises:
            Refused: By the first check that says no.
        """
        for known in self.book.section(self.section):
            if known.id not in self._said:
                self.apply(known, evidence)
        return self.approve()

    def apply(self, check: Check[E] | str, evidence: E) -> None:
        """Run one check and record what it said.

        Raises:
            Refused: The check said no.
            CheckMisusedError: The check is of another section or has already been applied.
        """
        known = self._open(check)
        body = self.book.body(known)
        self.evidence = evidence
        try:
            body(evidence)
        except CheckFailed as failed:
            self._say(known, "refused", failed.detail, failed.expected, failed.found)
            raise Refused(
                party=self.book.party,
                check=known.id,
                title=known.title,
                detail=failed.detail,
                expected=failed.expected,
                found=failed.found,
                source=known.source,
                code=known.code,
                status=failed.status or known.status,
            ) from None
        if isinstance(body, UnsafeSkip):
            self._say(known, "off")
        else:
            self._said[known.id] = self.book.passed(known)

    def skip(self, check: Check[Any] | str, why: str) -> None:
        """Set a check aside because it does not apply here.

        Raises:
            CheckMisusedError: No reason was given, or the check cannot be set aside any more.
        """
        if not why.strip():
            raise CheckMisusedError("a check is set aside only with a reason")
        self._say(self._open(check), "not_applicable", why)

    def verdicts(self) -> list[Verdict]:
        """One verdict per check of the section, in book order; those not run are "not_reached"."""
        said, book = self._said, self.book
        return [
            said.get(check.id) or book.not_reached(check) for check in book.section(self.section)
        ]

    def approve(self) -> Approved[Any]:
        """Say that the whole section said yes, of the evidence that its last check saw.

        Raises:
            CheckOmitted: A check of the section refused or was never asked.
        """
        verdicts = tuple(self.verdicts())
        wanting = [v.check for v in verdicts if v.outcome in ("refused", "not_reached")]
        if wanting:
            raise CheckOmitted(
                f"{self.book.party} cannot approve {self.subject}: no yes from {', '.join(wanting)}"
            )
        return Approved(_ONLY_A_RUN_APPROVES, self, verdicts)

    def _open(self, check: Check[Any] | str) -> Check[Any]:
        known = self.book.get(check if isinstance(check, str) else check.id)
        if known.section != self.section:
            raise CheckMisusedError(f"{known.id} is not a check of section {self.section!r}")
        if known.id in self._said:
            raise CheckMisusedError(f"{known.id} has already been applied to {self.subject}")
        return known

    def _say(
        self,
        check: Check[Any],
        outcome: Outcome,
        detail: str | None = None,
        expected: str | None = None,
        found: str | None = None,
    ) -> None:
        self._said[check.id] = Verdict(
            check.id, check.title, check.source, outcome, detail, expected, found
        )


def _bare(check: Check[Any], outcome: Outcome) -> Verdict:
    return Verdict(check.id, check.title, check.source, outcome)
