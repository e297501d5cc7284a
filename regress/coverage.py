"""Do the 90 % intervals hold nine in ten posts, and how wide are they? By quarters of the prediction, out of sample.

The intervals that a run keeps were fitted on the very predictions they would be counted on here, so they are fitted
again on one half of the posts and counted on the other, both ways; posts that belong together stay together. Only the
correlation of the trials, one number of all posts, is the run's own: to find it is most of the work.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regress.entry import Entry
from regress.inference import Difference, paired
from regress.intervals import LEAST, PostIntervals, post_intervals
from regress.runs import Predictions
from regress.strata import quantile_bins

Array = NDArray[np.float64]
QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Quarter:
    """Posts whose prediction lies from `low` to `high`."""

    low: float
    high: float
    posts: int
    covered: Difference  # share of the rates inside, with a 95 % interval
    width: float  # mean, in units of the rate


@dataclass(frozen=True)
class Coverage:
    """Of one run: all posts, and by the quarter of its prediction; equal predictions may leave fewer than four."""

    place: int  # in the leaderboard
    covered: float
    width: float
    quarters: list[Quarter]

    def to_json(self, entries: Sequence[Entry]) -> dict[str, Any]:
        quarters = [
            {
                "low": q.low,
                "high": q.high,
                "posts": q.posts,
                "covered": [q.covered.low, q.covered.mean, q.covered.high],
                "width": q.width,
            }
            for q in self.quarters
        ]
        name = entries[self.place].name
        return {"run": name, "covered": self.covered, "width": self.width, "quarters": quarters}


def coverages(entries: Sequence[Entry], predictions: Predictions, most: int) -> list[Coverage]:
    """Of the first `most` runs that keep intervals; none where a half has too few posts for a level of 90 %."""
    half = _halves(predictions.clusters)
    if min(half.sum(), (~half).sum()) < LEAST:
        return []
    kept = [(place, entry.intervals.rho) for place, entry in enumerate(entries) if entry.intervals is not None]
    return [_coverage(predictions, place, rho, half) for place, rho in kept[:most]]


def _halves(clusters: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool (n,): half of the clusters, drawn by a fixed seed."""
    k = int(clusters.max()) + 1
    return (np.random.default_rng(0).permutation(k) < k // 2)[clusters]


def _coverage(predictions: Predictions, place: int, rho: float, half: NDArray[np.bool_]) -> Coverage:
    y, p, trials = predictions.y, predictions.p[place], predictions.trials
    low, high = np.empty_like(y), np.empty_like(y)
    for fitted, counted in ((half, ~half), (~half, half)):
        made = PostIntervals.from_json(post_intervals(y[fitted], p[fitted], trials[fitted], rho=rho))
        low[counted], high[counted] = made(p[counted], trials[counted])
    inside = ((low - 1e-12 <= y) & (y <= high + 1e-12)).astype(np.float64)
    quarters = [
        Quarter(
            low=float(p[rows].min()),
            high=float(p[rows].max()),
            posts=len(rows),
            covered=paired(inside[rows], predictions.clusters[rows]),
            width=float((high - low)[rows].mean()),
        )
        for rows in quantile_bins(p, QUARTERS)
    ]
    return Coverage(place, float(inside.mean()), float((high - low).mean()), quarters)
