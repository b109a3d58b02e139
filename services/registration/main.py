"""Registration's process: settings, link key, store, workflow, application.

Run with ``python -m services.registration.main --config FILE``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from keys.errors import KeysError
from keys.stores.software import SoftwareKeyStore, read_secret
from keys.stores.store import LINK, Signer
from services.chassis.app import Service, StartError, run
from services.chassis.checks import CheckBook
from services.chassis.foundation import Foundation
from services.chassis.settings import load_settings
from services.chassis.time.clock import Clock
from services.chassis.web.authority import Authority, AuthorityError
from services.link.checks import request_checks
from services.link.errors import LinkSetupError
from services.link.evidence import EvidenceLog
from services.link.identity import LinkIdentity
from services.link.nonces import NonceWindow
from services.link.server import LinkServer
from services.link.trust import LinkTrust
from services.link.unsafe_old_key import UnsafeOldKey
from services.registration import api, lab
from services.registration.checks import CHECKS
from services.registration.settings import RegistrationSettings
from services.registration.store import metadata
from services.registration.workflow import EstateError, Registration

PARTY: Final = "registration"
AUTHORITY: Final = Path(__file__).with_name("authority.toml")


async def build(settings: RegistrationSettings) -> Service:
    """Open the link key and put the service together.

    Raises:
        StartError: Something it cannot do without is missing or not as it must be.
    """
    try:
        keys = SoftwareKeyStore.open(
            settings.data / "keys", read_secret(settings.data / "passphrase")
        )
        signer = keys.signer(LINK)
        trust = LinkTrust.open(settings.data / "trust")
    except (KeysError, LinkSetupError) as error:
        raise StartError(str(error)) from None
    return await assemble(settings, signer, trust)


async def assemble(
    settings: RegistrationSettings,
    signer: Signer,
    trust: LinkTrust,
    *,
    transport_clock: Clock | None = None,
) -> Service:
    """Put the service together around its link key.

    Args:
        settings: The settings.
        signer: The link key.
        trust: Whose link keys are known.
        transport_clock: Another clock for link and evidence, in tests.

    Raises:
        StartError: The parts do not fit together.
    """
    if settings.party != PARTY:
        raise StartError(f"these settings are for {settings.party}")
    book = CheckBook(PARTY, [*CHECKS, *request_checks()])
    base = await Foundation.open(settings, book, metadata, system_clock=transport_clock)
    try:
        async with base.closed_on_failure():
            authority = Authority.read(AUTHORITY)
            identity = LinkIdentity(PARTY, signer)
            base.faults.resigner = UnsafeOldKey(identity, base.system_clock)
            link = LinkServer(
                identity=identity,
                trust=trust,
                allowed={p: authority.callers(f"POST {api.path_of(p)}") for p in api.PURPOSES},
                nonces=await NonceWindow.open(base.database),
                evidence=EvidenceLog(base.database, base.audit),
                clock=base.system_clock,
                book=book,
            )
            registration = Registration(base, settings.estate_file)
            await registration.load_at_first_start()
            return Service(
                base,
                authority_file=AUTHORITY,
                routers=[api.link_routes(link, registration)],
                lab_routers=[lab.lab_routes(PARTY, registration)],
                ready=[registration.not_ready],
            )
    except (AuthorityError, LinkSetupError, EstateError, StartError) as error:
        raise StartError(str(error)) from None


def main(argv: Sequence[str] | None = None) -> None:
    """Run registration until it is told to stop."""
    settings = load_settings(RegistrationSettings, argv)
    run(lambda: build(settings), settings)


if __name__ == "__main__":
    main()
