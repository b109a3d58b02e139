"""A small estate for the meters' tests: an authority, parties with keys, devices, and a command
maker that can also make what no honest party would."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from gbcs.codes import MESSAGE_CODE_OF_MODE, Cra, KeyUsage, RemotePartyRole
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.message import GroupingHeader, Message, OtherInformation, encode
from gbcs.payloads.credentials import CellId, Replacement, UpdateCredentials, encode_update
from gbcs.payloads.details import ReadCredentials, encode_read
from gbcs.protect import add_mac, sign
from keys.certificate import Certificate, key_identifier
from keys.hardware_module import HARDWARE_MODULE_NAME, write_hardware_module_name
from keys.roles import Usage
from keys.stores.device_keys import DeviceKeys
from keys.stores.private import agree, sign_raw
from meter_sim.checks import meter_checks
from meter_sim.device.device_types import CELLS, SUPPLIER_DS, DeviceType
from meter_sim.device.model import DeviceContext, DeviceState, Reaction
from meter_sim.device.modes import Protection, rule
from meter_sim.device.processing import process
from meter_sim.factory.own_keys import Fleet
from services.chassis.checks import CheckBook

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
POLICY = "2.999.1.1"

RECOVERY = "0253494d00000001"
ACB = "0253494d00000002"
TCOS = "0253494d00000004"
ECOS = "0253494d00000005"
WAN = "0253494d00000007"
SUPPLIER_A = "0253494d10000000"
SUPPLIER_B = "0253494d20000000"
NETWORK = "0253494d40000000"
LOAD = "0253494d10000008"
DEVICE = "0253494dd0000001"

HOLDERS: dict[RemotePartyRole, str] = {
    RemotePartyRole.RECOVERY: RECOVERY,
    RemotePartyRole.SUPPLIER: SUPPLIER_A,
    RemotePartyRole.NETWORK_OPERATOR: NETWORK,
    RemotePartyRole.ACCESS_CONTROL_BROKER: ACB,
    RemotePartyRole.TRANSITIONAL_COS: TCOS,
    RemotePartyRole.WAN_PROVIDER: WAN,
    RemotePartyRole.LOAD_CONTROLLER: LOAD,
}


def key(name: str) -> ec.EllipticCurvePrivateKey:
    """A private key that is the same in every run."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") % (1 << 255) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def usages(**wanted: bool) -> x509.KeyUsage:
    every = set(inspect.signature(x509.KeyUsage).parameters)
    return x509.KeyUsage(**{name: wanted.get(name, False) for name in every})


@dataclass(frozen=True)
class Authority:
    name: x509.Name
    key: ec.EllipticCurvePrivateKey
    certificate: Certificate


