"""A small estate for the broker's tests: real keys from the ceremony, and forgers.

What dishonest parties do lives here, because the honest modules hold no attack code.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from acb.model import PathEvidence
from duis.model import Header, ServiceRequest, UpdateSecurityCredentialsCoS
from duis.request_id import RequestId
from duis.signature import sign_document
from duis.xml import request_to_xml
from gbcs.codes import (
    Cra,
    CredentialsReplacementMode,
    MessageCode,
    RemotePartyRole,
    StatusCode,
)
from gbcs.message import GroupingHeader, Message, OtherInformation, encode
from gbcs.payloads.credentials import (
    CellId,
    CellOutcome,
    CredentialsAlert,
    CredentialsOutcome,
    CredentialsResponse,
    Replacement,
    SeqNumberChange,
    SpecialistSeqNumber,
    UpdateCredentials,
    encode_alert,
    encode_response,
    encode_update,
)
from gbcs.protect import sign
from keys.certificate import Certificate
from keys.crl import make_crl, read_crl_pem
from keys.issuing.ceremony import load_plan, run_ceremony
from keys.stores.device_keys import DeviceKeys
from keys.stores.software import SoftwareKeyStore, read_secret
from services.chassis.time.clock import SystemClock

DATE_TIME = bytes.fromhex("07df0101ff000000008000ff")

ACB = "0253494d00000002"
TCOS = "0253494d00000004"
ECOS = "0253494d00000005"
SUPPLIER_A = "0253494d10000000"
SUPPLIER_B = "0253494d20000000"
DEVICE = "0253494dd0000001"
OTHER_DEVICE = "0253494dd0000002"

COS_CELL = "transitionalCoS/digitalSignature/management"
CELLS = (
    "supplier/digitalSignature/management",
    "supplier/keyAgreement/management",
    "supplier/keyAgreement/prePaymentTopUp",
)


@dataclass(frozen=True)
class Estate:
    """The data folder of a ceremony, and what a test wants from it."""

    data: Path
    made_at: datetime

    @property
    def now(self) -> datetime:
        """A moment at which everything the ceremony made is in force."""
        return self.made_at + timedelta(hours=1)

    @classmethod
    def make(cls, folder: Path) -> Estate:
        now = SystemClock().now().replace(microsecond=0)
        run_ceremony(load_plan(None), folder, now=now)
        return cls(folder, now)

    def keys(self, *where: str) -> SoftwareKeyStore:
        folder = self.data.joinpath(*where)
        return SoftwareKeyStore.open(folder / "keys", read_secret(folder / "passphrase"))

    @cached_property
    def facts(self) -> dict[str, Any]:
        return dict(json.loads((self.data / "estate.json").read_text()))

    @cached_property
    def suppliers(self) -> dict[str, SoftwareKeyStore]:
        found = {}
        for folder in sorted((self.data / "suppliers").iterdir()):
            told = json.loads((folder / "supplier.json").read_text())
            found[told["eui"]] = self.keys("suppliers", folder.name)
        return found

    @cached_property
    def party_keys(self) -> dict[str, SoftwareKeyStore]:
        return {TCOS: self.keys("tcos_party"), ECOS: self.keys("ecos_party")}

    @cached_property
    def device_keys(self) -> DeviceKeys:
        return self.keys("meter_sim").device_keys()

    @cached_property
    def devices(self) -> dict[str, dict[str, Any]]:
        listed = json.loads((self.data / "devices.json").read_text())
        return {item["eui"]: item for item in listed}

    @cached_property
    def issuing(self) -> Certificate:
        path = self.data / "acb" / "trust" / "organisation-issuing.pem"
        return Certificate.from_pem(path.read_bytes())

    @cached_property
    def root(self) -> Certificate:
        path = self.data / "acb" / "trust" / "organisation-root.pem"
        return Certificate.from_pem(path.read_bytes())

    @cached_property
    def path(self) -> PathEvidence:
        """What the broker judges paths by: the ceremony's authorities and revocation lists."""
        folder = self.data / "smki_repository" / "repository" / "crl"
        lists = tuple(read_crl_pem(file.read_bytes()).der for file in sorted(folder.glob("*.crl")))
        return PathEvidence((self.issuing,), self.root, lists, self.now)

    def revoking(self, serial: int) -> bytes:
        """The organisation's next revocation list, with this certificate on it."""
        folder = self.data / "smki_repository" / "repository" / "crl"
        before = read_crl_pem((folder / "organisation.crl").read_bytes())
        authority = self.keys("smki").signer("organisation-issuing")
        return make_crl(
            authority.certificate,
            authority.sign,
            number=before.number + 1,
            this_update=before.this_update,
            next_update=before.next_update,
            revoked={serial: self.made_at},
        )

    def cos_certificate(self, party: str) -> Certificate:
        return self.party_keys[party].certificate("digital-signing")

    def party_of(self, device: str) -> str:
        der = base64.b64decode(self.devices[device]["cells"][COS_CELL])
        return str(Certificate.from_der(der).subject_eui)

    def body(self, supplier: str = SUPPLIER_B, **changes: Any) -> UpdateSecurityCredentialsCoS:
        keys = self.suppliers[supplier]
        plain = UpdateSecurityCredentialsCoS(
            supplier_floor=1000,
            prepayment_top_up_floor=2000,
            digital_signing=keys.certificate("digital-signing").der,
            key_agreement=keys.certificate("key-agreement").der,
            key_agreement_top_up=keys.certificate("prepayment-key-agreement").der,
            path_certificates=(self.issuing.der,),
            apply_time_checks=True,
            import_mpxn="1234567890123",
        )
        return replace(plain, **changes)

    def request(
        self,
        supplier: str = SUPPLIER_B,
        device: str = DEVICE,
        counter: int = 1,
        header: dict[str, Any] | None = None,
        **changes: Any,
    ) -> ServiceRequest:
        plain = Header(
            request_id=RequestId(supplier, device, counter),
            command_variant=1,
            service_reference="6.23",
            service_reference_variant="6.23",
        )
        return ServiceRequest(replace(plain, **(header or {})), self.body(supplier, **changes))

    def signed(self, request: ServiceRequest, signer: str | None = None) -> bytes:
        keys = self.suppliers[signer or request.header.request_id.originator]
        return sign_xml(request_to_xml(request), keys)


