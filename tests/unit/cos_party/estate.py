"""The world around a CoS Party in these tests: suppliers, a device, sources, requests.

Requests are honest unless told otherwise; what no honest supplier would send is made here and
nowhere in the party's own code.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cos_party.checks import check_book
from cos_party.model import Incoming, Limits, Thresholds
from cos_party.peers.outbound import KnownExtract
from cos_party.peers.pull import Puller
from cos_party.peers.wire import Position, RegistrationExtract
from cos_party.settings import CosPartySettings
from cos_party.steps.device_messages import DeviceReturns
from cos_party.steps.gather import Gatherer
from cos_party.steps.sign_command import CosWorkflow
from cos_party.store.tables import metadata
from duis.model import Header, ServiceRequest, UpdateSecurityCredentialsCoS
from duis.request_id import RequestId
from duis.signature import sign_document
from duis.xml import request_to_xml
from keys.crl import RevocationList, read_crl
from keys.errors import KeysError
from services.chassis.checks import Approved, Check, CheckBook
from services.chassis.context import ServiceContext
from services.chassis.data.counters import OriginatorCounter
from services.chassis.settings import Listen
from services.chassis.time.clock import LabClock
from services.link.authorities import Authorities
from services.link.opened import Opened
from services.link.repository import Lists, RevocationCopies
from services.link.repository import metadata as lists_metadata
from services.link.sources import SourceRefused, SourceUnavailable
from tests.unit.cos_party import pki
from tests.unit.cos_party.pki import NOW, Authority, Identity
from tests.unit.services.link.estate import Authority as InfrastructureAuthority

TCOS = "0253494d00000004"
ECOS = "0253494d00000005"
SUPPLIER_A = "0253494d10000000"
SUPPLIER_B = "0253494d20000000"
SUPPLIER_B_TOO = "0253494d20000001"
SUPPLIER_C = "0253494d30000000"
DEVICE = "0253494dd0000001"
OTHER_DEVICE = "0253494dd0000002"
MPXN = "1312345678901"
OTHER_MPXN = "1312345678902"
SWITCH = NOW - timedelta(days=1)
"""When the meter point went from supplier A to supplier B."""
RETURN = NOW + timedelta(days=20)
"""When it goes from supplier B to supplier C."""

PARTIES = {"ecos": ("ecos_party", ECOS), "tcos": ("tcos_party", TCOS)}


class Estate:
    """Every authority and every identity there is."""

    def __init__(self) -> None:
        self.root = pki.authority("SIM-ZA", "00")
        self.issuing = pki.authority("SIM-Z1", "07", self.root)
        self.second_issuing = pki.authority("SIM-Z2", "07", self.root)
        self.stranger_root = pki.authority("SIM-ZB", "00")
        self.stranger_issuing = pki.authority("SIM-Z9", "07", self.stranger_root)
        self.device_root = pki.authority("SIM-E0", "00", policy=pki.DEVICE)
        self.device_issuing = pki.authority("SIM-E1", "07", self.device_root, pki.DEVICE)
        self.link = InfrastructureAuthority()
        self.trust = Authorities(
            organisation_root=self.root.certificate,
            organisation_authorities=(
                self.issuing.certificate,
                self.second_issuing.certificate,
            ),
            device_root=self.device_root.certificate,
            device_authorities=(self.device_issuing.certificate,),
            infrastructure_root=self.link.certificate,
        )
        self.device = pki.device(self.device_issuing, DEVICE)
        self.other_device = pki.device(self.device_issuing, OTHER_DEVICE)

    def xml_signer(self, eui: str, **how: Any) -> Identity:
        return pki.organisation(how.pop("above", self.issuing), eui, how.pop("role", "87"), **how)

    def supplier(self, eui: str, usage: str, label: str = "", **how: Any) -> Identity:
        above, role = how.pop("above", self.issuing), how.pop("role", "02")
        return pki.organisation(above, eui, role, usage, label=label, **how)

    def digital_signing(self, eui: str = SUPPLIER_B, **how: Any) -> bytes:
        return self.supplier(eui, "digital_signature", **how).certificate.der

    def key_agreement(self, eui: str = SUPPLIER_B, **how: Any) -> bytes:
        return self.supplier(eui, "key_agreement", **how).certificate.der

    def top_up(self, eui: str = SUPPLIER_B, **how: Any) -> bytes:
        return self.supplier(eui, "key_agreement", "top-up", **how).certificate.der

    def cos_signer(self, eui: str) -> Identity:
        return pki.organisation(self.issuing, eui, "05")

    def ask(self, **changes: Any) -> Asking:
        return Asking(self).but(**changes)

    @cached_property
    def known_certificates(self) -> list[Identity]:
        return [self.xml_signer(eui) for eui in (SUPPLIER_A, SUPPLIER_B, SUPPLIER_C)]


@dataclass(frozen=True)
class Asking:
    """A service request 6.23; what is not said otherwise is as an honest supplier has it."""

    estate: Estate
    requester: str = SUPPLIER_B
    device: str = DEVICE
    counter: int = 1006
    command_variant: int = 1
    reference: str = "6.23"
    variant: str = "6.23"
    signer: Identity | None = None
    key_info: tuple[str, int] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    def but(self, **changes: Any) -> Asking:
        """The same with other header fields or, by name, other fields of the body."""
        own = {name: changes.pop(name) for name in list(changes) if name in _OWN}
        return replace(self, **own, fields={**self.fields, **changes})

    @property
    def request(self) -> ServiceRequest:
        body: dict[str, Any] = {
            "supplier_floor": 0,
            "prepayment_top_up_floor": 0,
            "digital_signing": self.estate.digital_signing(self.requester),
            "key_agreement": self.estate.key_agreement(self.requester),
            "key_agreement_top_up": self.estate.top_up(self.requester),
            "path_certificates": (self.estate.issuing.certificate.der,),
            "import_mpxn": MPXN,
        }
        return ServiceRequest(
            Header(
                RequestId(self.requester, self.device, self.counter),
                self.command_variant,
                self.reference,
                self.variant,
            ),
            UpdateSecurityCredentialsCoS(**{**body, **self.fields}),
        )

    @property
    def signed(self) -> bytes:
        return self.sign(self.unsigned)

    @property
    def unsigned(self) -> bytes:
        return request_to_xml(self.request)

    def sign_changed(self, old: bytes, new: bytes) -> bytes:
        """Signed over octets in which something was replaced before signing."""
        document = self.unsigned
        assert document.count(old) == 1
        return self.sign(document.replace(old, new))

    def sign(self, document: bytes) -> bytes:
        signer = self.signer or self.estate.xml_signer(self.requester)
        issuer, serial = self.key_info or (signer.certificate.issuer, signer.certificate.serial)
        return sign_document(document, issuer, serial, signer.sign)


_OWN = {name for name in Asking.__dataclass_fields__ if name not in ("estate", "fields")}


def extract(number: int = 1, **changes: Any) -> RegistrationExtract:
    """What registration publishes: A until the switch, B since then, C from the return on."""

    def period(participant: str, start: datetime, end: datetime | None) -> dict[str, Any]:
        return {
            "participant": participant,
            "effective_from": start,
            "effective_to": end,
        }

    history = [
        period("SUPA", NOW - timedelta(days=900), SWITCH),
        period("SUPB", SWITCH, RETURN),
        period("SUPC", RETURN, None),
    ]
    published: dict[str, Any] = {
        "version": 1,
        "number": number,
        "unchanged": False,
        "participants": [
            {"id": "SUPA", "name": "Supplier A", "euis": [SUPPLIER_A]},
            {"id": "SUPB", "name": "Supplier B", "euis": [SUPPLIER_B, SUPPLIER_B_TOO]},
            {"id": "SUPC", "name": "Supplier C", "euis": [SUPPLIER_C]},
        ],
        "meter_points": [
            {"mpxn": MPXN, "devices": [DEVICE], "registrations": history},
            {"mpxn": OTHER_MPXN, "devices": [OTHER_DEVICE], "registrations": history},
        ],
    }
    return RegistrationExtract.model_validate({**published, **changes})


class Published:
    """Registration and the SMKI repository, as `cos_party.peers.outbound.Sources` shows them."""

    def __init__(self, estate: Estate) -> None:
        self.extract = extract()
        self.certificates = [identity.certificate for identity in estate.known_certificates]
        self.certificates += [estate.device.certificate, estate.other_device.certificate]
        self.lists = {
            "organisation": estate.issuing.revocation_list(),
            "second": estate.second_issuing.revocation_list(),
            "device": estate.device_issuing.revocation_list(),
            "infrastructure": estate.link.revocation_list(),
        }
        self.lies: dict[str, bytes | None] | None = None
        self.down: set[str] = set()
        self.asked: list[str] = []

    def _ask(self, source: str) -> None:
        self.asked.append(source)
        if source in self.down:
            raise SourceUnavailable(f"{source}: no answer")

    async def registration_extract(
        self, known: KnownExtract | None, after: Position | None = None, *, lease: bool = False
    ) -> RegistrationExtract:
        del after, lease  # it tells everything at once, and for now alone
        self._ask("registration")
        if known is not None and known.number > self.extract.number:
            raise SourceRefused("registration: registration.extract.number")
        if known == KnownExtract(self.extract.number, self.extract.digest):
            nothing: dict[str, Any] = {"unchanged": True, "participants": [], "meter_points": []}
            return self.extract.model_copy(update=nothing)
        return self.extract

    async def certificates_named(self, issuer: str, serial: int) -> tuple[bytes, ...]:
        self._ask("smki")
        wanted = (issuer, serial)
        return tuple(c.der for c in self.certificates if (c.issuer, c.serial) == wanted)

    async def certificates_of(self, eui: str) -> tuple[bytes, ...]:
        self._ask("smki")
        return tuple(c.der for c in self.certificates if c.subject_eui == eui)

    async def revocation_lists(self, known: Mapping[str, int], *, lease: bool = False) -> Lists:
        del lease
        self._ask("smki")
        if self.lies is not None:
            return Lists(self.lies)
        numbers = {name: _number(der) for name, der in self.lists.items()}
        if any(number > numbers.get(name, -1) for name, number in known.items()):
            raise SourceRefused("smki: smki.revocation.numbers")
        return Lists(
            {
                name: None if known.get(name) == numbers[name] else der
                for name, der in self.lists.items()
            }
        )

    def revoke(self, authority: Authority, name: str, *serials: int, number: int = 2) -> None:
        self.lists[name] = authority.revocation_list(*serials, number=number)


def _number(der: bytes) -> int:
    try:
        return read_crl(der).number
    except KeysError:
        return 1_000


class CountingSigner:
    """The CoS key, and how often it was used."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self.certificate = identity.certificate
        self.used = 0

    def sign(self, data: bytes) -> bytes:
        self.used += 1
        return self._identity.sign(data)


