"""Whose link keys we know: one pinned certificate for each system, one authority above them.

A key is found by its identifier in what was put here at start, and nowhere else: no message
brings its own certificate. The path verdict of a certificate is kept (it is a pure function of
content); its dates and the revocation list are looked at each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from keys.certificate import Certificate
from keys.crl import RevocationList, read_crl
from keys.errors import KeysError, PathError, PathFailure, ProfileError
from keys.path import validate_path
from keys.profile_rules import Profile, check_profile
from services.link.errors import LinkSetupError


@dataclass(frozen=True)
class LinkKey:
    """One pinned certificate (a `services.link.envelope.PinnedKey`)."""

    system: str
    certificate: Certificate
    trust: LinkTrust

    @property
    def named(self) -> str | None:
        """The system that the certificate itself names: its common name."""
        return self.certificate.common_name

    @property
    def simulated(self) -> bool:
        """Whether the certificate carries the marks of simulated material."""
        return self.certificate.simulated

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The key."""
        return self.certificate.public_key

    def failure(self, at: datetime) -> str | None:
        """Why the certificate is not to be trusted at that time, or None."""
        return self.trust.failure(self.certificate, at)


class LinkTrust:
    """The trust folder of one party, as far as the link goes."""

    def __init__(
        self,
        infrastructure_root: Certificate,
        peers: Mapping[str, Certificate],
        revocation_lists: Sequence[bytes] | None = None,
    ) -> None:
        """Pin these certificates.

        Args:
            infrastructure_root: the authority of link certificates.
            peers: the link certificate of every system, by system name.
            revocation_lists: revocation lists, DER; None: revocation is not checked.

        Raises:
            LinkSetupError: two systems share a key, or a revocation list is not the authority's.
        """
        self._root = infrastructure_root
        self._paths: dict[str, str | None] = {}
        self._keys: dict[str, LinkKey] = {}
        for system, certificate in peers.items():
            key_id = certificate.key_identifier.hex()
            if key_id in self._keys:
                other = self._keys[key_id].system
                raise LinkSetupError(f"{system} and {other} have the same link key")
            self._keys[key_id] = LinkKey(system, certificate, self)
        self._revoked: RevocationList | None = None
        if revocation_lists is not None:
            self.take_revocation_lists(revocation_lists)

    @classmethod
    def open(cls, folder: Path, revocation_lists: Sequence[bytes] | None = None) -> LinkTrust:
        """Read a party's trust folder: `infrastructure-root.pem` and `link/<system>.pem`.

        Raises:
            LinkSetupError: it cannot be read, or as for the constructor.
        """
        try:
            root = Certificate.from_pem((folder / "infrastructure-root.pem").read_bytes())
            peers = {
                file.stem: Certificate.from_pem(file.read_bytes())
                for file in sorted((folder / "link").glob("*.pem"))
            }
        except (OSError, KeysError) as error:
            raise LinkSetupError(f"the trust folder cannot be read: {error}") from error
        return cls(root, peers, revocation_lists)

    def stale(self, at: datetime) -> bool:
        """Whether the revocation list in use has run out at that time."""
        return self._revoked is not None and at > self._revoked.next_update

    def renewed(self, lists: Iterable[bytes]) -> LinkTrust:
        """The same pins, judged by the newest list of the authority among its own and these.

        For the one answer that brings revocation lists: were it judged by the list that it is to
        replace, a list that has run out could never be replaced. What is not readable, of another
        authority or not signed by this one changes nothing, and nothing is kept: this trust stays
        as it is.
        """
        made = LinkTrust(self._root, {key.system: key.certificate for key in self._keys.values()})
        made._revoked, made._paths = self._revoked, self._paths
        for der in lists:
            try:
                made.offer(read_crl(der))
            except KeysError:
                continue
        return made

    @property
    def systems(self) -> tuple[str, ...]:
        """The systems whose keys are pinned."""
        return tuple(key.system for key in self._keys.values())

    def find(self, key_id: str) -> LinkKey | None:
        """The pinned key of that identifier, or None."""
        return self._keys.get(key_id)

    def take_revocation_lists(self, lists: Sequence[bytes]) -> None:
        """Use newer revocation lists from now on: the newest that the authority signed.

        Raises:
            LinkSetupError: one cannot be read, or none is the authority's, or all are older than
                the one in use.
        """
        own: list[RevocationList] = []
        for der in lists:
            try:
                found = read_crl(der)
            except KeysError as error:
                raise LinkSetupError(f"a revocation list cannot be read: {error}") from error
            if found.issuer_name == self._root.subject_name:
                own.append(found)
        if not own:
            raise LinkSetupError("no revocation list of the infrastructure authority")
        newest = max(own, key=lambda item: item.number)
        if not newest.signed_by(self._root):
            raise LinkSetupError("the revocation list was not signed by its authority")
        if self._revoked is not None and newest.number < self._revoked.number:
            raise LinkSetupError("the revocation list is older than the one in use")
        self._revoked = newest

    def offer(self, item: RevocationList) -> None:
        """Use a revocation list from now on, if it is the authority's own and newer.

        For whoever fetches lists as they come: what is of another authority, not genuine, or no
        newer than the list in use changes nothing.
        """
        own = item.issuer_name == self._root.subject_name
        held = self._revoked
        newer = held is None or item.number > held.number
        if own and newer and item.signed_by(self._root):
            self._revoked = item

    def failure(self, certificate: Certificate, at: datetime) -> str | None:
        """Why a certificate is not to be trusted at that time, or None.

        The words are those of `keys.errors.PathFailure` where it has one.
        """
        if certificate.fingerprint not in self._paths:
            self._paths[certificate.fingerprint] = self._path_failure(certificate)
        failure = self._paths[certificate.fingerprint]
        if failure is not None:
            return failure
        if at < certificate.not_before:
            return PathFailure.NOT_YET_VALID.value
        if at > certificate.not_after:
            return PathFailure.EXPIRED.value
        return self._revocation_failure(certificate, at)

    def _path_failure(self, certificate: Certificate) -> str | None:
        try:
            validate_path(certificate, (), self._root, at=None)
            check_profile(certificate, Profile.LINK)
        except PathError as error:
            return error.failure.value
        except ProfileError as error:
            return f"{PathFailure.WRONG_PROFILE.value}, rule {error.rule}"
        return None

    def _revocation_failure(self, certificate: Certificate, at: datetime) -> str | None:
        lists = self._revoked
        if lists is None:
            return None
        if at < lists.this_update:
            return PathFailure.CRL_NOT_YET_VALID.value
        if at > lists.next_update:
            return PathFailure.CRL_STALE.value
        return PathFailure.REVOKED.value if certificate.serial in lists.serials else None
