"""Exact k nearest neighbours inside one set of rows, by symmetric blocks of float32 matrix products.

A float32 product bounds every squared distance from below and above; only pairs that the bounds cannot tell apart
(about 1 in 20 rows on embeddings) are measured in float64. So the answer is exact and does not depend on the block size,
the number of threads or the BLAS, while each pair of rows is multiplied once: 5,750 × 768 in about 0.3 CPU-seconds,
1.5 × the bare product.
"""

import numpy as np
from numpy.typing import NDArray

BLOCK = 1024  # rows a product takes on each side: 4 MB of bounds
PENDING = 2_000_000  # candidate pairs held before those that are out are dropped, about 40 MB
UNIT = float(np.finfo(np.float32).eps) / 2  # relative error of one rounding to float32


def nearest(X: NDArray[np.floating], k: int, block: int = BLOCK, pending: int = PENDING) -> NDArray[np.int64]:
    """Rows of X (n, d) float32 or float64, finite → int64 (n, min(k, n − 1)): each row's nearest other rows.

    Euclidean distance; of rows equally far the one with the lower number; a row is never its own neighbour, its
    duplicates are. Sorted by row number, not by distance. Memory: X in float32, one block of bounds and `pending` pairs,
    however many rows are equally far from each other.
    """
    n = len(X)
    k = min(k, n - 1)
    if k < 1:
        return np.empty((n, 0), dtype=np.int64)
    search = _Search(X, k)
    blocks = np.array_split(np.arange(n), -(-n // block))
    for rows in blocks:
        search.scan(rows, rows)
    for a, rows in enumerate(blocks):
        for others in blocks[a + 1 :]:
            search.scan(rows, others)
            if search.held > pending:
                search.thin()
    search.thin()
    return search.neighbours()


class _Search:
    """Pairs (i, j) that may still be neighbours, and per row the limit that a squared distance has to stay below.

    `factors` holds (x, 1, s) for each row, with s a little less than |x|², so that (−2x, s, 1)·(y, 1, s') is at most
    |x − y|² whatever the order of summation. The error of such a product of length d + 2, of rounding x to float32 and
    of s is below (2d + 16) UNIT (|x|² + |y|²) (Higham 2002, section 3.1); `margin` is twice a row's share of it.
    """

    def __init__(self, X: NDArray[np.floating], k: int) -> None:
        n, d = X.shape
        self.X, self.k = X, k
        # distances do not change with the origin, but errors do: a median of some rows is not moved by outliers
        center = np.median(X[:: max(1, n // 256)], axis=0).astype(X.dtype)
        self.scale = _power_of_two(X, center)
        self.factors = np.empty((n, d + 2), dtype=np.float32)
        values = self.factors[:, :d]
        np.subtract(X, center, out=values, casting="same_kind")
        if self.scale != 1:
            np.multiply(X - center, self.scale, out=values, casting="same_kind")
        squares = np.einsum("ij,ij->i", values, values, dtype=np.float64)
        error = UNIT * (2 * d + 16)
        self.factors[:, d], self.factors[:, d + 1] = 1, squares * (1 - error)
        self.margin = (2 * error * squares + np.finfo(np.float32).tiny * d).astype(np.float32)
        self.limit = np.full(n, np.inf, dtype=np.float32)
        self.pairs: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
        self.held = 0
