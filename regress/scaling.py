"""Standardise blocks of features on the training part; absent blocks become 0 with an indicator column."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Scaler:
    """Column means and deviations of the training rows; which blocks have an indicator of absence."""

    mean: NDArray[np.float32]  # (d,)
    scale: NDArray[np.float32]  # (d,); 0 for a constant column, which then stays 0
    indicators: NDArray[np.int64]  # (k, 2) first column and end of each block absent in some, not all, training rows

    @classmethod
    def fit(cls, X: Matrix, slices: tuple[slice, ...]) -> "Scaler":
        """X float32 (m, d), NaN rows where a block is absent; statistics in float64."""
        d = X.shape[1]
        mean, scale, indicators = np.zeros(d), np.zeros(d), []
        for block in slices:
            present = ~np.isnan(X[:, block.start])
            if not present.any():
                continue
            values = X[:, block] if present.all() else X[present, block]
            mean[block], deviation = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
            varying = deviation > 1e-7 * np.maximum(1.0, np.abs(mean[block]))
            scale[block] = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=varying)
            if not present.all():
                indicators.append((block.start, block.stop))
        return cls(
            mean.astype(np.float32), scale.astype(np.float32), np.array(indicators, dtype=np.int64).reshape(-1, 2)
        )

    def transform(self, X: Matrix) -> Matrix:
        """float32 (n, d) → float32 (n, d + indicators)."""
        d = X.shape[1]
        found = np.empty((len(X), d + len(self.indicators)), np.float32)
        scaled = found[:, :d]
        np.subtract(X, self.mean, out=scaled)
        scaled *= self.scale
        if not np.isfinite(scaled.sum(dtype=np.float64)):  # a pass over what is there costs less than a mask of it
            np.nan_to_num(scaled, copy=False, nan=0.0)
        found[:, d:] = np.isnan(X[:, self.indicators[:, 0]])
        return found

    def inverse(self, scaled: Matrix) -> Matrix:
        """Back to the units of X, without the indicators; a block more absent than not comes back as NaN."""
        d = len(self.mean)
        deviation = np.divide(1.0, self.scale, out=np.zeros_like(self.scale), where=self.scale > 0)
        values = np.asarray(scaled[:, :d] * deviation + self.mean, dtype=np.float32)
        for column, (start, stop) in enumerate(self.indicators, start=d):
            values[scaled[:, column] > 0.5, start:stop] = np.nan
        return values

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        return {"mean": self.mean, "scale": self.scale, "indicators": self.indicators}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.generic]]) -> "Scaler":
        return cls(arrays["mean"], arrays["scale"], arrays["indicators"])  # type: ignore[arg-type]
