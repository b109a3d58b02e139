"""Every attack there is, under its permanent identifier."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from probe import (
    certificate_attacks,
    gbcs_parties,
    gbcs_wire,
    link_attacks,
    process_attacks,
    rotation_attacks,
    xml_attacks,
)
from probe.model import Attack

FAMILIES: Sequence[Callable[[], Iterator[Attack]]] = (
    link_attacks.attacks,
    xml_attacks.attacks,
    process_attacks.attacks,
    gbcs_wire.attacks,
    certificate_attacks.attacks,
    gbcs_parties.attacks,
    rotation_attacks.attacks,
)

NOT_RUN: tuple[tuple[str, str], ...] = (
    (
        "A CoS Party whose answer is for other certificates, another device or other floors",
        """the running broker asks the CoS Party it was configured with. `cos tamper` stands between
        the two; what the broker must say to each such answer (`acb.return.*`) is in
        tests/unit/acb/test_acb_return_checks.py and its property test. Here the same lie is tried
        where it would end: at the meter.""",
    ),
    (
        "A broker or CoS Party that lies in an answer on the link",
        """the same; `link.response.*` is in tests/unit/link/test_link_response_checks.py.""",
    ),
    (
        "The link at registration and at the SMKI repository",
        """the same room's code with the same checks; the two CoS Parties stand for all.""",
    ),
    (
        "A device that lies in its answer",
        """the simulator is the only device and has no such fault: `acb.response.*` and
        `<cos>.response.*` are in the unit tests of those rooms.""",
    ),
    (
        "Attacks on the TLS layer below the link",
        """a stack of plain processes runs without it, and the link does not lean on it.""",
    ),
    (
        "Link keys after rotation",
        """link certificates are pinned when a system starts, and the bench restarts nothing.""",
    ),
    (
        "Replay after a restart of the receiver",
        """the bench restarts nothing: tests/unit/link/test_link_once.py holds that nonces stay.""",
    ),
)
"""What is not attacked here, and why."""


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
