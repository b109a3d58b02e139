"""What can go wrong on the signed link.

::

    LinkError
    ├── FieldError          a structured field that cannot be read
    ├── BaseError           a signature base that cannot be built
    ├── DigestError         a Content-Digest field that cannot be read
    ├── SignatureError      a signature that does not verify
    ├── NotVerified         a message does not pass a check, asked outside a party
    ├── LinkSetupError      the link was put together wrongly (stops the process at start)
    ├── EvidenceError       kept evidence that does not prove what it claims
    └── LinkCallError       a call that brought no yes
        ├── PeerRefused     the peer's own rules said no, in a signed and bound answer
        └── PeerUnavailable no settled answer: try again with the same message identifier
            ├── LinkRefused      an answer came, and our checks refused it
            └── EnvelopeRefused  the peer did not take the envelope; the message is open
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class LinkError(Exception):
    """Anything the link raises."""


class FieldError(LinkError):
    """A structured field is not of the serialisation this profile permits."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} (at character {offset})")
        self.reason = reason
        self.offset = offset


class BaseError(LinkError):
    """A signature base cannot be built from a message: `component` says which line."""

    def __init__(self, component: str, reason: str) -> None:
        super().__init__(f"{component}: {reason}")
        self.component = component
        self.reason = reason


class DigestError(LinkError):
    """A Content-Digest field cannot be read."""


class SignatureError(LinkError):
    """A signature does not verify."""


class NotVerified(LinkError):  # noqa: N818 - a verdict, as `Refused` is
    """A message does not pass a list of checks; `check` is the name of the one that said no."""

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(f"{check}: {detail}")
        self.check = check
        self.detail = detail


class LinkSetupError(LinkError):
    """The link was put together wrongly."""


class EvidenceError(LinkError):
    """Kept evidence does not prove what it claims; `part` names what was changed."""

    def __init__(self, part: str, detail: str) -> None:
        super().__init__(f"{part}: {detail}")
        self.part = part
        self.detail = detail


class LinkCallError(LinkError):
    """A call to a peer brought no yes."""

    def __init__(self, peer: str, detail: str) -> None:
        super().__init__(f"{peer}: {detail}")
        self.peer = peer
        self.detail = detail


class ProvenRefusal(LinkCallError):  # noqa: N818 - a verdict, as `Refused` is
    """A no in an answer that is signed and bound to our request.

    `status` is its HTTP status, `problem` its problem document; `check` and `party` are those that
    it names, if it names any.
    """

    def __init__(self, peer: str, status: int, problem: Mapping[str, object]) -> None:
        super().__init__(peer, str(problem.get("detail") or problem.get("title") or status))
        self.status = status
        self.problem = dict(problem)
        self.check = self._named("check")
        self.party = self._named("party")

    def _named(self, what: str) -> str | None:
        named = self.problem.get(what)
        return named if isinstance(named, str) else None


class PeerRefused(ProvenRefusal):
    """The peer's own rules said no.

    `evidence` is the number of the audit entry that holds the exact signed bytes.
    """

    def __init__(
        self, peer: str, status: int, problem: Mapping[str, object], evidence: int | None
    ) -> None:
        super().__init__(peer, status, problem)
        self.evidence = evidence


class PeerUnavailable(LinkCallError):  # noqa: N818 - says what happened to the peer
    """The peer gave no settled answer: unreachable, slow, failing, or not to be believed.

    Never a no. The same message identifier may be sent again; the peer acts on it once.
    """


class LinkRefused(PeerUnavailable):
    """An answer came back and one of our `link.response.*` checks refused it."""

    def __init__(self, peer: str, check: str, detail: str) -> None:
        super().__init__(peer, f"{check}: {detail}")
        self.check = check
        self.reason = detail


class EnvelopeRefused(ProvenRefusal, PeerUnavailable):
    """The peer did not accept our envelope.

    Whoever sits on the wire can provoke such an answer to a good request (by spoiling or
    replaying a copy of it), so it says nothing of whether the message was acted on.
    """
