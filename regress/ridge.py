"""Ridge regression on principal components: by Newton for rates, in closed form for `mse`.

The penalty is chosen inside the training part by leaving out one group of posts at a time, without refitting.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from regress.linear import COMPONENTS, Projection, choose_penalty, solve
from regress.losses import Loss, sigmoid
from regress.models import Model, Search, Training, at_least_one, expect

Array = NDArray[np.float64]
FILE = "model.safetensors"


@dataclass(kw_only=True, eq=False)
class Ridge(Model):
    """Linear predictor θ·x + c minimising weighted loss / n + λ‖θ‖²/2 over principal components."""

    representation: ClassVar[Literal["raw", "scaled"]] = "scaled"
    search: ClassVar[Mapping[str, Search]] = {"components": Search(16, 512, log=True)}

    components: int = COMPONENTS
    penalty: float | None = None  # λ; None: chosen

    def __post_init__(self) -> None:
        at_least_one(components=self.components)
        fine = self.penalty is None or self.penalty > 0
        expect("penalty", self.penalty, fine, "a number above 0, or none to have it chosen")

    @property
    def projecting(self) -> int | None:
        return self.components

    def fit(self, training: Training, loss: Loss, seed: int, shared: object) -> None:  # noqa: ARG002
        """Project, choose λ by leave-one-group-out, fit on all training rows."""
        projection, Z = Projection.fit(training, self.components)
        self.penalty_ = choose_penalty(Z, training, loss) if self.penalty is None else self.penalty
        *theta, intercept = solve(Z, training.y, training.weight, loss, self.penalty_)
        self.squared_ = loss.squared
        self.coef_ = projection.axes @ np.array(theta) / projection.spread
        self.intercept_ = float(intercept - projection.center @ np.array(theta) / projection.spread)

    def predict(self, X: NDArray[np.float32]) -> Array:
        score = X @ self.coef_ + self.intercept_
        return score if self.squared_ else sigmoid(score)

    def save(self, folder: Path) -> None:
        arrays = {"coef": self.coef_, "intercept": np.array([self.intercept_])}
        save_file(arrays, folder / FILE, metadata={"link": "identity" if self.squared_ else "logit"})

    @classmethod
    def load(cls, folder: Path) -> Self:
        model = cls()
        with safe_open(folder / FILE, framework="numpy") as file:
            model.squared_ = file.metadata()["link"] == "identity"
            model.coef_, model.intercept_ = file.get_tensor("coef"), float(file.get_tensor("intercept")[0])
        return model


class BinomialRidge(Ridge):
    """Ridge for counts: the binomial likelihood of each post's trials, less what they share (`--loss binomial`)."""

    losses: ClassVar[frozenset[str]] = frozenset({"binomial"})
