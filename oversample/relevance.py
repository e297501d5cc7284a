"""Relevance: how rare a target value is, from 0 (normal) to 1 (as rare as it gets), after Ribeiro and Torgo.

"extremes" is the field's box plot. With 75 % zeros or more it degenerates (median and whiskers are 0), so "hurdle"
takes atoms out first (a value that holds a tenth of the data gets 0) and fits the box plot on the rest: the rare
share of the positives then stays near 16 % from 30 to 97 % zeros. "density" calls rare what has few neighbours,
wherever it lies: gaps between two modes too, which a box plot cannot see. It is stricter with what is common: on the
same targets 47 % of the positives are rare at 0.5, 21 % at 0.8, 11 % at 0.9.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from oversample.density import Density

Array = NDArray[np.float64]
Relevance = Callable[[Array], Array]
WHISKER = 1.5
ATOM_SHARE = 0.1
ATOM_ROWS = 5  # of a dozen targets two are equal by chance
BOX_ROWS = 5
FLAT = 1e-6  # densities that differ by less than this share are equal: they are exact to 1e-9


def fit_relevance(method: str | Relevance, y: Array, control_points: Array | None = None) -> Relevance:
    """The relevance of targets y (n,): "auto", "extremes", "hurdle", "density", "range", or a function of one's own.

    "range" interpolates `control_points` (k, 2 or 3): value, relevance and, optionally, slope. "auto" is "hurdle" where
    an atom is found, else "extremes". Raises `ValueError` for an unknown name or control points that cannot be used.
    """
    if (method == "range") != (control_points is not None):
        raise ValueError(
            f"relevance={method!r}, control_points={control_points!r}: 'range' needs them, nothing else does"
        )
    if callable(method):
        return method
    if method == "range":
        return hermite(_control(control_points))
    if method == "extremes":
        return box_plot(y)
    if method in ("auto", "hurdle"):
        return hurdle(y)
    if method == "density":
        return hurdle(y, density)
    raise ValueError(f"unknown relevance {method!r}: known are auto, extremes, hurdle, density, range, or a function")


def _control(points: object) -> Array:
    try:
        table = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        table = np.empty(0)
    if table.ndim != 2 or table.shape[1] not in (2, 3) or len(table) < 2 or not np.isfinite(table).all():
        raise ValueError(f"control_points={points!r}: expected 2 or more rows of (value, relevance[, slope])")
    if len(np.unique(table[:, 0])) < len(table) or table[:, 1].min() < 0 or table[:, 1].max() > 1:
        raise ValueError(f"control_points={points!r}: expected every value once, and relevances from 0 to 1")
    return table


def atoms(y: Array) -> Array:
    """Values that hold at least a tenth of the targets each, and five of them."""
    values, counts = np.unique(y, return_counts=True)
    return np.asarray(values[counts >= max(ATOM_SHARE * len(y), ATOM_ROWS)])


def box_plot(y: Array) -> Relevance:
    """The relevance of "extremes"."""
    return hermite(extremes(y))


def hurdle(y: Array, fit: Callable[[Array], Relevance] = box_plot) -> Relevance:
    """Atoms get 0, the rest what `fit` makes of the rest alone. Without an atom this is `fit`.

    Beside an atom, a rest too small to fit (under 5 rows), or of one value, is rare as a whole.
    """
    spikes = atoms(y)
    if not len(spikes):
        return fit(y)
    rest = y[~np.isin(y, spikes)]
    whole = len(rest) < BOX_ROWS or rest.min() == rest.max()
    inner = np.ones_like if whole else fit(rest)

    def relevance(values: Array) -> Array:
        return np.where(np.isin(values, spikes), 0.0, inner(values))

    return relevance


def density(y: Array) -> Relevance:
    """1 − p̂', the density of y scaled to [0, 1] by its least and largest at y (Steininger et al. 2021): no parameters.

    A value less dense than any of y, such as one outside their range, gets 1. Where all of y is equally dense, 0.
    """
    kde = Density(y)
    at = kde.kernels(y)
    least, most = at.min(), at.max()
    if most - least <= FLAT * most:
        return lambda values: np.zeros(np.shape(values))
    return lambda values: 1 - np.clip((kde.kernels(values) - least) / (most - least), 0.0, 1.0)


def extremes(y: Array) -> Array:
    """Control points (3, 3) from the box plot: whiskers with outliers beyond them at 1, the median at 0, slopes 0.

    Where a whisker falls on the median, the outlier next to it takes its place: the median itself is never rare.
    """
    minimum, lower, median, upper, maximum = fivenum(y)
    reach = WHISKER * (upper - lower)
    inside = y[(y >= lower - reach) & (y <= upper + reach)]
    low, high = (minimum, 0.0), (maximum, 0.0)
    if minimum < inside.min():
        low = (inside.min() if inside.min() < median else y[y < median].max(), 1.0)
    if maximum > inside.max():
        high = (inside.max() if inside.max() > median else y[y > median].min(), 1.0)
    return np.array([(*low, 0.0), (median, 0.0, 0.0), (*high, 0.0)])


def fivenum(y: Array) -> Array:
    """Tukey's five numbers with his hinges, as R's `fivenum`; NumPy's quartiles differ when n mod 4 is 2."""
    ordered = np.sort(y)
    n = len(ordered)
    depth = ((n + 3) // 2) / 2
    places = np.array([1, depth, (n + 1) / 2, n + 1 - depth, n]) - 1
    return np.asarray((ordered[np.floor(places).astype(int)] + ordered[np.ceil(places).astype(int)]) / 2)


def hermite(points: Array) -> Relevance:
    """Piecewise cubic Hermite through (value, relevance[, slope]), constant outside, clamped to [0, 1].

    Slopes are limited, or without a third column chosen, by Fritsch and Carlson's rule, so that no interval overshoots.
    """
    points = points[np.argsort(points[:, 0], kind="stable")]
    points = points[np.append(np.diff(points[:, 0]) > 0, True)]
    x, f = points[:, 0], points[:, 1]
    if len(x) == 1:
        return lambda values: np.full(np.shape(values), f[0])
    with np.errstate(over="ignore"):  # neighbouring floats near 0: an infinite secant limits nothing
        secants = np.diff(f) / np.diff(x)
    slope = points[:, 2].copy() if points.shape[1] > 2 else _mean_slopes(secants)
    _limit(slope, secants)

    def relevance(values: Array) -> Array:
        v = np.clip(values, x[0], x[-1])
        i = np.clip(np.searchsorted(x, v, side="right") - 1, 0, len(secants) - 1)
        h = x[i + 1] - x[i]
        s = (v - x[i]) / h
        left = (1 + 2 * s) * (1 - s) ** 2 * f[i] + s * (1 - s) ** 2 * h * slope[i]
        right = s**2 * (3 - 2 * s) * f[i + 1] + s**2 * (s - 1) * h * slope[i + 1]
        return np.clip(left + right, 0.0, 1.0)

    return relevance


def _mean_slopes(secants: Array) -> Array:
    """Mean of the neighbouring secants inside, 0 at both ends, where relevance becomes constant."""
    return np.concatenate([[0.0], (secants[:-1] + secants[1:]) / 2, [0.0]])


def _limit(slope: Array, secants: Array) -> None:
    """Fritsch and Carlson (1980): keep each interval monotone, in place."""
    for i, secant in enumerate(secants):
        pair = slope[i : i + 2]
        pair[pair * np.sign(secant) <= 0] = 0.0
        if (size := np.hypot(*pair)) > 3 * abs(secant):
            pair *= 3 * abs(secant) / size
