"""Reads what lies on disk: the repository folder that the ceremony filled, and the hierarchies.

Repository folder: ``certificates/*.pem`` (one certificate each) and ``crl/<name>.crl`` (PEM).
Trust folder: ``organisation-root.pem``, ``organisation-issuing.pem``, ``device-root.pem``,
``device-issuing.pem``, ``infrastructure-root.pem``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from keys.certificate import Certificate
from keys.crl import RevocationList, read_crl_pem
from keys.errors import KeysError
from services.link.authorities import Authorities
from services.smki_repository.checks import Hierarchy
from services.smki_repository.model import LISTS


class FolderError(Exception):
    """A file is missing or does not hold what it should."""


def read_hierarchies(trust: Path) -> tuple[Hierarchy, ...]:
    """The three hierarchies, from a trust folder.

    Raises:
        FolderError: An authority is missing, unreadable, not one, or not marked as simulated.
    """
    try:
        found = Authorities.read(trust)
    except KeysError as error:
        raise FolderError(str(error)) from None
    return (
        Hierarchy("organisation", found.organisation_root, found.organisation_authorities),
        Hierarchy("device", found.device_root, found.device_authorities),
        Hierarchy("infrastructure", found.infrastructure_root),
    )


def read_certificates(folder: Path) -> Iterator[tuple[str, Certificate]]:
    """Each certificate of the repository folder, with its file's name, in name order.

    Raises:
        FolderError: A file cannot be read or is not one certificate.
    """
    for path in sorted((folder / "certificates").glob("*.pem")):
        yield path.name, _certificate(path)


def read_lists(folder: Path) -> Iterator[tuple[str, RevocationList]]:
    """Each revocation list of the repository folder, by name.

    Raises:
        FolderError: A file cannot be read or is not a list.
    """
    for name in LISTS:
        path = folder / "crl" / f"{name}.crl"
        if not path.exists():
            continue
        try:
            yield name, read_crl_pem(path.read_bytes())
        except (OSError, KeysError) as error:
            raise FolderError(f"{path}: {error}") from None


def _certificate(path: Path) -> Certificate:
    try:
        return Certificate.from_pem(path.read_bytes())
    except (OSError, KeysError) as error:
        raise FolderError(f"{path}: {error}") from None
