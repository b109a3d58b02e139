"""Issuing after the ceremony: more devices, and certificates that testers need.

Everything here opens the authorities in `DATA/smki`, as `cos keys` does and no running system
may. What is honestly issued is published in the repository's folder; a flawed certificate is
not, because no honest authority would have made it.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from keys.certificate import Certificate
from keys.certification_request import read_certification_request
from keys.errors import CeremonyError
from keys.issuing import profiles
from keys.issuing.authorities import (
    ORGANISATION_ISSUING,
    Authorities,
    day_before,
    replace_file,
    revoke,
    whole_seconds,
    write_json,
    years_from,
)
from keys.issuing.devices import cell_contents, certify_device, device_record, published_name
from keys.issuing.odd_forms import OddForm, in_odd_form
from keys.issuing.plan import DevicesPlan
from keys.issuing.profiles import Issuer, Validity
from keys.roles import OrganisationRole, Usage
from keys.simulated import ORGANISATION_POLICY
from keys.stores.private import HeldSigner
from keys.stores.software import SoftwareKeyStore, read_secret

ORGANISATION_YEARS = 10


class Flaw(StrEnum):
    """What is wrong with a certificate that a tester asks for; all else is right."""

    EXPIRED = "expired"
    """Its validity ended a day ago."""
    NOT_YET_VALID = "not_yet_valid"
    """Its validity begins in a year."""
    WRONG_ROLE = "wrong_role"
    """OU names another role: supplier for everyone, network operator for a supplier."""
    WRONG_USAGE = "wrong_usage"
    """keyAgreement where digitalSignature was asked for, and the reverse."""
    UNKNOWN_ISSUER = "unknown_issuer"
    """Issued by SIM-ZX, an authority made up for it that nobody trusts."""
    FORGED_ISSUER = "forged_issuer"
    """Names the true authority and its key identifier, but another key signed it."""
    OTHER_POLICY = "other_policy"
    """A certificate policy that is not its issuer's (and no simulation mark: stores refuse it)."""
    COMPRESSED_POINT = "compressed_point"
    """Its public key is a compressed point (GBCS writes x and y)."""
    EXPLICIT_CURVE = "explicit_curve"
    """Its curve, P-256, is given by parameters and not by name."""
    GENERALIZED_TIME = "generalized_time"
    """Its validity is written in GeneralizedTime, which is for 2050 and later."""
    NAMED_BITS = "named_bits"
    """Its key usage is written with trailing zero bits, which DER leaves out."""
    REVOKED = "revoked"
    """Issued honestly, then put on the published revocation list."""


ODD_FORMS = frozenset(
    {Flaw.COMPRESSED_POINT, Flaw.EXPLICIT_CURVE, Flaw.GENERALIZED_TIME, Flaw.NAMED_BITS}
)
"""Flaws that are only in how the certificate is written."""


def flawed_certificate(
    data: Path,
    flaw: Flaw,
    *,
    eui: str,
    role: OrganisationRole,
    usage: Usage,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
) -> Certificate:
    """Issue an organisation's certificate with exactly one flaw.

    Args:
        data: the data folder.
        flaw: what shall be wrong with it.
        eui: the subject, 16 lower-case hexadecimal digits.
        role: the role it claims (unless that is the flaw).
        usage: what its key is for (unless that is the flaw).
        public_key: the key to certify.
        now: the time at which it shall be flawed.

    Raises:
        KeysError: the authorities cannot be opened, or the identifier is not one.
    """
    issuer = Authorities.open(data).issuer(ORGANISATION_ISSUING)
    validity, policy = years_from(now, ORGANISATION_YEARS), ORGANISATION_POLICY
    match flaw:
        case Flaw.EXPIRED:
            end = day_before(now)
            validity = Validity(end - timedelta(days=365), end)
        case Flaw.NOT_YET_VALID:
            begin = whole_seconds(now) + timedelta(days=365)
            validity = Validity(begin, begin + timedelta(days=365 * ORGANISATION_YEARS))
        case Flaw.WRONG_ROLE:
            role = (
                OrganisationRole.NETWORK_OPERATOR
                if role is OrganisationRole.SUPPLIER
                else OrganisationRole.SUPPLIER
            )
        case Flaw.WRONG_USAGE:
            usage = (
                Usage.KEY_AGREEMENT if usage is Usage.DIGITAL_SIGNATURE else Usage.DIGITAL_SIGNATURE
            )
        case Flaw.UNKNOWN_ISSUER:
            issuer = _made_up_authority(now)
        case Flaw.FORGED_ISSUER:
            issuer = Issuer(issuer.certificate, _made_up_authority(now).sign)
        case Flaw.OTHER_POLICY:
            policy = "2.999.1.9"
        case _:
            pass  # after it is made
    der = profiles.organisation(
        issuer, eui, role, usage, public_key, policy=policy, validity=validity
    )
    if flaw in ODD_FORMS:
        der = in_odd_form(der, OddForm(flaw.value), issuer.sign)
    certificate = Certificate.from_der(der)
    if flaw is Flaw.REVOKED:
        revoke(data, certificate, now)
    return certificate


