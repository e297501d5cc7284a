"""Median distance of rows from all others: bounds from float32 products, exact in float64 where those do not decide.

Asking whether a median is above a number needs no median: the bounds of 5,745 rows × 768 are 0.02 % apart, take 1.3 ×
the full product, and of a thousand such questions some ten stay open. Those are settled by measuring only the distances
that may be the middle ones, so the answer never depends on the block size, the number of threads or the BLAS.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from oversample.bounds import Device, Space, turned
from oversample.draw import Array, Floats, Rows

CELLS = 2**22  # distances bounded at a time: 16 MB, four times over
BLOCK = 1024  # columns of one product
SAMPLE = 1024  # columns that a first guess of a median is taken from, or up to twice as many

Bounds = NDArray[np.float32]


class Medians:
    """`low` and `high` float64 (n,): around the median distance of each row of X (n, d), n from 2, from the others.

    Everything is in units of 1 / `scale`, a power of two. Of an even number of others the median is the mean of the
    middle two. Memory: X once more in float32, and four times `cells`.
    """

    def __init__(self, X: Floats, *, cells: int = CELLS) -> None:
        self.n, self.step = len(X), max(1, cells // len(X))
        self.space = Space(X, Device())
        self.scale = float(self.space.scale)
        self.parts = [self.space.part(slice(at, min(at + BLOCK, self.n))) for at in range(0, self.n, BLOCK)]
        self.margin = np.concatenate([part.margin for part in self.parts])
        self.middle = (self.n - 2) // 2, (self.n - 1) // 2  # ranks, from 0, among the others
        self.low, self.high = np.zeros(self.n), np.full(self.n, np.inf)

    def distances(self, a: Rows, b: Rows) -> Array:
        """Of pairs of rows, float64 (c,)."""
        return np.sqrt(self.space.distances(a, b, np.zeros(len(a), dtype=bool)))

    def bound(self, rows: Rows) -> None:
        """Narrow `low` and `high` of some rows down to what a product tells.

        Two numbers around the median of some columns are proved, by counting all, to lie around that of all: ranks
        keep their order when each distance is replaced by a bound of it. It is 3 × as fast as `np.partition`.
        """
        sample = slice(0, self.n, max(1, self.n // SAMPLE))
        size = len(range(self.n)[sample])
        slack = 0 if size == self.n else int(1.5 * np.sqrt(size))  # three standard deviations of a sample's median
        ranks = max(0, (size - 2) // 2 - slack), min(size - 1, (size - 1) // 2 + slack)
        widest = self.margin.max()
        for at, low, margin in self._blocks(rows):
            first, last = np.partition(low[:, sample], sorted(set(ranks)), axis=1)[:, ranks].T
            above = np.count_nonzero(low < first[:, None], axis=1) <= self.middle[0]
            below = np.count_nonzero(low <= last[:, None], axis=1) > self.middle[1]
            self.low[rows[at]] = np.where(above, np.sqrt(np.maximum(first, 0)), 0)
            self.high[rows[at]] = np.where(below, np.sqrt(np.maximum(last + (margin + widest), 0)), np.inf)

    def settle(self, rows: Rows) -> None:
        """Make `low` and `high` of some rows the median itself."""
        rows = np.unique(rows)
        rows = rows[self.low[rows] < self.high[rows]]
        for at, low, margin in self._blocks(rows):
            high = low + (margin[:, None] + self.margin)
            first = np.partition(low, self.middle[0], axis=1)[:, self.middle[0], None]
            last = np.partition(high, self.middle[1], axis=1)[:, self.middle[1], None]
            below = (high < first).sum(axis=1)
            i, j = np.nonzero((low <= last) & (high >= first))
            distance = self.space.distances(rows[at][i], j, low[i, j] <= 0)
            ordered = np.sqrt(distance[np.lexsort((distance, i))])
            start = np.searchsorted(i, np.arange(len(low))) - below
            median = (ordered[start + self.middle[0]] + ordered[start + self.middle[1]]) / 2
            self.low[rows[at]] = self.high[rows[at]] = median

    def _blocks(self, rows: Rows) -> Iterator[tuple[slice, Bounds, Bounds]]:
        """Blocks of rows: lower bounds (b, n) of their squared distances, infinite of themselves, and margins (b,)."""
        for start in range(0, len(rows), self.step):
            at = slice(start, min(start + self.step, len(rows)))
            left = turned(self.space.part(at, rows))
            low = np.empty((len(left.margin), self.n), dtype=np.float32)
            for part in self.parts:
                np.matmul(left.factors, part.factors.T, out=low[:, part.at])
            low[np.arange(len(low)), rows[at]] = np.inf
            yield at, low, left.margin
