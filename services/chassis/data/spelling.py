"""The one spelling under which requests, messages and entities are kept.

===================  ===========================================  ==================================
what                 as people and documents write it             as it is kept
===================  ===========================================  ==================================
DUIS RequestID       hexadecimal digits in either case            `02-53-…:02-53-…:1`, upper case
GBCS reference       hexadecimal digits in either case            `0253…:0253…:1`, lower case
entity identifier    either case, with or without hyphens         `0253…`, lower case
===================  ===========================================  ==================================

Sources: DUIS 5.4 RequestIDType, whose pattern takes both cases; the rest is ours. Who looks
something up spells it so first: a lab port in every path and query, the broker's interface in its
own, the command line in its arguments.
"""

from __future__ import annotations

import re
from typing import Final

_PAIRS: Final = r"[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){7}"
_PLAIN: Final = r"[0-9A-Fa-f]{16}"
_REQUEST_ID: Final = re.compile(rf"{_PAIRS}:{_PAIRS}:[0-9]{{1,20}}")
_REFERENCE: Final = re.compile(rf"{_PLAIN}:{_PLAIN}:[0-9]{{1,20}}")
_ENTITY: Final = re.compile(rf"{_PAIRS}|{_PLAIN}")


def spelled(text: str) -> str:
    """The text as it is kept, if it is one of the above; else unchanged."""
    if _REQUEST_ID.fullmatch(text):
        return text.upper()
    if _REFERENCE.fullmatch(text):
        return text.lower()
    if _ENTITY.fullmatch(text):
        return text.replace("-", "").lower()
    return text
