"""Two questions for a target with an atom at zero: does it happen at all, and how much where it does?

P(y > 0 | x) · E[y | y > 0, x], each boosted trees of its own. What tells a post that nobody opens from the rest need
not be what tells often from seldom, and one model has to trade them off; where it is the same, one model has more data.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from regress.boosting import only
from regress.lgbm import Boosted, predicted, read_trees
from regress.losses import Loss
from regress.models import Training

OCCURS, AMOUNT = "occurs.txt", "amount.txt"


@dataclass(kw_only=True, eq=False)
class Hurdle(Boosted):
    """LightGBM for whether the target is above 0 (cross-entropy) times LightGBM for the rows where it is (the loss)."""

    def fit(self, training: Training, loss: Loss, seed: int, shared: object) -> None:
        """Boost both on the same bins; rows of 0 are left out of the second."""
        happens = training.y > 0
        self.occurs_ = self.boost(replace(training, y=happens.astype(np.float64)), Loss("bce"), seed, shared)
        self.amount_ = self.boost(only(training, happens if happens.any() else ~happens), loss, seed, shared)

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return predicted(self.occurs_, X) * predicted(self.amount_, X)

    def save(self, folder: Path) -> None:
        self.occurs_.save_model(folder / OCCURS)
        self.amount_.save_model(folder / AMOUNT)

    @classmethod
    def load(cls, folder: Path) -> Self:
        model = cls()
        model.occurs_, model.amount_ = read_trees(folder / OCCURS), read_trees(folder / AMOUNT)
        return model
