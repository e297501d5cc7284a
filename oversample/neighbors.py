"""Exact k nearest neighbours inside one set of rows, by symmetric blocks of float32 matrix products.

A float32 product bounds every squared distance from below and above; only pairs that the bounds cannot tell apart are
measured in float64. So the answer is exact, whatever the block size, the number of threads or the BLAS, and each pair
of rows is multiplied once: 5,745 × 768 take 1.25 × the bare symmetric product (`tests/benchmarks/oversampling.py`).
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
BLOCK = 1024  # rows on each side of a product: 4 MB of bounds
PENDING = 1_000_000  # new candidate pairs before those that are out are dropped: 20 MB
UNIT = float(np.finfo(np.float32).eps) / 2  # relative error of one rounding to float32
TINY = float(np.finfo(np.float32).tiny)


def nearest(X: NDArray[np.floating], k: int, *, block: int = BLOCK, pending: int = PENDING) -> Rows:
    """Finite X (n, d) float32 or float64 → int64 (n, min(k, n − 1)): the row numbers of each row's nearest other rows.

    Euclidean distance, of equally far rows those with the lower numbers. A row is never its own neighbour, its
    duplicates are. Sorted by row number, not by distance. Memory: X once more in float32, one block of bounds, and the
    candidate pairs: some tens a row; where all rows are equally far, `pending` and those of one block.
    """
    n = len(X)
    k = min(k, n - 1)
    if k < 1:
        return np.empty((n, 0), dtype=np.int64)
    search = _Search(X, k)
    edges = np.linspace(0, n, -(-n // block) + 1).astype(int)
    blocks = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    for rows in blocks:  # first each block with itself: its limits thin out all that follows
        search.scan(rows, rows, pending)
    for a, rows in enumerate(blocks):
        for others in blocks[a + 1 :]:
            search.scan(rows, others, pending)
    search.thin()
    return np.sort(search.pairs[0][1].reshape(n, k), axis=1)


class _Search:
    """Pairs (i, j) that may be neighbours, and per row the limit that a squared distance has to stay below.

    `factors` holds (x, 1, s) of each row x, with s a little less than |x|², so that (−2x, s, 1)·(y, 1, s') is at most
    |x − y|². A product of length d + 2 in any order, x and s rounded to float32, is off by less than
    (2d + 16) UNIT (|x|² + |y|²) (Higham 2002, section 3.1); `margin` is twice a row's share of that.
    """

    def __init__(self, X: NDArray[np.floating], k: int) -> None:
        n, d = X.shape
        self.X, self.k = X, k
        # a power of two rounds nothing, and squares of numbers below 1 fit into float32
        power = -int(np.frexp(max(X.max(), -X.min()))[1])
        self.scale = X.dtype.type(np.ldexp(1.0, min(power, np.finfo(X.dtype).maxexp - 2)))
        scaled = X * self.scale
        # distances do not depend on the origin, their errors do; a median, since one outlier moves a mean anywhere
        center = np.median(scaled[:: max(1, n // 256)], axis=0).astype(X.dtype)
        self.factors = np.empty((n, d + 2), dtype=np.float32)
        values = self.factors[:, :d]
        np.subtract(scaled, center, out=values, casting="same_kind")
        squares = np.einsum("ij,ij->i", values, values, dtype=np.float64)
        error = UNIT * (2 * d + 16) / (1 - UNIT * (2 * d + 16))
        self.factors[:, d], self.factors[:, d + 1] = 1, squares * (1 - error)
        self.margin = (2 * error * squares + d * TINY).astype(np.float32)
        self.limit = np.full(n, np.finfo(np.float32).max)  # a row itself is infinitely far
        self.pairs: list[tuple[Rows, Rows, NDArray[np.float32]]] = []
        self.fresh = 0  # pairs since the last thinning

    def scan(self, rows: slice, others: slice, pending: int) -> None:
        """Bound the distances between two blocks and keep the pairs within either row's limit."""
        left = -2 * self.factors[rows]
        left[:, -2], left[:, -1] = self.factors[rows, -1], 1
        bounds = left @ self.factors[others].T
        if rows == others:
            np.fill_diagonal(bounds, np.inf)
            self._limit(bounds, rows)
        else:
            j, i = _where(bounds <= self.limit[others])
            self._add(others.start + i, rows.start + j, bounds[j, i])
        i, j = _where(bounds <= self.limit[rows, None])
        self._add(rows.start + i, others.start + j, bounds[i, j])
        if self.fresh > pending:
            self.thin()

    def _limit(self, bounds: NDArray[np.float32], rows: slice) -> None:
        """First limits of a block: the k-th smallest upper bound, of columns folded together by their minimum."""
        size = len(bounds)
        if size <= self.k:
            return
        width = size // max(1, size // max(64, 4 * self.k))
        upper = bounds[:, : size // width * width] + self.margin[rows][: size // width * width]
        folded = upper.reshape(size, -1, width).min(axis=1)
        self.limit[rows] = np.partition(folded, self.k - 1, axis=1)[:, self.k - 1] + self.margin[rows]

    def _add(self, i: Rows, j: Rows, low: NDArray[np.float32]) -> None:
        self.pairs.append((i, j, low))
        self.fresh += len(i)

    def thin(self) -> None:
        """Keep each row's k best pairs so far, and lower the limits to what they prove."""
        i, j, low = (np.concatenate(parts) for parts in zip(*self.pairs, strict=True))
        self._lower(i, low + self.margin[i] + self.margin[j])
        keep = low <= self.limit[i]
        i, j, low = i[keep], j[keep], low[keep]
        start, count = _runs(i, len(self.X))
        distance = np.zeros(len(i))
        doubtful = np.flatnonzero(count[i] > self.k)
        distance[doubtful] = self._measure(i[doubtful], j[doubtful], low[doubtful])
        order = np.lexsort((j, distance, i))
        order = order[np.arange(len(order)) - start[i[order]] < self.k]
        self.pairs, self.fresh = [(i[order], j[order], low[order])], 0

    def _lower(self, i: Rows, upper: NDArray[np.float32]) -> None:
        """Lower each row's limit to its k-th smallest upper bound; floats above 0 sort like their bits."""
        bits = np.maximum(upper, np.float32(TINY)).view(np.uint32)
        ordered = np.sort(i.astype(np.uint64) << np.uint64(32) | bits).astype(np.uint32).view(np.float32)
        start, count = _runs(i, len(self.X))
        rows = np.flatnonzero(count >= self.k)
        self.limit[rows] = np.minimum(self.limit[rows], ordered[start[rows] + self.k - 1])

    def _measure(self, i: Rows, j: Rows, low: NDArray[np.float32]) -> NDArray[np.float64]:
        """Squared distances of pairs in float64. Identical rows are told by their bytes: there may be many."""
        result, label = np.zeros(len(i)), np.arange(len(self.X))
        touching = low <= 0
        seen: dict[bytes, int] = {}
        for row in np.union1d(i[touching], j[touching]):
            label[row] = seen.setdefault(self.X[row].tobytes(), row)
        apart = np.flatnonzero(label[i] != label[j])
        step = max(1, 2**20 // self.X.shape[1])
        for start in range(0, len(apart), step):
            part = apart[start : start + step]
            a, b = ((self.X[rows[part]] * self.scale).astype(np.float64) for rows in (i, j))
            result[part] = np.einsum("ij,ij->i", a - b, a - b)
        return result


def _where(mask: NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """`np.nonzero` of a sparse mask, several times as fast."""
    return np.divmod(np.flatnonzero(mask), mask.shape[1])


def _runs(i: Rows, n: int) -> tuple[Rows, Rows]:
    """Where the run of each of n rows starts once pairs are sorted by their first row, and its length."""
    count = np.bincount(i, minlength=n)
    return np.cumsum(count) - count, count