def certify_request(data: Path, request: bytes, now: datetime) -> Certificate:
    """Issue and publish a device's certificate for its certification request (PKCS#10, DER).

    Raises:
        CertificateError: the request is not a device's, or its signature is wrong.
        KeyStoreError: the authorities cannot be opened.
    """
    asked = read_certification_request(request)
    certificate = Authorities.open(data).device_for(asked.eui, asked.usage, asked.public_key, now)
    publish(data, f"device-{asked.eui}-{certificate.serial:032x}", certificate)
    return certificate


def publish(data: Path, name: str, certificate: Certificate) -> None:
    """Put a certificate into the repository's folder, which it reads at its start.

    A repository that runs already is told on its lab port.

    Raises:
        CeremonyError: another certificate has that name.
    """
    path = _certificates(data) / f"{name}.pem"
    if path.exists():
        raise CeremonyError(f"{path.name} is published already and is not overwritten")
    replace_file(path, certificate.to_pem())


def add_devices(data: Path, run: DevicesPlan, now: datetime) -> list[dict[str, Any]]:
    """Make more devices: certificates, entries in `devices.json` and `estate.json`.

    They are registered to their supplier from `now` on.

    Returns:
        the new entries of `devices.json`.

    Raises:
        CeremonyError: an entity identifier or MPxN is in use, or a cell's certificate is missing.
        KeyStoreError: the authorities or the device seed cannot be opened.
    """
    devices = _read_json(data / "devices.json")
    estate = _read_json(data / "estate.json")
    participants = {s["name"]: s["participant"] for s in estate["suppliers"]}
    if run.supplier not in participants:
        raise CeremonyError(f"{run.supplier!r} is no supplier of this estate")
    taken = {d["eui"] for d in devices} | {d["mpxn"] for d in devices}
    for offset in range(run.count):
        for value in (run.eui(offset), run.mpxn(offset)):
            if value in taken:
                raise CeremonyError(f"{value} is in use")
    authorities, keys = Authorities.open(data), _device_store(data).device_keys()
    cells = cell_contents(run, _published(data))
    made = []
    for offset in range(run.count):
        certificates = certify_device(authorities, keys, run.eui(offset), now)
        for name, certificate in certificates.items():
            publish(data, published_name(run.eui(offset), name), certificate)
        made.append(device_record(run, offset, certificates, cells))
        estate["meter_points"].append(
            {
                "mpxn": run.mpxn(offset),
                "devices": [run.eui(offset)],
                "registrations": [
                    {
                        "participant": participants[run.supplier],
                        "effective_from": whole_seconds(now).isoformat(),
                        "effective_to": None,
                    }
                ],
            }
        )
    write_json(data / "devices.json", [*devices, *made])
    write_json(data / "estate.json", estate)
    return made


def _made_up_authority(now: datetime) -> Issuer:
    """An authority of one call: its key is never kept."""
    private_key = ec.generate_private_key(ec.SECP256R1())
    signer = HeldSigner(private_key)
    der = profiles.root_authority(
        "SIM-ZX",
        OrganisationRole.ISSUING_AUTHORITY,
        private_key.public_key(),
        signer.sign,
        policy=ORGANISATION_POLICY,
        validity=years_from(now, ORGANISATION_YEARS),
    )
    return Issuer(Certificate.from_der(der), signer.sign)


def _certificates(data: Path) -> Path:
    return data / "smki_repository" / "repository" / "certificates"


def _published(data: Path) -> dict[str, Certificate]:
    return {
        path.stem: Certificate.from_pem(path.read_bytes())
        for path in _certificates(data).glob("*.pem")
    }


def _device_store(data: Path) -> SoftwareKeyStore:
    for seed in data.glob("*/keys/device-seed.key"):
        folder = seed.parent
        return SoftwareKeyStore.open(folder, read_secret(folder.parent / "passphrase"))
    raise CeremonyError("no system of this estate holds a device seed")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CeremonyError(f"{path.name} cannot be read") from error
