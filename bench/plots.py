"""Small pictures as SVG, plain enough to be read in a difference of two commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10
from typing import Final
from xml.sax.saxutils import escape

from bench.figures import Figure

WIDTH: Final = 640
LEFT: Final = 150
LINE: Final = 24
TOP: Final = 40
HIGH: Final = 220
INK: Final = "#1f4e79"


def bars(title: str, unit: str, values: Mapping[str, float]) -> str:
    """One bar a name, the greatest as wide as the picture."""
    most = max(values.values()) or 1.0
    room = WIDTH - LEFT - 90
    parts = []
    for number, (name, value) in enumerate(values.items()):
        y = TOP + number * LINE
        wide = room * value / most
        parts += [
            _text(LEFT - 8, y + 14, name, anchor="end"),
            f'<rect x="{LEFT}" y="{y}" width="{wide:.1f}" height="16" fill="{INK}"/>',
            _text(LEFT + wide + 6, y + 14, f"{value:.3g}"),
        ]
    height = TOP + len(values) * LINE + 24
    return _svg(height, [_title(title), *parts, _text(LEFT, height - 8, unit)])


def curve(title: str, across: str, points: Mapping[int, Figure]) -> str:
    """Medians as a line, spreads as strokes; across by powers (0 stands at the left end)."""
    xs = sorted(points)
    places = [log10(x + 1) for x in xs]
    wide = (places[-1] - places[0]) or 1.0
    most = max(one.median + one.spread / 2 for one in points.values()) or 1.0
    room = WIDTH - LEFT - 60

    def at(x: float) -> float:
        return LEFT + room * (x - places[0]) / wide

    def up(value: float) -> float:
        return TOP + HIGH * (1 - value / most)

    parts = [
        f'<path d="M{LEFT} {TOP}V{TOP + HIGH}H{WIDTH - 40}" fill="none" stroke="#888"/>',
        _text(LEFT - 8, up(most) + 5, f"{most:.3g}", anchor="end"),
        _text(LEFT - 8, up(0), "0", anchor="end"),
    ]
    line: list[str] = []
    for x, place in zip(xs, places, strict=True):
        one, across_at = points[x], at(place)
        low, high = one.median - one.spread / 2, one.median + one.spread / 2
        line.append(f"{across_at:.1f},{up(one.median):.1f}")
        parts += [
            f'<path d="M{across_at:.1f} {up(low):.1f}V{up(high):.1f}" stroke="{INK}"/>',
            f'<circle cx="{across_at:.1f}" cy="{up(one.median):.1f}" r="4" fill="{INK}"/>',
            _text(across_at + 6, up(one.median) - 8, f"{one.median:.3g}"),
            _text(across_at, TOP + HIGH + 18, f"{x:,}", anchor="middle"),
        ]
    parts.append(f'<polyline points="{" ".join(line)}" fill="none" stroke="{INK}"/>')
    height = TOP + HIGH + 50
    parts.append(_text(LEFT + room / 2, height - 10, across, anchor="middle"))
    return _svg(height, [_title(title), *parts])


def _title(text: str) -> str:
    return _text(10, 22, text, size=15)


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )


def _svg(height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'width="{WIDTH}" height="{height:.0f}" font-family="sans-serif">'
    )
    ground = f'<rect width="{WIDTH}" height="{height:.0f}" fill="white"/>'
    return "\n".join([head, ground, *parts, "</svg>"]) + "\n"
