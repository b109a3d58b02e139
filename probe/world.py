"""The stack under attack, as a tester has it: its interfaces, its lab ports, and stolen keys.

Keys are opened from the data folder, because that is what an attacker who holds a party's keys
holds. Which keys an attack uses is what its `holds` says.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx

from keys.certificate import Certificate
from keys.stores.software import SoftwareKeyStore, read_secret
from probe.between import Between
from probe.changes import NONE, Changes
from probe.result import Seen, Stop
from stack.connection import Connection
from stack.errors import CommandError
from stack.provision import devices_of, provision, record_of, user_of
from stack.supplier import Supplier
from stack.switching import FINAL_STATES
from stack.systems import COS_PARTIES, SYSTEM, SYSTEMS

COS = {SYSTEM[party].check_prefix: party for party in COS_PARTIES}
_METER_SILENT = ("acb.response.received", "acb.rules.read_back.", "acb.answer.received")
_LASTING = frozenset({"cells", "counters", "pending", "certificates", "record", "signed"})


T = TypeVar("T")


def together(*acts: Callable[[], T]) -> list[T]:
    """Do several things at once, which go to different systems: what each gave."""
    if not acts:
        return []
    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(lambda act: act(), acts))


def made(device: dict[str, Any]) -> dict[str, Any]:
    """What the factory is told of a device."""
    return {name: device[name] for name in ("eui", "device_type", "cells", "certificates")}


class World:
    """One running stack. Made once for a run of many attacks.

    Attributes:
        prepared: whether something was done that `fresh` has to undo.
        compares: whether the state after an attack is compared with the state before it.
        kept: what a tester changed on the stack and wants to stay so.
    """

    def __init__(self, connection: Connection, data: Path, kept: Changes = NONE) -> None:
        self.connection = connection
        self.kept = kept
        self.data = data
        self.devices = devices_of(data)
        self._stores: dict[Path, SoftwareKeyStore] = {}
        self._suppliers: dict[str, Supplier] = {}
        self._last_counter = 0
        self._baseline: dict[str, Any] = {}
        self._disturbed = set(SYSTEMS)
        self._undo: list[Callable[[], None]] = []
        self._users_changed = True
        self._installed = False
        self._reached = True
        self.compares = True
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
        if name not in self._suppliers:
            self._suppliers[name] = Supplier.open(self.data, name)
        return self._suppliers[name]

    def keys(self, party: str) -> SoftwareKeyStore:
        """Every key of a party, a supplier or another organisation."""
        for folder in (party, f"suppliers/{party}", f"organisations/{party}"):
            path = self.data / folder
            if (path / "keys").is_dir():
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
        self._last_counter = max(self._last_counter + 10, time.time_ns() // 1_000_000)
        return self._last_counter

    # The lab

    @property
    def untouched(self) -> bool:
        """Whether, since `fresh`, nothing happened that it would put back.

        What a CoS Party, registration or the SMKI repository did over the link, it would not: a
        counter that was used stays used.
        """
        return not (self._reached or self._disturbed or self._undo or self.prepared)

    def send(self, system: str, method: str, url: str, **more: Any) -> httpx.Response:
        """Say something to the broker or to a device, over their own interfaces."""
        self._reached = True
        return self.connection.send(system, method, url, **more)

    def lab(self, system: str, method: str, path: str, body: Any = None) -> Any:
        """One lab route of one system; what an act there changed is undone by `fresh`."""
        if method != "GET":
            self._disturbed.add(system)
            self._users_changed |= path.startswith("/lab/users")
        return self.connection.lab(system, method, path, body)

    def try_lab(self, system: str, method: str, path: str, body: Any) -> Any:
        """As `lab`, but a refusal by a named check is given back as what stopped it."""
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
        return Stop(system, problem["check"])

    def fresh(self) -> None:
        """Checks and clocks as the tester wants them, the homes as the ceremony left them."""
        together(*(
            partial(self.connection.lab, party, "POST", "/lab/reset") for party in self._disturbed
        ))  # fmt: skip
        while self._undo:
            self._undo.pop()()
        self.kept.make(self.connection)
        disturbed = set(self._disturbed)
        if self._installed:
            together(self._reinstall, self._record_again)
        else:
            provision(self.connection, self.data, afresh=True)
            self._installed = True
        if "acb" in disturbed:
            self._lift_threshold()
        self._disturbed.clear()
        self._reached = False
        self._users_changed = False
        self._baseline.clear()
        self.prepared = False

    def _lift_threshold(self) -> None:
        """So many requests in a day are the bench's doing: that must not be what refuses one."""
        path = f"/lab/thresholds/{self.supplier('B').eui}"
        self.connection.lab("acb", "PUT", path, {"most": None})

    def _reinstall(self) -> None:
        """The devices as the factory made them."""
        installed = {d["eui"] for d in self.lab("meter_sim", "GET", "/lab/devices")["devices"]}
        for device in self.devices:
            if device["eui"] in installed:
                self.lab("meter_sim", "DELETE", f"/lab/devices/{device['eui']}")
        self.lab("meter_sim", "POST", "/lab/devices", [made(device) for device in self.devices])

    def _record_again(self) -> None:
        """The broker's record as it was; its users too, if somebody changed them."""
        for device in self.devices:
            self.lab("acb", "POST", "/lab/devices", record_of(device))
        if self._users_changed:
            for supplier in self.connection.stack.facts["suppliers"]:
                self.lab("acb", "POST", "/lab/users", user_of(supplier))

    def switch(self, check: Stop, *, on: bool) -> None:
        """Turn one check of one party on or off."""
        self.connection.lab(check.party, "PUT", f"/lab/checks/{check.check}", {"enabled": on})

    def afterwards(self, undo: Callable[[], None]) -> None:
        """Have this done when the stack is next made fresh: what no reset puts back."""
        self._undo.append(undo)
        self.prepared = True

    @contextmanager
    def without(self, check: Stop) -> Iterator[None]:
        """Run with one check of one party off."""
        self.switch(check, on=False)
        try:
            yield
        finally:
            self.switch(check, on=check not in self.kept.off)

    def stand_between(self) -> Between:
        """Stand between the systems, from the first time on until `leave`."""
        if self._between is None:
            between = Between(self.connection)
            between.open()
            self._between = between
            self.kept.make(self.connection)  # the systems were started anew
        return self._between

    @property
    def between(self) -> Between:
        """The bench between the systems."""
        return self.stand_between()

    def leave(self) -> None:
        """Stand between the systems no longer, if the bench does."""
        between, self._between = self._between, None
        if between is not None:
            between.close()
            self.kept.make(self.connection)

    def state(self, more: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Everything that a refused act must leave as it was, by `what:whose`.

        `more` names further things to look at: see `probe.model.Attack.watches`.
        """
        questions: list[Callable[[], dict[str, Any]]] = [self._records]
        questions += [partial(self._device, device["eui"]) for device in self.devices]
        questions += [partial(self._signed, party) for party in COS.values()]
        questions += [partial(self._watched, what) for what in sorted(more)]
        return {k: v for answer in together(*questions) for k, v in answer.items()}

    def _device(self, eui: str) -> dict[str, Any]:
        told = self.lab("meter_sim", "GET", f"/lab/devices/{eui}")
        parts = ("cells", "counters", "pending", "certificates")
        return {f"{part}:{eui}": told[part] for part in parts}

    def _records(self) -> dict[str, Any]:
        told = self.lab("acb", "GET", "/lab/devices")["devices"]
        return {f"record:{one['eui']}": [one["cells"], one["certificates"]] for one in told}

    def _signed(self, party: str) -> dict[str, Any]:
        return {f"signed:{party}": self.lab(party, "GET", "/lab/counters")["last"]}

    def _watched(self, what: str) -> dict[str, Any]:
        if what == "registration":
            return {"register:registration": self.lab(what, "GET", "/lab/register")}
        if what == "smki_repository":
            return {"published:smki_repository": self.lab(what, "GET", "/lab/repository")}
        if what == "meter_sim":
            told = self.lab(what, "GET", "/lab/devices")["devices"]
            return {"installed:meter_sim": [one["eui"] for one in told]}
        eui = self.meter(what)
        return {f"known:{what}": self.lab(what, "GET", f"/lab/devices/{eui}")["cells"]}

    def mark(self) -> None:
        """What is done up to here was preparation: compare the state with this moment."""
        self.prepared = True
        if self.compares:
            self._baseline = self.state(self._watching)

    def watch(self, more: frozenset[str]) -> None:
        """Have the state to compare with, these further things in it too."""
        self._watching = more
        if not self._baseline:
            self._baseline = self.state(more)
        for what in more:
            self._baseline.update(self._watched(what))

    def changes(self) -> tuple[str, ...]:
        """What differs from the state to compare with."""
        now = self.state(self._watching)
        gone = {k for k in self._baseline if k.partition(":")[0] in _LASTING and k not in now}
        return tuple(sorted(gone | {k for k in now if self._baseline.get(k) != now[k]}))

    def install(self, device: dict[str, Any]) -> None:
        """Put another device in the place of one: on the meters' side only."""
        self.lab("meter_sim", "DELETE", f"/lab/devices/{device['eui']}")
        self.lab("meter_sim", "POST", "/lab/devices", made(device))

    def record(self, device: dict[str, Any], status: str = "Commissioned") -> None:
        """Have the broker's record say this of a device."""
        self.lab("acb", "POST", "/lab/devices", {**record_of(device), "status": status})

    # The meter's interface

    def to_meter(self, eui: str, message: bytes) -> bytes:
        """What a device answers to octets on the WAN; nothing where it is silent."""
        url = f"{self.connection.stack.services['meter_sim'].interface}/devices/{eui}/messages"
        headers = {"Content-Type": "application/octet-stream"}
        answer = self.send("meter_sim", "POST", url, content=message, headers=headers)
        return answer.content if answer.status_code == 200 else b""

    def meter_stop(self, eui: str) -> Stop | None:
        """By which check the device refused what it heard last, if it did."""
        entries = self.lab("meter_sim", "GET", f"/lab/devices/{eui}/trace")["entries"]
        refused = entries[-1].get("refused") if entries else None
        if refused:
            return Stop("meter_sim", refused["check"])
        for cell in entries[-1].get("cells") or () if entries else ():
            for verdict in cell["verdicts"]:
                if verdict["outcome"] == "refused":
                    return Stop("meter_sim", verdict["check"])
        return None

    def tell_meter(self, eui: str, message: bytes) -> Seen:
        """Send octets to a device and see whether it refused them."""
        answer = self.to_meter(eui, message)
        stop = self.meter_stop(eui)
        return Seen(stop, f"{len(answer)} octets of answer" if answer else "the device is silent")

    # The broker's interface

    def to_broker(
        self, body: bytes, content_type: str = "application/xml", *, ask_meter: bool = True
    ) -> Seen:
        """Post to the broker and follow the request to its end.

        Where the device was silent, the device itself is asked (on its lab port) by which check it
        refused; not with `ask_meter` false, which is for when the bench was silent in its place.
        """
        url = f"{self.connection.stack.services['acb'].interface}/service-requests"
        headers = {"Content-Type": content_type}
        answer = self.send("acb", "POST", url, content=body, headers=headers)
        if answer.is_error:
            problem = answer.json()
            return Seen(Stop("acb", problem["check"]), problem.get("detail") or "")
        if check := answer.headers.get("Cos-Check"):
            return Seen(Stop(answer.headers.get("Cos-Party", "acb"), check), "signed refusal")
        request_id = body.split(b"RequestID>")[1].split(b"<")[0].decode()
        return self.follow(request_id, ask_meter=ask_meter)

    def follow(self, request_id: str, *, ask_meter: bool = True) -> Seen:
        """How a request that the broker accepted ended."""
        told = self.connection.request_state(request_id, wait=20)
        for _ in range(3):
            if told["state"] in FINAL_STATES:
                break
            told = self.connection.request_state(request_id, wait=20)
        if told["state"] in {"completed", "scheduled"}:
            return Seen(None, f"{told['state']} {told.get('response_code') or ''}".strip())
        refused = told.get("refused") or {}
        if told["state"] == "quarantined":
            return Seen(Stop("acb", "acb.anomaly.threshold"), "quarantined")
        check = str(refused.get("check") or f"acb.state.{told['state']}")
        if ask_meter and check.startswith(_METER_SILENT):
            meter = request_id.split(":")[1].replace("-", "").lower()
            if stop := self.refused_command(meter):
                return Seen(stop, f"the broker saw {check}")
        return Seen(Stop(refused.get("party") or "acb", check), str(refused.get("detail") or ""))

    def refused_command(self, meter: str) -> Stop | None:
        """By which check a device refused last, whatever came after."""
        refusals = self.lab("meter_sim", "GET", f"/lab/devices/{meter}/refusals")["refusals"]
        return Stop("meter_sim", refusals[-1]["refused"]["check"]) if refusals else None
