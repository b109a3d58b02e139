"""RequestID and ResponseID: who asks whom, and the requester's counter.

Text form: two entity identifiers as eight hyphenated hex octets each, and a decimal counter, joined
by colons: `90-B3-D5-1F-30-01-00-00:00-DB-12-34-56-78-90-A0:1006`. Source: DUIS 5.4 schema, types
RequestIDType and ResponseIDType (docs/sources.md#service-requests).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from duis.errors import RequestIdInvalid

COUNTER_MAX = 2**64 - 1

_EUI_TEXT = re.compile(r"[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){7}")
_EUI_VALUE = re.compile(r"[0-9a-f]{16}")
_COUNTER = re.compile(r"0|[1-9][0-9]{0,19}")


def eui_to_text(eui: str) -> str:
    """Sixteen lower-case hex digits to the hyphenated upper-case form of DUIS.

    Raises:
        RequestIdInvalid: the value is not sixteen lower-case hex digits (reason
            `entity_identifier`).
    """
    _require_eui(eui)
    return bytes.fromhex(eui).hex("-").upper()


def _require_eui(eui: str) -> None:
    if _EUI_VALUE.fullmatch(eui) is None:
        raise RequestIdInvalid("entity_identifier", eui[:40], "wanted 16 lower-case hex digits")


def eui_from_text(text: str) -> str:
    """The hyphenated form of DUIS, in either case, to sixteen lower-case hex digits.

    Raises:
        RequestIdInvalid: any other text (reason `entity_identifier`).
    """
    if _EUI_TEXT.fullmatch(text) is None:
        raise RequestIdInvalid("entity_identifier", text[:40], "wanted eight hyphenated hex octets")
    return text.replace("-", "").lower()


@dataclass(frozen=True, slots=True)
class RequestId:
    """Originator, target and originator's counter of a request; or the same of a response.

    Attributes:
        originator: 16 lower-case hex digits: the user (in a ResponseID: the device).
        target: 16 lower-case hex digits: the device (in a ResponseID: the user).
        counter: 0 to 2^64-1. The user's own: it is not the counter of any GBCS command.

    Raises:
        RequestIdInvalid: on construction, when a part is outside its range.
    """

    originator: str
    target: str
    counter: int

    def __post_init__(self) -> None:
        _require_eui(self.originator)
        _require_eui(self.target)
        if not 0 <= self.counter <= COUNTER_MAX:
            raise RequestIdInvalid(
                "request_id_counter", str(self.counter)[:40], "wanted 0 to 2^64-1"
            )

    @classmethod
    def from_text(cls, text: str) -> RequestId:
        """Read the text form.

        Raises:
            RequestIdInvalid: not three parts (`request_id`), a malformed identifier
                (`entity_identifier`), a counter with leading zeros, sign or more than 2^64-1
                (`request_id_counter`).
        """
        parts = text.split(":")
        if len(parts) != 3:
            raise RequestIdInvalid("request_id", text[:80], "wanted originator:target:counter")
        originator, target, counter = parts
        if _COUNTER.fullmatch(counter) is None:
            raise RequestIdInvalid(
                "request_id_counter", counter[:40], "wanted digits, no leading zero"
            )
        return cls(eui_from_text(originator), eui_from_text(target), int(counter))

    @property
    def text(self) -> str:
        """The text form, identifiers in upper case."""
        return f"{eui_to_text(self.originator)}:{eui_to_text(self.target)}:{self.counter}"

    @property
    def response_id(self) -> RequestId:
        """The identifier of the answer: the two parties change places, the counter stays."""
        return RequestId(self.target, self.originator, self.counter)

    def __str__(self) -> str:
        """The text form."""
        return self.text
