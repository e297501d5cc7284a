"""Predictions against the truth on a square-root scale of rates, with the atom of zeros apart: marginal and joint."""

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from data.svg import BINS, Histogram, RateAxis, line, percent, svg, text

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


# The joint distribution above the marginal one: the same columns, and a row of the zeros below the others.
_ROOF, _FLOOR, _ROW = 22, 186, (198, 212)  # of the plane, and of the row
_LEVELS = 6  # of opacity, equal steps of the logarithm of the number of posts


def density(y: NDArray[np.float64], p: NDArray[np.float64], axis: RateAxis, label: str) -> Markup:
    """Posts by prediction (across) and truth (up): the darker a cell the more of them, on a logarithmic scale."""
    counts = np.zeros((BINS + 1, BINS + 1), dtype=np.int64)  # truth, prediction; 0 is the atom
    np.add.at(counts, (_cell(y, axis), _cell(p, axis)), 1)
    steps = np.log1p(counts) / max(float(np.log1p(counts.max())), 1e-9) * _LEVELS
    levels = np.where(counts > 0, np.clip(np.ceil(steps), 1, _LEVELS), 0)
    parts = [line(_LEFT, _FLOOR, _RIGHT, _ROOF, "diagonal")]
    for level in range(1, _LEVELS + 1):
        cells = "".join(_square(int(i), int(j)) for i, j in np.argwhere(levels == level))
        parts.append(f'<path class="cell" fill-opacity="{level / _LEVELS:.2f}" d="{cells}"/>' if cells else "")
    parts += [line(_LEFT, _FLOOR, _RIGHT, _FLOOR, "axis"), line(_LEFT, _FLOOR, _LEFT, _ROOF, "axis")]
    for tick in axis.ticks()[1:]:
        height = _FLOOR - (_FLOOR - _ROOF) * axis.at(tick)
        parts += [line(_LEFT - 4, height, _LEFT, height, "axis")]
        parts.append(text(_LEFT - 7, height + 4, percent(tick), "", "end"))
    if (y <= 0).any():
        parts.append(text(_LEFT - 7, _ROW[1] - 3, "zero", "", "end"))
    parts.append(text(_LEFT - 7, 9, "true ↑", "soft", "end"))
    return svg(_W, _ROW[1] + 4, label, parts)


def _cell(values: NDArray[np.float64], axis: RateAxis) -> NDArray[np.int64]:
    """0 for the atom of zeros, else the bin from 1."""
    places = np.floor(np.sqrt(np.clip(values, 0, axis.top) / axis.top) * BINS).astype(np.int64)
    return np.where(values <= 0, 0, np.minimum(places, BINS - 1) + 1)


def _square(truth: int, predicted: int) -> str:
    left, right = _ATOM if predicted == 0 else (_EDGES[predicted - 1], _EDGES[predicted])
    tall = (_FLOOR - _ROOF) / BINS
    bottom, top = (_ROW[1], _ROW[0]) if truth == 0 else (_FLOOR - tall * (truth - 1), _FLOOR - tall * truth)
    return f"M{left:.1f} {bottom:.1f}V{top:.1f}H{right:.1f}V{bottom:.1f}z"
