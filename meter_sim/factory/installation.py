"""Making a device: what the factory puts into it, and what it refuses to put there.

Only through the lab port. The pure device rules take any credentials; this service takes only
material that is marked simulated, so that no meter here can be spoken to by anyone real.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from gbcs.codes import KeyUsage, RemotePartyRole
from gbcs.errors import EncodeError
from gbcs.payloads.credentials import CellId
from keys.certificate import Certificate
from keys.errors import CertificateError
from keys.octets import public_key_fault
from keys.roles import Usage
from keys.simulated import EUI_PREFIX
from meter_sim.device.contingency import WRAPPED_OCTETS
from meter_sim.device.dcc_controlled import HELD_BY_BROKER
from meter_sim.device.device_types import CELLS, DeviceType
from meter_sim.device.model import DeviceState, OwnKey
from meter_sim.device.rules.certificate import expected_role
from meter_sim.store.devices import Installed
from services.chassis.checks import CheckBook, CheckFailed, check
from services.chassis.data.canonical import canonical

SECTION: Final = "installation"
_SOURCE: Final = "reconstruction: the simulated factory"
USAGE_OF_KEY = {
    "digital-signing": Usage.DIGITAL_SIGNATURE,
    "key-agreement": Usage.KEY_AGREEMENT,
}
KEY_NAMES = {
    KeyUsage.DIGITAL_SIGNATURE: "digital-signing",
    KeyUsage.KEY_AGREEMENT: "key-agreement",
}
"""What a device's own two keys are called in an order."""
_EUI = re.compile(r"[0-9a-f]{16}")

PublicKeyOf = Callable[[str, Usage], EllipticCurvePublicKey]
"""The public half of the key a device will have, by EUI-64 and usage."""


