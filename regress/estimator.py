"""A trained run as a scikit-learn estimator: raw features in, calibrated predictions and their intervals out.

The model is frozen: `fit` and `clone` leave it as it is, as `sklearn.frozen.FrozenEstimator` does. So it can stand in
a pipeline or under an inspection tool, and a cross-validation of it is no cross-validation: the out-of-fold
predictions are in the run's folder.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_array, check_is_fitted

from data.config import InputError
from embed.spaces import SpaceInfo
from regress.calibration import from_json as calibration_from_json
from regress.entry import Entry, read_entry
from regress.run import MANIFEST

if TYPE_CHECKING:
    from regress.fitted import Fitted

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Predicted:
    """Predictions of n posts, float64 (n,) each; the ends are NaN where the run has no intervals."""

    raw: Array  # before the calibration
    prediction: Array
    low: Array  # 90 % interval of the rate that will be seen
    high: Array


class RunRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """The final model of a run, fitted on all of its posts, with its calibration.

    Attributes:
        entry_: what the run's manifest says.
        encoders_: the encoders whose vectors, side by side in this order, are the columns of X.
        blocks_: the columns of each encoder by its name.
        n_features_in_: how many columns that are; 0 for a run of the mean, which takes any.
    """

    entry_: Entry
    encoders_: tuple[SpaceInfo, ...]
    blocks_: dict[str, slice]
    n_features_in_: int
    model_: "Fitted"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a run folder, its files verified.

        Raises:
            InputError: no run is there, it is damaged, or an earlier version wrote it.
        """
        self = cls(folder)
        self.entry_ = read_entry(folder)
        self.encoders_ = _encoders(self.entry_)
        ends = np.cumsum([0, *(info.dim for info in self.encoders_)]).tolist()
        columns = [slice(*pair) for pair in pairwise(ends)]
        self.blocks_ = {info.name: part for info, part in zip(self.encoders_, columns, strict=True)}
        self.n_features_in_ = ends[-1]
        self._calibration = _calibration(self.entry_)
        self.model_ = self.entry_.run.load_model()
        scaler = self.model_.scaler
        if scaler is not None and len(scaler.mean) != self.n_features_in_:
            raise InputError(f"{folder} is damaged (its model and its encoders differ in width): fit again")
        return self

    def fit(self, X: object = None, y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Itself, unchanged: it is fitted."""
        check_is_fitted(self)
        return self

    def predict(self, X: ArrayLike) -> Array:
        """Calibrated predictions, float64 (n,), for X (n, n_features_in_); NaN rows in the blocks that a post lacks.

        Raises:
            ValueError: X has another number of columns, or holds infinity.
        """
        return self.predict_interval(X).prediction

    def predict_interval(self, X: ArrayLike, trials: Array | None = None) -> Predicted:
        """Predictions with their 90 % intervals; `trials` (n,) where they are known, NaN where they are not."""
        check_is_fitted(self)
        values = check_array(X, dtype=np.float32, ensure_all_finite="allow-nan", ensure_min_features=0)
        if self.blocks_ and values.shape[1] != self.n_features_in_:
            blocks = ", ".join(f"{info.name} {info.dim}" for info in self.encoders_)
            raise InputError(
                f"X has {values.shape[1]:,} features, but run {self.entry_.name!r} is expecting "
                f"{self.n_features_in_:,} ({blocks}): put these blocks side by side"
            )
        raw = self.model_.predict(values)
        p = raw if self._calibration is None else self._calibration.apply(raw)
        return Predicted(raw, p, *self._ends(p, trials))

    def _ends(self, p: Array, trials: Array | None) -> tuple[Array, Array]:
        intervals = self.entry_.intervals
        if intervals is None:
            return np.full(len(p), np.nan), np.full(len(p), np.nan)
        low, high = intervals(p)
        if trials is not None:
            known = np.isfinite(trials)
            low[known], high[known] = intervals(p[known], trials[known])
        return low, high

    def __sklearn_clone__(self) -> Self:
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _encoders(entry: Entry) -> tuple[SpaceInfo, ...]:
    """The encoders of a run's columns, in their order."""
    path, kept = entry.run.folder / MANIFEST, entry.run.manifest.get("encoders", {})
    if not kept and entry.features:
        raise InputError(f"{path} does not say how its encoders were made, an earlier version wrote it: fit again")
    try:
        found = tuple(SpaceInfo.from_json(kept[name]) for name in entry.features)
    except (KeyError, TypeError, ValueError, AttributeError) as why:
        raise InputError(f"{path} is damaged (encoders: {why!r}): fit again") from None
    for name, info in zip(entry.features, found, strict=True):
        if info.name != name or info.fingerprint != entry.fingerprints.get(name):
            raise InputError(f"{path} is damaged (encoder {name!r} is described as another): fit again")
    return found


def _calibration(entry: Entry) -> Any:
    calibrator = entry.run.manifest["calibrator"]
    try:
        return None if calibrator is None else calibration_from_json(calibrator)
    except (KeyError, TypeError) as why:
        raise InputError(f"{entry.run.folder / MANIFEST} is damaged (calibrator: {why!r}): fit again") from None
