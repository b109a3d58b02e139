"""How many parts a JSON body may have, counted before it is read. Pure.

Reading JSON costs by the value, not by the octet: a body that an edge lets through by its length
could hold so many that everybody else waits while it is read. So the marks that separate values are
counted first, in one pass of the octets. Those that stand inside a text are counted too: a body of
this profile holds texts of base64, names and times, which have none or few.

The numbers are this project's own. What is honest was measured: a register's extract has about
9 parts for a home with one registration and 4 for each further one; no other body has more than
some tens. (10,000 homes with two registrations each: 2.6 MB, 130,000 parts.)
"""

from __future__ import annotations

from typing import Final

MOST: Final = 4_096
"""Parts of any body."""
MOST_LONG: Final = 500_000
"""Parts of an answer that is long by its nature."""
LONG_ANSWERS: Final = frozenset({"registration-extract"})
"""Purposes whose answers are."""
_MARKS: Final = (b",", b"[", b"{")


def most_parts(purpose: str, *, answer: bool) -> int:
    """How many parts a body for that purpose may have."""
    return MOST_LONG if answer and purpose in LONG_ANSWERS else MOST


def count_parts(body: bytes) -> int:
    """At least as many as there are values in a JSON document, if it is one."""
    return sum([body.count(mark) for mark in _MARKS])
