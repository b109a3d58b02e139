"""What a supplier does: keeps its own keys, writes service requests and signs them itself.

Its folder is `DATA/suppliers/<name>/` (keys, passphrase, supplier.json). Nothing of it is ever
handed to another system but certificates and signed documents.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from duis.model import Header, Response, ServiceRequest, UpdateSecurityCredentialsCoS
from duis.request_id import RequestId
from duis.signature import sign_document, verify_document, with_blank_signature
from duis.xml import request_to_xml, response_from_xml
from keys.certificate import Certificate
from keys.stores.software import SoftwareKeyStore
from stack.errors import MISSING, CommandError


@dataclass(frozen=True)
class Supplier:
    """One simulated energy supplier: its identity and its own key store."""

    name: str
    participant: str
    eui: str
    keys: SoftwareKeyStore
    issuing_authority: Certificate
    broker: Certificate

    @classmethod
    def open(cls, data: Path, name: str) -> Supplier:
        """Open the supplier's folder.

        Raises:
            CommandError: no such supplier in this data folder (exit code 3).
        """
        root = data / "suppliers"
        folders = {f.name.lower(): f for f in sorted(root.glob("*")) if f.is_dir()}
        folder = folders.get(name.lower())
        if folder is None:
            known = ", ".join(f.name for f in folders.values()) or "none"
            raise CommandError(f"no supplier named {name!r} in {root}; there are: {known}", MISSING)
        told = json.loads((folder / "supplier.json").read_text())
        keys = SoftwareKeyStore.open(
            folder / "keys", (folder / "passphrase").read_text().strip().encode()
        )
        issuing, broker = (
            Certificate.from_pem((folder / "trust" / name).read_bytes())
            for name in ("organisation-issuing.pem", "acb-xml-signing.pem")
        )
        return cls(told["name"], told["participant"], told["eui"], keys, issuing, broker)

    def change_of_supplier(
        self,
        meter: str,
        mpxn: str,
        *,
        certificates_of: Supplier | None = None,
        execution: datetime | None = None,
        counter: int | None = None,
    ) -> tuple[RequestId, bytes]:
        """Write and sign a 6.23 Update Security Credentials (CoS) request.

        Returns:
            the request ID and the signed document. Arguments: see `write_change_of_supplier`.
        """
        request_id, document = self.write_change_of_supplier(
            meter,
            mpxn,
            certificates_of=certificates_of,
            execution=execution,
            counter=counter,
        )
        return request_id, self.sign(document)

    def write_change_of_supplier(
        self,
        meter: str,
        mpxn: str,
        *,
        certificates_of: Supplier | None = None,
        execution: datetime | None = None,
        counter: int | None = None,
    ) -> tuple[RequestId, bytes]:
        """Write a 6.23 Update Security Credentials (CoS) request, unsigned.

        Args:
            meter: entity identifier of the device.
            mpxn: import meter point the device belongs to.
            certificates_of: whose certificates to ask for; this supplier's own by default.
            execution: when the device shall act; at once by default.
            counter: counter of the request ID; milliseconds of the real clock by default, as
                published test tools do, so that it grows without being kept.

        Returns:
            the request ID and the document.
        """
        source = (certificates_of or self).keys
        request_id = RequestId(self.eui, meter, counter or time.time_ns() // 1_000_000)
        floor = request_id.counter
        body = UpdateSecurityCredentialsCoS(
            execution_date_time=execution,
            supplier_floor=floor,
            prepayment_top_up_floor=floor,
            digital_signing=source.certificate("digital-signing").der,
            key_agreement=source.certificate("key-agreement").der,
            key_agreement_top_up=source.certificate("prepayment-key-agreement").der,
            path_certificates=(self.issuing_authority.der,),
            apply_time_checks=True,
            import_mpxn=mpxn,
        )
        header = Header(
            request_id=request_id,
            command_variant=1,
            service_reference="6.23",
            service_reference_variant="6.23",
        )
        return request_id, request_to_xml(ServiceRequest(header, body))

    def sign(self, document: bytes) -> bytes:
        """Sign a DUIS document with this supplier's XML-signing key."""
        signer = self.keys.signer("xml-signing")
        certificate = signer.certificate
        return sign_document(document, certificate.issuer, certificate.serial, signer.sign)

    def leave_to_sign(self, document: bytes) -> bytes:
        """A document with a signature that another tool fills in with this supplier's key."""
        certificate = self.keys.certificate("xml-signing")
        return with_blank_signature(document, certificate.issuer, certificate.serial)

    def read(self, document: bytes) -> Response:
        """Read a response or alert, after its signature has held under the broker's certificate.

        Raises:
            DuisError: it is not the broker's, or not a response.
        """
        return response_from_xml(verify_document(document, self.broker.der).signed_xml)
