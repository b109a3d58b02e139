"""The simulated authorities of one data folder, and what they issue after the ceremony.

`DATA/smki/` holds their keys. Nothing but the ceremony and `cos keys` opens it: a running system
never does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from keys.certificate import Certificate
from keys.crl import (
    LIST_DAYS,
    RevocationList,
    make_crl,
    read_crl,
    read_crl_pem,
    revocation_times,
)
from keys.errors import CeremonyError, RevocationListError
from keys.issuing import profiles
from keys.issuing.profiles import Issuer, Validity
from keys.roles import OrganisationRole, Usage
from keys.simulated import DEVICE_POLICY, INFRASTRUCTURE_POLICY, ORGANISATION_POLICY
from keys.stores.device_keys import DeviceKeys
from keys.stores.software import SoftwareKeyStore, read_secret

ORGANISATION_ROOT = "organisation-root"
ORGANISATION_ISSUING = "organisation-issuing"
DEVICE_ROOT = "device-root"
DEVICE_ISSUING = "device-issuing"
INFRASTRUCTURE_ROOT = "infrastructure-root"
AUTHORITIES = (
    ORGANISATION_ROOT,
    ORGANISATION_ISSUING,
    DEVICE_ROOT,
    DEVICE_ISSUING,
    INFRASTRUCTURE_ROOT,
)
LISTS = {
    "organisation": ORGANISATION_ISSUING,
    "device": DEVICE_ISSUING,
    "infrastructure": INFRASTRUCTURE_ROOT,
}
"""Revocation list by name, and the authority that issues it."""


@dataclass(frozen=True)
class Authorities:
    """The five authorities, ready to issue."""

    store: SoftwareKeyStore

    @classmethod
    def open(cls, data: Path) -> Authorities:
        """Open the authorities of a data folder.

        Raises:
            KeyStoreError: there are none, or they cannot be opened.
        """
        smki = data / "smki"
        return cls(SoftwareKeyStore.open(smki / "keys", read_secret(smki / "passphrase")))

    def issuer(self, name: str) -> Issuer:
        """An authority as an issuer.

        Raises:
            KeyStoreError: no such authority.
        """
        signer = self.store.signer(name)
        return Issuer(signer.certificate, signer.sign)

    def organisation(
        self,
        eui: str,
        role: OrganisationRole,
        usage: Usage,
        public_key: ec.EllipticCurvePublicKey,
        *,
        validity: Validity,
        common_name: str | None = None,
    ) -> Certificate:
        """Issue an organisation's certificate: any role, usage and dates that a tester asks for."""
        return Certificate.from_der(
            profiles.organisation(
                self.issuer(ORGANISATION_ISSUING),
                eui,
                role,
                usage,
                public_key,
                policy=ORGANISATION_POLICY,
                validity=validity,
                common_name=common_name,
            )
        )

    def device(
        self, keys: DeviceKeys, eui: str, usage: Usage, now: datetime, generation: int = 0
    ) -> Certificate:
        """Issue a device's certificate for one of its derived keys."""
        return self.device_for(eui, usage, keys.public_key(eui, usage, generation), now)

    def device_for(
        self, eui: str, usage: Usage, public_key: ec.EllipticCurvePublicKey, now: datetime
    ) -> Certificate:
        """Issue a device's certificate for a public key that it presents."""
        return Certificate.from_der(
            profiles.device(
                self.issuer(DEVICE_ISSUING),
                eui,
                usage,
                public_key,
                policy=DEVICE_POLICY,
                not_before=day_before(now),
            )
        )

    def link(
        self, system: str, public_key: ec.EllipticCurvePublicKey, validity: Validity
    ) -> Certificate:
        """Issue a system's link certificate."""
        return Certificate.from_der(
            profiles.link(
                self.issuer(INFRASTRUCTURE_ROOT),
                system,
                public_key,
                policy=INFRASTRUCTURE_POLICY,
                validity=validity,
            )
        )

    def revocation_list(
        self, name: str, number: int, now: datetime, days: int, revoked: dict[int, datetime]
    ) -> bytes:
        """Issue a revocation list, DER.

        Args:
            name: "organisation", "device" or "infrastructure".
            number: CRL number.
            now: thisUpdate.
            days: until nextUpdate.
            revoked: serial number to time of revocation.
        """
        issuer = self.issuer(LISTS[name])
        return make_crl(
            issuer.certificate,
            issuer.sign,
            number=number,
            this_update=whole_seconds(now),
            next_update=whole_seconds(now) + timedelta(days=days),
            revoked=revoked,
        )


