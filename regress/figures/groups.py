"""Reliability: mean truth over mean prediction of groups of posts, before and after calibration."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from data.svg import RateAxis, line, percent, svg, text

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


# Both axes are on one square-root scale.
_SIDE, _NEAR, _FAR, _FLOOR, _ROOF = 190, 36, 184, 164, 16


def calibration(groups: Sequence[Group], axis: RateAxis, label: str, before: Sequence[Group] = ()) -> Markup:
    """Mean truth over mean prediction of groups of posts, with 95 % intervals; on the diagonal they agree.

    `before`: the groups of predictions that were not calibrated yet, hollow.
    """

    def x(rate: float) -> float:
        return _NEAR + (_FAR - _NEAR) * axis.at(rate)

    def y(rate: float) -> float:
        return _FLOOR - (_FLOOR - _ROOF) * axis.at(rate)

    parts = []
    for tick in axis.ticks(0.24):
        parts += [line(x(tick), _FLOOR, x(tick), _ROOF, "grid"), line(_NEAR, y(tick), _FAR, y(tick), "grid")]
        parts += [text(x(tick), _FLOOR + 16, percent(tick)), text(_NEAR - 6, y(tick) + 4, percent(tick), "", "end")]
    parts.append(line(_NEAR, _FLOOR, _FAR, _ROOF, "diagonal"))
    for group in before:
        parts.append(f'<circle class="before" cx="{x(group.predicted):.1f}" cy="{y(group.observed):.1f}" r="3"/>')
    for group in groups:
        low, high = y(group.observed - group.margin), y(group.observed + group.margin)
        title = f"{group.posts:,} posts: predicted {percent(group.predicted)}, true {percent(group.observed)}"
        dot = f'<circle class="dot" cx="{x(group.predicted):.1f}" cy="{y(group.observed):.1f}" r="3.5"/>'
        whisker = line(x(group.predicted), low, x(group.predicted), high, "whisker")
        parts.append(f"<g><title>{escape(title)}</title>{whisker}{dot}</g>")
    parts.append(text((_NEAR + _FAR) / 2, _FLOOR + 31, "predicted", "soft"))
    parts.append(text(_NEAR - 6, _ROOF - 4, "true", "soft", "end"))
    return svg(_SIDE, _FLOOR + 36, label, parts)
