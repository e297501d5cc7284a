"""Two questions for a target with an atom at zero: does it happen at all, and how much where it does?

P(y > 0 | x) · E[y | y > 0, x], each boosted trees of its own. What tells a post that nobody opens from the rest need
not be what tells often from seldom, and one model has to trade them off; where it is the same, one model has more data.
"""

from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from regress.lgbm import LightGBM
from regress.losses import Loss
from regress.models import Model, Training

OCCURS, AMOUNT = "occurs.txt", "amount.txt"


class Hurdle(Model):
    """LightGBM for whether the target is above 0 (cross-entropy) times LightGBM for the rows where it is (the loss)."""

    representation: ClassVar[Literal["raw", "scaled"]] = "raw"
    calibrate: ClassVar[bool] = True
    early_stopping: ClassVar[bool] = True

    @property
    def sharing(self) -> Hashable | None:
        return "bins"

    def shared(self, X: NDArray[np.float32], store: Path | None) -> object:
        return LightGBM().shared(X, store)

    def fit(self, training: Training, loss: Loss, seed: int, shared: object) -> None:
        """Boost both on the same bins; rows of 0 are left out of the second."""
        self.occurs_, self.amount_ = LightGBM(), LightGBM()
        happens = training.y > 0
        self.occurs_.fit(replace(training, y=happens.astype(np.float64)), Loss("bce"), seed, shared)
        self.amount_.fit(_only(training, happens if happens.any() else ~happens), loss, seed, shared)

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.occurs_.predict(X) * self.amount_.predict(X)

    def save(self, folder: Path) -> None:
        self.occurs_.write(folder / OCCURS)
        self.amount_.write(folder / AMOUNT)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read models whose SHA-256s were verified."""
        model = cls()
        model.occurs_, model.amount_ = LightGBM.read(folder / OCCURS), LightGBM.read(folder / AMOUNT)
        return model


def _only(training: Training, mask: NDArray[np.bool_]) -> Training:
    """The training rows of a mask (m,)."""
    return replace(
        training,
        X=training.X[mask],
        y=training.y[mask],
        weight=training.weight[mask],
        rows=None if training.rows is None else training.rows[mask],
        held=training.held[mask],
        groups=None if training.groups is None else training.groups[mask],
    )
