"""LightGBM: bins shared by all folds, rows in any order, labels refused where it would be silent."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from data.config import InputError
from regress.lgbm import LightGBM
from regress.losses import Loss
from regress.metrics import d2
from regress.models import Training

Matrix = NDArray[np.float32]
Array = NDArray[np.float64]
BLOCKS = (slice(0, 10),)
BCE = Loss.parse("bce")


def posts(n: int = 500, seed: int = 0) -> tuple[Matrix, Array]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 10)).astype(np.float32)
    return X, rng.binomial(40, expit(-2 + 1.5 * X[:, 0] + X[:, 1] * X[:, 2])) / 40


def training(X: Matrix, y: Array, rows: NDArray[np.int64] | None, weight: Array | None = None) -> Training:
    held = np.arange(len(y)) % 6 == 0
    return Training(X, y, np.ones(len(y)) if weight is None else weight, rows, BLOCKS, held)


def fit(data: Training, shared: object, loss: Loss = BCE, seed: int = 0) -> LightGBM:
    model = LightGBM()
    model.fit(data, loss, seed, shared)
    return model


def test_rows_of_the_shared_bins_are_the_rows_themselves() -> None:
    """A subset of the shared Dataset and a Dataset of the same rows in the same bins must be the same model."""
    X, y = posts()
    rows = np.flatnonzero(np.random.default_rng(1).uniform(size=500) < 0.7)
    shared, weight = LightGBM().shared(X, None), 1 + y[rows]
    subset = fit(training(X[rows], y[rows], rows, weight), shared)
    copied = fit(training(X[rows], y[rows], None, weight), shared)
    np.testing.assert_allclose(subset.predict(X), copied.predict(X), rtol=1e-9)


def test_labels_and_weights_follow_their_rows_in_any_order() -> None:
    X, y = posts()
    weight, rows = 1 + np.arange(500) / 500, np.random.default_rng(0).permutation(500)
    shared, held = LightGBM().shared(X, None), np.arange(500) % 6 == 0
    sorted_rows = fit(Training(X, y, weight, np.arange(500), BLOCKS, held), shared)
    shuffled = fit(Training(X[rows], y[rows], weight[rows], rows, BLOCKS, held[rows]), shared)
    np.testing.assert_allclose(shuffled.predict(X), sorted_rows.predict(X), rtol=1e-6)


def test_one_dataset_serves_fold_after_fold() -> None:
    X, y = posts()
    shared = LightGBM().shared(X, None)
    first, second = np.arange(400), np.arange(100, 500)
    alone = fit(training(X[second], y[second], second), LightGBM().shared(X, None)).predict(X)
    fit(training(X[first], y[first], first), shared)
    np.testing.assert_array_equal(fit(training(X[second], y[second], second), shared).predict(X), alone)


def test_rows_a_sampler_made_use_the_same_bins() -> None:
    X, y = posts()
    made = np.concatenate([X, X[y > 0.3] + np.float32(0.01)])
    model = fit(training(made, np.concatenate([y, y[y > 0.3]]), None), LightGBM().shared(X, None))
    new, truth = posts(seed=1)
    assert d2(truth, model.predict(new), np.full(500, y.mean())) > 0.3


def test_it_learns_from_absent_blocks() -> None:
    X, _ = posts()
    absent = np.arange(500) % 4 == 0
    X[absent] = np.nan
    y = np.random.default_rng(0).binomial(40, np.where(absent, 0.5, 0.05)) / 40
    p = fit(training(X, y, np.arange(500)), LightGBM().shared(X, None)).predict(X)
    assert p[absent].mean() > 0.4
    assert p[~absent].mean() < 0.1


def test_rates_of_three_rows_in_a_hundred_are_not_predicted_as_one() -> None:
    """The trap of LightGBM's "binary" on rates."""
    X, _ = posts()
    y = np.random.default_rng(0).beta(1, 30, 500)
    assert fit(training(X, y, np.arange(500)), LightGBM().shared(X, None)).predict(X).mean() == pytest.approx(
        y.mean(), rel=0.1
    )


