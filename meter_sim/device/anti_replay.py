"""Counters: what a device has already heard, and the floors that are set for a new party.

A Command is new only if its originator counter is greater than the last accepted one of its kind
and role. GBCS 0.8.1 p2 and docs/sources.md#counters; that Update Security Credentials is counted
apart, and what exactly a floor replaces, is a reconstruction, all of it in this module:

- a floor [4] or [6] takes the place of both counters of its role, and may lower them, because an
  incoming party counts in a sequence of its own;
- but only where the role's signing cell was replaced by this very Command. Otherwise the party
  that was there still is, and a lower floor would let its old Commands in again;
- and it never lowers a counter when the new certificate holds the old key (a re-issue);
- so a party that returns with the same key as before protects itself by its floor alone: below it
  nothing is new, above it its Commands of an earlier term would be;
- a top-up floor [5] or nested in [6] takes the place of the top-up counter when the top-up cell
  was replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gbcs.codes import RemotePartyRole
from meter_sim.device.model import CounterKind, Counters


def last(counters: Counters, kind: CounterKind, role: RemotePartyRole) -> int:
    """The counter that the next message of this kind and role must exceed."""
    return _of(counters, kind).get(role, 0)


def is_new(counters: Counters, kind: CounterKind, role: RemotePartyRole, counter: int) -> bool:
    """Whether a message with this counter was certainly not heard before."""
    return counter > last(counters, kind, role)


def heard(counters: Counters, kind: CounterKind, role: RemotePartyRole, counter: int) -> Counters:
    """The counters after accepting this one. They never go down."""
    return _with(counters, kind, role, max(counter, last(counters, kind, role)))


def floor(
    counters: Counters, role: RemotePartyRole, value: int, *, same_key: bool
) -> tuple[Counters, int]:
    """Both counters of `role` at a floor, and the floor that was really applied.

    `same_key`: the party's signing key did not change, so no counter may go down.
    """
    if same_key:
        value = max(value, *(last(counters, kind, role) for kind in CounterKind))
    for kind in CounterKind:
        counters = _with(counters, kind, role, value)
    return counters, value


def top_up_floor(
    counters: Counters, role: RemotePartyRole, value: int, *, same_key: bool
) -> tuple[Counters, int]:
    """The prepayment top-up counter of `role` at a floor, and the floor really applied."""
    if same_key:
        value = max(value, counters.top_up.get(role, 0))
    return replace(counters, top_up={**counters.top_up, role: value}), value


def _of(counters: Counters, kind: CounterKind) -> Mapping[RemotePartyRole, int]:
    return counters.commands if kind is CounterKind.COMMANDS else counters.credentials


def _with(counters: Counters, kind: CounterKind, role: RemotePartyRole, value: int) -> Counters:
    if kind is CounterKind.COMMANDS:
        return replace(counters, commands={**counters.commands, role: value})
    return replace(counters, credentials={**counters.credentials, role: value})
