"""Predict the training mean: what every other model has to beat. D² is 0 by construction."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from regress.losses import Loss
from regress.models import Model, Training

FILE = "model.safetensors"


@dataclass(kw_only=True, eq=False)
class Mean(Model):
    """The plain mean of the training targets, whatever the loss."""

    representation: ClassVar[Literal["raw", "scaled"]] = "raw"
    calibrate: ClassVar[bool] = False
    losses: ClassVar[frozenset[str]] = frozenset({"mse", "bce", "wbce", "binomial", "focal", "bmse"})

    def fit(self, training: Training, loss: Loss, seed: int, shared: object) -> None:  # noqa: ARG002
        self.mean_ = float(training.y.mean())

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.full(len(X), self.mean_)

    def save(self, folder: Path) -> None:
        save_file({"mean": np.array([self.mean_])}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        model = cls()
        model.mean_ = float(load_file(folder / FILE)["mean"][0])
        return model
