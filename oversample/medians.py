"""Median distance of rows from all others: bounds from float32 products, exact in float64 where those do not decide.

Asking whether a median is above a number needs no median: the bounds of 5,745 rows × 768 are 0.02 % apart, take 1.3 ×
the full product, and of a thousand such questions some ten stay open. Those are settled by measuring only the distances
that may be the middle ones, so the answer never depends on the block size, the number of threads or the BLAS.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from oversample.bounds import Device, Space, turned
from oversample.draw import Array, Floats, Mask, Rows

CELLS = 2**22  # distances bounded at a time: 16 MB, four times over
BLOCK = 1024  # columns of one product

Bounds = NDArray[np.float32]


class Medians:
    """`low` and `high` float64 (n,): what the median distance of each row of X (n, d) from the n − 1 others lies between.

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
        """Narrow `low` and `high` of some rows down to what a product tells."""
        for block, low, high in self._bounds(rows):
            first, last = _middle(low, high, self.middle)
            self.low[block], self.high[block] = np.sqrt(np.maximum(first, 0)), np.sqrt(np.maximum(last, 0))

    def settle(self, rows: Rows) -> None:
        """Make `low` and `high` of some rows the median itself."""
        rows = np.unique(rows)
        for block, low, high in self._bounds(rows[self.low[rows] < self.high[rows]]):
            first, last = _middle(low, high, self.middle)
            below = (high < first[:, None]).sum(axis=1)
            self.low[block] = self.high[block] = self._exact(
                block, low, (low <= last[:, None]) & (high >= first[:, None]), below
            )

    def _exact(self, block: Rows, low: Bounds, doubtful: Mask, below: Rows) -> Array:
        """Medians of a block of rows, (b,), by measuring the distances (b, n) that may be the middle ones."""
        i, j = np.nonzero(doubtful)
        distance = self.space.distances(block[i], j, low[i, j] <= 0)
        ordered = np.sqrt(distance[np.lexsort((distance, i))])
        start = np.searchsorted(i, np.arange(len(block))) - below
        return (ordered[start + self.middle[0]] + ordered[start + self.middle[1]]) / 2

    def _bounds(self, rows: Rows) -> Iterator[tuple[Rows, Bounds, Bounds]]:
        """Blocks of rows, with bounds (b, n) from below and above of their squared distances; infinite of themselves."""
        for start in range(0, len(rows), self.step):
            at = slice(start, min(start + self.step, len(rows)))
            left = turned(self.space.part(at, rows))
            low = np.empty((len(left.margin), self.n), dtype=np.float32)
            for part in self.parts:
                np.matmul(left.factors, part.factors.T, out=low[:, part.at])
            low[np.arange(len(low)), rows[at]] = np.inf
            yield rows[at], low, low + (left.margin[:, None] + self.margin)


def _middle(low: Bounds, high: Bounds, ranks: tuple[int, int]) -> tuple[Bounds, Bounds]:
    """Bounds (b,) of the middle squared distances: ranks keep their order when each distance is replaced by a bound."""
    first, last = np.partition(low, ranks[0], axis=1)[:, ranks[0]], np.partition(high, ranks[1], axis=1)[:, ranks[1]]
    return first, last