def sign_xml(document: bytes, keys: SoftwareKeyStore, name: str = "xml-signing") -> bytes:
    signer = keys.signer(name)
    certificate = signer.certificate
    return sign_document(document, certificate.issuer, certificate.serial, signer.sign)


def update_for(body: UpdateSecurityCredentialsCoS, counter: int) -> UpdateCredentials:
    """What an honest CoS Party writes, spelt out here once more, from the published mapping."""
    certificates = (body.digital_signing, body.key_agreement, body.key_agreement_top_up)
    pairs = zip(certificates, CELLS, strict=True)
    special = body.prepayment_top_up_floor
    at = body.execution_date_time
    return UpdateCredentials(
        mode=CredentialsReplacementMode.SUPPLIER_BY_TRANS_COS,
        authorising_counter=counter,
        authorising_cell=CellId.from_name(COS_CELL),
        replacements=tuple(
            Replacement(der, CellId.from_name(cell)) for der, cell in pairs if der is not None
        ),
        path_certificates=body.path_certificates,
        apply_time_checks=body.apply_time_checks,
        other_changes=None
        if at is not None and at.year == 3000
        else (
            SeqNumberChange(
                RemotePartyRole.SUPPLIER,
                body.supplier_floor,
                None if special is None else (SpecialistSeqNumber(special),),
            ),
        ),
        execution_date_time=None
        if at is None
        else "99991231235959Z"
        if at.year == 3000
        else at.strftime("%Y%m%d%H%M%SZ"),
    )


def command_message(
    update: UpdateCredentials | bytes,
    *,
    counter: int,
    originator: str = TCOS,
    recipient: str = DEVICE,
    code: int = MessageCode.SUPPLIER_BY_TRANS_COS,
    **header: Any,
) -> Message:
    other = header.pop("other", None) or OtherInformation(code)
    plain = GroupingHeader(Cra.COMMAND, counter, originator, recipient, other)
    payload = update if isinstance(update, bytes) else encode_update(update)
    return Message(replace(plain, **header), payload, signature=None)


def outcome_for(
    update: UpdateCredentials,
    before: dict[str, Certificate],
    failed: dict[str, StatusCode] | None = None,
) -> CredentialsOutcome:
    outcomes = []
    for item in update.replacements:
        held = before[item.cell.name]
        status = (failed or {}).get(item.cell.name, StatusCode.SUCCESS)
        new = Certificate.from_der(item.certificate) if status == StatusCode.SUCCESS else held
        outcomes.append(
            CellOutcome(
                item.cell,
                status,
                held.subject_unique_id,
                held.key_identifier,
                new.subject_unique_id,
                new.key_identifier,
            )
        )
    done = any(item.status == StatusCode.SUCCESS for item in outcomes)
    return CredentialsOutcome(
        update.authorising_counter,
        update.mode,
        (update.other_changes or ()) if done else (),
        tuple(outcomes),
    )


def response_message(
    outcome: CredentialsOutcome | None,
    *,
    counter: int,
    originator: str = DEVICE,
    recipient: str = TCOS,
    **header: Any,
) -> Message:
    plain = GroupingHeader(
        Cra.RESPONSE,
        counter,
        originator,
        recipient,
        OtherInformation(MessageCode.SUPPLIER_BY_TRANS_COS),
        DATE_TIME,
    )
    payload = encode_response(CredentialsResponse(outcome))
    return Message(replace(plain, **header), payload, signature=None)


def alert_message(
    outcome: CredentialsOutcome,
    *,
    at: str,
    counter: int,
    alert_code: int = 0x8F66,
    originator: str = DEVICE,
    recipient: str = TCOS,
    **header: Any,
) -> Message:
    plain = GroupingHeader(
        Cra.ALERT,
        counter,
        originator,
        recipient,
        OtherInformation(MessageCode.UPDATE_SECURITY_CREDENTIALS_ALERT),
    )
    payload = encode_alert(CredentialsAlert(alert_code, at, outcome))
    return Message(replace(plain, **header), payload, signature=None)


def signed_octets(message: Message, signer: Callable[[bytes], bytes]) -> bytes:
    return encode(sign(message, signer))
