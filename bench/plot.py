"""A drawing of ratios: a row for each workload, a dot for each peer, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP, ROW = 760, 210, 24, 64, 24
COLOURS = {
    "erlen": "#2e9e5b",
    "erlen run": "#0b6b35",
    "raw": "#888888",
    "starlette": "#8e6bd8",
    "fastapi": "#12a594",
    "litestar": "#d6a300",
    "blacksheep": "#3b82f6",
    "falcon": "#e5734b",
    "sanic": "#e0428f",
    "quart": "#7aa116",
    "flask": "#b0563b",
}
"""Readable on white and on black."""
INK = "#808080"

Ratios = Mapping[str, Mapping[str, float]]
"""For each row: the ratio of each peer."""


def plot(ratios: Ratios, peers: list[str], title: str) -> str:
    """Return an SVG with all *ratios*; 1 is a line from top to bottom.

    Where nobody was answered in most rounds there is no ratio, and no dot.
    """
    ratios = {
        name: {peer: value for peer, value in row.items() if 0 < value < math.inf}
        for name, row in ratios.items()
    }
    values = [value for row in ratios.values() for value in row.values()] + [1.0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    height = TOP + ROW * len(ratios) + 40

    def x(value: float) -> float:
        return LEFT + (math.log10(value) - low) / (high - low or 1) * (WIDTH - LEFT - RIGHT)

    shapes = [*legend(peers), *scale(low, high, x, height)]
    for at, (name, row) in enumerate(ratios.items()):
        y = TOP + ROW * at + ROW / 2
        shapes.append(text(LEFT - 10, y + 4, name, "end"))
        shapes.append(line(LEFT, y, WIDTH - RIGHT, y, 0.15))
        shapes += [
            f'<circle cx="{x(value):.1f}" cy="{y:.1f}" r="4.5" fill="{COLOURS[peer]}"'
            f' fill-opacity="0.85"><title>{escape(f"{peer}: {value:.2f}")}</title></circle>'
            for peer, value in row.items()
        ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        f' font-family="sans-serif" font-size="12">\n<title>{escape(title)}</title>\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )


def legend(peers: list[str]) -> list[str]:
    """Say which colour is whose."""
    shapes, x = [], 12.0
    for peer in peers:
        shapes.append(f'<circle cx="{x:.1f}" cy="16" r="4.5" fill="{COLOURS[peer]}"/>')
        shapes.append(text(x + 8, 20, peer, "start"))
        x += 24 + 6.5 * len(peer)
    return shapes


def scale(low: int, high: int, x: Callable[[float], float], height: int) -> list[str]:
    """Draw the powers of ten and the line of Erlen."""
    shapes = []
    for power in range(low, high + 1):
        value = 10.0**power
        bottom = height - 30
        shapes.append(line(x(value), TOP - 8, x(value), bottom, 0.9 if power == 0 else 0.3))
        shapes.append(text(x(value), TOP - 14, f"{value:g}", "middle"))
    shapes.append(text(x(1.0), height - 12, "Erlen = 1", "middle"))
    return shapes


def line(x1: float, y1: float, x2: float, y2: float, opacity: float) -> str:
    """Draw a line."""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{INK}"'
        f' stroke-opacity="{opacity}"/>'
    )


def text(x: float, y: float, words: str, anchor: str) -> str:
    """Write words."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{INK}">{escape(words)}</text>'
