"""Predictions against the truth on a square-root scale of rates, with the atom of zeros apart: marginal and joint."""

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from data.figures import ATOM, BASE, EDGES, LEFT, RIGHT, TOP, H, W, filled, height, levels
from data.svg import BINS, Histogram, RateAxis, line, percent, svg, text


def distribution(truth: Histogram, predicted: Histogram, axis: RateAxis, ceiling: float, label: str) -> Markup:
    """Shares of posts by rate: the prediction filled, the truth outlined; bars above `ceiling` are cut and labelled."""
    parts = []
    for share, unit in zip(levels(ceiling), ("", " of posts"), strict=True):
        y = height(share, ceiling)
        parts += [line(ATOM[0], y, RIGHT, y, "grid"), text(RIGHT, y - 3, percent(share) + unit, "soft", "end")]
    parts += [filled(predicted, ceiling), _outlined(truth, ceiling)]
    if truth.zero:
        zeros = f"{100 * truth.zero:.0f}\u00a0%"
        parts.append(text(ATOM[1] + 4, height(truth.zero, ceiling) + 9, zeros, "", "start"))
    parts += [line(ATOM[0], BASE, ATOM[1], BASE, "axis"), line(LEFT, BASE, RIGHT, BASE, "axis")]
    parts.append(text(sum(ATOM) / 2, BASE + 16, "zero"))
    for tick in axis.ticks()[1:]:
        x = LEFT + (RIGHT - LEFT) * axis.at(tick)
        anchor = "end" if x > RIGHT - 8 else "middle"
        parts += [line(x, BASE, x, BASE + 4, "axis"), text(x, BASE + 16, percent(tick), "", anchor)]
    return svg(W, H, label, [*parts, *_cut_labels(predicted, ceiling)])


def _outlined(bars: Histogram, ceiling: float) -> str:
    steps = "".join(
        f"V{height(share, ceiling):.1f}H{right:.1f}" for share, right in zip(bars.shares, EDGES[1:], strict=True)
    )
    atom = f"M{ATOM[0]} {BASE}V{height(bars.zero, ceiling):.1f}H{ATOM[1]}V{BASE}"
    return f'<path class="truth" d="{atom}M{LEFT} {BASE}{steps}V{BASE}"/>'


def _cut_labels(bars: Histogram, ceiling: float) -> list[str]:
    """The share of each bar that does not fit, above it."""
    places = [(sum(ATOM) / 2, bars.zero), *zip((EDGES[1:] + EDGES[:-1]) / 2, bars.shares, strict=True)]
    return [text(x, TOP - 6, f"↑ {percent(share)}", "strong") for x, share in places if share > ceiling]


# The joint distribution above the marginal one: the same columns, and a row of the zeros below the others.
_ROOF, _FLOOR, _ROW = 22, 186, (198, 212)  # of the plane, and of the row
_LEVELS = 6  # of opacity, equal steps of the logarithm of the number of posts


def density(y: NDArray[np.float64], p: NDArray[np.float64], axis: RateAxis, label: str) -> Markup:
    """Posts by prediction (across) and truth (up): the darker a cell the more of them, on a logarithmic scale."""
    counts = np.zeros((BINS + 1, BINS + 1), dtype=np.int64)  # truth, prediction; 0 is the atom
    np.add.at(counts, (_cell(y, axis), _cell(p, axis)), 1)
    steps = np.log1p(counts) / max(float(np.log1p(counts.max())), 1e-9) * _LEVELS
    levels = np.where(counts > 0, np.clip(np.ceil(steps), 1, _LEVELS), 0)
    parts = [line(LEFT, _FLOOR, RIGHT, _ROOF, "diagonal")]
    for level in range(1, _LEVELS + 1):
        cells = "".join(_square(int(i), int(j)) for i, j in np.argwhere(levels == level))
        parts.append(f'<path class="cell" fill-opacity="{level / _LEVELS:.2f}" d="{cells}"/>' if cells else "")
    parts += [line(LEFT, _FLOOR, RIGHT, _FLOOR, "axis"), line(LEFT, _FLOOR, LEFT, _ROOF, "axis")]
    for tick in axis.ticks()[1:]:
        height = _FLOOR - (_FLOOR - _ROOF) * axis.at(tick)
        parts += [line(LEFT - 4, height, LEFT, height, "axis")]
        parts.append(text(LEFT - 7, height + 4, percent(tick), "", "end"))
    if (y <= 0).any():
        parts.append(text(LEFT - 7, _ROW[1] - 3, "zero", "", "end"))
    parts.append(text(LEFT - 7, 9, "true ↑", "soft", "end"))
    return svg(W, _ROW[1] + 4, label, parts)


def _cell(values: NDArray[np.float64], axis: RateAxis) -> NDArray[np.int64]:
    """0 for the atom of zeros, else the bin from 1."""
    places = np.floor(np.sqrt(np.clip(values, 0, axis.top) / axis.top) * BINS).astype(np.int64)
    return np.where(values <= 0, 0, np.minimum(places, BINS - 1) + 1)


def _square(truth: int, predicted: int) -> str:
    left, right = ATOM if predicted == 0 else (EDGES[predicted - 1], EDGES[predicted])
    tall = (_FLOOR - _ROOF) / BINS
    bottom, top = (_ROW[1], _ROW[0]) if truth == 0 else (_FLOOR - tall * (truth - 1), _FLOOR - tall * truth)
    return f"M{left:.1f} {bottom:.1f}V{top:.1f}H{right:.1f}V{bottom:.1f}z"
