"""Faults and quirks for a test: armed or on until a `with` block or the test ends."""

from __future__ import annotations

from typing import Any, Self

from cli import faults
from cos_pytest.stack import CosStack


class Fault:
    """An armed fault; as a context manager, gone at the end of its block.

    Attributes:
        system: where it is armed.
        id: its name there.
    """

    def __init__(self, owner: Faults, system: str, fault_id: str) -> None:
        self._owner = owner
        self.system = system
        self.id = fault_id

    def told(self) -> dict[str, Any]:
        """What the system says of it now: `fired`, `left`, `held`, `state` and what it is."""
        told: dict[str, Any] = self._owner.stack.lab(self.system, "GET", f"/lab/faults/{self.id}")
        return told

    @property
    def fired(self) -> int:
        """How often it has struck."""
        return int(self.told()["fired"])

    def release(self) -> int:
        """Carry on what it holds back; how many messages that were."""
        return faults.release(self._owner.stack.connection, self.system, self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._owner.remove(self)


class Faults:
    """The faults of all systems."""

    def __init__(self, stack: CosStack) -> None:
        self.stack = stack
        self._armed: list[Fault] = []

    def arm(self, system: str, kind: str, where: str, **more: Any) -> Fault:
        """Arm a fault, now.

        Args:
            system: whose it is, for example ``acb``.
            kind: what befalls the message, for example ``drop``.
            where: ``inbound-request``, ``inbound-answer``, ``outbound-request`` or
                ``outbound-answer``.
            more: `hop`, `times` (1; 0: until it is removed), `among`, `seed`; what tells the
                message: `purpose`, `path`, `method`, `message_id`, `request_id`, `device`; and
                `seconds`, `status`, `bit`, `octets`, `claims`. See docs/faults.md.

        Raises:
            cli.errors.CommandError: the system refuses it, naming why.
        """
        told = faults.arm(self.stack.connection, system, faults.order_of(kind, where, **more))
        fault = Fault(self, system, told["id"])
        self._armed.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Undo one; what it holds back is carried on."""
        if fault in self._armed:
            self._armed.remove(fault)
            faults.remove(self.stack.connection, fault.system, fault.id)

    def disarm(self) -> None:
        """Undo every one that was armed here."""
        for fault in list(self._armed):
            self.remove(fault)


class Quirk:
    """A quirk that is on; as a context manager, off at the end of its block."""

    def __init__(self, owner: Quirks, system: str, name: str) -> None:
        self._owner = owner
        self.system = system
        self.name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._owner.off(self.system, self.name)


class Quirks:
    """The quirks of all systems."""

    def __init__(self, stack: CosStack) -> None:
        self._stack = stack
        self._on: list[tuple[str, str]] = []

    def on(self, system: str, name: str) -> Quirk:
        """Switch a quirk on, now.

        Raises:
            cli.errors.CommandError: the system has none of that name.
        """
        faults.switch_quirk(self._stack.connection, system, name, on=True)
        self._on.append((system, name))
        return Quirk(self, system, name)

    def off(self, system: str, name: str) -> None:
        """Switch it off again."""
        faults.switch_quirk(self._stack.connection, system, name, on=False)
        self._on = [one for one in self._on if one != (system, name)]

    def restore(self) -> None:
        """Switch off every one that was switched on here."""
        for system, name in list(self._on):
            self.off(system, name)
