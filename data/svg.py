"""Figures as inline SVG: small, crisp at any size, coloured by the page's own variables in both themes.

A panel is about 1.5 kB and drawn in 0.1 ms; the same from matplotlib is 20 kB, and importing it takes a second.
Rates are drawn on a square-root scale: it starts at 0, where the rates pile up, and still shows the long tail. What
is never 0 and spreads over powers of ten (trials, pixels, lengths) is drawn on a logarithmic one.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from data.page import visible

BINS = 24  # of the histograms, above zero
LADDER = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


class Axis(Protocol):
    """A scale from 0 to 1 that numbers have their places on."""

    def places(self, values: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def ticks(self, apart: float = ...) -> list[float]: ...
    def at(self, value: float) -> float: ...
    def edges(self) -> NDArray[np.float64]: ...


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

    def places(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same for many, float64 (n,)."""
        return np.asarray(np.sqrt(np.clip(values, 0, self.top) / self.top))

    def edges(self) -> NDArray[np.float64]:
        """The bounds of the histogram's bins, float64 (BINS + 1,)."""
        return np.asarray(self.top * np.linspace(0, 1, BINS + 1) ** 2)

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
class LogAxis:
    """Positive numbers from `low` to `high` on a logarithmic scale."""

    low: float
    high: float

    @classmethod
    def over(cls, values: NDArray[np.float64], base: float = 10.0) -> "LogAxis":
        """An axis for these positive numbers (n ≥ 1,); at least a factor of `base` wide."""
        low, high = float(values.min()), float(values.max())
        spare = max(0.0, math.log(base) - math.log(high / low)) / 2
        return cls(low * math.exp(-spare), high * math.exp(spare))

    def at(self, value: float) -> float:
        """Place of a number, from 0 to 1; what lies outside is put on the edge."""
        held = min(max(value, self.low), self.high)
        return math.log(held / self.low) / math.log(self.high / self.low)

    def places(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same for many, float64 (n,)."""
        held = np.clip(values, self.low, self.high)
        return np.asarray(np.log(held / self.low) / math.log(self.high / self.low))

    def edges(self) -> NDArray[np.float64]:
        """The bounds of the histogram's bins, float64 (BINS + 1,)."""
        return np.geomspace(self.low, self.high, BINS + 1)

    def ticks(self, apart: float = 0.15) -> list[float]:
        """Round numbers at least `apart` from each other: powers of ten, and 2 and 5 of them where there is room."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        chosen: list[float] = []
        for step in (1, 3, 2, 5, 1.5, 7):
            for tick in (step * 10.0**power for power in powers):
                inside = self.low * (1 - 1e-9) <= tick <= self.high * (1 + 1e-9)
                if inside and all(abs(self.at(other) - self.at(tick)) >= apart for other in chosen):
                    chosen.append(tick)
        return sorted(chosen)


@dataclass(frozen=True)
class Histogram:
    """Shares of posts: at zero or below, and in bins of equal width on the axis."""

    zero: float
    shares: NDArray[np.float64]  # (BINS,)

    @classmethod
    def of(cls, values: NDArray[np.float64], axis: Axis) -> "Histogram":
        counts, _ = np.histogram(axis.places(values[values > 0]), bins=BINS, range=(0, 1))
        return cls(float((values <= 0).mean()), counts / len(values))

    @property
    def highest(self) -> float:
        return max(self.zero, float(self.shares.max()))


def percent(rate: float) -> str:
    """0.123 → "12.3 %", 0.5 → "50 %", with a no-break space; no digits that are zero."""
    return f"{100 * rate:.3g}\u00a0%"


def number(value: float) -> str:
    """1234567 → "1.2 M", 512 → "512", 0.25 → "0.25": at most three digits, with no-break spaces."""
    for power, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= power:
            return f"{value / (1e3 if unit == 'k' else power):.3g}\u00a0{unit}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def svg(width: float, height: float, label: str | None, parts: Iterable[str]) -> Markup:
    """A figure; without a label it only repeats what the text beside it says, and is hidden from screen readers."""
    said = 'aria-hidden="true"' if label is None else f'role="img" aria-label="{escape(visible(label))}"'
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    return Markup(f"<svg {size} {said}>{''.join(parts)}</svg>")  # noqa: S704 — numbers, and texts escaped in text()


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def text(x: float, y: float, text: str, kind: str = "", anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(visible(text))}</text>'