@dataclass(frozen=True)
class Identity:
    """A private key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: Certificate

    def sign(self, data: bytes) -> bytes:
        return sign_raw(self.key, data)


def name_of(common_name: str, unit: str) -> x509.Name:
    printable = _ASN1Type.PrintableString
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit, printable),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name, printable),
        ]
    )


def make_authority(
    common_name: str, unit: str, above: Authority | None, policy: str = POLICY
) -> Authority:
    own, name = key(f"authority {common_name}"), name_of(common_name, unit)
    issuer = above or Authority(name, own, None)  # type: ignore[arg-type]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.name)
        .public_key(own.public_key())
        .serial_number(
            int.from_bytes(hashlib.sha256(common_name.encode()).digest()[:15], "big") + 1
        )
        .not_valid_before(NOW - timedelta(days=3650))
        .not_valid_after(NOW + timedelta(days=3650))
        .add_extension(usages(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.BasicConstraints(True, None if above is None else 0), critical=True)
        .add_extension(policies(policy), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(key_identifier(own.public_key())), critical=False)
    )
    if above is not None:
        builder = builder.add_extension(authority_key(issuer.key), critical=False)
    return Authority(name, own, finish(builder, issuer.key))


def policies(policy: str) -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(policy), None)])


def authority_key(issuer: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier(key_identifier(issuer.public_key()), None, None)


def finish(builder: x509.CertificateBuilder, signer: ec.EllipticCurvePrivateKey) -> Certificate:
    made = builder.sign(signer, hashes.SHA256(), ecdsa_deterministic=True)
    return Certificate.from_der(made.public_bytes(Encoding.DER))


class Estate:
    """Everything the tests need of the world around a device."""

    def __init__(self) -> None:
        self.root = make_authority("SIM-ZA", "00", None)
        self.issuing = make_authority("SIM-Z1", "07", self.root)
        self.other_root = make_authority("SIM-ZB", "00", None)
        self.other_issuing = make_authority("SIM-Z2", "07", self.other_root)
        self.fleet = Fleet(DeviceKeys(hashlib.sha256(b"seed").digest()))
        self._secrets: dict[str, bytes] = {}
        self._identities: dict[tuple[Any, ...], Identity] = {}

    def identity(
        self,
        eui: str,
        role: str,
        usage: str = "digital_signature",
        generation: int = 0,
        *,
        issuer: Authority | None = None,
        policy: str = POLICY,
        valid: tuple[datetime, datetime] = (NOW - timedelta(days=30), NOW + timedelta(days=3000)),
        label: str = "",
        critical_usage: bool = True,
        subject: bool = True,
        same_key: bool = False,
    ) -> Identity:
        """A party's key and certificate; the same arguments give the same one."""
        asked = (eui, role, usage, generation, issuer and issuer.name, policy, valid, label)
        asked += (critical_usage, subject, same_key)
        if asked not in self._identities:
            own = key(f"{eui} {role} {usage} {label} {0 if same_key else generation}")
            above = issuer or self.issuing
            attributes = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role)]
            if subject:
                attributes.append(
                    x509.NameAttribute(
                        NameOID.X500_UNIQUE_IDENTIFIER,
                        b"\x00" + bytes.fromhex(eui),
                        _ASN1Type.BitString,
                    )
                )
            digest = hashlib.sha256(repr(asked).encode()).digest()
            builder = (
                x509.CertificateBuilder()
                .subject_name(x509.Name(attributes))
                .issuer_name(above.name)
                .public_key(own.public_key())
                .serial_number(int.from_bytes(digest[:15], "big") + 1)
                .not_valid_before(valid[0])
                .not_valid_after(valid[1])
                .add_extension(usages(**{usage: True}), critical=critical_usage)
                .add_extension(
                    x509.SubjectKeyIdentifier(key_identifier(own.public_key())), critical=False
                )
                .add_extension(policies(policy), critical=True)
                .add_extension(authority_key(above.key), critical=False)
            )
            self._identities[asked] = Identity(own, finish(builder, above.key))
        return self._identities[asked]

    def holder(self, cell: CellId, eui: str | None = None, generation: int = 0) -> Identity:
        """The identity that belongs into a cell: the usual holder's, or that of `eui`."""
        usage = (
            "digital_signature" if cell.key_usage is KeyUsage.DIGITAL_SIGNATURE else "key_agreement"
        )
        label = "" if cell.cell_usage == 0 else "top-up"
        return self.identity(
            eui or HOLDERS.get(cell.role, RECOVERY),
            f"{int(cell.role):02X}",
            usage,
            generation,
            label=label,
        )

    def cells(self, device_type: DeviceType, *, optional: bool = True) -> dict[CellId, Certificate]:
        table = CELLS[device_type]
        wanted = table.required | (table.optional if optional else frozenset())
        return {
            cell: self.root.certificate
            if cell.role is RemotePartyRole.ROOT
            else self.holder(cell).certificate
            for cell in wanted
        }

    def device(
        self, device_type: DeviceType = DeviceType.ESME, eui: str = DEVICE, **changes: Any
    ) -> DeviceState:
        return replace(DeviceState(eui, device_type, self.cells(device_type)), **changes)

    def command(self, mode: Mode = Mode.SUPPLIER_BY_TRANS_COS, **changes: Any) -> Command:
        return Command(self, mode, **changes)

    def means(
        self, book: CheckBook | None = None, at: datetime = NOW, eui: str = DEVICE
    ) -> DeviceContext:
        return DeviceContext(self.fleet.keys_of(eui), at, book or make_book())

    def broker_secret(self, eui: str) -> bytes:
        """Z of the Broker and a device, agreed with the Broker's key."""
        if eui not in self._secrets:
            peer = device_certificate(self, eui, "key_agreement")
            self._secrets[eui] = agree(self.acb_ka.key, peer)
        return self._secrets[eui]

    @cached_property
    def acb_ka(self) -> Identity:
        return self.identity(ACB, "04", "key_agreement")


def make_book(*off: str) -> CheckBook:
    book = CheckBook("meter_sim", meter_checks())
    for check in off:
        book.turn_off(check)
    return book


def hear(
    state: DeviceState, data: bytes, means: DeviceContext, estate: Estate | None = None
) -> Reaction:
    """One message through the pure rules."""
    del estate
    return process(state, data, means, means.book.start("test", section="request"))


SIGN = KeyUsage.DIGITAL_SIGNATURE
AGREE = KeyUsage.KEY_AGREEMENT


