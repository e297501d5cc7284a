"""What a run gains on predicting the mean, by bins of the rate and of the trials; up is better."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from data.svg import line, svg, text
from regress.figures.axes import Linear, number
from regress.strata import Strata

_W, _LEFT, _RIGHT, _TOP, _BASE, _APART = 340, 42, 336, 10, 128, 22


@dataclass(frozen=True)
class GainAxis:
    """Log loss gained, from `low` to `high`; 0 is always on it."""

    low: float
    high: float

    @classmethod
    def of(cls, ends: Sequence[tuple[float, float]]) -> "GainAxis":
        """Wide enough for the gains (the middle, not the whiskers), losses at most twice as far as gains."""
        high = max([1e-4, *(high for _, high in ends)])
        low = min([0.0, *(low for low, _ in ends)])
        return cls(-1.2 * min(-low, 2 * high) - high / 10, high * 1.25)


def gains(ways: Sequence[Strata], place: int, axis: GainAxis, label: str) -> Markup:
    """A dot and a whisker for each bin; bins are named by their upper ends."""
    y = Linear(axis.low, axis.high, _BASE, _TOP)
    parts = []
    for tick in y.ticks(4):
        parts.append(line(_LEFT, y.at(tick), _RIGHT, y.at(tick), "zero" if abs(tick) < 1e-12 else "grid"))
        parts.append(text(_LEFT - 5, y.at(tick) + 4, number(tick), "", "end"))
    n = sum(len(way.bins) for way in ways)
    step = (_RIGHT - _LEFT - _APART * (len(ways) - 1)) / n
    start = float(_LEFT)
    for way in ways:
        for k, error in enumerate(way.errors[place]):
            x = start + step * (k + 0.5)
            said = f"{way.bins[k].posts:,} posts: gain {number(error.gain.mean)}"
            parts.append(_bar(x, [y.at(end) for end in (error.gain.low, error.gain.mean, error.gain.high)], said))
            parts.append(text(x, _BASE + 15, _upper(way, k)))
        middle = start + step * len(way.bins) / 2
        parts.append(text(middle, _BASE + 30, "rate up to, %" if way.by == "rate" else "trials up to", "soft"))
        start += step * len(way.bins) + _APART
    return svg(_W, _BASE + 34, label, parts)


def _bar(x: float, ends: Sequence[float], said: str) -> str:
    low, middle, high = ends
    dot = f'<circle class="dot" cx="{x:.1f}" cy="{middle:.1f}" r="4"/>'
    return f"<g><title>{escape(said)}</title>{line(x, low, x, high, 'whisker')}{dot}</g>"


def _upper(way: Strata, k: int) -> str:
    high = way.bins[k].high
    if way.by == "rate":
        return f"{100 * high:.2g}" if high < 1 else "100"
    unit, letter = (1, "") if high < 1000 else (1000, "k") if high < 1e6 else (1e6, "M")
    return f"{high / unit:.{0 if high / unit >= 10 or unit == 1 else 1}f}{letter}"
