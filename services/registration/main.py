"""Registration's process: settings, link key, store, workflow, application.

Run with ``python -m services.registration.main --config FILE``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from keys.stores.software import open_store
from keys.stores.store import LINK, Signer
from services.chassis.app import Service, run
from services.chassis.checks import CheckBook
from services.chassis.settings import load_settings
from services.chassis.time.clock import Clock
from services.link.assembly import link_end, start_errors
from services.link.checks import request_checks
from services.link.trust import LinkTrust
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
    with start_errors():
        signer = open_store(settings.data).signer(LINK)
    return await assemble(settings, signer)


async def assemble(
    settings: RegistrationSettings,
    signer: Signer,
    trust: LinkTrust | None = None,
    *,
    transport_clock: Clock | None = None,
) -> Service:
    """Put the service together around its link key.

    Args:
        settings: The settings.
        signer: The link key.
        trust: Whose link keys are known, in tests.
        transport_clock: Another clock for link and evidence, in tests.

    Raises:
        StartError: The parts do not fit together.
    """
    book = CheckBook(PARTY, [*CHECKS, *request_checks()])
    with start_errors(EstateError):
        async with link_end(
            settings, signer, book, metadata, trust=trust, system_clock=transport_clock
        ) as link:
            registration = Registration(link.base, settings.estate_file)
            await registration.load_at_first_start()
            return Service(
                link.base,
                authority_file=AUTHORITY,
                routers=[api.link_routes(await link.server(AUTHORITY), registration)],
                lab_routers=[lab.lab_routes(PARTY, registration)],
                ready=[registration.not_ready],
            )


def main(argv: Sequence[str] | None = None) -> None:
    """Run registration until it is told to stop."""
    settings = load_settings(RegistrationSettings, argv)
    run(lambda: build(settings), settings)


if __name__ == "__main__":
    main()
