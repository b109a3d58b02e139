"""An organisation's keys and certificates, made in the ceremony or after it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path

from keys.certificate import Certificate
from keys.issuing.authorities import Authorities
from keys.issuing.plan import KeyPlan, OrganisationPlan
from keys.issuing.profiles import Validity
from keys.stores.software import SoftwareKeyStore, write_secret
from keys.stores.store import DIGITAL_SIGNING


def new_store(folder: Path) -> SoftwareKeyStore:
    """A new key store in a folder, its passphrase beside it.

    Raises:
        KeyStoreError: there is one already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    passphrase = secrets.token_urlsafe(32).encode()
    write_secret(folder / "passphrase", passphrase)
    return SoftwareKeyStore.create(folder / "keys", passphrase)


def make_keys(
    authorities: Authorities,
    store: SoftwareKeyStore,
    eui: str,
    keys: Iterable[KeyPlan],
    validity: Validity,
    *,
    common_name: str | None = None,
) -> dict[str, Certificate]:
    """Make an entity's keys in its store; returns their certificates by name.

    As in the test set, only the digital signing certificate has a common name.
    """
    made = {}
    for key in keys:
        made[key.name] = authorities.organisation(
            eui,
            key.role,
            key.usage,
            store.generate(key.name),
            validity=validity,
            common_name=common_name if key.name == DIGITAL_SIGNING else None,
        )
        store.install(key.name, made[key.name])
    return made


def common_name_of(plan: OrganisationPlan) -> str | None:
    """What a supplier's digital signing certificate calls it; other organisations have no name."""
    return f"SIM-SUPPLIER-{plan.name}" if plan.kind == "supplier" else None


def supplier_facts(plan: OrganisationPlan) -> dict[str, str | None]:
    """A supplier as `supplier.json` has it."""
    return {"name": plan.name, "participant": plan.participant or plan.name, "eui": plan.eui}
