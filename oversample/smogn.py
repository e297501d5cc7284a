"""SMOGN (Branco, Torgo, Ribeiro 2017): interpolate between near neighbours, add Gaussian noise where they are far.

In many columns all distances are alike: in 768, 2 % of the neighbours are near enough, of Gaussian data none, and SMOGN
is noise. `safe_share_` tells, and under 5 % a warning. 25,000 × 768 take 3 × SMOTER's time: medians need all distances.
"""

from dataclasses import dataclass

import numpy as np

from oversample.draw import Array, Draw, Floats, Mask, Rows
from oversample.medians import Medians
from oversample.noise import NoiseSampler
from oversample.over import NeighborSampler, Pairs
from oversample.strategy import Bump

FEW = 0.05  # share of safe pairs under which SMOGN is little but noise


@dataclass(kw_only=True, eq=False, repr=False)
class SMOGN(NoiseSampler, NeighborSampler):
    """As SMOTER where d(i, j) < maxD_i, half the median distance of i from the other rows of its bump.

    Where the neighbour is further, x' = x_i + N(0, (min(pert, maxD_i) · sd_x)²) and y' alike, as in `GaussianNoise`.
    maxD is in units of X and `perturbation`, `pert`, in deviations: scale X first. 0.02 is the smogn package's.
    `RegressionSampler` describes the other settings and fitted attributes; `safe_share_` is the share of the pairs of
    seed and neighbour that were interpolated between, NaN where none was drawn.
    """

    perturbation: float = 0.02

    def _sample(self, X: Floats, y: Floats, rng: np.random.Generator) -> Draw:
        self._safe: list[Mask] = []
        draw = super()._sample(X, y, rng)
        self.safe_share_ = float(np.concatenate(self._safe).mean()) if self._safe else np.nan
        if self.safe_share_ < FEW:
            self._note(
                f"only {self.safe_share_:.1%} of the neighbours are nearer than half the median distance: nearly every "
                "new row is noise around a single one, as usual in many columns; SMOTER always interpolates"
            )
        return draw

    def _pair(self, X: Floats, y: Floats, bump: Bump, pairs: Pairs, rng: np.random.Generator) -> Draw:
        self._measure(X, y, bump)
        there = super()._pair(X, y, bump, pairs, rng)
        safe, spread = self._judge(self._blocks.measured(X[bump.rows]), *pairs.T)
        self._safe.append(safe)
        noise = Draw.around(there.first, spread)
        return Draw(*(np.where(safe, a, b) for a, b in zip(there, noise, strict=True)))

    def _judge(self, points: Floats, seeds: Rows, partners: Rows) -> tuple[Mask, Array]:
        """Whether each pair is safe, and the spread of its noise if it is not: min(pert, maxD)."""
        medians = Medians(points)
        medians.bound(np.unique(seeds))
        twice = 2 * medians.distances(seeds, partners)
        medians.settle(seeds[(twice >= medians.low[seeds]) & (twice < medians.high[seeds])])
        safe = twice < medians.low[seeds]
        pert = float(self.perturbation)
        medians.settle(seeds[~safe & (medians.low[seeds] < 2 * pert * medians.scale)])
        return safe, np.minimum(pert, medians.low[seeds] / (2 * medians.scale))
