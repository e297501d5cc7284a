"""WERCS (Branco, Torgo, Ribeiro 2019): rows are repeated ∝ their relevance φ, left out ∝ 1 − φ.

Relevance decides by degrees: a row just above the threshold is repeated half as often as an extreme one. With `over`
no threshold is needed, but then many new rows are normal ones: 24 % of 60 % zeros + Beta(0.7, 20), half of a Gaussian.
"""

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np

from oversample.draw import Draw, Floats, Rows
from oversample.over import Oversampler
from oversample.strategy import Bump

LEAST = 1e-300  # stands for a 1 − φ of 0: after every other


@dataclass(kw_only=True, eq=False, repr=False)
class WERCS(Oversampler):
    """Copies drawn with replacement ∝ φ; with `undersample`, rows left out without replacement ∝ 1 − φ.

    Parameters
    ----------
    over, under : None or float
        None: inside bumps, as many as `sampling_strategy` says. Shares of all n rows: without bumps, as published,
        over · n copies, and with `undersample` under · n rows left out; `sampling_strategy_` is what came of it.

    `RegressionSampler` describes the other settings and the fitted attributes.
    """

    over: float | None = None
    under: float | None = None

    def _check(self) -> None:
        super()._check()
        if self.over is not None and not (_number(self.over) and 0 < self.over < np.inf):
            raise ValueError(f"over={self.over!r}: expected None, or new rows per row, a number above 0")
        if self.under is not None and not (_number(self.under) and 0 < self.under < 1):
            raise ValueError(f"under={self.under!r}: expected None, or a share of all rows between 0 and 1")
        if self.under is not None and not self.undersample:
            raise ValueError(f"under={self.under!r} leaves rows out: expected undersample=True beside it")
        if self.undersample and self.over is not None and self.under is None:
            raise ValueError(f"over={self.over!r}, undersample=True: expected a share to leave out, pass under")

    def _choose(self, X: Floats, y: Floats, rng: np.random.Generator) -> tuple[Rows, list[Draw]]:
        if self.over is None and self.under is None:
            return super()._choose(X, y, rng)
        rows, asked = np.arange(len(y)), min(round((self.under or 0) * len(y)), len(y) - 1)
        less = min(asked, int((self.relevance_ < 1).sum()))
        if less < asked:
            self._note(f"under={self.under} of {len(y)} rows are {asked}, but only {less} have a relevance below 1")
        more = round((self.over or 0) * len(y)) if self.relevance_.any() else 0
        kept, copies = self._remaining(rows, len(y) - less, rng), self._copies(rows, more, rng)
        times = np.bincount(np.concatenate([kept, copies]), minlength=len(y))
        self.sampling_strategy_ = {number: int(times[bump.rows].sum()) for number, bump in enumerate(self.bumps_)}
        return kept, [Draw.copies(copies)] if more else []

    def _draw(self, X: Floats, y: Floats, bump: Bump, count: int, rng: np.random.Generator) -> Draw:  # noqa: ARG002
        return Draw.copies(self._copies(bump.rows, count, rng))

    def _keep(self, bump: Bump, size: int, rng: np.random.Generator) -> Rows:
        return self._remaining(bump.rows, size, rng)

    def _copies(self, rows: Rows, count: int, rng: np.random.Generator) -> Rows:
        """Rows drawn ∝ φ; of a normal bump that a mapping wants larger and where φ is 0, all alike."""
        weight = self.relevance_[rows]
        if not weight.any():
            weight = np.ones(len(rows))
        return rng.choice(rows, size=count, p=weight / weight.sum())

    def _remaining(self, rows: Rows, size: int, rng: np.random.Generator) -> Rows:
        """The rows that stay of those drawn ∝ 1 − φ one after the other, which is by the smallest of E / (1 − φ).

        E is exponential (Efraimidis and Spirakis 2006). Where more have to go than have a φ below 1, those follow.
        """
        time = rng.exponential(size=len(rows)) / np.maximum(1 - self.relevance_[rows], LEAST)
        return rows[np.argsort(time, kind="stable")[len(rows) - size :]]

    def _note_idle(self) -> None:
        if self.over is None and self.under is None:
            super()._note_idle()
        else:
            shares = f"over={self.over}, under={self.under} of {len(self.relevance_)} rows is less than one"
            self._note(f"{shares if self.relevance_.any() else 'no relevance is above 0'}: nothing was sampled")


def _number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
