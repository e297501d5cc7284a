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
REACH = 2.0  # widths of the middle 95 % of the targets that are drawn to either side of them
HEADROOM = 1.12  # above φ = 1, for the names of atoms
GREY, RED, BLUE = "#9aa5b1", "#c8553d", "#1f4e79"


def plot_relevance(
    source: str | Relevance | RegressionSampler, y: Array, *, threshold: float | None = None, ax: "Axes | None" = None
) -> "Axes":
    """Histogram of targets y (n,) with their relevance φ over it, the threshold, and the rare area shaded.

    `source` is a sampler, fitted or not, whose relevance, control points and threshold are used, or a relevance: a name
    or a function. `threshold` takes the place of the sampler's, and is 0.5 beside a relevance. Returns the axes of the
    histogram, of a new figure without `ax`; φ is on axes of its own to the right. Targets far from the rest are counted
    below instead of drawn. Raises `ValueError` for targets that are not finite numbers, and as `fit_relevance` does.
    """
    import matplotlib.pyplot as plt

    y = check_target(y)
    limit = 0.5
    if isinstance(source, RegressionSampler):
        limit = source.threshold
        relevance = fit_relevance(source.relevance, y, source.control_points)
    else:
        relevance = fit_relevance(source, y)
    limit = limit if threshold is None else threshold
    if ax is None:
        ax = plt.subplots(figsize=(7, 4), layout="constrained")[1]
    rare = relevance(y) >= limit
    ends = _ends(y)
    _draw_counts(ax, y, rare, ends)
    right = _draw_relevance(ax, relevance, limit, atoms(y), ends)
    _draw_atoms(right, y, ends)
    handles = [handle for axes in (ax, right) for handle in axes.get_legend_handles_labels()[0]]
    ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize="small")
    ax.set_title(f"{len(y):,} targets, {_percent(float(np.mean(rare)))} rare", pad=26, fontsize="medium")
    beyond = int(np.sum((y < ends[0]) | (y > ends[1])))
    ax.set(xlim=ends, xlabel="target" + f" ({beyond:,} lie beyond)" * (beyond > 0), ylabel="rows")
    return ax


def _ends(y: Array) -> tuple[float, float]:
    """What is drawn: the range with a margin, without what lies far beyond the middle of what is no atom."""
    low, high = float(y.min()), float(y.max())
    rest = y[~np.isin(y, atoms(y))]
    if len(rest):
        middle = np.quantile(rest, [0.025, 0.975])
        far = REACH * float(np.ptp(middle)) or np.inf
        spikes = [*atoms(y), *middle]  # atoms are always drawn
        low = max(low, min(float(middle[0]) - far, *spikes))
        high = min(high, max(float(middle[1]) + far, *spikes))
    margin = 0.03 * (high - low) or abs(low) or 1.0
    return low - margin, high + margin


def _draw_counts(ax: "Axes", y: Array, rare: NDArray[np.bool_], ends: tuple[float, float]) -> None:
    """Bars of what is no atom, the rare rows of each stacked on the others in their own colour."""
    from matplotlib.ticker import MaxNLocator

    rest = ~np.isin(y, atoms(y))
    counts, edges = np.histogram(y[rest], BARS, ends)
    filled = counts[counts > 0]
    log = len(filled) > 0 and bool(filled.max() > STEEP * np.median(filled))
    groups, names = [y[rest & ~rare], y[rest & rare]], ["normal", "rare"]
    ax.hist(groups, edges.tolist(), stacked=True, log=log, color=[GREY, RED], label=names)
    top = max(int(counts.max()), 1)
    ax.set_ylim(0.5 if log else 0, top**HEADROOM * 2 if log else top * HEADROOM)
    if not log:
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_relevance(
    ax: "Axes", relevance: Relevance, threshold: float, spikes: Array, ends: tuple[float, float]
) -> "Axes":
    """φ as a line on axes to the right, at atoms a dot, the threshold dashed, what is rare shaded; returns the axes."""
    right = ax.twinx()
    values = np.linspace(*ends, LINE)
    values = values[~np.isin(values, spikes)]
    phi = relevance(values)
    right.fill_between(values, 0, 1, where=phi >= threshold, step="mid", color=RED, alpha=0.1, linewidth=0)
    right.plot(values, phi, color=BLUE, linewidth=1.8, label="relevance φ")
    right.plot(spikes, relevance(spikes), "o", color=BLUE, clip_on=False)
    right.axhline(threshold, color=BLUE, linewidth=1, linestyle="--", label=f"threshold {threshold:g}")
    right.set_ylim(0, HEADROOM)
    right.set_yticks([0, 0.25, 0.5, 0.75, 1])
    right.set_ylabel("relevance φ", color=BLUE)
    right.tick_params(axis="y", colors=BLUE)
    return right


def _draw_atoms(ax: "Axes", y: Array, ends: tuple[float, float]) -> None:
    """Each atom as a pin as high as the axes, its value and share beside it: its bar would flatten all the others."""
    for value in atoms(y):
        ax.axvline(value, color="black", linewidth=2, zorder=1)
        left = value > np.mean(ends)  # of the pin, where there is more room
        ax.annotate(
            f"{value:.4g}: {_percent(float(np.mean(y == value)))}",
            (value, 1 + (HEADROOM - 1) / 2),
            xytext=(-5 if left else 5, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize="small",
        )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
