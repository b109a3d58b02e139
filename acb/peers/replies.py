"""What the broker sends to users: signed DUIS responses and DCC alerts.

Everything is signed with the broker's XML signing key (role 89), acknowledgements included:
published samples leave those unsigned, but a user who cannot tell who acknowledged cannot rely on
it, and the schema allows the signature (docs/sources.md#service-requests).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from acb.model import DeviceRecord, Tracked
from acb.rules import codes
from duis.alerts import (
    AnomalyBreach,
    ChangeOfSupplier,
    CosCertificateAlert,
    DccAlert,
    DccAlertContent,
    DeviceChangeOfSupplier,
    QuarantinedRequest,
    SecurityCredentialsUpdated,
    UpdatedCertificate,
)
from duis.model import (
    Acknowledgement,
    DeviceAlert,
    FutureDatedAlert,
    Header,
    Inventory,
    PreCommand,
    RemotePartyRole,
    Response,
    ResponseMessage,
)
from duis.request_id import RequestId
from duis.signature import sign_document
from duis.xml import response_to_xml
from gbcs.codes import CellUsage, CredentialsReplacementMode, KeyUsage
from gbcs.message import Message
from gbcs.payloads.credentials import UpdateCredentials
from keys.certificate import Certificate
from keys.stores.store import Signer

_ROLE_NAMES: Final = {
    CredentialsReplacementMode.SUPPLIER_BY_SUPPLIER: RemotePartyRole.SUPPLIER,
    CredentialsReplacementMode.NETWORK_OPERATOR_BY_NETWORK_OPERATOR: (
        RemotePartyRole.NETWORK_OPERATOR
    ),
}
_KINDS: Final = {
    (KeyUsage.DIGITAL_SIGNATURE, CellUsage.MANAGEMENT): "DigitalSigning",
    (KeyUsage.KEY_AGREEMENT, CellUsage.MANAGEMENT): "KeyAgreement",
    (KeyUsage.KEY_AGREEMENT, CellUsage.PREPAYMENT_TOP_UP): "KeyAgreementTopUp",
}


class Replies:
    """Builds and signs. Holds the signer, and only as something that signs."""

    def __init__(self, eui: str, signer: Signer) -> None:
        self._eui = eui
        self._signer = signer

    @property
    def certificate(self) -> Certificate:
        """The certificate of what signs: what users verify by."""
        return self._signer.certificate

    def acknowledgement(self, header: Header, at: datetime) -> bytes:
        """I99: the request was taken."""
        return self._acknowledge(header, codes.ACKNOWLEDGED, at)

    def refusal(self, header: Header, code: str, at: datetime) -> bytes:
        """The request was not taken, by the field's own code."""
        return self._acknowledge(header, code, at)

    def answer(self, tracked: Tracked, code: str, payload: bytes | None, at: datetime) -> bytes:
        """What became of an accepted request, with the device's response if there is one."""
        body = ResponseMessage(
            tracked.service_reference, tracked.service_reference_variant, gbcs_payload=payload
        )
        return self._answer(tracked, code, body, at)

    def served(self, header: Header, content: Inventory | PreCommand, at: datetime) -> bytes:
        """What the broker itself answers, without asking a device."""
        body = ResponseMessage(
            header.service_reference, header.service_reference_variant, content=content
        )
        identifier = header.request_id
        return self._signed(Response(identifier, identifier.response_id, codes.SUCCESS, at, body))

    def executed(self, tracked: Tracked, alert_code: int, payload: bytes, at: datetime) -> bytes:
        """What became of a future-dated request, with the device's alert."""
        body = ResponseMessage(
            tracked.service_reference,
            tracked.service_reference_variant,
            content=FutureDatedAlert(alert_code, payload),
        )
        return self._answer(tracked, codes.SUCCESS, body, at)

    def device_alert(self, message: Message, code: int, raw: bytes, at: datetime) -> bytes:
        """A device's own alert, to its recipient: identified by both and the alert's counter."""
        header = message.header
        identifier = RequestId(header.originator, header.recipient, header.counter)
        return self._signed(Response(None, identifier, codes.SUCCESS, at, DeviceAlert(code, raw)))

    def cos_rejected(
        self, tracked: Tracked, error: str, user: str, number: int, at: datetime
    ) -> bytes:
        """DCC alert to the requester: the CoS Party refused."""
        content = ChangeOfSupplier(
            request_id=RequestId.from_text(tracked.request_id), ecos_error_code=error
        )
        return self._alert(codes.ALERT_COS_REJECTED, content, user, number, at)

    def device_changed_supplier(
        self, device: DeviceRecord, user: str, number: int, at: datetime
    ) -> bytes:
        """DCC alert to the old supplier: this device is no longer theirs."""
        mpxns = [*device.mpxns, "", "", ""]
        content = ChangeOfSupplier(
            device=DeviceChangeOfSupplier(
                device=device.eui,
                device_type=device.device_type,
                import_mpxn=mpxns[0],
                secondary_import_mpan=mpxns[1] or None,
                export_mpan=mpxns[2] or None,
            )
        )
        return self._alert(codes.ALERT_DEVICE_CHANGED_SUPPLIER, content, user, number, at)

    def credentials_updated(
        self,
        device: str,
        update: UpdateCredentials,
        changed: Mapping[str, Certificate],
        user: str,
        *,
        number: int,
        at: datetime,
    ) -> bytes:
        """DCC alert: cells of a device hold other certificates now.

        The kinds of certificate are named by their cells; hashes are SHA-1 (docs/sources.md#codes).
        """
        cells = {item.cell.name: item.cell for item in update.replacements}
        special = update.new_specialist_floors
        content = SecurityCredentialsUpdated(
            device=device,
            remote_party_role=_ROLE_NAMES[update.mode],
            certificates=tuple(
                UpdatedCertificate(
                    _KINDS[cells[name].key_usage, cells[name].cell_usage],
                    hashlib.sha1(held.der, usedforsecurity=False).digest(),
                )
                for name, held in changed.items()
            ),
            floor=update.new_floor,
            prepayment_top_up_floor=special[0].number if special else None,
        )
        return self._alert(codes.ALERT_CREDENTIALS_UPDATED, content, user, number, at)

    def cos_certificate(
        self, device: str, serial: int | None, user: str, number: int, at: datetime
    ) -> bytes:
        """DCC alert: which CoS certificate a device holds; without a serial if none is known."""
        content = CosCertificateAlert(device, serial)
        return self._alert(codes.ALERT_COS_CERTIFICATE, content, user, number, at)

    def quarantined(
        self, request_id: RequestId, reference: int, *, everyone: bool, number: int, at: datetime
    ) -> bytes:
        """DCC alert to the requester: a threshold was exceeded and the request is held."""
        breach = AnomalyBreach(request_id, reference)
        content = (
            QuarantinedRequest(dcc_threshold=breach)
            if everyone
            else QuarantinedRequest(user_threshold=breach)
        )
        return self._alert(codes.ALERT_QUARANTINED, content, request_id.originator, number, at)

    def _acknowledge(self, header: Header, code: str, at: datetime) -> bytes:
        body = Acknowledgement(header.service_reference, header.service_reference_variant)
        return self._signed(Response(header.request_id, None, code, at, body))

    def _answer(self, tracked: Tracked, code: str, body: ResponseMessage, at: datetime) -> bytes:
        request_id = RequestId.from_text(tracked.request_id)
        return self._signed(Response(request_id, request_id.response_id, code, at, body))

    def _alert(
        self, code: str, content: DccAlertContent, user: str, number: int, at: datetime
    ) -> bytes:
        """An alert answers nothing: it is identified by the broker, the user and a number."""
        identifier = RequestId(self._eui, user, number)
        return self._signed(Response(None, identifier, codes.SUCCESS, at, DccAlert(code, content)))

    def _signed(self, response: Response) -> bytes:
        certificate = self._signer.certificate
        return sign_document(
            response_to_xml(response), certificate.issuer, certificate.serial, self._signer.sign
        )
