"""What happened to one request, put together from what each system tells on its lab port.

No system knows the whole story: the broker and the CoS Party keep theirs under the request ID,
the meter under the reference of the GBCS message. This module only joins and sorts them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote

from services.chassis.data.spelling import spelled
from stack.connection import Connection
from stack.errors import CommandError
from stack.systems import COS_PARTIES


@dataclass(frozen=True)
class TraceEvent:
    """One event as one system tells it."""

    party: str
    at: str
    kind: str
    sender: str
    receiver: str
    name: str
    summary: str
    gbcs_ref: str | None
    message: str | None
    verdicts: tuple[dict[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


@dataclass
class RequestTrace:
    """Everything told about one request, in the order in which it happened."""

    request_id: str
    events: list[TraceEvent] = field(default_factory=list)

    @property
    def refusals(self) -> list[tuple[str, dict[str, Any]]]:
        """Who refused, and the verdict that says by which check."""
        found = []
        for event in self.events:
            for verdict in event.verdicts:
                pair = (event.party, verdict)
                if verdict["outcome"] == "refused" and pair not in found:
                    found.append(pair)
        return found


def refusals_of(story: RequestTrace) -> list[dict[str, str]]:
    """Every refusal on the way, in order: party, check, detail. Also of what was tried again."""
    found = []
    for event in story.events:
        said = [
            {"party": event.party, "check": v["check"], "detail": v.get("detail") or v["title"]}
            for v in event.verdicts
            if v["outcome"] == "refused"
        ]
        if not said and event.kind == "refused" and "." in event.name:
            said = [{"party": event.party, "check": event.name, "detail": event.summary}]
        found += said
    return found


def tell(connection: Connection, request_id: str) -> RequestTrace:
    """Ask every system what it knows of a request.

    Raises:
        CommandError: no system knows it, or one that is asked cannot be reached.
    """
    request_id = spelled(request_id)
    story = RequestTrace(request_id)
    for party in ("acb", *COS_PARTIES):
        story.events += read(connection, party, request_id)
    if not story.events:
        raise CommandError(f"no system here has heard of {request_id}")
    references = {event.gbcs_ref for event in story.events if event.gbcs_ref}
    for reference in sorted(references):
        # The others know by its reference only what the lab did to a message on its way.
        for party in ("acb", *COS_PARTIES, "meter_sim"):
            story.events += read(connection, party, reference)
    story.events.sort(key=lambda event: event.at)
    return story


def read(connection: Connection, party: str, subject: str) -> list[TraceEvent]:
    """One system's events about one subject; none where it has never heard of it."""
    try:
        told = connection.lab(party, "GET", f"/lab/trace/{quote(subject, safe=':')}")
    except CommandError as error:
        if error.code == 1:
            return []
        raise
    return [
        TraceEvent(
            party=party,
            at=event["at"],
            kind=event["kind"],
            sender=event.get("sender") or "",
            receiver=event.get("receiver") or "",
            name=event.get("name") or "",
            summary=event.get("summary") or "",
            gbcs_ref=event.get("gbcs_ref"),
            message=event.get("message"),
            verdicts=tuple(event.get("verdicts") or ()),
        )
        for event in told["entries"]
    ]
