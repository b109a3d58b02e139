"""Text of servers and other processes, made harmless before a terminal shows it."""

from __future__ import annotations

import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that a terminal obeys or does not show: controls, formats, surrogates, ends
of lines and paragraphs."""


def visible(text: object) -> str:
    """One line of text in which whatever a terminal would obey or hide is an escape.

    Sequences that colour, move or clear, and links (OSC 8), begin with such a character.
    """
    return "".join(
        one
        if unicodedata.category(one) not in _HIDDEN
        else one.encode("unicode_escape").decode("ascii")
        for one in str(text)
    )
