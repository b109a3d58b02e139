"""Every attack there is, under its permanent identifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from probe.attacks import (
    alerts,
    blocks,
    certificates,
    factory,
    gbcs_parties,
    gbcs_wire,
    link,
    lying_cos,
    lying_devices,
    lying_link,
    lying_sources,
    pending,
    process,
    rotation,
    service_answers,
    services,
    standing,
    supporting,
    target,
    xml,
)
from probe.attacks.making import written_in
from probe.model import Attack

FAMILIES = (
    link, target, xml, process, pending, gbcs_wire, certificates, gbcs_parties, rotation, standing,
    services, factory, supporting, blocks, alerts, lying_cos, lying_link, lying_sources,
    lying_devices, service_answers,
)  # fmt: skip

NOT_RUN: tuple[tuple[str, str], ...] = (
    (
        "A pinned link certificate that expired or is not simulated",
        """`link.*.certificate` and `link.*.simulated` judge what was pinned when a system started,
        and a system refuses to start on unmarked material. No message brings a certificate. With
        `link.*.key` off they refuse; tests/unit/services/link holds both.""",
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
    found = [attack for family in FAMILIES for attack in written_in(vars(family))]
    seen: set[str] = set()
    for attack in found:
        if attack.id in seen:
            raise ValueError(f"two attacks are called {attack.id}")
        seen.add(attack.id)
    return found


def sample(attacks: Sequence[Attack]) -> list[Attack]:
    """Without what would only repeat at TCoS what is shown at ECoS: both run the same code.

    Of the attacks on TCoS that exist on ECoS too, the first of each family, check and rung stays.
    """
    at_ecos = {attack.id for attack in attacks if "ecos" in attack.id.split(".")}
    seen: set[tuple[object, ...]] = set()
    kept = []
    for attack in attacks:
        parts = attack.id.split(".")
        twin = ".".join("ecos" if part == "tcos" else part for part in parts)
        if twin != attack.id and twin in at_ecos:
            kind = (parts[0], attack.expected, attack.rung, attack.off)
            if kind in seen:
                continue
            seen.add(kind)
        kept.append(attack)
    return kept


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
