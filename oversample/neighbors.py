"""Exact k nearest neighbours inside one set of rows, by blocked matrix products.

float32 products find candidates at the speed of BLAS, float64 differences rank them. A row whose candidates rounding
might have spoilt is searched again within the proven error, so neither the block size nor the BLAS changes an answer.
Beside a float32 copy of the rows only one block of distances is in memory: 64 MiB (and twice that for its sorting).
"""

import numpy as np
from numpy.typing import NDArray

BLOCK_ENTRIES = 1 << 24
SPARE = 8  # candidates beyond k: with fewer, more rows need the second search


def nearest(X: NDArray[np.floating], k: int, *, block: int | None = None) -> NDArray[np.int64]:
    """int64 (n, min(k, n − 1)): each row's nearest other rows by Euclidean distance, nearest first, ties by number.

    X (n, d) float32 or float64, finite. `block` rows are searched at a time; by default as many as fit in 64 MiB.
    """
    n = len(X)
    k = min(k, n - 1)
    if k < 1:
        return np.empty((n, 0), dtype=np.int64)
    values, scale = _centred(X)
    squares = np.einsum("ij,ij->i", values, values)
    error = _rounding(squares, X.shape[1])
    wide = min(k + SPARE, n - 1)
    found = np.empty((n, k), dtype=np.int64)
    step = block or max(1, BLOCK_ENTRIES // n)
    for start in range(0, n, step):
        products = squares - 2 * (values[start : start + step] @ values.T)
        for offset, distance in enumerate(products):
            distance[start + offset] = np.inf
        chosen = np.argpartition(products, wide - 1, axis=1)[:, :wide]
        for offset, (distance, near) in enumerate(zip(products, chosen, strict=True)):
            row = start + offset
            best, exact = _rank(X, row, near, k, scale)
            reach = exact - squares[row] + error[row]  # nothing whose rounded distance is beyond can be nearer
            if wide < n - 1 and distance[near].max() <= reach:
                best, _ = _rank(X, row, np.flatnonzero(distance <= reach), k, scale)
            found[row] = best
    return found


def _centred(X: NDArray[np.floating]) -> tuple[NDArray[np.float32], float]:
    """X moved to its mean, so that |x|² − 2xy + |y|² cancels little, and divided by a power of two to fit float32."""
    moved = X - X.mean(axis=0, dtype=np.float64).astype(X.dtype)
    scale = float(np.ldexp(1.0, np.frexp(np.abs(moved).max(initial=0.0))[1]))
    moved /= scale
    return np.ascontiguousarray(moved, dtype=np.float32), scale


def _rounding(squares: NDArray[np.float32], d: int) -> NDArray[np.float64]:
    """Bound (n,) on the error of a row's squared distances in float32: (d + 16) u (|x| + max |y|)², d + 4 by theory."""
    norms = np.sqrt(squares.astype(np.float64))
    return np.asarray((d + 16) * np.finfo(np.float32).eps / 2 * (norms + norms.max()) ** 2)


def _rank(
    X: NDArray[np.floating], row: int, candidates: NDArray[np.int64], k: int, scale: float
) -> tuple[NDArray[np.int64], float]:
    """The k nearest of a row's candidates by differences in float64, and the squared distance of the last of them."""
    candidates = np.sort(candidates)
    difference = (X[candidates].astype(np.float64) - X[row]) / scale
    exact = np.einsum("ij,ij->i", difference, difference)
    order = np.argsort(exact, kind="stable")[:k]
    return candidates[order], float(exact[order[-1]])
