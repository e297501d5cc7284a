"""Who the parents of new rows are, and the rows between them: what a sampler decides before any feature is computed.

A draw holds row numbers and shares only, 41 bytes a row, so that an output larger than memory can be made from it a
block at a time.
"""

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]


class Draw(NamedTuple):
    """Parents of some output rows: first + share · (second − first), with noise or by another recipe of a sampler."""

    first: Rows  # (c,) row numbers
    second: Rows  # (c,) the same as `first` where there is one parent
    share: Array  # (c,) λ, from 0 to 1
    made: Mask  # (c,) False for a copy of `first`
    spread: Array  # (c,) deviation of the noise, in standard deviations of the bump; 0 for none

    @classmethod
    def copies(cls, rows: Rows) -> Self:
        """Rows as they are."""
        return cls(rows, rows, np.zeros(len(rows)), np.zeros(len(rows), dtype=bool), np.zeros(len(rows)))

    @classmethod
    def between(cls, first: Rows, second: Rows, share: Array) -> Self:
        """Points on the way from one row to another."""
        return cls(first, second, share, (first != second) & (share > 0), np.zeros(len(first)))

    @classmethod
    def around(cls, rows: Rows, spread: Array) -> Self:
        """Rows with noise."""
        return cls(rows, rows, np.zeros(len(rows)), spread > 0, spread)

    @classmethod
    def join(cls, draws: "list[Draw]") -> Self:
        """Several draws, one after the other."""
        return cls(*map(np.concatenate, zip(*draws, strict=True)))

    def take(self, part: "slice | Mask | Rows") -> "Draw":
        """Those of a slice, a mask or numbers."""
        return Draw(self.first[part], self.second[part], self.share[part], self.made[part], self.spread[part])


def between(values: Floats, draw: Draw) -> Floats:
    """(1 − share) a + share b of rows a and b of values (n, …), never beyond either by rounding."""
    a, b = values[draw.first], values[draw.second]
    share = draw.share.astype(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
    return np.clip((1 - share) * a + share * b, np.minimum(a, b), np.maximum(a, b))
