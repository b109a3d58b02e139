"""The repository's tables: published certificates and the latest list of each hierarchy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text, func, select
from sqlalchemy.dialects.sqlite import insert

from keys.certificate import Certificate
from keys.crl import RevocationList
from services.chassis.data import rows
from services.chassis.data.connection import StoreConnection
from services.smki_repository.model import CertificatesQuestion

metadata: Final = MetaData()

certificates: Final = Table(
    "certificate",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("fingerprint", Text, nullable=False, unique=True),
    Column("issuer", Text, nullable=False),
    Column("serial", Text, nullable=False, index=True),
    Column("eui", Text, index=True),
    Column("key_identifier", Text, nullable=False, index=True),
    Column("der", LargeBinary, nullable=False),
)
lists: Final = Table(
    "revocation_list",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", Text, nullable=False),
    Column("der", LargeBinary, nullable=False),
)


async def find(conn: StoreConnection, question: CertificatesQuestion) -> list[bytes]:
    """The certificates a question asks for, DER, in the order in which they were published."""
    match question.by:
        case "eui":
            wanted = {"eui": question.eui}
        case "issuer_serial":
            wanted = {"issuer": question.issuer, "serial": question.serial}
        case _:
            wanted = {"key_identifier": question.key_identifier}
    return [row.der for row in await rows.find_all(conn, certificates, **wanted)]


def name_of(certificate: Certificate) -> tuple[str, str]:
    """Issuer and serial number, as the table has them."""
    return certificate.issuer, str(certificate.serial)


async def same_name(conn: StoreConnection, certificate: Certificate) -> frozenset[str]:
    """Fingerprints of what is published under the certificate's issuer and serial number."""
    issuer, serial = name_of(certificate)
    query = select(certificates.c.fingerprint).where(
        certificates.c.issuer == issuer, certificates.c.serial == serial
    )
    return frozenset((await conn.execute(query)).scalars())


async def names(conn: StoreConnection) -> dict[tuple[str, str], set[str]]:
    """Fingerprints of everything that is published, by issuer and serial number."""
    found: dict[tuple[str, str], set[str]] = {}
    columns = (certificates.c.issuer, certificates.c.serial, certificates.c.fingerprint)
    for row in await conn.execute(select(*columns)):
        found.setdefault((row.issuer, row.serial), set()).add(row.fingerprint)
    return found


async def add(conn: StoreConnection, new: Sequence[Certificate]) -> None:
    """Publish certificates that are not published yet."""
    values = [
        {
            "fingerprint": certificate.fingerprint,
            "issuer": certificate.issuer,
            "serial": str(certificate.serial),
            "eui": certificate.subject_eui,
            "key_identifier": certificate.key_identifier.hex(),
            "der": certificate.der,
        }
        for certificate in new
    ]
    if values:
        await conn.execute(insert(certificates), values)


async def count(conn: StoreConnection) -> int:
    """How many certificates are published."""
    return int((await conn.execute(select(func.count()).select_from(certificates))).scalar_one())


async def put_list(conn: StoreConnection, name: str, item: RevocationList) -> None:
    """Publish a list in place of the one of that name."""
    values: dict[str, Any] = {"number": str(item.number), "der": item.der}
    await conn.execute(
        insert(lists)
        .values(name=name, **values)
        .on_conflict_do_update(index_elements=["name"], set_=values)
    )


async def published_lists(conn: StoreConnection) -> dict[str, tuple[int, bytes]]:
    """Number and DER of each published list, by name."""
    found = await rows.find_all(conn, lists)
    return {row.name: (int(row.number), row.der) for row in found}
