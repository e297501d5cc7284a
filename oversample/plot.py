"""Relevance over the histogram of a target: what a sampler takes for rare, seen before anything is sampled.

A tenth of the rows at one value would flatten every other bar, so atoms are drawn apart, as pins with their share.
Matplotlib is imported on use; the rest of the package does not need it.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from oversample.base import RegressionSampler
from oversample.density import check_target
from oversample.relevance import Relevance, atoms, fit_relevance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]
BARS = 40
LINE = 1001  # points of the curve and of the shading
STEEP = 50  # the fullest bar over the median one: beyond, counts are drawn on a log scale
GREY, RED, BLUE = "#9aa5b1", "#c8553d", "#1f4e79"


def plot_relevance(
    source: str | Relevance | RegressionSampler, y: Array, *, threshold: float | None = None, ax: "Axes | None" = None
) -> "Axes":
    """Histogram of targets y (n,) with their relevance φ over it, the threshold, and the rare area shaded.

    `source` is a sampler, fitted or not, whose relevance, control points and threshold are used, or a relevance: a name
    or a function. `threshold` takes the place of the sampler's, and is 0.5 beside a relevance. Returns the axes of the
    histogram, of a new figure without `ax`; φ is on axes of its own to the right. Raises `ValueError` for targets that
    are not finite numbers, and for what `fit_relevance` refuses.
    """
    import matplotlib.pyplot as plt

    y = check_target(y)
    limit = 0.5 if threshold is None else threshold
    if isinstance(source, RegressionSampler):
        limit = source.threshold if threshold is None else threshold
        relevance = fit_relevance(source.relevance, y, source.control_points)
    else:
        relevance = fit_relevance(source, y)
    if ax is None:
        ax = plt.subplots(figsize=(7, 4), layout="constrained")[1]
    ends = _ends(y)
    _draw_counts(ax, y, relevance(y) >= limit, ends)
    _draw_relevance(ax, relevance, limit, ends)
    _draw_atoms(ax, y)
    rare = np.mean(relevance(y) >= limit)
    ax.set(xlim=ends, xlabel="target", ylabel="rows")
    ax.set_title(f"{len(y):,} targets, {_percent(float(rare))} rare (relevance from {limit:g})", fontsize="medium")
    return ax


def _ends(y: Array) -> tuple[float, float]:
    """The range with a margin; that of a constant around it."""
    margin = 0.03 * float(np.ptp(y)) or abs(float(y[0])) or 1.0
    return float(y.min()) - margin, float(y.max()) + margin


def _draw_counts(ax: "Axes", y: Array, rare: NDArray[np.bool_], ends: tuple[float, float]) -> None:
    """Bars of what is no atom, the rare rows of each stacked on the others in their own colour."""
    rest = ~np.isin(y, atoms(y))
    low, high = (float(y[rest].min()), float(y[rest].max())) if rest.any() else ends
    edges = np.histogram_bin_edges(y[rest], BARS, (low, high) if low < high else ends)
    counts = np.histogram(y[rest], edges)[0]
    filled = counts[counts > 0]
    log = len(filled) > 0 and bool(filled.max() > STEEP * np.median(filled))
    ax.hist(
        [y[rest & ~rare], y[rest & rare]],
        bins=edges.tolist(),
        stacked=True,
        log=log,
        color=[GREY, RED],
        label=["normal rows", "rare rows"],
    )
    ax.set_ylim(*((0.5, 2 * max(counts.max(), 1)) if log else (0, 1.12 * max(counts.max(), 1))))


def _draw_relevance(ax: "Axes", relevance: Relevance, threshold: float, ends: tuple[float, float]) -> None:
    """φ as a line on axes to the right, the threshold dashed, and the values that are rare shaded behind."""
    right = ax.twinx()
    values = np.linspace(*ends, LINE)
    phi = relevance(values)
    right.fill_between(values, 0, 1, where=phi >= threshold, step="mid", color=RED, alpha=0.1, linewidth=0)
    right.plot(values, phi, color=BLUE, linewidth=1.8, label="relevance φ")
    right.axhline(threshold, color=BLUE, linewidth=1, linestyle="--")
    right.set_ylim(0, 1.12)
    right.set_yticks([0, 0.25, 0.5, 0.75, 1])
    right.set_ylabel("relevance φ", color=BLUE)
    right.tick_params(axis="y", colors=BLUE)


def _draw_atoms(ax: "Axes", y: Array) -> None:
    """Each atom as a pin as high as the axes, with its value and share: its bar would flatten all the others."""
    for value in atoms(y):
        ax.axvline(value, color="black", linewidth=2)
        share = _percent(float(np.mean(y == value)))
        ax.annotate(f"{value:.4g}: {share}", (value, 0.97), xycoords=("data", "axes fraction"), va="top", rotation=90)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
