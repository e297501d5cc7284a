"""ADASYN (He, Bai, Garcia, Li 2008) carried over to continuous targets: more new rows where rare ones are outnumbered.

Which neighbours are not rare is seen among all rows only, by rare × all products: 25,000 × 768 with 23 % rare rows take
7 × SMOTER's time.
"""

from dataclasses import dataclass

import numpy as np

from oversample.draw import Array, Floats, Rows
from oversample.neighbors import nearest_among
from oversample.over import NeighborSampler
from oversample.strategy import Bump


@dataclass(kw_only=True, eq=False, repr=False)
class ADASYN(NeighborSampler):
    """New rows as SMOTER's, but g_i = G r_i / Σ r of a bump's G new rows have the seed i.

    r_i is the share of i's k nearest among all rows that are not rare. Each g_i is rounded to one of its two whole
    neighbours so that they sum to G (largest remainder; who wins of equals is drawn); the paper rounds each alone and
    misses G. Where no r_i is above 0, every row is the seed equally often. `RegressionSampler` describes the other
    settings and the fitted attributes.
    """

    def _seeds(self, X: Floats, bump: Bump, count: int, rng: np.random.Generator) -> Rows:
        around = nearest_among(self._blocks.measured(X), self.k_neighbors, bump.rows, device=self.device)
        share = (~self.rare_)[around].mean(axis=1)
        if share.any():
            return np.repeat(np.arange(len(share)), apportioned(share, count, rng))
        self._note(
            f"{len(share)} rare rows from y={bump.low:.4g} to {bump.high:.4g} have rare neighbours only: "
            "each is a seed equally often, as in SMOTER"
        )
        return super()._seeds(X, bump, count, rng)


def apportioned(share: Array, count: int, rng: np.random.Generator) -> Rows:
    """`count` in whole parts proportional to shares (n,), at least one above 0: largest remainders, ties drawn."""
    exact = share / share.sum() * count
    parts: Rows = np.floor(exact).astype(np.int64)
    order = np.lexsort((rng.random(len(share)), parts - exact))
    parts[order[: count - parts.sum()]] += 1
    return parts
