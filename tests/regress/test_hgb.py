"""scikit-learn's boosting without pickle: our arrays predict what its object predicts."""

from dataclasses import asdict

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from data.config import InputError
from regress.hgb import HistGradientBoosting, _given
from regress.losses import Loss
from regress.models import Training


def training(n: int = 400, holes: float = 0.1) -> Training:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 12)).astype(np.float32)
    y = rng.binomial(30, 1 / (1 + np.exp(2 - X[:, 0] - X[:, 3]))) / 30
    X[rng.random(n) < holes, 6:] = np.nan
    return Training(X, y, rng.uniform(0.5, 1.5, n), np.arange(n), (slice(0, 6), slice(6, 12)), np.arange(n) % 7 == 0)


@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_the_arrays_predict_what_scikit_learn_predicts(loss: str) -> None:
    data, parsed = training(), Loss.parse(loss)
    model = HistGradientBoosting()
    model.fit(data, parsed, 3, None)
    kind = HistGradientBoostingRegressor if parsed.squared else HistGradientBoostingClassifier
    rows, held = _given(data, ~data.held, parsed), _given(data, data.held, parsed)
    theirs = kind(**asdict(model), early_stopping=True, random_state=3).fit(
        *rows[:2], sample_weight=rows[2], X_val=held[0], y_val=held[1], sample_weight_val=held[2]
    )
    expected = theirs.predict(data.X) if parsed.squared else theirs.predict_proba(data.X)[:, 1]
    np.testing.assert_allclose(model.predict(data.X), expected, rtol=1e-12)


def test_a_rate_is_so_many_successes_and_failures() -> None:
    data = training()
    X, labels, weight = _given(data, ~data.held, Loss.parse("bce"))
    kept = ~data.held
    assert weight.sum() == pytest.approx(data.weight[kept].sum())
    assert weight @ labels == pytest.approx(data.weight[kept] @ data.y[kept])
    assert (weight > 0).all()
    assert len(X) == len(labels) == (data.y[kept] > 0).sum() + (data.y[kept] < 1).sum()


def test_targets_that_are_no_rates_are_refused_for_cross_entropy_only() -> None:
    data = training()
    data.y[3] = 1.5
    with pytest.raises(InputError, match=r"loss bce needs targets from 0 to 1, found 0 … 1.5: use mse"):
        HistGradientBoosting().fit(data, Loss.parse("bce"), 0, None)
    HistGradientBoosting().fit(data, Loss.parse("mse"), 0, None)


def test_without_held_out_rows_of_both_kinds_it_boosts_to_the_end() -> None:
    data = training(60)
    data.held[:] = False
    model = HistGradientBoosting()
    model.fit(data, Loss.parse("bce"), 0, None)
    assert len(model.starts_) == 600


def test_settings_reach_scikit_learn_and_impossible_ones_are_named() -> None:
    model = HistGradientBoosting(max_iter=3, max_leaf_nodes=2)
    model.fit(training(100), Loss.parse("bce"), 0, None)
    assert len(model.starts_) <= 3
    assert len(model.nodes_["value"]) == 3 * len(model.starts_)
    for key, value in {"max_bins": 256, "learning_rate": 0.0, "max_depth": 0, "max_leaf_nodes": 1}.items():
        with pytest.raises(ValueError, match=f"^{key}={value}: expected"):
            HistGradientBoosting(**{key: value})  # type: ignore[arg-type]