def day_before(now: datetime) -> datetime:
    """A day before, whole seconds: when certificates of a ceremony begin to hold."""
    return whole_seconds(now) - timedelta(days=1)


def whole_seconds(now: datetime) -> datetime:
    """The time as certificates and lists can state it: UTC, no fraction of a second."""
    return now.astimezone(UTC).replace(microsecond=0)


def years_from(now: datetime, years: int) -> Validity:
    """From a day before `now`, for so many years of 365 days."""
    begin = day_before(now)
    return Validity(begin, begin + timedelta(days=365 * years))


def revoke(data: Path, certificate: Certificate, now: datetime, *, days: int = LIST_DAYS) -> bytes:
    """Add a certificate to its authority's published revocation list.

    What was revoked before keeps its time; revoking twice changes nothing but the number.

    Args:
        data: the data folder.
        certificate: what to revoke.
        now: the time of revocation and of the new list.
        days: until the list after it is due.

    Returns:
        the new list, DER, as also written to the repository's folder.

    Raises:
        CeremonyError: none of the authorities issued it.
        RevocationListError: the published list cannot be read.
    """
    authorities = Authorities.open(data)
    for name, authority in LISTS.items():
        issuer = authorities.issuer(authority).certificate
        if (certificate.issuer_name, certificate.authority_key_identifier) == (
            issuer.subject_name,
            issuer.key_identifier,
        ):
            return renew(data, name, now, days=days, also=certificate.serial)
    raise CeremonyError("no authority of this folder issued that certificate")


def published_list(data: Path, name: str) -> RevocationList:
    """The revocation list of that name in the repository's folder.

    Raises:
        RevocationListError: there is none, or it cannot be read.
    """
    try:
        return read_crl_pem(_list_file(data, name).read_bytes())
    except OSError as error:
        raise RevocationListError(f"{name}.crl: {error.strerror}") from error


def _list_file(data: Path, name: str) -> Path:
    return data / "smki_repository" / "repository" / "crl" / f"{name}.crl"


def renew(
    data: Path,
    name: str,
    now: datetime,
    *,
    days: int = LIST_DAYS,
    also: int | None = None,
    after: int = 0,
) -> bytes:
    """Issue the successor of a published revocation list.

    Args:
        data: the data folder.
        name: "organisation", "device" or "infrastructure".
        now: the time of the new list, by the machine's clock: link certificates are judged by it.
        days: until the list after it is due.
        also: serial number of a certificate that is revoked now.
        after: the number of a list that was published elsewhere, to be greater than too.

    Returns:
        the new list, DER, as also written to the repository's folder.

    Raises:
        RevocationListError: the published list cannot be read.
    """
    old = published_list(data, name)
    revoked = {} if also is None else {also: whole_seconds(now)}
    authorities = Authorities.open(data)
    new = authorities.revocation_list(
        name, max(old.number, after) + 1, now, days, revoked | revocation_times(old)
    )
    replace_file(_list_file(data, name), read_crl(new).to_pem())
    return new


def write_json(path: Path, value: Any) -> None:
    """Write a file of JSON, at once."""
    replace_file(path, (json.dumps(value, indent=2) + "\n").encode())


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in another's place at once, so that nobody reads half of it."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.replace(path)
