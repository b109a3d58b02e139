"""Who this CoS Party is: its name, the prefix of its checks, and who may call it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cos_party.assembly import Organisation

ORGANISATION: Final = Organisation(
    party="tcos_party",
    check_prefix="tcos",
    authority_file=Path(__file__).with_name("authority.toml"),
)
