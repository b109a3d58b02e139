"""The stack under attack, as a tester has it: its interfaces, its lab ports, and stolen keys.

Keys are opened from the data folder, because that is what an attacker who holds a party's keys
holds. Which keys an attack uses is what its `holds` says.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from keys.certificate import Certificate
from keys.stores.software import SoftwareKeyStore, read_secret
from probe.between import Between
from probe.changes import NONE, Changes
from probe.result import Observed, Refusal
from probe.state import State, differences, in_parallel, state_of, watched
from stack.connection import Connection
from stack.errors import CommandError
from stack.provision import devices_of, provision, record_of, user_of
from stack.supplier import Supplier
from stack.switching import FINAL_STATES
from stack.systems import COS_PARTIES, SYSTEM, SYSTEMS

COS = {SYSTEM[party].check_prefix: party for party in COS_PARTIES}
_METER_SILENT = ("acb.response.received", "acb.read_back.", "acb.answer.received")


def factory_order(device: dict[str, Any]) -> dict[str, Any]:
    """What the factory is told of a device."""
    return {name: device[name] for name in ("eui", "device_type", "cells", "certificates")}


class World:
    """One running stack. Made once for a run of many attacks.

    Attributes:
        prepared: whether something was done that `restore` has to undo.
        compares: whether the state after an attack is compared with the state before it.
        shared: whether several attacks run at once: none of them may then change the stack.
        kept: what a tester changed on the stack and wants to stay so.
    """

    def __init__(self, connection: Connection, data: Path, kept: Changes = NONE) -> None:
        self.connection = connection
        self.kept = kept
        self.data = data
        self.devices = devices_of(data)
        self._lock = threading.RLock()
        self._stores: dict[Path, SoftwareKeyStore] = {}
        self._suppliers: dict[str, Supplier] = {}
        self._last_counter = 0
        self._baseline: State = {}
        self._disturbed = set(SYSTEMS)
        self._undo: list[Callable[[], None]] = []
        self._users_changed = True
        self._installed = False
        self._reached: set[str] = {"acb"}
        self.compares = True
        self.shared = False
        self._between: Between | None = None
        self._watching: frozenset[str] = frozenset()
        self.prepared = False

    # Who is there

    def meter(self, cos_party: str) -> str:
        """The meter that trusts this CoS Party (`tcos_party` or `ecos_party`)."""
        return str(next(d["eui"] for d in self.devices if d["cos_party"] == cos_party))

    def device(self, eui: str) -> dict[str, Any]:
        """The ceremony's record of a device."""
        return next(d for d in self.devices if d["eui"] == eui)

    def eui(self, name: str) -> str:
        """The entity identifier of a party or organisation."""
        facts = self.connection.stack.facts
        return str({**facts["organisations"], **facts["parties"]}[name])

    def supplier(self, name: str) -> Supplier:
        """A supplier's account and keys."""
        with self._lock:
            if name not in self._suppliers:
                self._suppliers[name] = Supplier.open(self.data, name)
            return self._suppliers[name]

    def keys(self, party: str) -> SoftwareKeyStore:
        """Every key of a party, a supplier or another organisation."""
        for folder in (party, f"suppliers/{party}", f"organisations/{party}"):
            path = self.data / folder
            if (path / "keys").is_dir():
                with self._lock:
                    if path not in self._stores:
                        secret = read_secret(path / "passphrase")
                        self._stores[path] = SoftwareKeyStore.open(path / "keys", secret)
                    return self._stores[path]
        raise CommandError(f"no keys of {party} in {self.data}", 3)

    def device_certificate(self, eui: str, name: str = "key-agreement") -> Certificate:
        """A device's own certificate."""
        return Certificate.from_der(base64.b64decode(self.device(eui)["certificates"][name]))

    def next_counter(self) -> int:
        """A request counter above every one before, in milliseconds as suppliers' tools use."""
        with self._lock:
            self._last_counter = max(self._last_counter + 10, time.time_ns() // 1_000_000)
            return self._last_counter

    # The lab

    @property
    def untouched(self) -> bool:
        """Whether, since `restore`, nothing happened that it would put back.

        What a CoS Party, registration or the SMKI repository did over the link, it would not: a
        counter that was used stays used.
        """
        return not (self._reached or self._disturbed or self._undo)

    def send(self, system: str, method: str, url: str, **more: Any) -> httpx.Response:
        """Say something to the broker (or, through `to_meter`, a device) on its own interface."""
        self._reached.add(system)
        return self.connection.send(system, method, url, **more)

    def lab(self, system: str, method: str, path: str, body: Any = None) -> Any:
        """One lab route of one system; what an act there changed is undone by `restore`."""
        if method != "GET":
            self._changing()
            self._disturbed.add(system)
            self._users_changed |= path.startswith("/lab/users")
        return self.connection.lab(system, method, path, body)

    def try_lab(self, system: str, method: str, path: str, body: Any) -> Any:
        """As `lab`, but a refusal by a named check is given back as who refused."""
        self._changing()
        self._disturbed.add(system)
        token = self.connection.stack.lab_tokens[system]
        answer = self.connection.send(
            system, method, self.connection.stack.services[system].lab + path, json=body,
            headers={"Authorization": f"Bearer {token}"},
        )  # fmt: skip
        if not answer.is_error:
            return answer.json() if answer.content else None
        problem = answer.json()
        if not problem.get("check"):
            raise CommandError(f"{system} answered {answer.status_code}: {problem.get('detail')}")
        return Refusal(system, problem["check"])

    def _changing(self) -> None:
        if self.shared:
            raise ValueError("this attack changes the stack: it must say `prepares=True`")

    def restore(self) -> None:
        """Checks and clocks as the tester wants them, the homes as the ceremony left them."""
        in_parallel(*(
            partial(self.connection.lab, party, "POST", "/lab/reset") for party in self._disturbed
        ))  # fmt: skip
        while self._undo:
            self._undo.pop()()
        self.kept.apply(self.connection)
        disturbed = set(self._disturbed)
        if not self._installed:
            provision(self.connection, self.data, afresh=True)
            # Writing one request compiles the schema: two threads must not do that at once.
            self.supplier("B").change_of_supplier(self.devices[0]["eui"], self.devices[0]["mpxn"])
            self._installed = True
        elif (self._reached | disturbed) & {"acb", "meter_sim"}:
            in_parallel(self._reinstall, self._record_again)
        else:
            self._make_again([d for d in self.devices if d["eui"] in self._reached])
        if "acb" in disturbed:
            self._lift_threshold()
        self._disturbed.clear()
        self._reached.clear()
        self._users_changed = False
        self._baseline = {}
        self.prepared = False

    def _lift_threshold(self) -> None:
        """So many requests in a day are the bench's doing: that must not be what refuses one."""
        path = f"/lab/thresholds/{self.supplier('B').eui}"
        self.connection.lab("acb", "PUT", path, {"most": None})

    def _reinstall(self) -> None:
        """The devices as the factory made them."""
        installed = {d["eui"] for d in self.lab("meter_sim", "GET", "/lab/devices")["devices"]}
        self._make_again(self.devices, installed)

    def _make_again(
        self, devices: Sequence[dict[str, Any]], installed: Iterable[str] | None = None
    ) -> None:
        for device in devices:
            if installed is None or device["eui"] in installed:
                self.lab("meter_sim", "DELETE", f"/lab/devices/{device['eui']}")
        if devices:
            self.lab("meter_sim", "POST", "/lab/devices", [factory_order(d) for d in devices])

    def _record_again(self) -> None:
        """The broker's record as it was; its users too, if somebody changed them."""
        for device in self.devices:
            self.lab("acb", "POST", "/lab/devices", record_of(device))
        if self._users_changed:
            for supplier in self.connection.stack.facts["suppliers"]:
                self.lab("acb", "POST", "/lab/users", user_of(supplier))

    def switch(self, check: Refusal, *, on: bool) -> None:
        """Turn one check of one party on or off."""
        self.connection.lab(check.party, "PUT", f"/lab/checks/{check.check}", {"enabled": on})

    def undo_when_restored(self, undo: Callable[[], None]) -> None:
        """Have this done when the stack is next restored: what no reset puts back."""
        self._changing()
        self._undo.append(undo)
        self.prepared = True

    @contextmanager
    def without(self, check: Refusal) -> Iterator[None]:
        """Run with one check of one party off."""
        self.switch(check, on=False)
        try:
            yield
        finally:
            self.switch(check, on=check not in self.kept.off)

    def stand_between(self) -> Between:
        """Stand between the systems, from the first time on until `stop_standing_between`."""
        self._changing()
        if self._between is None:
            between = Between(self.connection)
            between.open()
            self._between = between
            self.kept.apply(self.connection)  # the systems were started anew
        return self._between

    @property
    def between(self) -> Between:
        """The bench between the systems."""
        return self.stand_between()

    def stop_standing_between(self) -> None:
        """Stand between the systems no longer, if the bench does."""
        between, self._between = self._between, None
        if between is not None:
            between.close()
            self.kept.apply(self.connection)

    def _state(self) -> State:
        now = state_of(self.connection, [str(d["eui"]) for d in self.devices])
        for what in self._watching:
            now |= self._watched(what)
        return now

    def _watched(self, what: str) -> State:
        return watched(self.connection, what, self.meter(what) if what in COS_PARTIES else "")

    def compare_from_here(self) -> None:
        """What is done up to here was preparation: compare the state with this moment."""
        self._changing()
        self.prepared = True
        if self.compares:
            self._baseline = self._state()

    def watch(self, more: frozenset[str]) -> None:
        """Have the state to compare with, these further things in it too."""
        self._watching = more
        if not self._baseline:
            self._baseline = self._state()
        for what in more:
            self._baseline |= self._watched(what)

    def changes(self) -> tuple[str, ...]:
        """What differs from the state to compare with."""
        return differences(self._baseline, self._state())

    def install(self, device: dict[str, Any]) -> None:
        """Put another device in the place of one: on the meters' side only."""
        self.lab("meter_sim", "DELETE", f"/lab/devices/{device['eui']}")
        self.lab("meter_sim", "POST", "/lab/devices", factory_order(device))

    def record(self, device: dict[str, Any], status: str = "Commissioned") -> None:
        """Have the broker's record say this of a device."""
        self.lab("acb", "POST", "/lab/devices", {**record_of(device), "status": status})

    # The meter's interface

    def to_meter(self, eui: str, message: bytes) -> bytes:
        """What a device answers to octets on the WAN; nothing where it is silent."""
        url = f"{self.connection.stack.services['meter_sim'].interface}/devices/{eui}/messages"
        headers = {"Content-Type": "application/octet-stream"}
        self._reached.add(eui)
        answer = self.connection.send("meter_sim", "POST", url, content=message, headers=headers)
        return answer.content if answer.status_code == 200 else b""

    def meter_refusal(self, eui: str) -> Refusal | None:
        """By which check the device refused what it heard last, if it did."""
        entries = self.lab("meter_sim", "GET", f"/lab/devices/{eui}/trace")["entries"]
        refused = entries[-1].get("refused") if entries else None
        if refused:
            return Refusal("meter_sim", refused["check"])
        for cell in entries[-1].get("cells") or () if entries else ():
            for verdict in cell["verdicts"]:
                if verdict["outcome"] == "refused":
                    return Refusal("meter_sim", verdict["check"])
        return None

    def send_to_meter(self, eui: str, message: bytes) -> Observed:
        """Send octets to a device and see whether it refused them."""
        answer = self.to_meter(eui, message)
        note = f"{len(answer)} octets of answer" if answer else "the device is silent"
        return Observed(self.meter_refusal(eui), note)

    # The broker's interface

    def to_broker(
        self, body: bytes, content_type: str = "application/xml", *, ask_meter: bool = True
    ) -> Observed:
        """Post to the broker and follow the request to its end.

        Where the device was silent, the device itself is asked (on its lab port) by which check it
        refused; not with `ask_meter` false, which is for when the bench was silent in its place.
        """
        url = f"{self.connection.stack.services['acb'].interface}/service-requests"
        headers = {"Content-Type": content_type}
        answer = self.send("acb", "POST", url, content=body, headers=headers)
        if answer.is_error:
            problem = answer.json()
            return Observed(Refusal("acb", problem["check"]), problem.get("detail") or "")
        if check := answer.headers.get("Cos-Check"):
            return Observed(
                Refusal(answer.headers.get("Cos-Party", "acb"), check), "signed refusal"
            )
        request_id = body.split(b"RequestID>")[1].split(b"<")[0].decode()
        return self.follow(request_id, ask_meter=ask_meter)

    def follow(self, request_id: str, *, ask_meter: bool = True) -> Observed:
        """How a request that the broker accepted ended."""
        told = self.connection.request_state(request_id, wait=20)
        for _ in range(3):
            if told["state"] in FINAL_STATES:
                break
            told = self.connection.request_state(request_id, wait=20)
        if told["state"] in {"completed", "scheduled"}:
            return Observed(None, f"{told['state']} {told.get('response_code') or ''}".strip())
        refused = told.get("refused") or {}
        if told["state"] == "quarantined":
            return Observed(Refusal("acb", "acb.anomaly.threshold"), "quarantined")
        check = str(refused.get("check") or f"acb.state.{told['state']}")
        if ask_meter and check.startswith(_METER_SILENT):
            meter = request_id.split(":")[1].replace("-", "").lower()
            if refusal := self.last_refusal_of(meter):
                return Observed(refusal, f"the broker saw {check}")
        return Observed(
            Refusal(refused.get("party") or "acb", check), str(refused.get("detail") or "")
        )

    def last_refusal_of(self, meter: str) -> Refusal | None:
        """By which check a device refused last, whatever came after."""
        refusals = self.lab("meter_sim", "GET", f"/lab/devices/{meter}/refusals")["refusals"]
        return Refusal("meter_sim", refusals[-1]["refused"]["check"]) if refusals else None
