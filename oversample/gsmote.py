"""G-SMOTE (Douzas and Bacao 2019; Camacho, Douzas, Bacao 2022 for regression): new rows all around a rare row.

SMOTER's new rows lie on lines between neighbours, these in a ball around a row that reaches to a neighbour. In many
columns a ball is all surface: in 768, new rows are 0.999 R from their seed and 1.39 R from the neighbour, whose share
of the target is always 0.41 to 0.42. There it is noise of a sensible size; deform it to follow the line. Time as
SMOTER's and half as much again, for the normal numbers.
"""

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np

from oversample.draw import Array, Draw, Floats, Mask, between
from oversample.over import NeighborSampler, Pairs
from oversample.strategy import Bump

ROUNDING = 1e-12  # squared distance from the line, in R², that is none


@dataclass(kw_only=True, eq=False, repr=False)
class GSMOTE(NeighborSampler):
    """x' = x_i + R p, R = |x_j − x_i|, p drawn evenly from the unit ball, then truncated and deformed along x_j − x_i.

    y' is the mean of y_i and y_j by inverse distance from x': y_i + λ (y_j − y_i) with λ = d_i / (d_i + d_j). j is one
    of the k nearest of i in its bump (the paper's selection strategy "minority": spheres that reach to a normal row
    would bring normal targets in, and shrink with the number of normal rows). Each row is the seed i equally often.

    Parameters
    ----------
    truncation_factor : float
        From −1 to 1. Of the ball's diameter towards j, only positions above truncation_factor − 1 (from 0) or below
        truncation_factor + 1 (below 0) stay, what is cut off is mirrored: 1 is the half towards j, −1 the other half.
    deformation_factor : float
        From 0 to 1: how far the ball is flattened towards the line through i and j. 1 leaves the line alone.

    The ball is one over all columns, so bring them to one scale; columns that are constant in a bump stay so. With both
    factors 1 new rows lie between i and j as SMOTER's do, nearer to i. `RegressionSampler` describes the other settings
    and the fitted attributes.
    """

    truncation_factor: float = 1.0
    deformation_factor: float = 0.0

    def _check(self) -> None:
        super()._check()
        if not _number(self.truncation_factor) or not -1 <= self.truncation_factor <= 1:
            raise ValueError(f"truncation_factor={self.truncation_factor!r}: expected a number from -1 to 1")
        if not _number(self.deformation_factor) or not 0 <= self.deformation_factor <= 1:
            raise ValueError(f"deformation_factor={self.deformation_factor!r}: expected a number from 0 to 1")

    def _plan(self, X: Floats, y: Floats) -> None:
        super()._plan(X, y)
        self._home = np.zeros(len(y), dtype=np.int32)  # the place of each row's bump in `_varying`
        self._varying: list[Mask] = []  # (d,): columns that are not constant in the bump

    def _pair(self, X: Floats, y: Floats, bump: Bump, pairs: Pairs, rng: np.random.Generator) -> Draw:  # noqa: ARG002
        points, count = X[bump.rows], len(pairs)
        varying = (points != points[0]).any(axis=0)
        self._home[bump.rows] = len(self._varying)
        self._varying.append(varying)
        own, other = self._distances(max(int(varying.sum()), 1), count, rng)
        first, second = bump.rows[pairs].T
        return Draw(first, second, own / (own + other), np.ones(count, dtype=bool), own)

    def _distances(self, d: int, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """How far points of the ball in d dimensions are from i and from j, in R, (count,) each.

        All that both distances depend on is the position along the line and the distance from it: of an even direction
        the first is a normal number over the root of its square plus a chi-square's of d − 1.
        """
        along, across = rng.standard_normal(count), np.sqrt(2 * rng.standard_gamma((d - 1) / 2, size=count))
        length = rng.random(count) ** (1 / d) / np.hypot(along, across)
        along, across = along * length, across * length * (1 - self.deformation_factor)
        limit = self.truncation_factor - 1 if self.truncation_factor > 0 else self.truncation_factor + 1
        cut = along < limit if self.truncation_factor > 0 else along > limit
        if self.truncation_factor != 0:
            along = np.where(cut, -along, along)
        return np.hypot(along, across), np.hypot(1 - along, across)

    def _make(self, X: Floats, y: Floats, draw: Draw, rng: np.random.Generator) -> tuple[Floats, Floats]:
        first = X[draw.first].astype(np.float64)
        line, radius = _normed(X[draw.second] - first)
        along, across = _position(draw.spread, draw.share)
        varying = np.stack([self._varying[home] for home in self._home[draw.first]])
        # one stream of numbers, row by row: blocks of any size give the same bytes
        aside = rng.standard_normal(line.shape) * varying
        aside, _ = _normed(aside - (aside * line).sum(axis=1, keepdims=True) * line)
        made = first + radius * (along * line + across * aside)
        return made.astype(X.dtype), between(y, draw)


def _position(own: Array, share: Array) -> tuple[Array, Array]:
    """Along the line through i and j and away from it, (b, 1) each, in R, of points `own` R from i, by λ (b,)."""
    other = np.where(share > 0, own / np.where(share > 0, share, 1) - own, 1.0)
    along = (own**2 + 1 - other**2) / 2  # law of cosines
    square = own**2 - along**2
    return along[:, None], np.sqrt(np.where(square > ROUNDING, square, 0))[:, None]


def _normed(vectors: Array) -> tuple[Array, Array]:
    """Vectors (b, d) of length 1, and what it was, (b, 1); a zero vector stays."""
    power = -np.frexp(np.abs(vectors).max(axis=1, keepdims=True))[1]  # rounds nothing, and keeps squares numbers
    scaled = np.ldexp(vectors, power)
    length = np.sqrt((scaled**2).sum(axis=1, keepdims=True))
    return scaled / np.where(length > 0, length, 1), np.ldexp(length, -power)


def _number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
