"""Figures that any page may draw: a histogram with its zeros apart, an interval on the way from 0 to 1."""

from collections.abc import Callable

import numpy as np
from markupsafe import Markup

from data.page import percent as exact
from data.svg import BINS, Axis, Histogram, line, percent, svg, text

# of panels with the zeros apart: this one, and the report's of predictions against the truth
W, H, ATOM, LEFT, RIGHT, TOP, BASE = 340, 186, (8, 34), 54, 324, 18, 158
_CHARACTER = 6.4  # width of a label's
EDGES = np.linspace(LEFT, RIGHT, BINS + 1)
CUT = 3.0  # a bar of zeros this many times as high as the highest of the others is cut


def histogram(
    bars: Histogram,
    axis: Axis,
    label: str,
    write: Callable[[float], str] = percent,
    mark: tuple[float, str] | None = None,
) -> Markup:
    """Shares of posts on an axis, the zeros apart where there are any; `mark` is a labelled line across it."""
    rest = float(bars.shares.max())
    top = 1.1 * (1.4 * rest if rest and bars.zero > CUT * rest else bars.highest)
    left = ATOM[0] if bars.zero else LEFT
    grid = [(height(share, top), percent(share)) for share in levels(top)]
    parts = [line(left, y, RIGHT, y, "grid") for y, _ in grid]
    parts += [filled(bars, top), line(LEFT, BASE, RIGHT, BASE, "axis")]
    if not bars.zero:
        parts += [text(LEFT - 6, y + 4, share, "soft", "end") for y, share in grid]
    else:
        parts += [text(RIGHT, y - 3, share, "soft", "end") for y, share in grid]
        parts += [line(ATOM[0], BASE, ATOM[1], BASE, "axis"), text(sum(ATOM) / 2, BASE + 16, "zero")]
        cut = "↑ " if bars.zero > top else ""
        parts.append(text(ATOM[0], height(bars.zero, top) - 5, cut + exact(bars.zero), "strong", "start"))
    for tick in axis.ticks(apart=0.18):
        x = LEFT + (RIGHT - LEFT) * axis.at(tick)
        if tick or not bars.zero:
            parts += [line(x, BASE, x, BASE + 4, "axis"), text(_within(x, write(tick)), BASE + 16, write(tick))]
    return svg(W, H, label, [*parts, *_marked(axis, mark)])


def _marked(axis: Axis, mark: tuple[float, str] | None) -> list[str]:
    if mark is None or not 0 < axis.at(mark[0]) < 1:
        return []
    x = LEFT + (RIGHT - LEFT) * axis.at(mark[0])
    return [line(x, BASE, x, TOP - 8, "diagonal"), text(_within(x, mark[1]), TOP - 11, mark[1], "strong")]


def _within(x: float, label: str) -> float:
    """Where the middle of a label at `x` is, so that it ends inside the figure."""
    return min(x, W - _CHARACTER * len(label) / 2)


def height(share: float, top: float) -> float:
    """Where a bar of that share ends; one above `top` is cut there."""
    return BASE - (BASE - TOP) * min(share, top) / top


def levels(top: float) -> tuple[float, float]:
    """Two round shares for the grid."""
    step = next((step for step in (0.5, 0.25, 0.2, 0.1, 0.05, 0.02) if 2 * step <= top), 0.01)
    return step, 2 * step


def filled(bars: Histogram, top: float) -> str:
    """All bars, as one path."""
    corners = [f"M{ATOM[0]} {BASE}V{height(bars.zero, top):.1f}H{ATOM[1]}V{BASE}z"] if bars.zero else []
    for share, left, right in zip(bars.shares, EDGES, EDGES[1:], strict=False):
        if share:
            corners.append(f"M{left + 0.4:.1f} {BASE}V{height(share, top):.1f}H{right - 0.4:.1f}V{BASE}z")
    return f'<path class="fill" d="{"".join(corners)}"/>'


_WIDTH, _TALL, _PAD = 170, 30, 8


def interval(value: float, low: float, high: float) -> Markup:
    """Dot and whisker between 0 and 1; an arrow where the value lies below 0."""
    x = [_PAD + (_WIDTH - 2 * _PAD) * min(max(each, 0.0), 1.0) for each in (low, value, high)]
    middle = _TALL / 2
    parts = [
        line(_PAD, middle, _WIDTH - _PAD, middle, "grid"),
        line(_PAD, 4, _PAD, _TALL - 4, "zero"),
        line(_WIDTH - _PAD, 4, _WIDTH - _PAD, _TALL - 4, "zero"),
        line(x[0], middle, x[2], middle, "whisker"),
    ]
    if value < 0:
        parts.append(f'<path class="dot" d="M0 {middle}l9 -5v10z"/>')
    else:
        parts.append(f'<circle class="dot" cx="{x[1]:.1f}" cy="{middle:g}" r="4"/>')
    return svg(_WIDTH, _TALL, None, parts)
