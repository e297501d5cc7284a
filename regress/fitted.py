"""A model with the scaling it was trained under, as one thing to predict with, save and load."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from regress.models import Model, model_class
from regress.scaling import Scaler

SCALER = "scaler.safetensors"


@dataclass(frozen=True)
class Fitted:
    """Raw features in, predictions out, not yet calibrated."""

    model: Model
    scaler: Scaler | None

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """float32 (n, d) features, NaN rows where a block is absent → float64 (n,)."""
        return self.model.predict(X if self.scaler is None else self.scaler.transform(X))

    def save(self, folder: Path) -> None:
        """Write the model's files, and the scaling's where there is one, into an empty folder."""
        self.model.save(folder)
        if self.scaler is not None:
            save_file(self.scaler.to_arrays(), folder / SCALER)

    @classmethod
    def load(cls, folder: Path, model: str) -> "Fitted":
        """Read a model of that name from files whose SHA-256s were verified."""
        scaled = (folder / SCALER).exists()
        scaler = Scaler.from_arrays(load_file(folder / SCALER)) if scaled else None
        return cls(model_class(model).load(folder), scaler)
