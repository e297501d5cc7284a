"""Miscalibration against discrimination, with lines of equal D² (after Dimitriadis, Gneiting, Jordan 2021)."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from data.svg import svg, text
from regress.figures.axes import Linear, number

_W, _H, _LEFT, _RIGHT, _TOP, _BASE = 560, 400, 58, 530, 26, 356
_R = 9.5  # of a dot, with its run's number inside


@dataclass(frozen=True)
class Point:
    """A run: its number and colour, and the two parts of its log loss in nats."""

    place: int
    colour: str
    name: str
    miscalibration: float
    discrimination: float


def plane(points: Sequence[Point], scale: float) -> Markup:
    """Up is a better order, right are worse numbers; `scale` is uncertainty − floor, what D² is a share of.

    A run far to the right must not flatten the others: it is put on the edge, with an arrow.
    """
    top = 1.08 * max(*(point.discrimination for point in points), scale / 50)
    wide = 1.15 * max(*(point.miscalibration for point in points), scale / 100)
    x, y = Linear(0, min(wide, 1.5 * top), _LEFT, _RIGHT), Linear(0, top, _BASE, _TOP)
    parts = _lines(x, y, scale)
    for tick in x.ticks(5):
        parts.append(text(x.at(tick), _BASE + 18, number(tick)))
    for tick in y.ticks(5):
        parts.append(text(_LEFT - 8, y.at(tick) + 4, number(tick), "", "end"))
    parts.append(f'<path class="axis" d="M{_LEFT} {_TOP}V{_BASE}H{_RIGHT}"/>')
    parts.append(text(_RIGHT, _BASE + 36, "miscalibration, nats: right is worse →", "soft", "end"))
    parts.append(text(_LEFT - 50, _TOP - 12, "↑ discrimination, nats: up is better", "soft", "start"))
    parts += [_dot(point, x, y) for point in reversed(points)]  # the best on top
    return svg(_W, _H, "miscalibration and discrimination of each run; the table has the numbers", parts)


def _lines(x: Linear, y: Linear, scale: float) -> list[str]:
    """discrimination = miscalibration + D² (uncertainty − floor), labelled where they leave the plot."""
    parts = []
    for d2 in Linear((y.low - x.high) / scale, y.high / scale, 0, 1).ticks(7):
        start, level = max(0.0, -d2 * scale), d2 * scale
        end = min(x.high, y.high - level)
        if end <= start:
            continue
        kind = "diagonal" if abs(d2) < 1e-9 else "grid"
        ends = f"M{x.at(start):.1f} {y.at(start + level):.1f}L{x.at(end):.1f} {y.at(end + level):.1f}"
        parts.append(f'<path class="{kind}" d="{ends}"/>')
        label = f"D² {number(d2)}" if d2 else "D² 0: the mean"
        if end < x.high:  # it leaves through the roof, where the axis' title is on the left
            if x.at(end) > _LEFT + 190:
                parts.append(text(x.at(end), _TOP - 4, label, "soft"))
        else:
            parts.append(text(_RIGHT, y.at(end + level) - 4, label, "soft", "end"))
    return parts


def _dot(point: Point, x: Linear, y: Linear) -> str:
    across, up = x.at(point.miscalibration), y.at(point.discrimination)
    arrow = "→" if point.miscalibration > x.high else ""
    said = f"{point.name}: miscalibration {point.miscalibration:.4f}, discrimination {point.discrimination:.4f}"
    inside = text(across, up + 4, f"{point.place}", "inside")
    beside = text(across + _R + 2, up + 4, arrow, "", "start") if arrow else ""
    circle = f'<circle class="dot" cx="{across:.1f}" cy="{up:.1f}" r="{_R}"/>'
    return f'<g style="--run:var(--{point.colour})"><title>{escape(said)}</title>{circle}{inside}{beside}</g>'
