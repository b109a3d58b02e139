"""The plan of a key ceremony: one declarative file, read strictly.

Source of the identities and roles: docs/sources.md#trust-anchor-cells, #certificates. The names are
simulated.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from keys.crl import LIST_DAYS
from keys.errors import CeremonyError
from keys.roles import OrganisationRole, Usage
from keys.simulated import EUI_PREFIX, ISSUER_PREFIX

Eui = Annotated[str, Field(pattern=f"^{EUI_PREFIX}[0-9a-f]{{8}}$")]
Mpxn = Annotated[str, Field(pattern=r"^[0-9]{1,13}$")]


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class AuthorityPlan(_Table):
    """One authority: its common name, its OU role if it has one, its validity in years."""

    name: Annotated[str, Field(pattern=f"^{ISSUER_PREFIX}[A-Z0-9]+$")]
    role: OrganisationRole | None = None
    years: int = Field(default=25, gt=0, le=50)


class KeyPlan(_Table):
    """One key with a certificate: its name in the store, its role and usage."""

    name: str
    role: OrganisationRole
    usage: Usage


class PartyPlan(_Table):
    """One system: its entity identifier where it has one, and its keys.

    `device_seed` gives it the seed that the keys of simulated devices are derived from.
    """

    system: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    eui: Eui | None = None
    link: bool = True
    device_seed: bool = False
    keys: tuple[KeyPlan, ...] = ()


class OrganisationPlan(_Table):
    """An organisation outside the data company: a supplier, a network operator and so on."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9 -]{1,32}$")]
    kind: Literal["supplier", "other"]
    eui: Eui
    participant: str | None = None
    keys: tuple[KeyPlan, ...]


class DevicesPlan(_Table):
    """A run of devices alike: `count` of them, entity identifiers and MPxNs counted up.

    `load_controller` gives them the two cells of that role as well.
    """

    first_eui: Eui
    count: int = Field(default=1, gt=0, le=1_000_000)
    device_type: Literal["ESME", "GSME"]
    first_mpxn: Mpxn
    supplier: str
    cos_party: str
    load_controller: bool = False

    def eui(self, offset: int) -> str:
        """The entity identifier of one of them, counted from 0."""
        return f"{int(self.first_eui, 16) + offset:016x}"

    def mpxn(self, offset: int) -> str:
        """The MPxN of one of them, counted from 0."""
        return f"{int(self.first_mpxn) + offset:0{len(self.first_mpxn)}d}"


class RegistrationPlan(_Table):
    """Who supplies the planned meter points: a supplier until the ceremony, another from then."""

    present: str
    since: AwareDatetime
    incoming: str


class CeremonyPlan(_Table):
    """The whole ceremony.

    Attributes:
        link_years: validity of link certificates; they are judged by the machine's clock.
        revocation_days: from a revocation list to the one that is due after it.
    """

    organisation_root: AuthorityPlan
    organisation_issuing: AuthorityPlan
    device_root: AuthorityPlan
    device_issuing: AuthorityPlan
    infrastructure_root: AuthorityPlan
    organisation_years: int = Field(default=10, gt=0, le=50)
    link_years: int = Field(default=10, gt=0, le=10)
    revocation_days: int = Field(default=LIST_DAYS, gt=0)
    parties: tuple[PartyPlan, ...]
    organisations: tuple[OrganisationPlan, ...]
    devices: tuple[DevicesPlan, ...] = ()
    registrations: RegistrationPlan

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _unique("system", (party.system for party in self.parties))
        _unique("organisation", (o.name for o in self.organisations))
        _unique("participant", (o.participant for o in self.organisations if o.participant))
        _unique("entity identifier", self._entity_identifiers())
        _unique("MPxN", (run.mpxn(n) for run in self.devices for n in range(run.count)))
        suppliers = {o.name for o in self.organisations if o.kind == "supplier"}
        systems = {party.system for party in self.parties if party.keys}
        for run in self.devices:
            if run.supplier not in suppliers or run.cos_party not in systems:
                raise ValueError(
                    f"device {run.first_eui}: supplier {run.supplier!r} or CoS Party "
                    f"{run.cos_party!r} is not in the plan"
                )
        for name in (self.registrations.present, self.registrations.incoming):
            if name not in suppliers:
                raise ValueError(f"{name!r} is registered but no supplier of the plan")
        seeds = [party.system for party in self.parties if party.device_seed]
        if len(seeds) > 1 or (self.devices and not seeds):
            raise ValueError(f"one system holds the seed of the devices, found {seeds}")
        for party in self.parties:
            if party.keys and party.eui is None:
                raise ValueError(f"{party.system} has keys but no entity identifier")
        return self

    def _entity_identifiers(self) -> Iterator[str]:
        yield from (party.eui for party in self.parties if party.eui)
        yield from (organisation.eui for organisation in self.organisations)
        for run in self.devices:
            for offset in range(run.count):
                eui = run.eui(offset)
                if not eui.startswith(EUI_PREFIX):
                    raise ValueError(f"device {eui}: the run leaves the simulated identifiers")
                yield eui

    def with_devices(self, count: int) -> CeremonyPlan:
        """The same plan with so many devices in all, shared evenly among its runs.

        The runs keep their supplier and CoS Party; identifiers and MPxNs are counted on from the
        first run's, run after run.

        Raises:
            CeremonyError: the plan has no run of devices, or there are fewer devices than runs.
        """
        runs = len(self.devices)
        if not runs or count < runs:
            raise CeremonyError(f"{count} devices cannot be shared among {runs} runs")
        first = self.devices[0]
        made, begin = [], 0
        for index, run in enumerate(self.devices):
            share = count // runs + (index < count % runs)
            identity = {
                "first_eui": first.eui(begin), "first_mpxn": first.mpxn(begin), "count": share
            }  # fmt: skip
            made.append(run.model_copy(update=identity))
            begin += share
        return _read_plan(self.model_copy(update={"devices": tuple(made)}).model_dump_json())

    def party(self, system: str) -> PartyPlan:
        """The plan of one system.

        Raises:
            CeremonyError: no such system.
        """
        for party in self.parties:
            if party.system == system:
                return party
        raise CeremonyError(f"the plan has no system {system!r}")


def load_plan(path: Path | None = None) -> CeremonyPlan:
    """Read a plan; the shipped `ceremony.toml` if none is named.

    Raises:
        CeremonyError: it cannot be read, or something in it is unknown or wrong.
    """
    try:
        text = (
            resources.files("keys").joinpath("ceremony.toml").read_text(encoding="utf-8")
            if path is None
            else path.read_text(encoding="utf-8")
        )
        # Strict reading of what TOML gives goes by way of JSON, whose texts may be enumerations.
        return _read_plan(json.dumps(tomllib.loads(text), default=_moment))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CeremonyError(f"the ceremony plan cannot be read: {error}") from error


def _moment(value: object) -> str:
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    raise CeremonyError(f"the ceremony plan: {type(value).__name__} is not expected")


def _read_plan(text: str) -> CeremonyPlan:
    try:
        return CeremonyPlan.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CeremonyError(f"the ceremony plan: {where}: {first['msg']}") from error


def _unique(what: str, values: Iterable[str]) -> None:
    for value, times in Counter(values).items():
        if times > 1:
            raise ValueError(f"{what} {value} is in the plan {times} times")