@dataclass(frozen=True)
class Command:
    """A CS02b or CS02g Command; what is not said otherwise is as an honest party would have it."""

    estate: Estate
    mode: Mode = Mode.SUPPLIER_BY_TRANS_COS
    counter: int = 6001
    originator: str | None = None
    device: str = DEVICE
    device_type: DeviceType = DeviceType.ESME
    replacements: tuple[Replacement, ...] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    message_code: int | None = None
    signer: Identity | None = None
    protection: Protection | None = None
    payload: bytes | None = None
    cra: Cra = Cra.COMMAND
    header: Mapping[str, Any] = field(default_factory=dict)

    def but(self, **changes: Any) -> Command:
        return replace(self, **changes)

    def with_fields(self, **fields: Any) -> Command:
        return replace(self, fields={**self.fields, **fields})

    @property
    def authority(self) -> CellId:
        return rule(self.mode, self.device_type).authority

    def replacing(self) -> tuple[Replacement, ...]:
        """The replacements an honest party would ask for: everything the mode may, by new ones."""
        if self.replacements is not None:
            return self.replacements
        row = rule(self.mode, self.device_type)
        table = CELLS[self.device_type]
        cells = sorted(
            row.cells & (table.required | table.optional),
            key=lambda cell: (cell.role, cell.key_usage, cell.cell_usage),
        )
        return tuple(self.new(cell) for cell in cells)

    def new(self, cell: CellId, eui: str | None = None, generation: int = 1) -> Replacement:
        """A new certificate for a cell: of the incoming supplier, or the same party's next."""
        if cell.role is RemotePartyRole.ROOT:
            return Replacement(self.estate.other_root.certificate.der, cell)
        if eui is None and self.mode is Mode.SUPPLIER_BY_TRANS_COS:
            eui = SUPPLIER_B
        return Replacement(self.estate.holder(cell, eui, generation).certificate.der, cell)

    @property
    def update(self) -> UpdateCredentials:
        row = rule(self.mode, self.device_type)
        asked: dict[str, Any] = {
            "mode": self.mode,
            "authorising_counter": self.counter,
            "authorising_cell": row.authority if row.names_authority else None,
            "replacements": self.replacing(),
            "path_certificates": (self.estate.issuing.certificate.der,),
        }
        return UpdateCredentials(**{**asked, **self.fields})

    @property
    def unsigned(self) -> Message:
        code = (
            self.message_code if self.message_code is not None else MESSAGE_CODE_OF_MODE[self.mode]
        )
        originator = self.originator or HOLDERS.get(self.authority.role, RECOVERY)
        header = GroupingHeader(
            self.cra, self.counter, originator, self.device, OtherInformation(code)
        )
        payload = encode_update(self.update) if self.payload is None else self.payload
        return Message(replace(header, **self.header), payload, signature=None)

    @property
    def message(self) -> Message:
        protection = self.protection or rule(self.mode, self.device_type).protection
        message = self.unsigned
        if protection.signed:
            signer = self.signer or self.estate.holder(replace(self.authority, key_usage=SIGN))
            message = sign(message, signer.sign)
        else:
            message = replace(message, signature=b"")
        return add_mac(message, self.z) if protection.with_mac else message

    @property
    def z(self) -> bytes:
        """The secret of the Broker and the device."""
        return self.estate.broker_secret(self.device)

    @property
    def data(self) -> bytes:
        return encode(self.message)


def device_certificate(
    estate: Estate,
    eui: str,
    usage: str,
    *,
    wrong: bool = False,
    generation: int = 0,
    names: str | None = None,
    expires: datetime = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    also: str | None = None,
) -> Certificate:
    """A device's own certificate; `wrong`: of a key that is not the device's."""
    usage_of = {"digital_signature": Usage.DIGITAL_SIGNATURE, "key_agreement": Usage.KEY_AGREEMENT}
    public = estate.fleet.public_key(eui, usage_of[usage], generation)
    if wrong:
        public = key("wrong").public_key()
    module = write_hardware_module_name(bytes.fromhex(names or eui))
    alternative = x509.SubjectAlternativeName([x509.OtherName(HARDWARE_MODULE_NAME, module)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(estate.issuing.name)
        .public_key(public)
        .serial_number(77 + generation)
        .not_valid_before(NOW)
        .not_valid_after(expires)
        .add_extension(usages(**{usage: True, also or usage: True}), critical=True)
        .add_extension(alternative, critical=True)
        .add_extension(x509.SubjectKeyIdentifier(key_identifier(public)), critical=False)
        .add_extension(policies("2.999.1.2"), critical=True)
        .add_extension(authority_key(estate.issuing.key), critical=False)
    )
    return finish(builder, estate.issuing.key)


def ask_details(
    estate: Estate,
    roles: tuple[RemotePartyRole, ...],
    *,
    by: Identity | None = None,
    cell: CellId | None = None,
    originator: str = ACB,
    counter: int = 7001,
    code: int = 0x0008,
    device: str = DEVICE,
) -> Message:
    """A CS02a or CS02f Command: by MAC from the Broker, or signed by anyone else."""
    named = cell or CellId(RemotePartyRole.ACCESS_CONTROL_BROKER, AGREE)
    header = GroupingHeader(Cra.COMMAND, counter, originator, device, OtherInformation(code))
    message = Message(header, encode_read(ReadCredentials(named, roles)), signature=b"")
    if by is not None:
        return sign(message, by.sign)
    return add_mac(message, Command(estate, device=device).z)


def about_own_keys(
    estate: Estate,
    code: int,
    payload: bytes,
    counter: int = 8001,
    *,
    signer: Identity | None = None,
    generation: int = 0,
    mac: bool = True,
) -> bytes:
    """A CS02c, CS02d or CS02e Command of the supplier; the MAC is for that generation's key."""
    header = GroupingHeader(Cra.COMMAND, counter, SUPPLIER_A, DEVICE, OtherInformation(code))
    by = signer or estate.holder(SUPPLIER_DS)
    message = sign(Message(header, payload, signature=None), by.sign)
    if not mac:
        return encode(message)
    peer = device_certificate(estate, DEVICE, "key_agreement", generation=generation)
    return encode(add_mac(message, agree(estate.acb_ka.key, peer)))
