"""Start the Enduring CoS Party: ``python -m ecos_party.main --config FILE``.

Settings, then keys, then store, workflow and listeners. The only module of this organisation that
opens private keys; what goes further are signers.
"""

from __future__ import annotations

from functools import partial

from cos_party.assembly import CosKeys, assemble
from cos_party.settings import CosPartySettings
from ecos_party.identity import ORGANISATION
from keys.stores.software import open_store
from keys.stores.store import DIGITAL_SIGNING, LINK
from services.chassis.app import Service, run
from services.chassis.settings import load_settings
from services.link.assembly import start_errors


def open_keys(settings: CosPartySettings) -> CosKeys:
    """The signers of this organisation, from its own folder.

    Raises:
        StartError: a key cannot be opened, or is not one of this simulation.
    """
    with start_errors():
        store = open_store(settings.data)
        return CosKeys(store.signer(DIGITAL_SIGNING), store.signer(LINK))


async def build(settings: CosPartySettings) -> Service:
    """This CoS Party as a service."""
    return await assemble(ORGANISATION, settings, open_keys(settings))


def main() -> None:
    """Run until asked to stop."""
    settings = load_settings(CosPartySettings)
    run(partial(build, settings), settings)


if __name__ == "__main__":
    main()