@dataclass
class Party:
    """One CoS Party with its store, and what the tests ask it."""

    prefix: str
    base: ServiceContext
    gatherer: Gatherer
    workflow: CosWorkflow
    returns: DeviceReturns
    counter: OriginatorCounter
    signer: CountingSigner
    published: Published
    clock: LabClock
    remembered: list[Any] = field(default_factory=list)

    async def command(self, content: bytes, transaction: str | None = None) -> dict[str, Any]:
        return await self.workflow.command(self.incoming("cos-command", content, transaction))

    async def bring(self, purpose: str, content: bytes, transaction: str) -> dict[str, Any]:
        return await self.returns.take(self.incoming(purpose, content, transaction))

    def incoming(self, purpose: str, content: bytes, transaction: str | None = None) -> Incoming:
        async def remember(conn: object, answer: bytes) -> None:
            del conn
            self.remembered.append(answer)

        opened = Opened(link_approval(purpose), evidence=1, remember=remember)
        return Incoming(opened, transaction or str(uuid.uuid4()), content)

    async def effects(self) -> dict[str, Any]:
        """Everything a refusal must leave as it was."""
        async with self.base.database.connect() as conn:
            rows = {
                name: (await conn.execute(metadata.tables[name].select())).all()
                for name in (
                    "cos_command",
                    "cos_transaction",
                    "cos_device_return",
                    "cos_device_cell",
                )
            }
            return {"counter": await self.counter.last(conn), "signed": self.signer.used, **rows}


