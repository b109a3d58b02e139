"""What the repository does: publish what passes its checks, and answer what is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from keys.certificate import Certificate
from keys.crl import RevocationList, read_crl
from services.chassis.checks import Approved, CheckRun, Refused
from services.chassis.context import ServiceContext
from services.chassis.data.connection import StoreConnection
from services.chassis.time.leases import Grants
from services.link.bodies import text
from services.link.opened import Opened
from services.smki_repository import folder, store
from services.smki_repository.checks import (
    CertificateEvidence,
    Hierarchy,
    ListEvidence,
    RevocationEvidence,
)
from services.smki_repository.model import LISTS, CertificatesQuestion, RevocationQuestion

CERTIFICATE: Final = "publish.certificate"
LIST: Final = "publish.list"


class Repository:
    """The SMKI repository of one estate."""

    def __init__(
        self,
        base: ServiceContext,
        hierarchies: tuple[Hierarchy, ...],
        repository: Path,
        use_list: Callable[[RevocationList], None],
    ) -> None:
        """Put it together; `use_list` is told of each list published: its own link looks at one."""
        self._base = base
        self._hierarchies = hierarchies
        self._folder = repository
        self._use_list = use_list
        self._grants = Grants(base.settings.source_lease_seconds)

    async def reload(self) -> None:
        """Publish what is new in the folder, while callers rely on what was published before.

        Raises:
            FolderError: As `load`.
        """
        await self.load()
        await self._grants.run_out()

    async def load(self) -> None:
        """Publish what the repository folder holds and is not published yet.

        A list in the folder that is no later than the published one is passed over: it was
        replaced since.

        Raises:
            FolderError: A file cannot be read, or holds what no honest repository publishes.
        """
        async with self._base.database.begin() as conn:
            await self._load_certificates(conn)
            published = await store.published_lists(conn)
            for name, item in folder.read_lists(self._folder):
                if name in published and item.number <= published[name][0]:
                    continue
                run = self._base.book.start(name, section=LIST)
                try:
                    approved = await self._judge_list(conn, name, item, run)
                except Refused as refused:
                    raise folder.FolderError(f"{name}.crl: {refused}") from None
                await self._publish_list(conn, approved)
            held = await store.published_lists(conn)
        for _, der in held.values():
            self._use_list(read_crl(der))

    async def _load_certificates(self, conn: StoreConnection) -> None:
        """All that are new in one go: a ceremony may have made a meter park's worth."""
        published = await store.names(conn)
        new: list[Certificate] = []
        for file, certificate in folder.read_certificates(self._folder):
            same_name = published.setdefault(store.name_of(certificate), set())
            if certificate.fingerprint in same_name:
                continue
            run = self._base.book.start(file, section=CERTIFICATE)
            try:
                approved = self._judge_certificate(certificate, frozenset(same_name), run)
            except Refused as refused:
                raise folder.FolderError(f"{file}: {refused}") from None
            same_name.add(certificate.fingerprint)
            new.append(approved.evidence.certificate)
        if not new:
            return
        await store.add(conn, new)
        fingerprints = [certificate.fingerprint for certificate in new]
        record = {"certificates": fingerprints}
        await self._base.audit.append(conn, "smki.folder", str(self._folder.name), record)
        await self._base.traces.record(
            self._folder.name,
            "published",
            name="repository folder",
            summary=f"{len(new)} certificates",
            conn=conn,
        )

    async def not_ready(self) -> str | None:
        """What is not published yet; None if nothing is wanting."""
        async with self._base.database.connect() as conn:
            missing = sorted(set(LISTS) - set(await store.published_lists(conn)))
            if missing:
                return f"no {missing[0]} revocation list is published"
            return None if await store.count(conn) else "no certificate is published"

    async def certificates(self, opened: Opened) -> dict[str, Any]:
        """Answer `smki-certificates`.

        Raises:
            Problem: The body does not fit.
            Refused: A check of section "certificates" says no.
        """
        question = opened.read(CertificatesQuestion)
        run = self._base.book.start(opened.message_id, section="certificates")
        try:
            question = run.judge(question).evidence
        except Refused as refused:
            await self._trace(opened, "refused", refused.detail, run)
            raise
        async with self._base.database.connect() as conn:
            found = await store.find(conn, question)
        await self._trace(opened, "answered", f"{len(found)} certificates by {question.by}", run)
        return {"version": 1, "certificates": [text(der) for der in found]}

    async def revocation(self, opened: Opened) -> dict[str, Any]:
        """Answer `smki-revocation`: each list, or null where the caller holds the published one.

        Raises:
            Problem: The body does not fit.
            Refused: A check of section "revocation" says no.
        """
        question = opened.read(RevocationQuestion)
        lease = self._grants.grant() if question.lease else None
        async with self._base.database.connect() as conn:
            published = await store.published_lists(conn)
        numbers = {name: number for name, (number, _) in published.items()}
        run = self._base.book.start(opened.message_id, section="revocation")
        try:
            known = run.judge(RevocationEvidence(question.known, numbers)).evidence.known
        except Refused as refused:
            await self._trace(opened, "refused", refused.detail, run)
            raise
        lists = {
            name: None if known.get(name) == number else text(der)
            for name, (number, der) in published.items()
        }
        sent = sorted(name for name, item in lists.items() if item is not None)
        if sent:  # only news is worth a trace: parties ask often
            await self._trace(opened, "answered", f"lists: {', '.join(sent)}", run)
        answer: dict[str, Any] = {"version": 1, "lists": lists}
        if lease is not None:
            answer["lease"] = lease
        return answer

    async def publish_certificate(self, certificate: Certificate) -> dict[str, Any]:
        """Publish one certificate.

        Raises:
            Refused: A check of section "publish.certificate" says no; nothing has changed.
        """
        run = self._base.book.start(certificate.fingerprint, section=CERTIFICATE)
        try:
            async with self._base.database.begin() as conn:
                same_name = await store.same_name(conn, certificate)
                approved = self._judge_certificate(certificate, same_name, run)
                new = certificate.fingerprint not in same_name
                if new:
                    await self._publish_certificate(conn, approved)
        except Refused as refused:
            await self._trace_refusal(_subject(certificate), "certificate", refused, run)
            raise
        return {**_certificate_facts(certificate), "new": new}

    async def publish_list(self, name: str, item: RevocationList) -> dict[str, Any]:
        """Publish a revocation list in place of the one of that name.

        Raises:
            Refused: A check of section "publish.list" says no; nothing has changed.
        """
        run = self._base.book.start(name, section=LIST)
        try:
            async with self._base.database.begin() as conn:
                judged = await self._judge_list(conn, name, item, run)
                facts = await self._publish_list(conn, judged)
        except Refused as refused:
            await self._trace_refusal(name, "revocation list", refused, run)
            raise
        await self._grants.run_out()
        return facts

    async def shown(self, question: CertificatesQuestion) -> list[dict[str, Any]]:
        """Published certificates, for the lab port."""
        async with self._base.database.connect() as conn:
            found = await store.find(conn, question)
        return [
            {**_certificate_facts(Certificate.from_der(der)), "certificate": text(der)}
            for der in found
        ]

    async def state(self) -> dict[str, Any]:
        """How many certificates and which lists are published, for the lab port."""
        async with self._base.database.connect() as conn:
            certificates = await store.count(conn)
            published = await store.published_lists(conn)
        return {
            "certificates": certificates,
            "lists": {name: _list_facts(read_crl(der)) for name, (_, der) in published.items()},
        }

    def _judge_certificate(
        self, certificate: Certificate, same_name: frozenset[str], run: CheckRun
    ) -> Approved[CertificateEvidence]:
        return run.judge(CertificateEvidence(certificate, self._hierarchies, same_name))

    async def _judge_list(
        self, conn: StoreConnection, name: str, item: RevocationList, run: CheckRun
    ) -> Approved[ListEvidence]:
        published = (await store.published_lists(conn)).get(name)
        hierarchy = next((h for h in self._hierarchies if h.name == name), None)
        number = None if published is None else published[0]
        return run.judge(ListEvidence(name, item, hierarchy, number))

    async def _publish_list(
        self, conn: StoreConnection, approved: Approved[ListEvidence]
    ) -> dict[str, Any]:
        name, item = approved.evidence.name, approved.evidence.item
        await store.put_list(conn, name, item)
        self._base.database.on_commit(partial(self._use_list, item))
        facts = {"name": name, **_list_facts(item)}
        await self._base.audit.append(conn, "smki.list", name, facts, item.der)
        await self._base.traces.record(
            name,
            "published",
            name="revocation list",
            summary=f"number {item.number}",
            verdicts=approved.verdicts,
            conn=conn,
        )
        return facts

    async def _publish_certificate(
        self, conn: StoreConnection, approved: Approved[CertificateEvidence]
    ) -> None:
        certificate = approved.evidence.certificate
        await store.add(conn, [certificate])
        facts = _certificate_facts(certificate)
        subject = _subject(certificate)
        await self._base.audit.append(conn, "smki.certificate", subject, facts, certificate.der)
        await self._base.traces.record(
            subject,
            "published",
            name="certificate",
            summary=f"{certificate.issuer} {certificate.serial}",
            verdicts=approved.verdicts,
            conn=conn,
        )

    async def _trace_refusal(
        self, subject: str, what: str, refused: Refused, run: CheckRun
    ) -> None:
        await self._base.traces.record(
            subject, "refused", name=what, summary=refused.detail, verdicts=run.verdicts()
        )

    async def _trace(self, opened: Opened, kind: str, summary: str, run: CheckRun) -> None:
        await self._base.traces.record(
            opened.message_id,
            kind,
            sender=opened.sender,
            receiver=self._base.settings.party,
            name=opened.purpose,
            summary=summary,
            verdicts=run.verdicts(),
        )


def _subject(certificate: Certificate) -> str:
    return certificate.subject_eui or certificate.fingerprint


def _certificate_facts(certificate: Certificate) -> dict[str, Any]:
    return {
        "fingerprint": certificate.fingerprint,
        "issuer": certificate.issuer,
        "serial": str(certificate.serial),
        "eui": certificate.subject_eui,
        "role": certificate.role,
        "usage": None if certificate.usage is None else certificate.usage.value,
        "key_identifier": certificate.key_identifier.hex(),
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
    }


def _list_facts(item: RevocationList) -> dict[str, Any]:
    return {
        "issuer": item.issuer,
        "number": item.number,
        "this_update": item.this_update.isoformat(),
        "next_update": item.next_update.isoformat(),
        "serials": sorted(str(serial) for serial in item.serials),
    }
