"""Where the checks of the link come from, for those that share a source."""

from __future__ import annotations

from typing import Final

SIGNATURES: Final = "RFC 9421"
SEPARATION: Final = "ECoS separation consultation (26 March 2020)"
PROFILE: Final = "link profile version 1 (own)"
