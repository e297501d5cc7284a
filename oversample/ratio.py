"""Density-ratio sampling: rare rows repeated ∝ wanted density / density of their targets, importance sampling by draws.

Inside a bump of a skewed target plain repetition adds most where most rows are already. Here the far end gains: of
25,000 rows, 60 % zeros and a Beta(0.7, 20), the top tenth of the rare ones gets 46 % of the copies instead of 10 %. The
price is repetition: rows at the end of the tail are copied 6.5 times as often as rare rows are on average.
"""

import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from oversample.draw import Array, Draw, Floats
from oversample.over import Oversampler
from oversample.strategy import Bump
from oversample.weights import ratio


@dataclass(kw_only=True, eq=False, repr=False)
class DensityRatio(Oversampler):
    """New rows are copies, drawn with replacement from a bump ∝ (p_target / p_empirical)^exponent of their targets.

    Parameters
    ----------
    target : "uniform" or a function of values, float64 (m,) → (m,)
        The density that is wanted, up to a factor: uniform over the range of the targets that are no atom.
    exponent : float
        From 0, plain random oversampling, to 1, the ratio itself, and beyond.
    clip : float
        Ratios of mean 1 are kept inside [1 / clip, clip], so that no single row makes up a bump.

    p_empirical is a kernel density (`oversample.density`) of the targets without their atoms; an atom has no density
    and counts as ratio 1 (`oversample.weights.ratio`). `RegressionSampler` describes the other settings and the fitted
    attributes; `ratio_` float64 (n,) are the ratios drawn by, of mean 1.
    """

    target: str | Callable[[Array], Array] = "uniform"
    exponent: float = 1.0
    clip: float = 20.0

    def _check(self) -> None:
        super()._check()
        if not _number(self.exponent) or not _number(self.clip):
            raise ValueError(f"exponent={self.exponent!r}, clip={self.clip!r}: expected two numbers")

    def _plan(self, X: Floats, y: Floats) -> None:
        super()._plan(X, y)
        y64 = y.astype(np.float64)
        self.ratio_ = ratio(y64, target=self.target, exponent=float(self.exponent), clip=float(self.clip))

    def _draw(self, X: Floats, y: Floats, bump: Bump, count: int, rng: np.random.Generator) -> Draw:  # noqa: ARG002
        share = self.ratio_[bump.rows]
        return Draw.copies(rng.choice(bump.rows, size=count, p=share / share.sum()))


def _number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
