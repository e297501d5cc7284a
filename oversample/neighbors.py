"""Exact k nearest neighbours, inside one set of rows or of some rows among all, by blocks of float32 matrix products.

A float32 product bounds every squared distance from below and above; only pairs that the bounds cannot tell apart are
measured in float64. So the answer is exact, whatever the block size, the number of threads, the BLAS or the GPU. Inside
one set each pair of rows is multiplied once: 5,745 × 768 take 1.25 × the bare symmetric product
(`tests/benchmarks/oversampling.py`).
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oversample.bounds import FAR, TINY, Part, Space, bounds_inside, open_device, turned
from oversample.draw import Floats, Rows

Pairs = tuple[Rows, Rows, NDArray[np.float32], NDArray[np.float32]]  # seekers, rows of X, bounds from below and above
BLOCK = 1024  # rows on each side of a product: 4 MB of bounds
HELD = 8  # blocks kept while all others pass by, 25 MB at 768 columns: preparing those costs 1 % of their products
PENDING = 1_000_000  # new pairs before those that are out are dropped: 24 MB


def nearest(X: Floats, k: int, *, device: str = "cpu", block: int = BLOCK, pending: int = PENDING) -> Rows:
    """Finite X (n, d) float32 or float64 → int64 (n, min(k, n − 1)): the row numbers of each row's nearest other rows.

    Euclidean distance, of equally far rows those with the lower numbers. A row is never its own neighbour, its
    duplicates are. Sorted by row number, not by distance. `device` "cpu" is NumPy, any other is PyTorch's of that name.
    Memory beside X: `HELD` blocks of rows, one block of bounds, and the candidate pairs: some tens a row; where all
    rows are equally far, `pending` and those of one block.
    """
    n = len(X)
    k = min(k, n - 1)
    if k < 1:
        return np.empty((n, 0), dtype=np.int64)
    with open_device(device) as opened:
        space = Space(X, opened)
        search = _Search(space, np.arange(n), k, pending)
        blocks = _blocks(n, block)
        for first in range(0, len(blocks), HELD):
            held: list[Part] = []
            for at in blocks[first:]:
                part = space.part(at)
                if first == 0:  # the first limits of a block's rows are those inside it
                    search.scan(bounds_inside(part), part, part)
                for left in held:
                    search.scan(left.factors @ part.factors.T, left, part, both=True)
                if len(held) < HELD:
                    held.append(turned(part))
        return search.result()


def nearest_among(
    X: Floats, k: int, queries: Rows, *, device: str = "cpu", block: int = BLOCK, pending: int = PENDING
) -> Rows:
    """Finite X (n, d), row numbers `queries` (q,) → int64 (q, min(k, n − 1)): their nearest other rows among all of X.

    As exact as `nearest`, of whose result these are the rows `queries`, and in as little memory.
    """
    n, queries = len(X), np.asarray(queries, dtype=np.int64)
    k = min(k, n - 1)
    if k < 1 or len(queries) == 0:
        return np.empty((len(queries), max(k, 0)), dtype=np.int64)
    with open_device(device) as opened:
        space = Space(X, opened)
        search = _Search(space, queries, k, pending)
        blocks = _blocks(len(queries), block)
        for first in range(0, len(blocks), HELD):
            held = [turned(space.part(at, queries)) for at in blocks[first : first + HELD]]
            for at in _blocks(n, block):
                part = space.part(at)
                for left in held:
                    search.scan(left.factors @ part.factors.T, left, part)
        return search.result()


def _blocks(n: int, block: int) -> list[slice]:
    """n rows in blocks of about equal size."""
    edges = np.linspace(0, n, -(-n // block) + 1).astype(int)
    return [slice(int(start), int(stop)) for start, stop in pairwise(edges)]


class _Search:
    """Pairs of a seeker and a row that may be its neighbour, and per seeker the limit its distances have to stay below.

    Seekers go by their place in `sought`, which holds their row numbers; what they find goes by its row number.
    """

    def __init__(self, space: Space, sought: Rows, k: int, pending: int) -> None:
        self.space, self.sought, self.k, self.pending = space, sought, k, pending
        self.limit = np.full(len(sought), FAR, dtype=np.float32)
        self.pairs: list[Pairs] = []
        self.fresh = 0  # pairs since the last thinning

    def scan(self, bounds: Any, left: Part, right: Part, *, both: bool = False) -> None:
        """Keep the pairs of two blocks, seekers on the left, that are within a seeker's limit; `both`: the right's too.

        `bounds` (a, b) are from below, on the device.
        """
        device = self.space.device
        own = self.sought[left.at] - right.at.start
        met = np.flatnonzero((own >= 0) & (own < len(right.margin)))
        bounds[met, own[met]] = np.inf  # a row itself is infinitely far
        if self.limit[left.at].max() == FAR:
            self._limit(device.fetch(bounds), left, right)
        if both:
            i, j, low = device.within(bounds, self.limit[right.at])
            self._add(right.at.start + j, left.at.start + i, low, left.margin[i] + right.margin[j])
        i, j, low = device.within(bounds, self.limit[left.at, None])
        self._add(left.at.start + i, right.at.start + j, low, left.margin[i] + right.margin[j])
        if self.fresh > self.pending:
            self._thin()

    def result(self) -> Rows:
        """int64 (seekers, k), sorted by row number."""
        self._thin()
        return np.sort(self.pairs[0][1].reshape(-1, self.k), axis=1)

    def _limit(self, bounds: NDArray[np.float32], left: Part, right: Part) -> None:
        """First limits of a block: the k-th smallest upper bound, of columns folded together by their minimum."""
        rows, columns = bounds.shape
        if columns <= self.k:
            return
        width = columns // max(1, columns // max(64, 4 * self.k))
        folded = columns // width * width
        upper = (bounds[:, :folded] + right.margin[:folded]).reshape(rows, -1, width).min(axis=1)
        self.limit[left.at] = np.partition(upper, self.k - 1, axis=1)[:, self.k - 1] + left.margin

    def _add(self, i: Rows, j: Rows, low: NDArray[np.float32], margin: NDArray[np.float32]) -> None:
        self.pairs.append((i, j, low, low + margin))
        self.fresh += len(i)

    def _thin(self) -> None:
        """Keep each seeker's k best pairs so far, and lower the limits to what they prove."""
        i, j, low, high = (np.concatenate(parts) for parts in zip(*self.pairs, strict=True))
        self._lower(i, high)
        keep = low <= self.limit[i]
        i, j, low, high = i[keep], j[keep], low[keep], high[keep]
        start, count = self._runs(i)
        distance = np.zeros(len(i))
        doubtful = np.flatnonzero(count[i] > self.k)
        distance[doubtful] = self.space.distances(self.sought[i[doubtful]], j[doubtful], low[doubtful] <= 0)
        order = np.lexsort((j, distance, i))
        order = order[np.arange(len(order)) - start[i[order]] < self.k]
        self.pairs, self.fresh = [(i[order], j[order], low[order], high[order])], 0

    def _lower(self, i: Rows, high: NDArray[np.float32]) -> None:
        """Lower each seeker's limit to its k-th smallest upper bound; floats above 0 sort like their bits."""
        bits = np.maximum(high, np.float32(TINY)).view(np.uint32)
        ordered = np.sort(i.astype(np.uint64) << np.uint64(32) | bits).astype(np.uint32).view(np.float32)
        start, count = self._runs(i)
        rows = np.flatnonzero(count >= self.k)
        self.limit[rows] = np.minimum(self.limit[rows], ordered[start[rows] + self.k - 1])

    def _runs(self, i: Rows) -> tuple[Rows, Rows]:
        """Where each seeker's run starts once pairs are sorted by seeker, and its length."""
        count = np.bincount(i, minlength=len(self.sought))
        return np.cumsum(count) - count, count
