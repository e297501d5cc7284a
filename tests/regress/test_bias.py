"""Whatever raised the level of predictions, calibration brings it back: every weight, sampler and weighting.

The target is as skewed as clicks: about 35 % zeros, a mean of about 3 %.
"""

import functools

import numpy as np
import pytest
from numpy.typing import NDArray

from oversample import SAMPLERS
from oversample.weights import WEIGHTS
from regress.calibration import fit_calibration
from regress.choices import NOTHING, WEIGHTED, Choice
from regress.crossval import CrossValidation
from regress.features import Block, Features
from regress.folds import Folds
from regress.losses import Loss, sigmoid
from regress.trainer import Setup, Trainer

Array = NDArray[np.float64]
N, FOLDS = 2000, 5
SMALLER = {"vae": "vae:hidden=16"}  # in a tenth of the time
CHOICES = [*(SMALLER.get(name, name) for name in SAMPLERS), *(name + WEIGHTED for name in WEIGHTS)]
RAISED = {"wbce:3": 1.2, "wbce:10": 2, "undersample": 2, "smoter": 1.5, "lds-weights": 4}  # or nothing is brought back


@functools.cache
def loop() -> CrossValidation:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 16)).astype(np.float32)
    unseen = rng.normal(0, 1.2, N)  # what no feature tells: weights shift the level where much of the target is unknown
    rate = sigmoid(X[:, :4].astype(np.float64) @ np.full(4, 0.5) + unseen - 4.6)
    trials = rng.integers(20, 300, N)
    y = rng.binomial(trials, rate) / trials
    assert 0.3 < np.mean(y == 0) < 0.42
    assert 0.025 < y.mean() < 0.04
    alone = np.arange(N)
    return CrossValidation(Trainer(Features("all", (Block("a", "1", X),)), y, np.full(len(y), 30.0), alone), (folds(),))


def folds() -> Folds:
    return Folds(FOLDS, np.arange(N) % FOLDS, np.full((N, 1), -1))


@functools.cache
def out_of_fold(loss: str, choice: str) -> Array:
    """Raw predictions of ridge, each by the fit on the other folds."""
    picked = NOTHING if choice == "none" else Choice.parse(choice)
    return loop().run(Setup("ridge", Loss.parse(loss), picked, "none", 0)).partitions[0].raw


def calibrated(kind: str, raw: Array) -> Array:
    """Each fold by the map fitted on the others."""
    found = np.empty(N)
    for k in range(FOLDS):
        test = np.arange(N) % FOLDS == k
        found[test] = fit_calibration(kind, raw[~test], loop().trainer.y[~test]).apply(raw[test])
    return found


@pytest.mark.parametrize("kind", ["beta", "isotonic"])
@pytest.mark.parametrize(("loss", "choice"), [("bce", "none"), ("wbce:3", "none"), ("wbce:10", "none")])
def test_weighted_losses(loss: str, choice: str, kind: str) -> None:
    assert bias(calibrated(kind, out_of_fold(loss, choice))) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("kind", ["beta", "isotonic"])
@pytest.mark.parametrize("choice", CHOICES)
def test_samplers_and_weightings(choice: str, kind: str) -> None:
    assert bias(calibrated(kind, out_of_fold("bce", choice))) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", RAISED)
def test_there_was_something_to_bring_back(name: str) -> None:
    raw = out_of_fold(name, "none") if name.startswith("wbce") else out_of_fold("bce", name)
    assert bias(raw) > RAISED[name]


def bias(p: Array) -> float:
    return float(p.mean() / loop().trainer.y.mean())
