"""Every attack there is, under its permanent identifier."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from probe.attacks import alerts as alert_attacks
from probe.attacks import blocks as block_attacks
from probe.attacks import certificates as certificate_attacks
from probe.attacks import factory as factory_attacks
from probe.attacks import (
    gbcs_parties,
    gbcs_wire,
    lying_cos,
    lying_devices,
    lying_link,
    lying_sources,
    service_answers,
)
from probe.attacks import link as link_attacks
from probe.attacks import pending as pending_attacks
from probe.attacks import process as process_attacks
from probe.attacks import rotation as rotation_attacks
from probe.attacks import services as service_attacks
from probe.attacks import standing as standing_attacks
from probe.attacks import supporting as supporting_attacks
from probe.attacks import target as target_attacks
from probe.attacks import xml as xml_attacks
from probe.model import Attack

FAMILIES: Sequence[Callable[[], Iterator[Attack]]] = (
    link_attacks.attacks,
    target_attacks.attacks,
    xml_attacks.attacks,
    process_attacks.attacks,
    pending_attacks.attacks,
    gbcs_wire.attacks,
    certificate_attacks.attacks,
    gbcs_parties.attacks,
    rotation_attacks.attacks,
    standing_attacks.attacks,
    service_attacks.attacks,
    factory_attacks.attacks,
    supporting_attacks.attacks,
    block_attacks.attacks,
    alert_attacks.attacks,
    lying_cos.attacks,
    lying_link.attacks,
    lying_sources.attacks,
    lying_devices.attacks,
    service_answers.attacks,
)

NOT_RUN: tuple[tuple[str, str], ...] = (
    (
        "A pinned link certificate that expired or is not simulated",
        """`link.*.certificate` and `link.*.simulated` judge what was pinned when a system started,
        and a system refuses to start on unmarked material. No message brings a certificate. As
        next lines they are reached with `link.*.key` off; tests/unit/services/link holds both.""",
    ),
    (
        "A command variant that a service does not have",
        """the reader of service requests refuses it first (`acb.request.supported`), so nothing on
        the wire reaches `acb.request.command_variant`: tests/unit/acb holds it alone.""",
    ),
    (
        "An acknowledgement of blocks that the broker did not send",
        """an unasked acknowledgement has no effect and is no refusal; while the broker sends in
        blocks, `acb.block.acknowledgement` is held by tests/unit/acb/peers/test_blocks.py.""",
    ),
    (
        "Registration's link at another route",
        """it serves one purpose at one route, so `link.request.route` has nothing to refuse.""",
    ),
    (
        "The link's answers of the SMKI repository, and those to what a device said",
        """the same client with the same checks as between the broker and the CoS Parties.""",
    ),
    (
        "Attacks on the TLS layer below the link",
        """a stack of plain processes runs without it, and the link does not lean on it.""",
    ),
    (
        "Link keys after rotation",
        """link certificates are pinned when a system starts.""",
    ),
    (
        "Replay after a restart of the receiver",
        """tests/unit/services/link/test_once.py holds that nonces stay.""",
    ),
)
"""What is not attacked here, and why."""

_PINNED, _VARIANT, _BLOCKS, _ROUTE = (what for what, _ in NOT_RUN[:4])
NOT_ATTACKED: Mapping[tuple[str, str], str] = {
    ("*", "link.request.certificate"): _PINNED,
    ("*", "link.request.simulated"): _PINNED,
    ("*", "link.response.certificate"): _PINNED,
    ("*", "link.response.simulated"): _PINNED,
    ("acb", "acb.request.command_variant"): _VARIANT,
    ("acb", "acb.block.acknowledgement"): _BLOCKS,
    ("registration", "link.request.route"): _ROUTE,
}
"""Checks that no attack is refused by: whose (`*`: anybody's), and the line of NOT_RUN it is."""


def catalogue() -> list[Attack]:
    """Every attack, in order.

    Raises:
        ValueError: two attacks have one identifier.
    """
    found = [attack for family in FAMILIES for attack in family()]
    seen: set[str] = set()
    for attack in found:
        if attack.id in seen:
            raise ValueError(f"two attacks are called {attack.id}")
        seen.add(attack.id)
    return found


def chosen(
    attacks: Sequence[Attack],
    only: Sequence[str] = (),
    tags: Sequence[str] = (),
    rungs: Sequence[int] = (),
) -> list[Attack]:
    """Those that the options of the command name: identifier (or its beginning), tag and rung."""
    return [
        attack
        for attack in attacks
        if (not only or any(attack.id == o or attack.id.startswith(f"{o}.") for o in only))
        and (not tags or set(tags) & set(attack.tags))
        and (not rungs or int(attack.rung) in rungs)
    ]
