"""What the bench compares, and what it writes."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import figures, page, plots
from bench.bare import Bare
from bench.figures import Figure
from bench.processes import cpu_seconds, resident_mb


def results(**found: float) -> dict[str, dict[str, dict[str, float]]]:
    return {"link": {name: {"median": value, "spread": 0.0} for name, value in found.items()}}


def test_a_ratio_beyond_the_margin_is_worse() -> None:
    said = figures.worse(results(sign=2.0, verify=1.0), results(sign=2.5, verify=1.1), 0.2)
    assert [str(one) for one in said] == ["link.sign: 2.50, committed 2.00 (+25 %)"]


def test_within_the_margin_or_better_is_not() -> None:
    assert figures.worse(results(sign=2.0), results(sign=2.39), 0.2) == []
    assert figures.worse(results(sign=2.0), results(sign=0.5), 0.2) == []


def test_within_half_of_the_spread_is_not() -> None:
    then = {"link": {"sign": {"median": 2.0, "spread": 2.0}}}
    assert figures.worse(then, results(sign=2.9), 0.2) == []
    assert figures.worse(then, results(sign=3.1), 0.2) != []


def test_what_is_of_the_machine_is_not_compared() -> None:
    assert not figures.compared("change.per_second_at_32")
    assert not figures.compared("change.floor_us")
    assert not figures.compared("start.up_with_2_s")
    assert figures.compared("start.help_cpu_over_python")
    assert figures.compared("change.cpu_over_floor_at_32")


def test_a_part_that_was_not_measured_stays_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    figures.write(results(sign=2.0), file)
    figures.write({"change": {"floor_us": {"median": 1.0, "spread": 0.0}}}, file)
    assert list(figures.read(file)) == ["change", "link"]


@pytest.mark.parametrize(
    ("values", "median", "spread"),
    [([2.0], 2.0, 0.0), ([1.0, 3.0, 2.0], 2.0, 2.0), ([1.0, 2.0, 3.0, 4.0, 5.0], 3.0, 3.0)],
)
def test_median_and_spread(values: list[float], median: float, spread: float) -> None:
    assert Figure.of(values) == Figure(median, spread)


def test_the_floor_prices_each_primitive() -> None:
    assert Bare(20.0, 60.0, 50.0).of({"sign": 2, "verify": 3, "agree": 1, "paths": 9}) == 270.0


def test_the_kernel_tells_of_this_process() -> None:
    assert cpu_seconds(1) >= 0
    assert 1 < resident_mb(__import__("os").getpid()) < 10_000


def test_pictures_are_svg_with_every_name_in_them() -> None:
    drawn = plots.bars("a < b", "ms", {"acb": 2.0, "none": 0.0})
    assert [e.text for e in ET.fromstring(drawn).iter() if e.text and e.text.strip()][:2] == [
        "a < b",
        "acb",
    ]
    points = {0: Figure(1.0, 0.1), 100: Figure(2.0, 0.0)}
    assert len(re.findall("<circle", plots.curve("t", "x", points))) == 2
    ET.fromstring(plots.curve("t", "x", {1: Figure(0.0, 0.0)}))


def test_a_table_goes_between_its_marks_and_nowhere_else(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("a\n<!-- measured: one -->\nold\n<!-- end -->\nb\n")
    page.replace("one", r"new \1", file)
    assert file.read_text() == "a\n<!-- measured: one -->\nnew \\1\n<!-- end -->\nb\n"
    with pytest.raises(ValueError, match="marks of two"):
        page.replace("two", "", file)


def test_the_committed_page_has_all_marks() -> None:
    text = page.PAGE.read_text()
    for name in ("results", "prices", "causes", "counts"):
        assert text.count(f"<!-- measured: {name} -->") == 1
