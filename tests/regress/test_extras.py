"""XGBoost and CatBoost promise the same: rates as they are, the same bytes for a seed, one line if not installed."""

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from data.config import InputError
from regress.cat import CatBoost
from regress.losses import Loss
from regress.metrics import d2
from regress.models import Model, Training
from regress.xgb import XGBoost

Matrix = NDArray[np.float32]
BCE, MSE = Loss.parse("bce"), Loss.parse("mse")


@dataclass(frozen=True)
class Extra:
    """A model of an optional package."""

    package: str
    kind: Callable[..., Any]
    exact: Mapping[str, Any]  # settings that leave nothing to chance, and bins as fine as the rows
    bad: Mapping[str, Any]
    rounds: Callable[[Any], int]  # trees of a fitted model

    def fit(self, data: Training, loss: Loss = BCE, seed: int = 0, **settings: Any) -> Model:
        model: Model = self.kind(**settings)
        model.fit(data, loss, seed, None)
        return model


EXTRAS = (
    Extra(
        "xgboost",
        XGBoost,
        {"trees": 20, "max_bin": 4096, "colsample_bytree": 1.0},
        {"max_bin": 1, "learning_rate": 0.0, "reg_lambda": -1.0, "colsample_bytree": 2.0},
        lambda model: int(model.booster_.num_boosted_rounds()),
    ),
    Extra(
        "catboost",
        CatBoost,
        {"trees": 20, "rsm": 1.0, "random_strength": 0.0, "border_count": 1000, "l2_leaf_reg": 0.0},
        {"depth": 0, "learning_rate": 0.0, "rsm": 2.0, "border_count": 0},
        lambda model: int(model.trees_.tree_count_),
    ),
)


@pytest.fixture(params=EXTRAS, ids=[extra.package for extra in EXTRAS])
def extra(request: pytest.FixtureRequest) -> Extra:
    return request.param


def training(n: int = 400, seed: int = 0, holes: float = 0.1) -> Training:
    """Counts of 30 trials; two columns tell their rate by a line, two by their product; the second block has holes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 12)).astype(np.float32)
    y = rng.binomial(30, expit(-2 + X[:, 0] + X[:, 7] + 1.2 * X[:, 1] * X[:, 2])) / 30
    X[rng.random(n) < holes, 6:] = np.nan
    blocks = (slice(0, 6), slice(6, 12))
    return Training(X, y, np.ones(n), np.arange(n), blocks, np.arange(n) % 6 == 0, np.arange(n))


@pytest.mark.parametrize("loss", [BCE, MSE], ids=["bce", "mse"])
def test_it_learns_at_the_level_of_the_truth(extra: Extra, loss: Loss) -> None:
    data, new = training(1500), training(1500, seed=1)
    p = extra.fit(data, loss).predict(new.X)
    assert d2(new.y, p, np.full(1500, data.y.mean())) > 0.35
    assert p.mean() == pytest.approx(new.y.mean(), rel=0.1)


def test_a_rate_is_so_many_successes_and_failures(extra: Extra) -> None:
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
    one, two = (extra.fit(rows, **extra.exact).predict(data.X) for rows in (data, doubled))
    np.testing.assert_allclose(one, two, rtol=1e-4)


def test_weights_count_as_copies(extra: Extra) -> None:
    data = replace(training(), held=np.zeros(400, bool))
    twice = np.arange(400) % 3 == 0
    rows = np.concatenate([np.arange(400), np.flatnonzero(twice)])
    held = np.zeros(len(rows), bool)
    copied = Training(data.X[rows], data.y[rows], np.ones(len(rows)), None, data.blocks, held)
    weighted = replace(data, weight=np.where(twice, 2.0, 1.0))
    one, two = (extra.fit(rows, **extra.exact).predict(data.X) for rows in (copied, weighted))
    np.testing.assert_allclose(one, two, rtol=1e-4)


@pytest.mark.parametrize("bad", [-0.1, 1.5, np.nan])
def test_targets_that_are_no_rates_are_refused_for_cross_entropy(extra: Extra, bad: float) -> None:
    data = training(60)
    data.y[3] = bad
    with pytest.raises(InputError, match="loss bce needs targets from 0 to 1"):
        extra.fit(data)


@pytest.mark.parametrize("loss", [BCE, MSE], ids=["bce", "mse"])
def test_it_takes_constant_targets_features_that_say_nothing_and_few_rows(extra: Extra, loss: Loss) -> None:
    data = training(30)
    np.testing.assert_allclose(extra.fit(replace(data, y=np.full(30, 0.2)), loss).predict(data.X), 0.2, rtol=1e-4)
    assert extra.fit(replace(data, y=np.zeros(30)), loss).predict(data.X) == pytest.approx(0, abs=1e-3)
    for nothing in (np.float32(3), np.float32(np.nan)):
        p = extra.fit(replace(data, X=np.full_like(data.X, nothing)), loss).predict(data.X)
        assert np.ptp(p) == 0
        assert p[0] == pytest.approx(data.y.mean(), rel=0.3)


def test_the_same_seed_gives_the_same_file_and_the_file_the_same_predictions(extra: Extra, tmp_path: Path) -> None:
    data = training()
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        extra.fit(data, seed=seed).save(tmp_path / name)
    a, b, c = ({path.name: path.read_bytes() for path in sorted((tmp_path / name).iterdir())} for name in "abc")
    assert a == b
    assert a != c
    np.testing.assert_array_equal(
        type(extra.kind()).load(tmp_path / "a").predict(data.X), extra.fit(data).predict(data.X)
    )


def test_threads_fit_what_one_fits(extra: Extra) -> None:
    alone = [extra.fit(training(seed=seed), trees=40).predict(training().X) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: extra.fit(training(seed=seed), trees=40).predict(training().X), range(4)))
    np.testing.assert_array_equal(together, alone)


def test_held_out_rows_decide_when_to_stop_and_are_then_fitted_on(extra: Extra) -> None:
    data = training(1000)
    noise = replace(data, X=np.random.default_rng(1).normal(size=data.X.shape).astype(np.float32))
    stopped = [extra.rounds(extra.fit(rows, refit=False)) for rows in (noise, data)]
    assert stopped[0] < 40 < stopped[1]
    again = extra.fit(data)
    assert extra.rounds(again) == stopped[1]
    assert (again.predict(data.X) != extra.fit(data, refit=False).predict(data.X)).any()


def test_it_is_silent_and_leaves_nothing_behind(
    extra: Extra, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    extra.fit(training(100)).predict(training(100).X)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_impossible_settings_are_named(extra: Extra) -> None:
    for key, value in extra.bad.items():
        with pytest.raises(ValueError, match=f"^{key}={value}: expected"):
            extra.kind(**{key: value})


def test_a_missing_package_is_one_line_that_says_what_to_install(extra: Extra, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, extra.package, None)
    install = rf"model {extra.package} needs .* pip install 'embed-regress\[{extra.package}\]'"
    with pytest.raises(InputError, match=install):
        extra.kind()