def link_approval(purpose: str) -> Approved:
    """An approval of the link's section, as its server would give, of a message of the broker's."""
    headers = {"cos-purpose": purpose, "cos-message-id": str(uuid.uuid4())}
    envelope = SimpleNamespace(
        key=SimpleNamespace(system="acb"),
        header=headers.get,
        message=SimpleNamespace(body=b"{}"),
        now=NOW,
    )
    check: Check[object] = Check(
        "link.request.test", "test", "test", lambda _: None, section="link.request"
    )
    return CheckBook("test", [check]).start("test", section="link.request").judge(envelope)


async def open_party(
    folder: Path,
    estate: Estate,
    prefix: str = "ecos",
    *,
    thresholds: Thresholds | None = None,
    limits: Limits | None = None,
    first_counter: int = 6001,
    published: Published | None = None,
    use_list: Callable[[RevocationList], None] = lambda _: None,
) -> Party:
    """A CoS Party on a store of its own; its clock stands at NOW."""
    name, eui = PARTIES[prefix]
    listen = Listen(port=0)
    settings = CosPartySettings(party=name, eui=eui, data=folder, interface=listen, lab=listen)
    clock = LabClock()
    clock.set(NOW)
    base = await ServiceContext.open(
        settings, check_book(name, prefix), metadata, lists_metadata, clock=clock
    )
    signer = CountingSigner(estate.cos_signer(eui))
    sources = published or Published(estate)
    counter = OriginatorCounter(first=first_counter)
    told: Any = sources  # the same questions, answered here
    lists = RevocationCopies(
        repository=told,
        database=base.database,
        trust=estate.trust,
        clock=clock,
        patience=(limits or Limits()).revocation_patience,
        use=use_list,
        seconds=60.0,
    )
    puller = Puller(
        database=base.database,
        registration=told,
        repository=told,
        lists=lists,
        trust=estate.trust,
        clock=clock,
        seconds=60.0,
    )
    gatherer = Gatherer(
        database=base.database,
        puller=puller,
        trust=estate.trust,
        limits=limits or Limits(),
        thresholds=thresholds or Thresholds(),
        eui=eui,
        clock=clock,
    )
    workflow = CosWorkflow(base, gatherer, signer, counter)
    returns = DeviceReturns(base, gatherer)
    return Party(prefix, base, gatherer, workflow, returns, counter, signer, sources, clock)