@pytest.mark.parametrize("loss", ["bce", "wbce:2"])
@pytest.mark.parametrize("bad", [-0.1, 1.01, np.nan])
def test_labels_that_are_no_rates_are_refused(loss: str, bad: float) -> None:
    X, y = posts(60)
    y[7] = bad
    with pytest.raises(InputError, match="0 to 1"):
        fit(training(X, y, np.arange(60)), LightGBM().shared(X, None), Loss.parse(loss))


def test_squared_loss_takes_any_number() -> None:
    X, y = posts()
    p = fit(training(X, 100 * y - 20, np.arange(500)), LightGBM().shared(X, None), Loss.parse("mse")).predict(X)
    assert p.min() < 0
    assert p.max() > 1
    assert np.corrcoef(p, y)[0, 1] > 0.7


def test_held_out_rows_decide_when_to_stop() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 10)).astype(np.float32), rng.beta(1, 9, 400)
    noise = fit(training(X, y, np.arange(400)), LightGBM().shared(X, None))
    X, y = posts(400)
    signal = fit(training(X, y, np.arange(400)), LightGBM().shared(X, None))
    trees = [kept(model) for model in (noise, signal)]
    assert trees[0] < 60 < trees[1]


def kept(model: LightGBM) -> int:
    """Trees that predictions are made of."""
    return int(model.booster_.best_iteration if model.booster_.best_iteration > 0 else model.booster_.num_trees())


def test_it_is_silent(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    X, y = posts(100)
    X[:, 3] = 1
    model = fit(training(X, y, np.arange(100)), LightGBM().shared(X, None))
    model.save(tmp_path)
    LightGBM.load(tmp_path).predict(X)
    assert capfd.readouterr() == ("", "")


def test_few_rows_and_equal_labels_give_a_constant() -> None:
    X, _ = posts(30)
    p = fit(training(X, np.full(30, 0.2), np.arange(30)), LightGBM().shared(X, None)).predict(X)
    np.testing.assert_allclose(p, 0.2, rtol=1e-6)


def test_it_repeats_itself() -> None:
    X, y = posts()
    one, two, other = (
        fit(training(X, y, np.arange(500)), LightGBM().shared(X, None), seed=seed).predict(X) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_it_is_fitted_again_on_all_rows_unless_they_do_not_weigh_the_same() -> None:
    """Held-out rows count as 1 under any loss: fitted as such, a weighted loss would lose part of its weights."""
    X, y = posts()
    shared, rows = LightGBM().shared(X, None), np.arange(500)
    weight = np.where(rows % 6 == 0, 1, 1 + y)
    for given, same in ((None, False), (weight, True)):
        both = []
        for refit in (True, False):
            model = LightGBM(refit=refit)
            model.fit(training(X, y, rows, given), BCE, 0, shared)
            both.append((kept(model), model.predict(X)))
        assert both[0][0] == both[1][0]
        assert np.array_equal(both[0][1], both[1][1]) is same


def test_settings_reach_lightgbm() -> None:
    X, y = posts()
    model = LightGBM(trees=7, num_leaves=3, learning_rate=0.3, extra_trees=False, lambda_l1=0.5, max_bin=15)
    model.fit(training(X, y, np.arange(500)), BCE, 0, model.shared(X, None))
    text = model.booster_.model_to_string()
    for line in ("num_leaves: 3", "learning_rate: 0.3", "extra_trees: 0", "lambda_l1: 0.5", "max_bin: 15"):
        assert f"[{line}]" in text
    assert kept(model) <= 7
    assert model.sharing != LightGBM().sharing


@pytest.mark.parametrize(("columns", "share"), [(10, 1.0), (64, 0.5), (1536, 32 / 1536)])
def test_a_tree_sees_32_columns_where_nothing_else_is_said(columns: int, share: float) -> None:
    assert LightGBM()._parameters(columns, BCE, 0)["feature_fraction"] == share
    assert LightGBM(feature_fraction=0.3)._parameters(columns, BCE, 0)["feature_fraction"] == 0.3


@pytest.mark.parametrize(
    "setting", [{"num_leaves": 1}, {"max_bin": 1}, {"learning_rate": 0.0}, {"lambda_l2": -1.0}, {"feature_fraction": 2}]
)
def test_impossible_settings_are_named(setting: dict[str, Any]) -> None:
    key, value = next(iter(setting.items()))
    with pytest.raises(ValueError, match=f"^{key}={value}: expected"):
        LightGBM(**setting)
