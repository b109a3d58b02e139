"""The key ceremony: a whole simulated estate from one plan, into one empty folder.

::

    DATA/smki/                         the authorities; only this and `cos keys` open them
    DATA/<system>/keys/                its key store; passphrase and lab.token beside it, 0600
    DATA/<system>/trust/               authorities and every system's link certificate
    DATA/smki_repository/repository/   what the repository publishes at first
    DATA/suppliers/<name>/             a supplier's own keys
    DATA/organisations/<name>/         those of other organisations
    DATA/devices.json, estate.json     public facts: the meters to install, who is who

Keys are made by the store that keeps them; only public halves meet the authorities. The clock is
an argument. A folder that holds anything is never touched.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from keys.certificate import Certificate
from keys.crl import read_crl
from keys.errors import CeremonyError
from keys.issuing import profiles
from keys.issuing.authorities import (
    AUTHORITIES,
    DEVICE_ISSUING,
    DEVICE_ROOT,
    INFRASTRUCTURE_ROOT,
    LISTS,
    ORGANISATION_ISSUING,
    ORGANISATION_ROOT,
    Authorities,
    write_json,
    years_from,
)
from keys.issuing.devices import cell_contents, certify_device, device_record, published_name
from keys.issuing.plan import (
    AuthorityPlan,
    CeremonyPlan,
    KeyPlan,
    OrganisationPlan,
    PartyPlan,
    load_plan,
)
from keys.simulated import DEVICE_POLICY, INFRASTRUCTURE_POLICY, ORGANISATION_POLICY
from keys.stores.software import SoftwareKeyStore, write_secret
from keys.stores.store import DEVICE_SEED, DIGITAL_SIGNING, LINK

__all__ = ["load_plan", "run_ceremony"]

REGISTRATION = "registration"
BROKER_XML_SIGNING = "acb-xml-signing"


def run_ceremony(plan: CeremonyPlan, out: Path, *, now: datetime) -> None:
    """Hold the ceremony.

    Args:
        plan: what to make.
        out: the data folder; made if missing. Folders of systems may exist if they are empty.
        now: the ceremony's time; certificates begin a day before.

    Raises:
        CeremonyError: something is in the folder already, or the plan does not fit together.
    """
    now = now.astimezone(UTC).replace(microsecond=0)
    out.mkdir(parents=True, exist_ok=True)
    for path in out.rglob("*"):
        if path.is_file():
            raise CeremonyError(
                f"{out} is not empty ({path.relative_to(out)}): nothing is overwritten"
            )
    _Ceremony(plan, out, now).run()


class _Ceremony:
    """One ceremony in progress."""

    def __init__(self, plan: CeremonyPlan, out: Path, now: datetime) -> None:
        self.plan = plan
        self.out = out
        self.now = now
        self.authorities = Authorities(_new_store(out / "smki"))
        # What the repository publishes, by file name.
        self.published: dict[str, Certificate] = {}
        self.links: dict[str, Certificate] = {}
        self.device_stores: list[SoftwareKeyStore] = []

    def run(self) -> None:
        self._make_authorities()
        for party in self.plan.parties:
            self._make_party(party)
        for organisation in self.plan.organisations:
            self._make_organisation(organisation)
        self._hand_out_trust()
        devices = self._make_devices()
        self._publish()
        write_json(self.out / "devices.json", devices)
        estate = self._estate(devices)
        write_json(self.out / "estate.json", estate)
        if (self.out / REGISTRATION).is_dir():
            # Its own copy: no system reads outside its own folder.
            write_json(self.out / REGISTRATION / "estate.json", estate)

    def _make_authorities(self) -> None:
        self._root(ORGANISATION_ROOT, self.plan.organisation_root, ORGANISATION_POLICY, None)
        self._issuing(
            ORGANISATION_ISSUING,
            self.plan.organisation_issuing,
            ORGANISATION_ROOT,
            ORGANISATION_POLICY,
        )
        self._root(DEVICE_ROOT, self.plan.device_root, DEVICE_POLICY, None)
        self._issuing(DEVICE_ISSUING, self.plan.device_issuing, DEVICE_ROOT, DEVICE_POLICY)
        self._root(INFRASTRUCTURE_ROOT, self.plan.infrastructure_root, INFRASTRUCTURE_POLICY, 0)
        for name in AUTHORITIES:
            self.published[name] = self.authorities.store.certificate(name)

    def _root(self, name: str, plan: AuthorityPlan, policy: str, path_length: int | None) -> None:
        store = self.authorities.store
        public_key = store.generate(name)
        der = profiles.root_authority(
            plan.name,
            plan.role,
            public_key,
            store.uncertified_signer(name).sign,
            policy=policy,
            validity=years_from(self.now, plan.years),
            path_length=path_length,
        )
        store.install(name, Certificate.from_der(der))

    def _issuing(self, name: str, plan: AuthorityPlan, root: str, policy: str) -> None:
        store = self.authorities.store
        der = profiles.issuing_authority(
            self.authorities.issuer(root),
            plan.name,
            plan.role,
            store.generate(name),
            policy=policy,
            validity=years_from(self.now, plan.years),
        )
        store.install(name, Certificate.from_der(der))

    def _make_party(self, plan: PartyPlan) -> None:
        system = plan.system
        folder = self.out / system
        store = _new_store(folder)
        write_secret(folder / "lab.token", secrets.token_urlsafe(32).encode())
        if plan.link:
            certificate = self.authorities.link(
                system, store.generate(LINK), years_from(self.now, self.plan.link_years)
            )
            store.install(LINK, certificate)
            self.links[system] = certificate
        if plan.device_seed:
            store.generate(DEVICE_SEED)
            self.device_stores.append(store)
        self._make_keys(store, system, plan.eui, plan.keys)

    def _make_organisation(self, plan: OrganisationPlan) -> None:
        supplier = plan.kind == "supplier"
        folder = self._organisation_folder(plan)
        common_name = f"SIM-SUPPLIER-{plan.name}" if supplier else None
        self._make_keys(_new_store(folder), plan.name, plan.eui, plan.keys, common_name)
        if supplier:
            facts = {"name": plan.name, "participant": plan.participant, "eui": plan.eui}
            write_json(folder / "supplier.json", facts)

    def _make_keys(
        self,
        store: SoftwareKeyStore,
        owner: str,
        eui: str | None,
        keys: tuple[KeyPlan, ...],
        common_name: str | None = None,
    ) -> None:
        """Make an entity's keys in its store, and publish their certificates.

        As in the test set, only a supplier's digital signing certificate has a common name.
        """
        validity = years_from(self.now, self.plan.organisation_years)
        for key in keys:
            if eui is None:
                raise CeremonyError(f"{owner} has keys in the plan but no entity identifier")
            certificate = self.authorities.organisation(
                eui,
                key.role,
                key.usage,
                store.generate(key.name),
                validity=validity,
                common_name=common_name if key.name == DIGITAL_SIGNING else None,
            )
            store.install(key.name, certificate)
            self.published[f"{owner}-{key.name}"] = certificate

    def _hand_out_trust(self) -> None:
        """Give everyone the public things they check others by.

        Systems: the authorities and every system's link certificate. Organisations: the
        organisation authorities, and the certificate that signs the data company's XML.
        """
        authorities = {name: self.authorities.store.certificate(name) for name in AUTHORITIES}
        for party in self.plan.parties:
            trust = self.out / party.system / "trust"
            (trust / "link").mkdir(parents=True)
            _write_certificates(trust, authorities)
            _write_certificates(trust / "link", self.links)
        shown = {name: authorities[name] for name in (ORGANISATION_ROOT, ORGANISATION_ISSUING)}
        if BROKER_XML_SIGNING in self.published:
            shown[BROKER_XML_SIGNING] = self.published[BROKER_XML_SIGNING]
        for organisation in self.plan.organisations:
            trust = self._organisation_folder(organisation) / "trust"
            trust.mkdir()
            _write_certificates(trust, shown)

    def _organisation_folder(self, plan: OrganisationPlan) -> Path:
        kind = "suppliers" if plan.kind == "supplier" else "organisations"
        return self.out / kind / plan.name

    def _make_devices(self) -> list[dict[str, Any]]:
        made = []
        for run in self.plan.devices:
            cells = cell_contents(run, self.published)
            for offset in range(run.count):
                eui = run.eui(offset)
                certificates = certify_device(
                    self.authorities, self.device_stores[0].device_keys(), eui, self.now
                )
                for name, certificate in certificates.items():
                    self.published[published_name(eui, name)] = certificate
                made.append(device_record(run, offset, certificates, cells))
        return made

    def _publish(self) -> None:
        repository = self.out / "smki_repository" / "repository"
        (repository / "certificates").mkdir(parents=True)
        (repository / "crl").mkdir()
        for name, certificate in self.published.items():
            (repository / "certificates" / f"{name}.pem").write_bytes(certificate.to_pem())
        for name in LISTS:
            der = self.authorities.revocation_list(name, 1, self.now, self.plan.revocation_days, {})
            (repository / "crl" / f"{name}.crl").write_bytes(read_crl(der).to_pem())

    def _estate(self, devices: list[dict[str, Any]]) -> dict[str, Any]:
        """Public facts: what registration starts from, and what tools need to know."""
        suppliers = [o for o in self.plan.organisations if o.kind == "supplier"]
        participant = {o.name: o.participant or o.name for o in suppliers}
        registrations = self.plan.registrations
        now = self.now.isoformat()
        periods = [
            {
                "participant": participant[registrations.present],
                "effective_from": registrations.since.isoformat(),
                "effective_to": now,
            },
            {
                "participant": participant[registrations.incoming],
                "effective_from": now,
                "effective_to": None,
            },
        ]
        return {
            "simulated": True,
            "made_at": now,
            "acb_eui": self.plan.party("acb").eui,
            "parties": {p.system: p.eui for p in self.plan.parties if p.eui},
            "suppliers": [
                {"name": o.name, "participant": participant[o.name], "eui": o.eui}
                for o in suppliers
            ],
            "organisations": {o.name: o.eui for o in self.plan.organisations},
            "participants": [
                {"id": participant[o.name], "name": f"Supplier {o.name}", "euis": [o.eui]}
                for o in suppliers
            ],
            "meter_points": [
                {"mpxn": d["mpxn"], "devices": [d["eui"]], "registrations": periods}
                for d in devices
            ],
        }


def _new_store(folder: Path) -> SoftwareKeyStore:
    folder.mkdir(parents=True, exist_ok=True)
    passphrase = secrets.token_urlsafe(32).encode()
    write_secret(folder / "passphrase", passphrase)
    return SoftwareKeyStore.create(folder / "keys", passphrase)


def _write_certificates(folder: Path, certificates: Mapping[str, Certificate]) -> None:
    for name, certificate in certificates.items():
        (folder / f"{name}.pem").write_bytes(certificate.to_pem())
