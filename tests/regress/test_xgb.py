"""XGBoost: rates taken as they are, the same bytes for a seed, one clear line where it is not installed."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from data.config import InputError
from regress.losses import Loss
from regress.metrics import d2
from regress.models import Training
from regress.xgb import XGBoost

Matrix = NDArray[np.float32]
BCE, MSE = Loss.parse("bce"), Loss.parse("mse")


def training(n: int = 400, seed: int = 0, holes: float = 0.1) -> Training:
    """Counts of 30 trials; two columns tell their rate by a line, two by their product; the second block has holes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 12)).astype(np.float32)
    y = rng.binomial(30, expit(-2 + X[:, 0] + X[:, 7] + 1.2 * X[:, 1] * X[:, 2])) / 30
    X[rng.random(n) < holes, 6:] = np.nan
    blocks = (slice(0, 6), slice(6, 12))
    return Training(X, y, np.ones(n), np.arange(n), blocks, np.arange(n) % 6 == 0, np.arange(n))


BAD = {"max_bin": 1, "learning_rate": 0.0, "reg_lambda": -1.0, "colsample_bytree": 2.0}


def fit(data: Training, loss: Loss = BCE, seed: int = 0, **settings: Any) -> XGBoost:
    model = XGBoost(**settings)
    model.fit(data, loss, seed, None)
    return model


@pytest.mark.parametrize("loss", [BCE, MSE], ids=["bce", "mse"])
def test_it_learns_at_the_level_of_the_truth(loss: Loss) -> None:
    data, new = training(1500), training(1500, seed=1)
    p = fit(data, loss).predict(new.X)
    assert d2(new.y, p, np.full(1500, data.y.mean())) > 0.35
    assert p.mean() == pytest.approx(new.y.mean(), rel=0.1)


def test_a_rate_is_so_many_successes_and_failures() -> None:
    """What it learns from a rate must be what it learns from a 1 of weight y and a 0 of weight 1 − y."""
    data = replace(training(), held=np.zeros(400, bool))
    doubled = replace(
        data,
        X=np.concatenate([data.X, data.X]),
        y=np.repeat([1.0, 0.0], 400),
        weight=np.concatenate([data.y, 1 - data.y]),
        held=np.zeros(800, bool),
        rows=None,
        groups=None,
    )
    settings = {"trees": 20, "max_bin": 4096, "colsample_bytree": 1.0}
    one, two = (fit(rows, **settings).predict(data.X) for rows in (data, doubled))
    np.testing.assert_allclose(one, two, rtol=1e-4)


def test_weights_count_as_copies() -> None:
    data = replace(training(), held=np.zeros(400, bool))
    twice = np.arange(400) % 3 == 0
    rows = np.concatenate([np.arange(400), np.flatnonzero(twice)])
    held = np.zeros(len(rows), bool)
    copied = Training(data.X[rows], data.y[rows], np.ones(len(rows)), None, data.blocks, held)
    weighted = replace(data, weight=np.where(twice, 2.0, 1.0))
    settings = {"trees": 20, "max_bin": 4096, "colsample_bytree": 1.0}
    one, two = (fit(rows, **settings).predict(data.X) for rows in (copied, weighted))
    np.testing.assert_allclose(one, two, rtol=1e-4)


@pytest.mark.parametrize("bad", [-0.1, 1.5, np.nan])
def test_targets_that_are_no_rates_are_refused_for_cross_entropy(bad: float) -> None:
    data = training(60)
    data.y[3] = bad
    with pytest.raises(InputError, match="loss bce needs targets from 0 to 1"):
        fit(data)


@pytest.mark.parametrize("loss", [BCE, MSE], ids=["bce", "mse"])
def test_it_takes_constant_targets_features_that_say_nothing_and_few_rows(loss: Loss) -> None:
    data = training(30)
    np.testing.assert_allclose(fit(replace(data, y=np.full(30, 0.2)), loss).predict(data.X), 0.2, rtol=1e-4)
    assert fit(replace(data, y=np.zeros(30)), loss).predict(data.X) == pytest.approx(0, abs=1e-3)
    for nothing in (np.float32(3), np.float32(np.nan)):
        p = fit(replace(data, X=np.full_like(data.X, nothing)), loss).predict(data.X)
        assert np.ptp(p) == 0
        assert p[0] == pytest.approx(data.y.mean(), rel=0.3)


def test_the_same_seed_gives_the_same_file_and_the_file_the_same_predictions(tmp_path: Path) -> None:
    data = training()
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        fit(data, seed=seed).save(tmp_path / name)
    a, b, c = ({path.name: path.read_bytes() for path in sorted((tmp_path / name).iterdir())} for name in "abc")
    assert a == b
    assert a != c
    np.testing.assert_array_equal(XGBoost.load(tmp_path / "a").predict(data.X), fit(data).predict(data.X))


def test_threads_fit_what_one_fits() -> None:
    alone = [fit(training(seed=seed), trees=40).predict(training().X) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: fit(training(seed=seed), trees=40).predict(training().X), range(4)))
    np.testing.assert_array_equal(together, alone)


def test_held_out_rows_decide_when_to_stop_and_are_then_fitted_on() -> None:
    data = training(1000)
    noise = replace(data, X=np.random.default_rng(1).normal(size=data.X.shape).astype(np.float32))
    stopped = [rounds(fit(rows, refit=False)) for rows in (noise, data)]
    assert stopped[0] < 40 < stopped[1]
    again = fit(data)
    assert rounds(again) == stopped[1]
    assert (again.predict(data.X) != fit(data, refit=False).predict(data.X)).any()


def test_it_is_silent_and_leaves_nothing_behind(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fit(training(100)).predict(training(100).X)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_impossible_settings_are_named() -> None:
    for key, value in BAD.items():
        with pytest.raises(ValueError, match=f"^{key}={value}: expected"):
            XGBoost(**{key: value})


def test_a_missing_package_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(InputError, match=r"model xgboost needs .* pip install 'embed-regress\[xgboost\]'"):
        XGBoost()


def rounds(model: XGBoost) -> int:
    return int(model.booster_.num_boosted_rounds())
