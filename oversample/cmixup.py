"""C-Mixup (Yao, Wang, Zhang, Zou, Finn 2022): mix a rare row with any row whose target is alike, wherever it lies.

Partners are drawn by the published probabilities, exactly, but without their n × n matrix (5 GB for 25,000 rows):
drawing 11,000 partners among 25,000 rows takes 0.03 CPU-seconds, with 60 % zeros or without. The price of partners by
target alone: between two rows that only their targets make alike may be nothing real.
"""

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np

from oversample.density import Density
from oversample.draw import Array, Draw, Floats, Rows
from oversample.over import Oversampler, spread_evenly
from oversample.relevance import atoms
from oversample.strategy import Bump

PER_BANDWIDTH = 2  # bins per σ
NEAR = 2.0  # σ: of the partners of a row that has another this near, n · 1e-21 are further than REACH
REACH = 10
LOST = 50.0  # exponent of what is left out elsewhere
WIDEST = 1e150  # σ from the first target to the last: squares are numbers still
BLOCK = 4096  # seeds whose bins are weighed at a time: 1.3 MB


@dataclass(kw_only=True, eq=False, repr=False)
class CMixup(Oversampler):
    """x' = λ x_i + (1 − λ) x_j, y' alike, λ ~ Beta(alpha, alpha), j ≠ i drawn ∝ exp(−(y_i − y_j)² / 2σ²).

    Each row of a bump is the seed i equally often, up to one; j is any row at all, a normal one or an atom's too, so
    that a new target may lie outside its bump, between its parents always. Features decide nothing: `neighbors_by` has
    no effect. The paper's own seeds, all rows alike, are `sampling_strategy={bump: factor}` with one factor for each.

    Parameters
    ----------
    alpha : float
        Of the Beta distribution: 1 is uniform, more is nearer to the middle, less nearer to one of both.
    bandwidth : None or float
        σ in units of y. None is Silverman's rule for the targets that are no atom, the bandwidth of their density.

    `RegressionSampler` describes the other settings and the fitted attributes; `bandwidth_` is σ.
    """

    alpha: float = 2.0
    bandwidth: float | None = None

    def _check(self) -> None:
        super()._check()
        if not _positive(self.alpha):
            raise ValueError(f"alpha={self.alpha!r}: expected a number above 0")
        if self.bandwidth is not None and not _positive(self.bandwidth):
            raise ValueError(f"bandwidth={self.bandwidth!r}: expected None, or a number above 0 in units of y")

    def _plan(self, X: Floats, y: Floats) -> None:
        super()._plan(X, y)
        y64 = y.astype(np.float64)
        rest = y64[~np.isin(y64, atoms(y64))]
        found = Density(rest if len(rest) else y64).bandwidth
        self.bandwidth_ = found if self.bandwidth is None else float(self.bandwidth)
        self._partners = Partners(y64, self.bandwidth_)

    def _draw(self, X: Floats, y: Floats, bump: Bump, count: int, rng: np.random.Generator) -> Draw:  # noqa: ARG002
        seeds = bump.rows[spread_evenly(len(bump.rows), count, rng)]
        if len(y) == 1:
            return Draw.copies(seeds)
        partners = self._partners.draw(seeds, rng)
        return Draw.between(seeds, partners, rng.beta(self.alpha, self.alpha, size=count))


