"""The only training loop: sample → fit → predict → calibrate, each inside the training part of a fold.

Whatever learns from targets (scaling, sampling, the model, early stopping) sees training rows alone. Predictions of a
fold are calibrated by a map fitted on the out-of-fold predictions of the *other* folds, so no post's own target ever
touches its prediction; samplers' synthetic rows are never calibrated on.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regress.calibration import BetaCalibration, fit_beta
from regress.features import Features
from regress.folds import Folds
from regress.losses import Loss
from regress.models import Model, Training, model_class
from regress.run import Fitted
from regress.scaling import Scaler

VALIDATION_SHARE = 0.15  # of the training part, for models that stop early
BOUNDS = (0.0, 1.0)  # synthetic rates stay rates: LightGBM's cross_entropy refuses 1.01


@dataclass(frozen=True)
class Setup:
    """What is fitted: everything but the posts and the folds, which all setups of one call share."""

    model: str
    loss: Loss
    sampler: str
    calibration: str
    seed: int


@dataclass(frozen=True)
class Outcome:
    """Out-of-fold predictions of all posts, and the final model refitted on all of them."""

    raw: NDArray[np.float64]  # (n,) as the model gives them
    prediction: NDArray[np.float64]  # (n,) calibrated on the other folds
    mean: NDArray[np.float64]  # (n,) the training mean of the post's fold: what has to be beaten
    calibrator: BetaCalibration | None  # fitted on all out-of-fold predictions, for new posts
    fitted: Fitted
    seconds: dict[str, float]


@dataclass(frozen=True)
class CrossValidation:
    """The posts, the features and the folds that several setups are tried on."""

    features: Features
    y: NDArray[np.float64]  # (n,) rates
    groups: NDArray[np.int64]  # (n,) what an inner split must not tear apart: posts of one group or picture
    folds: Folds
    _shared: dict[type, object] = field(default_factory=dict)

    def run(self, setup: Setup) -> Outcome:
        """Fit a setup on each fold's training part and once on all posts."""
        start = time.perf_counter()
        raw, mean = np.full(len(self.y), np.nan), np.full(len(self.y), np.nan)
        for k in range(self.folds.n_folds):
            train, test = self.folds.train(k), self.folds.test(k)
            raw[test] = self._fit(setup, train).predict(self.features.X[test])
            mean[test] = self.y[train].mean()
        prediction, calibrator = self._calibrate(setup, raw)
        middle = time.perf_counter()
        fitted = self._fit(setup, np.arange(len(self.y)))
        end = time.perf_counter()
        seconds = {"folds": middle - start, "final": end - middle, "total": end - start}
        return Outcome(raw, prediction, mean, calibrator, fitted, seconds)

    def _calibrate(self, setup: Setup, raw: NDArray[np.float64]) -> tuple[NDArray[np.float64], BetaCalibration | None]:
        if setup.calibration == "none" or not model_class(setup.model).calibrate:
            return raw, None
        prediction = np.empty_like(raw)
        for k in range(self.folds.n_folds):
            test = self.folds.test(k)
            others = np.setdiff1d(np.arange(len(raw)), test)
            prediction[test] = fit_beta(raw[others], self.y[others]).apply(raw[test])
        return prediction, fit_beta(raw, self.y)

    def _fit(self, setup: Setup, rows: NDArray[np.int64]) -> Fitted:
        """Scale, sample and fit on `rows` alone."""
        model_type = model_class(setup.model)
        if model_type not in self._shared:
            self._shared[model_type] = model_type.shared(self.features.X)
        raw, y = self.features.X[rows], self.y[rows]
        held = self._hold_out(rows, setup.seed) if model_type.early_stopping else np.zeros(len(rows), bool)
        scaled = model_type.representation == "scaled"
        scaler = Scaler.fit(raw[~held], self.features.slices) if scaled or setup.sampler != "none" else None
        if setup.sampler != "none" and scaler is not None:
            X, y, held = _resample(setup, raw, y, held, scaler, scaled=scaled)
            row_numbers = None
        else:
            X, row_numbers = (raw if scaler is None else scaler.transform(raw)), rows
        training = Training(
            X=X, y=y, weight=setup.loss.weights(y), rows=row_numbers, blocks=self.features.slices, held=held
        )
        model: Model = model_type()
        model.fit(training, setup.loss, setup.seed, self._shared[model_type])
        return Fitted(model, scaler if scaled else None)

    def _hold_out(self, rows: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
        """bool (m,): the rows early stopping watches; whole groups, drawn until the share is reached."""
        groups, sizes = np.unique(self.groups[rows], return_counts=True)
        order = np.random.default_rng(seed).permutation(len(groups))
        before = np.cumsum(sizes[order]) - sizes[order]
        chosen = groups[order[:-1][before[:-1] < VALIDATION_SHARE * len(rows)]]  # one group always stays to train on
        return np.isin(self.groups[rows], chosen)


def _resample(
    setup: Setup,
    raw: NDArray[np.float32],
    y: NDArray[np.float64],
    held: NDArray[np.bool_],
    scaler: Scaler,
    *,
    scaled: bool,
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
    """Oversample the rows that are not held out, in scaled space; held-out rows follow unchanged.

    A tree reads raw values: originals keep theirs bit for bit, synthetic rows are scaled back.
    """
    from oversample import SAMPLERS

    X = scaler.transform(raw)
    sampler: Any = SAMPLERS[setup.sampler](random_state=setup.seed, target_bounds=BOUNDS)
    X_new, y_new = sampler.fit_resample(X[~held], y[~held])
    if scaled:
        rows = np.concatenate([X_new, X[held]])
    else:
        unscaled = scaler.inverse(X_new)
        real = ~sampler.synthetic_
        unscaled[real] = raw[~held][sampler.sample_indices_[real]]
        rows = np.concatenate([unscaled, raw[held]])
    return rows, np.concatenate([y_new, y[held]]), np.repeat([False, True], [len(y_new), int(held.sum())])
