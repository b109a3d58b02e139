"""What a change of supplier's messages cost to make and to check, against the bare cryptography."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench.timing import Act, Cost, measure
from duis.gate import parse
from duis.signature import verify_document
from duis.xml import request_from_xml
from gbcs.codes import Cra, CredentialsReplacementMode, KeyUsage, RemotePartyRole
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.payloads.credentials import (
    CellId,
    Replacement,
    SeqNumberChange,
    UpdateCredentials,
    decode_update,
    encode_update,
)
from gbcs.protect import add_mac, sign, verify_mac, verify_signature
from keys.certificate import Certificate
from keys.path import validate_path
from keys.stores.software import SoftwareKeyStore, read_secret
from stack.supplier import Supplier

ECDSA = ec.ECDSA(hashes.SHA256())


def open_store(data: Path, system: str) -> SoftwareKeyStore:
    """A system's key store."""
    return SoftwareKeyStore.open(data / system / "keys", read_secret(data / system / "passphrase"))


def measured(data: Path) -> list[Cost]:
    """Time the messages of one change of supplier on the keys of a ceremony."""
    device = json.loads((data / "devices.json").read_text())[0]
    supplier = Supplier.open(data, "B")
    cos, acb = open_store(data, "tcos_party"), open_store(data, "acb")
    signer, broker = cos.signer("digital-signing"), acb.key_agreement("key-agreement")
    meter = Certificate.from_der(base64.b64decode(device["certificates"]["key-agreement"]))
    root = Certificate.from_pem((data / "acb" / "trust" / "organisation-root.pem").read_bytes())
    leaf = supplier.keys.certificate("digital-signing")
    bare_key = ec.generate_private_key(ec.SECP256R1())
    _, request = supplier.change_of_supplier(device["eui"], device["mpxn"])
    xml_signer = supplier.keys.certificate("xml-signing")

    update = UpdateCredentials(
        mode=CredentialsReplacementMode(7),
        authorising_counter=1,
        authorising_cell=CellId(RemotePartyRole.TRANSITIONAL_COS, KeyUsage.DIGITAL_SIGNATURE),
        replacements=tuple(
            Replacement(supplier.keys.certificate(name).der, CellId(RemotePartyRole.SUPPLIER, use))
            for name, use in (
                ("digital-signing", KeyUsage.DIGITAL_SIGNATURE),
                ("key-agreement", KeyUsage.KEY_AGREEMENT),
            )
        ),
        path_certificates=(supplier.issuing_authority.der,),
        other_changes=(SeqNumberChange(RemotePartyRole.SUPPLIER, 0, None),),
    )
    header = GroupingHeader(
        Cra.COMMAND,
        1,
        signer.certificate.subject_eui or "",
        device["eui"],
        OtherInformation(0x0107),
    )

    def built() -> Message:
        return Message(header, encode_update(update), None)

    signed = sign(built(), signer.sign)
    z = broker.shared_secret(meter)
    command = add_mac(signed, z)
    octets = encode(command)
    der_signature = bare_key.sign(octets, ECDSA)
    public = bare_key.public_key()

    def check_command() -> None:
        message = decode(octets)
        verify_mac(message, z)
        verify_signature(message, signer.certificate.der)
        decode_update(message.payload)

    return measure(
        [
            Act("bare ECDSA P-256 sign", lambda: bare_key.sign(octets, ECDSA), 0),
            Act(
                "bare ECDSA P-256 verify",
                lambda: public.verify(der_signature, octets, ECDSA),
                1,
            ),
            Act("bare ECDH P-256", lambda: bare_key.exchange(ec.ECDH(), meter.public_key), 2),
            Act("CoS Party: build and sign the command", lambda: sign(built(), signer.sign), 0),
            Act(
                "broker: agree Z and add the MAC",
                lambda: encode(add_mac(signed, broker.shared_secret(meter))),
                2,
            ),
            Act("meter: decode, MAC (Z held), signature, payload", check_command, 1),
            Act(
                "path of one certificate (two signatures)",
                lambda: validate_path(leaf, [supplier.issuing_authority], root, at=None),
                1,
            ),
            Act(
                "supplier: write and sign a 6.23 request",
                lambda: supplier.change_of_supplier(device["eui"], device["mpxn"]),
                0,
            ),
            Act(
                "broker: parse, validate, verify the request",
                lambda: (
                    request_from_xml(parse(request)),
                    verify_document(request, xml_signer.der),
                ),
                1,
            ),
        ],
        rounds=40,
        repetitions=9,
    )