class Partners:
    """Draws j ≠ i with probability ∝ exp(−(y_i − y_j)² / 2σ²) for seeds i, of finite targets y (n,), n ≥ 2.

    Targets fall into bins of σ / 2. A bin is drawn by its rows times the kernel at its end next to the seed, then one
    of its rows, which is kept with its own kernel over that bound: rejection is exact, and more than half are kept. The
    few seeds that are far from all others have kernels taken one by one. Raises `ValueError` for a σ 1e150 times
    smaller than the range.
    """

    def __init__(self, y: Array, bandwidth: float) -> None:
        self.order = np.argsort(y, kind="stable")
        self.place = np.empty(len(y), dtype=np.int64)
        self.place[self.order] = np.arange(len(y))
        ordered = y[self.order]
        with np.errstate(over="ignore"):
            self.y = ordered / 2 / bandwidth  # half of the largest numbers: their difference is a number
            self.y = (self.y - self.y[0]) * 2  # ascending, in σ
        if not self.y[-1] < WIDEST:
            what = f"targets from {ordered[0]:.4g} to {ordered[-1]:.4g} are over {WIDEST} bandwidths apart"
            raise ValueError(f"{what}: expected a bandwidth larger than {bandwidth!r}")
        bins = np.floor(self.y * PER_BANDWIDTH)
        self.start = np.flatnonzero(np.diff(bins, prepend=-1.0))
        self.size = np.diff(self.start, append=len(y))
        self.bins = bins[self.start]
        self.gap = np.diff(self.y, prepend=-np.inf, append=np.inf)
        self.gap = np.minimum(self.gap[:-1], self.gap[1:])  # to the nearest other target

    def draw(self, seeds: Rows, rng: np.random.Generator) -> Rows:
        """int64 (c,) partners of seeds (c,), by row numbers."""
        places = self.place[seeds]
        partners = np.empty(len(seeds), dtype=np.int64)
        alone = self.gap[places] > NEAR
        for group in _groups(places, np.flatnonzero(alone)):
            partners[group] = self._far(places[group[0]], len(group), rng)
        near = np.flatnonzero(~alone)
        for first in range(0, len(near), BLOCK):
            part = near[first : first + BLOCK]
            partners[part] = self._near(places[part], rng)
        return self.order[partners]

    def _far(self, place: int, count: int, rng: np.random.Generator) -> Rows:
        """`count` partners of one seed, all as places in the order of y."""
        reach = np.hypot(self.gap[place], np.sqrt(2 * (LOST + np.log(len(self.y))))) * (1 + 1e-12)  # rounded up
        low, high = np.searchsorted(self.y, self.y[place] + np.array([-reach, reach]))
        squares = (self.y[low:high] - self.y[place]) ** 2
        squares[place - low] = np.inf
        total = np.cumsum(np.exp((squares.min() - squares) / 2))
        found: Rows = low + np.searchsorted(total[:-1], rng.random(count) * total[-1], side="right")
        return found

    def _near(self, places: Rows, rng: np.random.Generator) -> Rows:
        """A partner of each seed, all as places in the order of y."""
        seeds = self.y[places]
        own = self.bins[np.searchsorted(self.start, places, side="right") - 1][:, None]
        steps = np.arange(-REACH * PER_BANDWIDTH, REACH * PER_BANDWIDTH + 1)
        bins = np.searchsorted(self.bins, own + steps) % len(self.bins)
        there = self.bins[bins] - own == steps  # exact, a sum beyond 2^53 is not
        least = self._least(seeds[:, None], bins)
        total = np.cumsum(np.where(there, self.size[bins] * np.exp(-(least**2) / 2), 0.0), axis=1)
        partners, open_ = np.empty(len(places), dtype=np.int64), np.arange(len(places))
        while len(open_):
            at = rng.random(len(open_)) * total[open_, -1]
            column = (total[open_, :-1] <= at[:, None]).sum(axis=1)
            found = bins[open_, column]
            rows = self.start[found] + rng.integers(self.size[found])
            surplus = (self.y[rows] - seeds[open_]) ** 2 - least[open_, column] ** 2
            keep = (rng.random(len(open_)) < np.exp(-surplus / 2)) & (rows != places[open_])
            partners[open_[keep]] = rows[keep]
            open_ = open_[~keep]
        return partners

    def _least(self, seeds: Array, bins: Rows) -> Array:
        """How far each seed is from the nearer end of a bin's targets, 0 inside."""
        low, high = self.y[self.start], self.y[self.start + self.size - 1]
        return np.maximum(np.maximum(low[bins] - seeds, seeds - high[bins]), 0.0)


def _groups(values: Rows, rows: Rows) -> list[Rows]:
    """Those of `rows` with equal values, together."""
    order = rows[np.argsort(values[rows], kind="stable")]
    return np.split(order, np.flatnonzero(np.diff(values[order])) + 1) if len(rows) else []


def _positive(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and 0 < float(value) < np.inf
