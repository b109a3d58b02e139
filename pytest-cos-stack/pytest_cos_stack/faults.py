"""Faults and quirks for a test: armed or on until a `with` block or the test ends."""

from __future__ import annotations

from typing import Any, Final, Self

from pytest_cos_stack.stack import CosStack

WHERE: Final = (
    *("inbound-request", "inbound-answer", "outbound-request", "outbound-answer"),
    *("device-request", "device-answer"),
)
_MATCHED: Final = ("method", "path", "purpose", "message_id", "request_id", "device")


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
        path = f"/lab/faults/{self.id}/release"
        return int(self._owner.stack.lab(self.system, "POST", path)["released"])

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
            where: ``inbound-request``, ``inbound-answer``, ``outbound-request``,
                ``outbound-answer``; at the meters ``device-request`` or ``device-answer``.
            more: `hop`, `times` (1; 0: until it is removed), `among`, `seed`; what tells the
                message: `purpose`, `path`, `method`, `message_id`, `request_id`, `device`; and
                `seconds`, `status`, `bit`, `octets`, `claims`. See docs/faults.md.

        Raises:
            ValueError: `where` is none of those.
            pytest_cos_stack.RefusedError: the system refuses it, naming why.
        """
        told = self.stack.lab(system, "POST", "/lab/faults", _order(kind, where, more))
        fault = Fault(self, system, told["id"])
        self._armed.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Undo one; what it holds back is carried on."""
        if fault in self._armed:
            self._armed.remove(fault)
            self.stack.lab(fault.system, "DELETE", f"/lab/faults/{fault.id}")

    def disarm(self) -> None:
        """Undo every one that was armed here."""
        for fault in list(self._armed):
            self.remove(fault)


def _order(kind: str, where: str, more: dict[str, Any]) -> dict[str, Any]:
    """A fault as the lab port takes it; what is None is left out."""
    if where not in WHERE:
        raise ValueError(f"{where} is not one of {', '.join(WHERE)}")
    direction, part = where.split("-")
    given = {name: value for name, value in more.items() if value is not None}
    match = {name: given.pop(name) for name in _MATCHED if name in given}
    if given.get("times") == 0:
        given["times"] = None
    return {"kind": kind, "direction": direction, "part": part, "match": match, **given}


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
            pytest_cos_stack.RefusedError: the system has none of that name.
        """
        self._stack.lab(system, "PUT", f"/lab/quirks/{name}", {"on": True})
        self._on.append((system, name))
        return Quirk(self, system, name)

    def off(self, system: str, name: str) -> None:
        """Switch it off again."""
        self._stack.lab(system, "PUT", f"/lab/quirks/{name}", {"on": False})
        self._on = [one for one in self._on if one != (system, name)]

    def restore(self) -> None:
        """Switch off every one that was switched on here."""
        for system, name in list(self._on):
            self.off(system, name)
