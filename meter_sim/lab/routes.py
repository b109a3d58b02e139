"""The meters' own lab routes: install, look into and scrap devices.

The common ones (checks, clock, traces, audit) are the chassis'.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict

from keys.certificate import Certificate
from meter_sim.device.dcc_controlled import BrokerCertificates, dcc_controlled
from meter_sim.device.model import CounterKind, Counters, DeviceState
from meter_sim.factory.installation import KEY_NAMES, FactoryOrder, PublicKeyOf, make
from meter_sim.store import history
from meter_sim.store.devices import DeviceStore, Installed
from services.chassis.context import ServiceContext
from services.chassis.web.problems import Problem

PARTY = "meter_sim"


class BrokerOrder(BaseModel):
    """The Broker's certificates, for the supplier and network cells not given otherwise."""

    model_config = ConfigDict(extra="forbid", strict=True)

    digital_signature: str
    key_agreement: str


class DeviceOrder(BaseModel):
    """A device to install: cells and own certificates by name, DER in base64.

    See meter_sim.device.contingency and meter_sim.device.dcc_controlled for the other two.

    What else a device record may say (its meter point, its supplier) is no business of a meter.
    """

    model_config = ConfigDict(extra="ignore", strict=True)

    eui: str
    device_type: str
    cells: dict[str, str]
    certificates: dict[str, str] = {}
    wrapped_contingency_key: str | None = None
    dcc_controlled: BrokerOrder | None = None


def lab_routes(
    base: ServiceContext,
    devices: DeviceStore,
    public_key_of: PublicKeyOf,
    forgetting: Sequence[Callable[[str], None]],
) -> APIRouter:
    """Routes for testers and operators. `forgetting`: told of each device scrapped."""
    router = APIRouter(tags=["devices"])

    async def install(orders: list[DeviceOrder]) -> int:
        made: dict[str, Installed] = {}
        for order in orders:
            device = make(factory_order(order), public_key_of, base.book)
            if made.setdefault(device.state.eui, device).factory != device.factory:
                raise _taken(device)
        async with base.database.begin() as conn:
            held = await devices.factories(conn, list(made)) if made else {}
            for eui, device in made.items():
                if held.get(eui, device.factory) != device.factory:
                    raise _taken(device)
            new = [device for eui, device in made.items() if eui not in held]
            if len(new) == 1:
                eui = new[0].state.eui
                await base.audit.append(conn, "lab.install", eui, {"factory": new[0].factory})
            elif new:
                record = {"factories": {one.state.eui: one.factory for one in new}}
                await base.audit.append(conn, "lab.install_many", f"{len(new)} devices", record)
            if new:
                await devices.install_many(conn, new, base.clock.now())
        return len(new)

    @router.post("/lab/devices", status_code=201)
    async def install_devices(
        order: DeviceOrder | list[DeviceOrder], response: Response
    ) -> dict[str, Any]:
        orders = order if isinstance(order, list) else [order]
        new = await install(orders)
        response.status_code = 201 if new else 200
        return {"asked": len(orders), "installed": new}

    @router.get("/lab/devices")
    async def list_devices(
        after: Annotated[str, Query(pattern="^[0-9a-f]{0,16}$")] = "",
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    ) -> dict[str, Any]:
        async with base.database.connect() as conn:
            page, total = await devices.listed(conn, after, limit)
        more = page[-1]["eui"] if len(page) == limit else None
        return {"total": total, "devices": page, "next": more}

    @router.get("/lab/devices/{eui}")
    async def show(eui: str) -> dict[str, Any]:
        async with base.database.connect() as conn:
            state = await known(devices, conn, eui)
            log = await history.read_security_log(conn, eui)
        return {**_state(state), "log": log}

    @router.delete("/lab/devices/{eui}", status_code=204)
    async def scrap(eui: str) -> Response:
        async with base.database.begin() as conn:
            await known(devices, conn, eui)
            await devices.remove(conn, eui)
            await history.forget(conn, eui)
            await base.audit.append(conn, "lab.scrap", eui, {})
        for forget in forgetting:
            forget(eui)
        return Response(status_code=204)

    @router.get("/lab/devices/{eui}/refusals")
    async def refusals(eui: str) -> dict[str, Any]:
        async with base.database.connect() as conn:
            await known(devices, conn, eui)
            found = await history.read_exchanges(conn, eui, "refused")
        return {"eui": eui, "refusals": found}

    @router.get("/lab/devices/{eui}/trace")
    async def trace(eui: str) -> dict[str, Any]:
        async with base.database.connect() as conn:
            await known(devices, conn, eui)
            found = await history.read_exchanges(conn, eui)
        return {"eui": eui, "weakened": base.book.weakened, "entries": found}

    @router.get("/lab/devices/{eui}/security-log")
    async def security_log(eui: str) -> dict[str, Any]:
        async with base.database.connect() as conn:
            await known(devices, conn, eui)
            found = await history.read_security_log(conn, eui)
        return {"eui": eui, "entries": found}

    @router.get("/lab/devices/{eui}/pending")
    async def pending(eui: str) -> dict[str, Any]:
        async with base.database.connect() as conn:
            state = await known(devices, conn, eui)
        return {"eui": eui, "pending": _pending(state)}

    return router


