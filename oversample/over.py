"""Bases of the samplers that add rows: bump by bump, and between a row and one of its neighbours."""

import numbers
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from oversample.base import RegressionSampler
from oversample.bounds import check_device
from oversample.draw import Draw, Floats, Rows
from oversample.neighbors import nearest
from oversample.strategy import Bump, wanted

Pairs = NDArray[np.int64]  # (c, 2) places of a seed and its partner among the rows of a bump


@dataclass(kw_only=True, eq=False, repr=False)
class Oversampler(RegressionSampler):
    """Base of the samplers that add rows: a subclass draws the parents of a bump's new rows (`_draw`).

    Parameters
    ----------
    undersample : bool
        Whether normal bumps that are to have fewer rows lose some, drawn at random, as the literature has it.

    `RegressionSampler` describes the other settings and the fitted attributes.
    """

    _sampling_type: ClassVar[str] = "over-sampling"
    undersample: bool = False

    def _sizes(self) -> Rows:
        return wanted(self.bumps_, self.sampling_strategy, undersample=self.undersample)

    def _choose(self, X: Floats, y: Floats, rng: np.random.Generator) -> tuple[Rows, list[Draw]]:
        kept, draws = [], []
        for bump, size in zip(self.bumps_, self.sampling_strategy_.values(), strict=True):
            extra = size - len(bump.rows)
            kept.append(self._keep(bump, min(size, len(bump.rows)), rng))
            if extra > 0:
                draws.append(self._draw(X, y, bump, extra, rng))
        return np.concatenate(kept), draws

    @abstractmethod
    def _draw(self, X: Floats, y: Floats, bump: Bump, count: int, rng: np.random.Generator) -> Draw:
        """The parents of `count` new rows of a bump."""


@dataclass(kw_only=True, eq=False, repr=False)
class NeighborSampler(Oversampler):
    """Base of the samplers that pair a seed i with one of its `k_neighbors` nearest rows j of the same bump.

    Each row of a bump is the seed equally often, up to one, unless a subclass has other seeds (`_seeds`); new rows lie
    between both, x_i + λ (x_j − x_i) with λ ~ U(0, 1), unless it makes something else of a pair (`_pair`). A bump with
    fewer rows takes all of them as neighbours, one of a single row can only be repeated; both warn. `device` is where
    distances are bounded: "cpu", or PyTorch's name of another such as "cuda". The neighbours are the same everywhere.
    """

    k_neighbors: int = 5
    device: str = "cpu"

    def _check(self) -> None:
        super()._check()
        k = self.k_neighbors
        if not isinstance(k, numbers.Integral) or isinstance(k, bool) or k < 1:
            raise ValueError(f"k_neighbors={k!r}: expected a whole number from 1")
        check_device(self.device)

    def _draw(self, X: Floats, y: Floats, bump: Bump, count: int, rng: np.random.Generator) -> Draw:
        self._note_few(bump)
        if len(bump.rows) == 1:
            return self._alone(np.repeat(bump.rows, count))
        seeds = self._seeds(X, bump, count, rng)
        near = nearest(self._blocks.measured(X[bump.rows]), self.k_neighbors, device=self.device)
        partners = near[seeds, rng.integers(near.shape[1], size=count)]
        return self._pair(X, y, bump, np.stack([seeds, partners], axis=1), rng)

    def _seeds(self, X: Floats, bump: Bump, count: int, rng: np.random.Generator) -> Rows:  # noqa: ARG002 - see ADASYN
        """Places among the rows of a bump, int64 (count,)."""
        return spread_evenly(len(bump.rows), count, rng)

    def _pair(self, X: Floats, y: Floats, bump: Bump, pairs: Pairs, rng: np.random.Generator) -> Draw:  # noqa: ARG002
        """What is drawn of pairs of a bump's rows."""
        first, second = bump.rows[pairs].T
        return Draw.between(first, second, rng.random(len(pairs)))

    def _alone(self, rows: Rows) -> Draw:
        """What is drawn where a bump has one row; `rows` are that row, as often as new ones are wanted."""
        return Draw.copies(rows)

    def _note_few(self, bump: Bump) -> None:
        """Warn where a bump has fewer rows than neighbours are asked for."""
        if len(bump.rows) > self.k_neighbors:
            return
        what = f"{len(bump.rows)} rare rows from y={bump.low:.4g} to {bump.high:.4g}"
        how = "their number bounds the neighbours" if len(bump.rows) > 1 else "a single row can only be repeated"
        self._note(f"{what}, fewer than k_neighbors={self.k_neighbors} + 1: {how}")


def spread_evenly(rows: int, count: int, rng: np.random.Generator) -> Rows:
    """int64 (count,) numbers below `rows`, each equally often, up to one: which the odd ones are is drawn."""
    return np.concatenate([np.tile(np.arange(rows), count // rows), rng.permutation(rows)])[:count]