@dataclass(frozen=True, slots=True)
class FactoryOrder:
    """What was asked for, as it was asked: names to certificates in DER.

    `count`: of a fleet, how many devices, with EUI-64s from `eui` on, all alike.
    """

    eui: str
    device_type: str
    cells: Mapping[str, bytes]
    certificates: Mapping[str, bytes]
    wrapped_contingency: bytes | None = None
    count: int | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the order, so that the same order can be recognised."""
        text = canonical(
            {
                "eui": self.eui,
                "device_type": self.device_type,
                "cells": {name: der.hex() for name, der in self.cells.items()},
                "certificates": {name: der.hex() for name, der in self.certificates.items()},
                "wrapped_contingency": (self.wrapped_contingency or b"").hex(),
                "count": self.count,
            }
        )
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Factory:
    """An order, read; and the keys the device will have. What cannot be read is None."""

    order: FactoryOrder
    device_type: DeviceType | None
    cells: Mapping[str, tuple[CellId | None, Certificate | None]]
    certificates: Mapping[str, Certificate | None]
    public_key_of: PublicKeyOf


def make(order: FactoryOrder, public_key_of: PublicKeyOf, book: CheckBook) -> Installed:
    """Check an order and make the device.

    Raises:
        Refused: the order breaks a rule of section "installation".
    """
    approved = book.start(order.eui, section=SECTION).judge(_read(order, public_key_of))
    factory = approved.evidence
    order = factory.order
    cells = {cell: held for cell, held in factory.cells.values() if cell and held}
    kind = factory.device_type or DeviceType.ESME
    own = {
        usage: OwnKey(certificate=factory.certificates[name])
        for usage, name in KEY_NAMES.items()
        if name in factory.certificates
    }
    wrapped = order.wrapped_contingency
    state = DeviceState(order.eui, kind, cells, own=own, wrapped_contingency=wrapped)
    return Installed(state, order.digest)


def _read(order: FactoryOrder, public_key_of: PublicKeyOf) -> Factory:
    kind = DeviceType(order.device_type) if order.device_type in set(DeviceType) else None
    cells = {name: (_cell(name), _certificate(der)) for name, der in order.cells.items()}
    own = {name: _certificate(der) for name, der in order.certificates.items()}
    return Factory(order, kind, cells, own, public_key_of)


def _cell(name: str) -> CellId | None:
    try:
        return CellId.from_name(name)
    except EncodeError:
        return None


def _certificate(der: bytes) -> Certificate | None:
    try:
        return Certificate.from_der(der)
    except CertificateError:
        return None


@check("meter.install.identity", source=_SOURCE, status=422, section=SECTION)
def identity(factory: Factory) -> None:
    """It is a simulated device of a known type."""
    eui = factory.order.eui
    if _EUI.fullmatch(eui) is None or not eui.startswith(EUI_PREFIX):
        raise CheckFailed(
            "not the EUI-64 of a simulated device", f"16 hexadecimal digits, {EUI_PREFIX}...", eui
        )
    last = f"{int(eui, 16) + (factory.order.count or 1) - 1:016x}"
    if _EUI.fullmatch(last) is None or not last.startswith(EUI_PREFIX):
        raise CheckFailed("so many are not all simulated devices", f"{EUI_PREFIX}...", last)
    if factory.device_type is None:
        raise CheckFailed(
            "no such type of device", ", ".join(DeviceType), factory.order.device_type
        )


@check(
    "meter.install.cells",
    source="GBCS 0.8.1 p148; docs/sources.md#trust-anchor-cells",
    status=422,
    section=SECTION,
)
def cells_of_its_type(factory: Factory) -> None:
    """It has exactly the cells of its type, all populated."""
    if factory.device_type is None:
        raise CheckFailed("no such type of device")
    table = CELLS[factory.device_type]
    present: set[CellId] = set()
    for name, (cell, _) in factory.cells.items():
        if cell is None or cell not in table.required | table.optional:
            raise CheckFailed(f"a {factory.device_type} has no cell {name}", None, name)
        present.add(cell)
    missing = sorted(cell.name for cell in table.required - present)
    if missing:
        raise CheckFailed("every trust anchor cell must be populated", ", ".join(missing), "empty")


@check(
    "meter.install.contents",
    source="docs/sources.md#trust-anchor-cells",
    status=422,
    section=SECTION,
)
def contents(factory: Factory) -> None:
    """Each cell holds a certificate of its role and use."""
    for name, (cell, held) in factory.cells.items():
        if cell is None or held is None:
            raise CheckFailed(f"{name}: not a certificate that can be read")
        allowed = {expected_role(cell.role)}
        if cell.role in HELD_BY_BROKER:
            allowed.add(expected_role(RemotePartyRole.ACCESS_CONTROL_BROKER))
        if held.role not in allowed:
            raise CheckFailed(f"{name}: of another role", " or ".join(sorted(allowed)), held.role)
        usage = None if held.usage is None else held.usage.value
        if usage != cell.key_usage.label:
            raise CheckFailed(f"{name}: for another use", cell.key_usage.label, usage)
        if fault := public_key_fault(held.octets.public_key):
            raise CheckFailed(f"{name}: {fault}")


@check(
    "meter.install.contingency_key",
    source="reconstruction: see meter_sim.device.contingency",
    status=422,
    section=SECTION,
)
def contingency_key(factory: Factory) -> None:
    """Its contingency key, if it has one, is wrapped as this device unwraps it."""
    wrapped = factory.order.wrapped_contingency
    if wrapped is not None and len(wrapped) != WRAPPED_OCTETS:
        raise CheckFailed("not a wrapped key", f"{WRAPPED_OCTETS} octets", str(len(wrapped)))


@check("meter.install.own_certificates", source=_SOURCE, status=422, section=SECTION)
def own_certificates(factory: Factory) -> None:
    """The device's own certificates are of its own keys."""
    eui = factory.order.eui
    for name, held in factory.certificates.items():
        usage = USAGE_OF_KEY.get(name)
        if usage is None:
            raise CheckFailed("a device has no such key", ", ".join(USAGE_OF_KEY), name)
        if held is None or held.subject_eui != eui or held.usage is not usage:
            raise CheckFailed(f"{name}: not this device's certificate", eui)
        if held.public_key != factory.public_key_of(eui, usage):
            raise CheckFailed(f"{name}: the certificate of another key than the device will have")
        if fault := public_key_fault(held.octets.public_key):
            raise CheckFailed(f"{name}: {fault}")


@check(
    "meter.install.simulated",
    source="reconstruction: useless for anything real, by construction",
    status=422,
    section=SECTION,
)
def simulated(factory: Factory) -> None:
    """Everything in it is marked as simulated."""
    held = {name: one for name, (_, one) in factory.cells.items()} | dict(factory.certificates)
    for name, certificate in held.items():
        if certificate is None or not certificate.simulated:
            raise CheckFailed(f"{name}: not marked as simulated", "issuer SIM-..., policy 2.999.1")