def factory_order(order: DeviceOrder, count: int | None = None) -> FactoryOrder:
    """What the factory is to make.

    Raises:
        Problem: 422, something is not base64.
    """
    cells = _octets(order.cells)
    if order.dcc_controlled is not None:
        broker = BrokerCertificates(**_octets(order.dcc_controlled.model_dump()))
        cells = dcc_controlled(order.device_type, cells, broker)
    wrapped = order.wrapped_contingency_key
    key = None if wrapped is None else _octets({"key": wrapped})["key"]
    own = _octets(order.certificates)
    return FactoryOrder(order.eui, order.device_type, cells, own, key, count)


def _octets(texts: dict[str, str]) -> dict[str, bytes]:
    try:
        return {name: base64.b64decode(text, validate=True) for name, text in texts.items()}
    except (binascii.Error, ValueError):
        raise Problem(
            422, "Not base64", "certificates and keys are octets in base64", party=PARTY
        ) from None


def _taken(device: Installed) -> Problem:
    return Problem(
        409,
        "Another device of this name is installed",
        f"{device.state.eui} was made otherwise: scrap it first",
        party=PARTY,
        check="meter.install.new",
    )


async def known(devices: DeviceStore, conn: Any, eui: str) -> DeviceState:
    """The device, for a lab route.

    Raises:
        Problem: 404, no such device is installed.
    """
    state = await devices.load(conn, eui)
    if state is None:
        raise Problem(
            404,
            "No such device",
            f"{eui} is not installed",
            party=PARTY,
            check="meter.device.known",
        )
    return state


def _state(state: DeviceState) -> dict[str, Any]:
    return {
        "eui": state.eui,
        "device_type": state.device_type.value,
        "cells": _named({cell.name: held for cell, held in state.cells.items()}),
        "counters": _counters(state.counters),
        "alert_counter": state.alert_counter,
        "pending": _pending(state),
        "certificates": _named(
            {
                KEY_NAMES[usage]: own.certificate
                for usage, own in state.own.items()
                if own.certificate is not None
            }
        ),
        "contingency_key": state.wrapped_contingency is not None,
        "own_keys": {
            name: {
                "generation": state.own_key(usage).generation,
                "generated": state.own_key(usage).generated,
            }
            for usage, name in KEY_NAMES.items()
        },
    }


def _named(held: dict[str, Certificate]) -> dict[str, dict[str, str]]:
    return {
        name: {
            "subject": certificate.subject_unique_id.hex(),
            "key_identifier": certificate.key_identifier.hex(),
            "fingerprint": certificate.fingerprint,
            "issuer": certificate.issuer,
            "serial": str(certificate.serial),
        }
        for name, certificate in sorted(held.items())
    }


def _counters(counters: Counters) -> dict[str, dict[str, int]]:
    kinds = {
        CounterKind.COMMANDS.value: counters.commands,
        CounterKind.CREDENTIALS.value: counters.credentials,
        "prepayment_top_up": counters.top_up,
    }
    return {name: {r.label: value for r, value in kind.items()} for name, kind in kinds.items()}


def _pending(state: DeviceState) -> list[dict[str, str]]:
    return [
        {
            "role": one.role.label,
            "reference": one.reference,
            "execution_date_time": one.execution_date_time,
            "due": one.due.isoformat(),
        }
        for one in state.pending.values()
    ]
