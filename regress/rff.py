"""Random Fourier features (Rahimi, Recht 2007): ridge in the feature space of a Gaussian kernel.

z(x) = √(2/D) cos(Wx + b) with W ~ N(0, 1/ℓ²), b ~ U(0, 2π), so that z(x)·z(x') ≈ exp(−|x − x'|²/2ℓ²). What the kernel
ridge of 25,000 posts would need a 5 GB matrix for, 512 features do; they see what bends, where `ridge` sees lines.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from regress.linear import COMPONENTS, Projection, choose_penalty, solve
from regress.losses import Loss
from regress.models import Model, Search, Training, at_least_one, expect

Array = NDArray[np.float64]
FILE = "model.safetensors"
PAIRS = 2000  # of rows whose median distance is the kernel's length


@dataclass(kw_only=True, eq=False)
class RandomFourier(Model):
    """Penalised linear predictor on random Fourier features of the principal components."""

    representation: ClassVar[Literal["raw", "scaled"]] = "scaled"
    search: ClassVar[Mapping[str, Search]] = {
        "components": Search(16, 512, log=True),
        "length": Search(0.3, 3.0, log=True),
    }

    features: int = 512
    components: int = COMPONENTS
    length: float = 1.0  # of the kernel, in median distances of two rows

    def __post_init__(self) -> None:
        at_least_one(features=self.features, components=self.components)
        expect("length", self.length, self.length > 0, "a number above 0")

    @property
    def projecting(self) -> int | None:
        return self.components

    def fit(self, training: Training, loss: Loss, seed: int, shared: object) -> None:  # noqa: ARG002
        """Draw the features, choose λ by leave-one-group-out, fit on all training rows."""
        rng = np.random.default_rng(seed)
        self.projection_, Z = Projection.fit(training, self.components)
        features = min(self.features, len(Z))
        self.frequencies_ = rng.normal(size=(Z.shape[1], features)) / (self.length * _length(Z, rng))
        self.phases_ = rng.uniform(0, 2 * np.pi, features)
        F = self._features(Z)
        self.theta_ = solve(F, training.y, training.weight, loss, choose_penalty(F, training, loss))
        self.loss_ = Loss("mse", squared=True) if loss.squared else Loss("bce")

    def predict(self, X: NDArray[np.float32]) -> Array:
        F = self._features(self.projection_.apply(X))
        return self.loss_.predict(F @ self.theta_[:-1] + self.theta_[-1])

    def _features(self, Z: Array) -> Array:
        return np.asarray(np.sqrt(2 / len(self.phases_)) * np.cos(Z @ self.frequencies_ + self.phases_))

    def save(self, folder: Path) -> None:
        arrays = {"frequencies": self.frequencies_, "phases": self.phases_, "theta": self.theta_}
        squared = np.array([self.loss_.squared])
        save_file({**arrays, **self.projection_.to_arrays(), "squared": squared}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        arrays = load_file(folder / FILE)
        model = cls()
        model.projection_ = Projection.from_arrays(arrays)
        model.frequencies_, model.phases_, model.theta_ = (arrays[name] for name in ("frequencies", "phases", "theta"))
        model.loss_ = Loss("mse", squared=True) if arrays["squared"][0] else Loss("bce")
        return model


def _length(Z: Array, rng: np.random.Generator) -> float:
    """The median distance of pairs of rows: the usual length of a Gaussian kernel."""
    a, b = rng.integers(len(Z), size=(2, PAIRS))
    distance = np.linalg.norm(Z[a] - Z[b], axis=1)
    return float(np.median(distance[distance > 0])) if (distance > 0).any() else 1.0
