"""D² with its interval on an axis that all rows of a table share."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from data.svg import line, svg, text
from regress.figures.axes import Linear

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
        return Linear(self.low, self.high, 0, 1).ticks()


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


def gap(values: Sequence[float], axis: SkillAxis) -> Markup:
    """D² of one run on several kinds of folds: a line from the first, hollow, to the last."""
    middle = _TALL / 2
    parts = [line(axis.at(x), 0, axis.at(x), _TALL, "grid" if x else "zero") for x in axis.ticks()]
    parts.append(line(axis.at(values[0]), middle, axis.at(values[-1]), middle, "whisker"))
    parts += [f'<circle class="dot" cx="{axis.at(d2):.1f}" cy="{middle:g}" r="5"/>' for d2 in values[1:]]
    parts.append(f'<circle class="before" cx="{axis.at(values[0]):.1f}" cy="{middle:g}" r="5"/>')
    return svg(_WIDTH, _TALL, None, parts)
