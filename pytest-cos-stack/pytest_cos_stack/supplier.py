"""A supplier of the stack: it writes a change of supplier, and `cos` signs with its key."""

from __future__ import annotations

import base64
import json
import ssl
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from pytest_cos_stack.command import Cos
from pytest_cos_stack.durations import instant
from pytest_cos_stack.errors import CosError

_NAMESPACE: Final = "http://www.dccinterface.co.uk/ServiceUserGateway"


class Signed(NamedTuple):
    """A signed service request: its request ID and the document's octets."""

    request_id: str
    document: bytes


@dataclass(frozen=True)
class Supplier:
    """One simulated energy supplier.

    Attributes:
        name: ``A``, ``B`` or ``C``.
        participant: its market participant identifier.
        eui: its entity identifier, 16 lower-case hexadecimal digits.
        data: the stack's data folder.
        cos: the command that signs with its key.
    """

    name: str
    participant: str
    eui: str
    data: Path
    cos: Cos

    def change_of_supplier(
        self,
        meter: str,
        mpxn: str,
        *,
        certificates_of: Supplier | None = None,
        execution: datetime | str | None = None,
        counter: int | None = None,
    ) -> Signed:
        """Write and sign a 6.23 Update Security Credentials (CoS) request.

        Args:
            meter: entity identifier of the device.
            mpxn: import meter point the device belongs to.
            certificates_of: whose certificates to ask for; this supplier's own by default.
            execution: when the device shall act (aware, or ISO text with its zone); else at once.
            counter: of the request ID, and the floor of the new supplier's counters; milliseconds
                of the real clock by default.
        """
        counter = counter or time.time_ns() // 1_000_000
        request_id = f"{_hyphened(self.eui)}:{_hyphened(meter)}:{counter}"
        source = certificates_of or self
        when = ""
        if execution is not None:
            at = instant(execution).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            when = f"<sr:ExecutionDateTime>{at}</sr:ExecutionDateTime>"
        # Without white space between elements: only so do all verifiers agree on the digest.
        document = (
            f'<?xml version="1.0" encoding="UTF-8"?><sr:Request xmlns:sr="{_NAMESPACE}" '
            'schemaVersion="5.4"><sr:Header>'
            f"<sr:RequestID>{request_id}</sr:RequestID><sr:CommandVariant>1</sr:CommandVariant>"
            "<sr:ServiceReference>6.23</sr:ServiceReference>"
            "<sr:ServiceReferenceVariant>6.23</sr:ServiceReferenceVariant></sr:Header>"
            f"<sr:Body><sr:UpdateSecurityCredentialsCoS>{when}"
            f"<sr:SupplierFloorSeqNumber>{counter}</sr:SupplierFloorSeqNumber>"
            "<sr:SupplierPrepaymentTopUpFloorSeqNumber>"
            f"{counter}</sr:SupplierPrepaymentTopUpFloorSeqNumber>"
            "<sr:SupplierReplacementCertificates>"
            f"<sr:DigitalSigningCertificate>{source.certificate('digital-signing')}"
            "</sr:DigitalSigningCertificate>"
            f"<sr:KeyAgreementCertificate>{source.certificate('key-agreement')}"
            "</sr:KeyAgreementCertificate>"
            "<sr:KeyAgreementTopUpCertificate>"
            f"{source.certificate('prepayment-key-agreement')}</sr:KeyAgreementTopUpCertificate>"
            "</sr:SupplierReplacementCertificates><sr:CertificationPathCertificates>"
            f"<sr:Certificate>{self._read('trust/organisation-issuing.pem')}</sr:Certificate>"
            "</sr:CertificationPathCertificates>"
            "<sr:ApplyTimeBasedCPVChecks>true</sr:ApplyTimeBasedCPVChecks>"
            f"<sr:ImportMPxN>{escape(mpxn)}</sr:ImportMPxN>"
            "</sr:UpdateSecurityCredentialsCoS></sr:Body></sr:Request>"
        )
        return Signed(request_id, self.sign(document.encode()))

    def sign(self, document: bytes) -> bytes:
        """Sign a DUIS document with this supplier's XML-signing key; nothing else is changed.

        Raises:
            CosError: it cannot be signed: `cos duis sign` says why.
        """
        return self.cos.run(
            "duis", "sign", "-", "--supplier", self.name, data=self.data, stdin=document
        )

    def certificate(self, name: str) -> str:
        """A certificate of its own as base64 DER: ``digital-signing``, ``key-agreement`` ..."""
        return self._read(f"keys/{name}.pem")

    def _read(self, name: str) -> str:
        path = self.data / "suppliers" / self.name / name
        try:
            return base64.b64encode(ssl.PEM_cert_to_DER_cert(path.read_text())).decode()
        except (OSError, ValueError) as error:
            raise CosError(f"{path} holds no certificate: {error}") from error


def suppliers_in(data: Path, cos: Cos) -> dict[str, Supplier]:
    """Every supplier of a data folder by its name."""
    found = {}
    for path in sorted((data / "suppliers").glob("*/supplier.json")):
        told = json.loads(path.read_text())
        found[told["name"]] = Supplier(told["name"], told["participant"], told["eui"], data, cos)
    return found


def _hyphened(eui: str) -> str:
    plain = eui.replace("-", "").upper()
    return "-".join(plain[at : at + 2] for at in range(0, len(plain), 2))
