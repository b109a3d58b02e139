"""What a register says: whoever adds up its rows in whatever steps comes to the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.link.register_digest import digest, total

ROWS = st.lists(st.text(max_size=8), unique=True, max_size=8)


@given(ROWS, st.randoms(use_true_random=False))
def test_order_and_steps_do_not_matter(rows: list[str], random: object) -> None:
    whole = total(rows)
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    step = 0
    for row in shuffled:
        step = total([row], to=step)
    assert step == whole
    assert total([], without=rows, to=whole) == 0


@given(ROWS, st.text(max_size=8))
def test_another_row_says_something_else(rows: list[str], row: str) -> None:
    others = [one for one in rows if one != row]
    assert digest(total([*others, row])) != digest(total(others))


def test_it_is_as_wide_as_it_says() -> None:
    """A sum of 256 bits could be hit by the generalised birthday attack."""
    assert total(["a"]).bit_length() > 4_000
