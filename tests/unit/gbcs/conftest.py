"""Keys, certificates and messages of the test's own making."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gbcs.codes import Cra, CredentialsReplacementMode, KeyUsage, RemotePartyRole
from gbcs.message import GroupingHeader, Message, OtherInformation
from gbcs.payloads.credentials import (
    CellId,
    Replacement,
    SeqNumberChange,
    SpecialistSeqNumber,
    UpdateCredentials,
    encode_update,
)
from gbcs.protect import add_mac, sign

COS_PARTY = "0253494d00000005"
ACB = "0253494d00000002"
METER = "0253494dd0000001"


@dataclass(frozen=True)
class Party:
    """An entity with a signing and a key agreement key."""

    entity: str
    signing: ec.EllipticCurvePrivateKey
    agreement: ec.EllipticCurvePrivateKey
    certificate: bytes

    def sign(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(self.signing.sign(data, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def shared_secret(self, other: Party) -> bytes:
        return self.agreement.exchange(ec.ECDH(), other.agreement.public_key())


def make_certificate(
    key: ec.EllipticCurvePrivateKey,
    common_name: str = "SIM-test",
    serial: int = 7,
    subject: x509.Name | None = None,
    *,
    key_id: bool = True,
) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    public = key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject or name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
    )
    if key_id:
        identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        builder = builder.add_extension(identifier, critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


def make_party(entity: str) -> Party:
    signing = ec.generate_private_key(ec.SECP256R1())
    agreement = ec.generate_private_key(ec.SECP256R1())
    return Party(entity, signing, agreement, make_certificate(signing))


@pytest.fixture(scope="session")
def cos_party() -> Party:
    return make_party(COS_PARTY)


@pytest.fixture(scope="session")
def acb() -> Party:
    return make_party(ACB)


@pytest.fixture(scope="session")
def meter() -> Party:
    return make_party(METER)


@pytest.fixture(scope="session")
def header() -> GroupingHeader:
    return GroupingHeader(Cra.COMMAND, 6001, COS_PARTY, METER, OtherInformation(0x0107))


@pytest.fixture(scope="session")
def update(cos_party: Party) -> UpdateCredentials:
    """A change of supplier: three cells, a floor for each of the supplier's two counters."""
    supplier = RemotePartyRole.SUPPLIER
    names = (
        "digitalSignature/management",
        "keyAgreement/management",
        "keyAgreement/prePaymentTopUp",
    )
    return UpdateCredentials(
        mode=CredentialsReplacementMode.SUPPLIER_BY_TRANS_COS,
        authorising_counter=6001,
        authorising_cell=CellId(RemotePartyRole.TRANSITIONAL_COS, KeyUsage.DIGITAL_SIGNATURE),
        replacements=tuple(
            Replacement(
                make_certificate(cos_party.signing, name),
                CellId.from_name(f"supplier/{name}"),
            )
            for name in names
        ),
        path_certificates=(make_certificate(cos_party.signing, "SIM-Z1"),),
        other_changes=(SeqNumberChange(supplier, 0, (SpecialistSeqNumber(0),)),),
    )


@pytest.fixture(scope="session")
def pre_command(header: GroupingHeader, update: UpdateCredentials) -> Message:
    return Message(header, encode_update(update), None)


@pytest.fixture(scope="session")
def command(pre_command: Message, cos_party: Party, acb: Party, meter: Party) -> Message:
    """A complete command: signed by the CoS Party, MAC by the broker."""
    return add_mac(sign(pre_command, cos_party.sign), acb.shared_secret(meter))


@pytest.fixture(scope="session")
def certificate_for() -> Callable[[ec.EllipticCurvePrivateKey], bytes]:
    return make_certificate
