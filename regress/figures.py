"""The report's plots as inline SVG: small, crisp at any size, coloured by the page's own variables in both themes.

A panel is about 1.5 kB and drawn in 0.1 ms; the same from matplotlib is 20 kB, and importing it takes a second.
Rates are drawn on a square-root scale: it starts at 0, where the rates pile up, and still shows the long tail.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

BINS = 24  # of the histograms, above zero
GROUPS = 10  # of the reliability plots
LADDER = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


@dataclass(frozen=True)
class RateAxis:
    """Rates from 0 to `top` on a square-root scale."""

    top: float

    @classmethod
    def up_to(cls, highest: float) -> "RateAxis":
        """An axis that ends at a round rate, at most 1."""
        highest = min(max(highest, 1e-4), 1.0)
        power = 10.0 ** math.floor(math.log10(highest))
        return cls(min(1.0, next(step * power for step in LADDER if step * power >= highest * (1 - 1e-9))))

    def at(self, rate: float) -> float:
        """Place of a rate, from 0 to 1; what lies outside is put on the edge."""
        return math.sqrt(min(max(rate, 0.0), self.top) / self.top)

    def ticks(self, apart: float = 0.15) -> list[float]:
        """Round rates at least `apart` from each other, with 0."""
        powers = [10.0**k for k in range(-6, 1)]
        steps = [step * power for power in powers for step in (1, 2, 5) if step * power <= self.top * (1 + 1e-9)]
        chosen: list[float] = []
        for tick in reversed(steps):
            if self.at(tick) >= apart and all(self.at(other) - self.at(tick) >= apart for other in chosen):
                chosen.append(tick)
        return [0.0, *reversed(chosen)]


@dataclass(frozen=True)
class Histogram:
    """Shares of posts: at zero or below, and in bins of equal width on the axis."""

    zero: float
    shares: NDArray[np.float64]  # (BINS,)

    @classmethod
    def of(cls, values: NDArray[np.float64], axis: RateAxis) -> "Histogram":
        places = np.sqrt(np.clip(values[values > 0], 0, axis.top) / axis.top)
        counts, _ = np.histogram(places, bins=BINS, range=(0, 1))
        return cls(float((values <= 0).mean()), counts / len(values))

    @property
    def highest(self) -> float:
        return max(self.zero, float(self.shares.max()))


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


def percent(rate: float) -> str:
    """0.123 → "12.3 %", 0.5 → "50 %", with a no-break space; no digits that are zero."""
    return f"{100 * rate:.3g}\u00a0%"


def _svg(width: float, height: float, label: str | None, parts: Iterable[str]) -> Markup:
    """A figure; without a label it only repeats what the text beside it says, and is hidden from screen readers."""
    said = 'aria-hidden="true"' if label is None else f'role="img" aria-label="{escape(label)}"'
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    return Markup(f"<svg {size} {said}>{''.join(parts)}</svg>")  # noqa: S704 — numbers, and texts escaped in _text


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


# Predictions against the truth: the zero atom apart, the rest on the square-root scale.
_W, _H, _ATOM, _LEFT, _RIGHT, _TOP, _BASE = 340, 186, (8, 34), 54, 332, 18, 158
_EDGES = np.linspace(_LEFT, _RIGHT, BINS + 1)


def distribution(truth: Histogram, predicted: Histogram, axis: RateAxis, ceiling: float, label: str) -> Markup:
    """Shares of posts by rate: the prediction filled, the truth outlined; bars above `ceiling` are cut and labelled."""
    parts = []
    for share, unit in zip(_levels(ceiling), ("", " of posts"), strict=True):
        y = _height(share, ceiling)
        parts += [_line(_ATOM[0], y, _RIGHT, y, "grid"), _text(_RIGHT, y - 3, percent(share) + unit, "soft", "end")]
    parts += [_filled(predicted, ceiling), _outlined(truth, ceiling)]
    if truth.zero:
        zeros = f"{100 * truth.zero:.0f}\u00a0%"
        parts.append(_text(_ATOM[1] + 4, _height(truth.zero, ceiling) + 9, zeros, "", "start"))
    parts += [_line(_ATOM[0], _BASE, _ATOM[1], _BASE, "axis"), _line(_LEFT, _BASE, _RIGHT, _BASE, "axis")]
    parts.append(_text(sum(_ATOM) / 2, _BASE + 16, "zero"))
    for tick in axis.ticks()[1:]:
        x = _LEFT + (_RIGHT - _LEFT) * axis.at(tick)
        anchor = "end" if x > _RIGHT - 8 else "middle"
        parts += [_line(x, _BASE, x, _BASE + 4, "axis"), _text(x, _BASE + 16, percent(tick), "", anchor)]
    return _svg(_W, _H, label, [*parts, *_cut_labels(predicted, ceiling)])


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
    return [_text(x, _TOP - 6, f"↑ {percent(share)}", "strong") for x, share in places if share > ceiling]


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
        parts += [_line(x(tick), _FLOOR, x(tick), _ROOF, "grid"), _line(_NEAR, y(tick), _FAR, y(tick), "grid")]
        parts += [_text(x(tick), _FLOOR + 16, percent(tick)), _text(_NEAR - 6, y(tick) + 4, percent(tick), "", "end")]
    parts.append(_line(_NEAR, _FLOOR, _FAR, _ROOF, "diagonal"))
    for group in groups:
        low, high = y(group.observed - group.margin), y(group.observed + group.margin)
        title = f"{group.posts:,} posts: predicted {percent(group.predicted)}, true {percent(group.observed)}"
        dot = f'<circle class="dot" cx="{x(group.predicted):.1f}" cy="{y(group.observed):.1f}" r="3.5"/>'
        whisker = _line(x(group.predicted), low, x(group.predicted), high, "whisker")
        parts.append(f"<g><title>{escape(title)}</title>{whisker}{dot}</g>")
    parts.append(_text((_NEAR + _FAR) / 2, _FLOOR + 31, "predicted", "soft"))
    parts.append(_text(_NEAR - 6, _ROOF - 4, "true", "soft", "end"))
    return _svg(_SIDE, _FLOOR + 36, label, parts)


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
    labels = [_text(axis.at(tick), 12, f"{tick:.2g}".replace("-", "−"), "soft") for tick in axis.ticks()]
    return _svg(_WIDTH, 16, "scale of D²: 0 is predicting the mean, 1 the floor", labels)


def skill(d2: float | None, low: float | None, high: float | None, axis: SkillAxis) -> Markup:
    """Dot and whisker; an arrow where a run lies off the scale."""
    middle = _TALL / 2
    ticks = [(axis.at(tick), "grid" if tick else "zero") for tick in axis.ticks()]
    parts = [_line(x, -_BEYOND, x, _TALL + _BEYOND, kind) for x, kind in ticks]  # a taller row cuts them off
    if low is not None and high is not None:
        parts.append(_line(axis.at(low), middle, axis.at(high), middle, "whisker"))
    if d2 is not None and d2 < axis.low:
        parts.append(f'<path class="dot" d="M{_PAD - 8} {middle}l9 -5v10z"/>')
    elif d2 is not None:
        parts.append(f'<circle class="dot" cx="{axis.at(d2):.1f}" cy="{middle:g}" r="5"/>')
    return _svg(_WIDTH, _TALL, None, parts)
