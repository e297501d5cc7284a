"""The report's own plots: distributions, reliability, D² with its interval."""

import math
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from data.svg import BINS, Histogram, RateAxis, line, percent, svg, text

GROUPS = 10  # of the reliability plots


@dataclass(frozen=True)
class Group:
    """Posts with similar predictions: how many, their mean prediction and mean truth, and its 95 % half-width."""

    posts: int
    predicted: float
    observed: float
    margin: float


def reliability(y: NDArray[np.float64], p: NDArray[np.float64]) -> list[Group]:
    """About ten groups of equally many posts, in the order of their predictions; equal predictions stay together."""
    order = np.argsort(p, kind="stable")
    starts = np.searchsorted(p[order], p[order][np.arange(GROUPS) * len(p) // GROUPS])
    groups = []
    for rows in np.split(order, np.unique(starts)[1:]):
        margin = 1.96 * float(y[rows].std(ddof=1)) / math.sqrt(len(rows)) if len(rows) > 1 else 0.0
        groups.append(Group(len(rows), float(p[rows].mean()), float(y[rows].mean()), margin))
    return groups


# Predictions against the truth: the zero atom apart, the rest on the square-root scale.
_W, _H, _ATOM, _LEFT, _RIGHT, _TOP, _BASE = 340, 186, (8, 34), 54, 332, 18, 158
_EDGES = np.linspace(_LEFT, _RIGHT, BINS + 1)


def distribution(truth: Histogram, predicted: Histogram, axis: RateAxis, ceiling: float, label: str) -> Markup:
    """Shares of posts by rate: the prediction filled, the truth outlined; bars above `ceiling` are cut and labelled."""
    parts = []
    for share, unit in zip(_levels(ceiling), ("", " of posts"), strict=True):
        y = _height(share, ceiling)
        parts += [line(_ATOM[0], y, _RIGHT, y, "grid"), text(_RIGHT, y - 3, percent(share) + unit, "soft", "end")]
    parts += [_filled(predicted, ceiling), _outlined(truth, ceiling)]
    if truth.zero:
        zeros = f"{100 * truth.zero:.0f}\u00a0%"
        parts.append(text(_ATOM[1] + 4, _height(truth.zero, ceiling) + 9, zeros, "", "start"))
    parts += [line(_ATOM[0], _BASE, _ATOM[1], _BASE, "axis"), line(_LEFT, _BASE, _RIGHT, _BASE, "axis")]
    parts.append(text(sum(_ATOM) / 2, _BASE + 16, "zero"))
    for tick in axis.ticks()[1:]:
        x = _LEFT + (_RIGHT - _LEFT) * axis.at(tick)
        anchor = "end" if x > _RIGHT - 8 else "middle"
        parts += [line(x, _BASE, x, _BASE + 4, "axis"), text(x, _BASE + 16, percent(tick), "", anchor)]
    return svg(_W, _H, label, [*parts, *_cut_labels(predicted, ceiling)])


def _height(share: float, ceiling: float) -> float:
    return _BASE - (_BASE - _TOP) * min(share, ceiling) / ceiling


def _levels(ceiling: float) -> list[float]:
    """Two round shares for the grid."""
    step = next(step for step in (0.5, 0.25, 0.2, 0.1, 0.05, 0.02, 0.01) if 2 * step <= ceiling or step == 0.01)
    return [step, 2 * step]


def _filled(bars: Histogram, ceiling: float) -> str:
    corners = [f"M{_ATOM[0]} {_BASE}V{_height(bars.zero, ceiling):.1f}H{_ATOM[1]}V{_BASE}z"] if bars.zero else []
    for share, left, right in zip(bars.shares, _EDGES, _EDGES[1:], strict=False):
        if share:
            corners.append(f"M{left + 0.4:.1f} {_BASE}V{_height(share, ceiling):.1f}H{right - 0.4:.1f}V{_BASE}z")
    return f'<path class="fill" d="{"".join(corners)}"/>'


def _outlined(bars: Histogram, ceiling: float) -> str:
    steps = "".join(
        f"V{_height(share, ceiling):.1f}H{right:.1f}" for share, right in zip(bars.shares, _EDGES[1:], strict=True)
    )
    atom = f"M{_ATOM[0]} {_BASE}V{_height(bars.zero, ceiling):.1f}H{_ATOM[1]}V{_BASE}"
    return f'<path class="truth" d="{atom}M{_LEFT} {_BASE}{steps}V{_BASE}"/>'


def _cut_labels(bars: Histogram, ceiling: float) -> list[str]:
    """The share of each bar that does not fit, above it."""
    places = [(sum(_ATOM) / 2, bars.zero), *zip((_EDGES[1:] + _EDGES[:-1]) / 2, bars.shares, strict=True)]
    return [text(x, _TOP - 6, f"↑ {percent(share)}", "strong") for x, share in places if share > ceiling]


# Reliability: mean truth against mean prediction, both on one square-root scale.
_SIDE, _NEAR, _FAR, _FLOOR, _ROOF = 190, 36, 184, 164, 16


def calibration(groups: list[Group], axis: RateAxis, label: str) -> Markup:
    """Mean truth over mean prediction of groups of posts, with 95 % intervals; on the diagonal they agree."""

    def x(rate: float) -> float:
        return _NEAR + (_FAR - _NEAR) * axis.at(rate)

    def y(rate: float) -> float:
        return _FLOOR - (_FLOOR - _ROOF) * axis.at(rate)

    parts = []
    for tick in axis.ticks(0.24):
        parts += [line(x(tick), _FLOOR, x(tick), _ROOF, "grid"), line(_NEAR, y(tick), _FAR, y(tick), "grid")]
        parts += [text(x(tick), _FLOOR + 16, percent(tick)), text(_NEAR - 6, y(tick) + 4, percent(tick), "", "end")]
    parts.append(line(_NEAR, _FLOOR, _FAR, _ROOF, "diagonal"))
    for group in groups:
        low, high = y(group.observed - group.margin), y(group.observed + group.margin)
        title = f"{group.posts:,} posts: predicted {percent(group.predicted)}, true {percent(group.observed)}"
        dot = f'<circle class="dot" cx="{x(group.predicted):.1f}" cy="{y(group.observed):.1f}" r="3.5"/>'
        whisker = line(x(group.predicted), low, x(group.predicted), high, "whisker")
        parts.append(f"<g><title>{escape(title)}</title>{whisker}{dot}</g>")
    parts.append(text((_NEAR + _FAR) / 2, _FLOOR + 31, "predicted", "soft"))
    parts.append(text(_NEAR - 6, _ROOF - 4, "true", "soft", "end"))
    return svg(_SIDE, _FLOOR + 36, label, parts)


# D² with its interval on an axis that all rows of the leaderboard share.
_WIDTH, _TALL, _PAD, _BEYOND = 210, 52, 12, 60


@dataclass(frozen=True)
class SkillAxis:
    """D² from `low` to `high`; 0 is always on it, and 1 when the runs come half as far."""

    low: float
    high: float

    @classmethod
    def of(cls, intervals: list[tuple[float, float]]) -> "SkillAxis":
        """Wide enough for the intervals, but no wider below zero than above: a run at −5 must not flatten the rest."""
        high = max([0.02, *(high for _, high in intervals)])
        low = min([0.0, *(low for low, _ in intervals)])
        high = 1.0 if high > 0.5 else high * 1.04
        return cls(max(low * 1.04, -high), high)

    def at(self, d2: float) -> float:
        return _PAD + (_WIDTH - 2 * _PAD) * (min(max(d2, self.low), self.high) - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round values, about four of them."""
        rough = (self.high - self.low) / 4
        power = 10.0 ** math.floor(math.log10(rough))
        step = min((s * power for s in (1, 2, 5, 10)), key=lambda s: abs(s - rough))
        return [k * step for k in range(math.ceil(self.low / step), math.floor(self.high / step + 1e-9) + 1)]


def skill_axis(axis: SkillAxis) -> Markup:
    """The scale above the leaderboard's column."""
    labels = [text(axis.at(tick), 12, f"{tick:.2g}".replace("-", "−"), "soft") for tick in axis.ticks()]
    return svg(_WIDTH, 16, "scale of D²: 0 is predicting the mean, 1 the floor", labels)


def skill(d2: float | None, low: float | None, high: float | None, axis: SkillAxis) -> Markup:
    """Dot and whisker; an arrow where a run lies off the scale."""
    middle = _TALL / 2
    ticks = [(axis.at(tick), "grid" if tick else "zero") for tick in axis.ticks()]
    parts = [line(x, -_BEYOND, x, _TALL + _BEYOND, kind) for x, kind in ticks]  # a taller row cuts them off
    if low is not None and high is not None:
        parts.append(line(axis.at(low), middle, axis.at(high), middle, "whisker"))
    if d2 is not None and d2 < axis.low:
        parts.append(f'<path class="dot" d="M{_PAD - 8} {middle}l9 -5v10z"/>')
    elif d2 is not None:
        parts.append(f'<circle class="dot" cx="{axis.at(d2):.1f}" cy="{middle:g}" r="5"/>')
    return svg(_WIDTH, _TALL, None, parts)
