"""What the repository asks before it answers and before it publishes.

Sections: ``certificates`` and ``revocation`` (the interface), ``publish.certificate`` and
``publish.list`` (the lab port, and the folder at start). With one of the latter off a tester
publishes what no honest repository would, to see that nobody believes a repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from keys.certificate import Certificate
from keys.crl import RevocationList
from keys.errors import PathError
from keys.path import validate_path
from services.chassis.checks import Check, CheckFailed, check
from services.smki_repository.model import LISTS, CertificatesQuestion

SOURCE: Final = "reconstruction: docs/sources.md#certificates"
PROFILE: Final = "RFC 5280 6.1, 6.3; reconstruction: docs/sources.md#certificates"

_NEEDED: Final[Mapping[str, frozenset[str]]] = {
    "eui": frozenset({"eui"}),
    "issuer_serial": frozenset({"issuer", "serial"}),
    "key_identifier": frozenset({"key_identifier"}),
}


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One of the three hierarchies: its root, and the authority below it if it has one."""

    name: str
    root: Certificate
    issuing: tuple[Certificate, ...] = ()

    @property
    def authorities(self) -> tuple[Certificate, ...]:
        """Every authority of it."""
        return (self.root, *self.issuing)


@dataclass(frozen=True, slots=True)
class RevocationEvidence:
    """The numbers the caller holds, and ours."""

    known: Mapping[str, int | None]
    published: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CertificateEvidence:
    """A certificate to be published, the hierarchies, and what has its name.

    `same_name` are the fingerprints published under its issuer and serial number.
    """

    certificate: Certificate
    hierarchies: tuple[Hierarchy, ...]
    same_name: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ListEvidence:
    """A revocation list to be published as `name`, its hierarchy, and the published number."""

    name: str
    item: RevocationList
    hierarchy: Hierarchy | None
    published: int | None

    @property
    def issuer(self) -> Certificate | None:
        """The authority that the list names as its issuer."""
        found = [] if self.hierarchy is None else self.hierarchy.authorities
        for authority in found:
            if (
                authority.subject_name == self.item.issuer_name
                and authority.key_identifier == self.item.authority_key_identifier
            ):
                return authority
        return None


@check("smki.certificates.query", source=SOURCE, status=422)
def query(question: CertificatesQuestion) -> None:
    """The question gives exactly what it asks by."""
    needed, given = _NEEDED[question.by], question.given()
    if given != needed:
        raise CheckFailed(
            "the question gives other values than it asks by",
            expected=" and ".join(sorted(needed)),
            found=" and ".join(sorted(given)) or "none",
        )


@check("smki.revocation.names", source=SOURCE, status=422)
def names(evidence: RevocationEvidence) -> None:
    """Only lists that are published are asked for."""
    unknown = sorted(set(evidence.known) - set(LISTS))
    if unknown:
        raise CheckFailed(
            "no list of that name is published", expected=", ".join(LISTS), found=unknown[0][:40]
        )


@check("smki.revocation.numbers", source=SOURCE, status=409)
def numbers(evidence: RevocationEvidence) -> None:
    """The caller does not hold a later list than this repository.

    A caller ahead of us has seen what we have lost: older lists are not offered to it.
    """
    for name, known in evidence.known.items():
        published = evidence.published.get(name, 0)
        if known is not None and known > published:
            raise CheckFailed(
                f"the caller holds a later {name} list than is published here",
                expected=f"at most {published}",
                found=str(known),
            )


@check("smki.publish.simulated", source=SOURCE, status=409, section="publish.certificate")
def simulated(evidence: CertificateEvidence) -> None:
    """A published certificate is marked as simulated."""
    if not evidence.certificate.simulated:
        raise CheckFailed("the certificate is not marked as simulated")


@check("smki.publish.path", source=PROFILE, status=409, section="publish.certificate")
def path(evidence: CertificateEvidence) -> None:
    """A published certificate has a path to a root of this repository."""
    failures: list[str] = []
    for hierarchy in evidence.hierarchies:
        if any(evidence.certificate.der == known.der for known in hierarchy.authorities):
            return
        try:
            validate_path(evidence.certificate, hierarchy.issuing, hierarchy.root, at=None)
        except PathError as error:
            failures.append(f"{hierarchy.name}: {error.failure.value}")
        else:
            return
    raise CheckFailed(
        "no authority known here issued the certificate",
        expected="a path to one of the simulated roots",
        found="; ".join(failures),
    )


@check("smki.publish.unique", source="RFC 5280 4.1.2.2", status=409, section="publish.certificate")
def unique(evidence: CertificateEvidence) -> None:
    """Issuer and serial number name one certificate."""
    if evidence.same_name - {evidence.certificate.fingerprint}:
        raise CheckFailed(
            "another certificate of that issuer and serial number is published",
            found=f"{evidence.certificate.issuer} {evidence.certificate.serial}",
        )


@check("smki.publish.list_issuer", source=PROFILE, status=409, section="publish.list")
def list_issuer(evidence: ListEvidence) -> None:
    """A published list names an authority of its hierarchy."""
    if evidence.issuer is None:
        raise CheckFailed(
            f"no authority of the {evidence.name} hierarchy is named as issuer",
            found=evidence.item.issuer,
        )


@check("smki.publish.list_signature", source=PROFILE, status=409, section="publish.list")
def list_signature(evidence: ListEvidence) -> None:
    """A published list is signed by its issuer."""
    issuer = evidence.issuer
    if issuer is None or not evidence.item.signed_by(issuer):
        raise CheckFailed("the list was not signed by its issuer", found=evidence.item.issuer)


@check("smki.publish.list_number", source="RFC 5280 5.2.3", status=409, section="publish.list")
def list_number(evidence: ListEvidence) -> None:
    """A published list is later than the one before."""
    if evidence.published is not None and evidence.item.number <= evidence.published:
        raise CheckFailed(
            "the list is not later than the one published",
            expected=f"more than {evidence.published}",
            found=str(evidence.item.number),
        )


CHECKS: Final[tuple[Check[Any], ...]] = (
    query,
    names,
    numbers,
    simulated,
    path,
    unique,
    list_issuer,
    list_signature,
    list_number,
)
