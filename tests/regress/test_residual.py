"""Boosting from ridge: the start has not seen the row's own target, and what is predicted is the sum of both."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit

from regress.lgbm import LightGBM, predicted
from regress.linear import PENALTIES, choose_penalty, leave_out, solve
from regress.losses import Loss
from regress.metrics import d2
from regress.models import Training
from regress.residual import Residual

BCE, MSE = Loss.parse("bce"), Loss.parse("mse")


def training(n: int = 600, seed: int = 0, wide: int = 6) -> Training:
    """A line over both blocks, and a step that no line sees; the second block has holes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6 + wide)).astype(np.float32)
    y = rng.binomial(40, expit(-2 + X[:, :4].sum(axis=1) / 2 + X[:, 6] + 1.5 * (np.abs(X[:, 5]) > 1))) / 40
    X[rng.random(n) < 0.1, 6:] = np.nan
    blocks = (slice(0, 6), slice(6, 6 + wide))
    return Training(X, y, np.ones(n), np.arange(n), blocks, np.arange(n) % 6 == 0, np.arange(n) // 2)


def fit(data: Training, loss: Loss = BCE, **settings: bool | int) -> Residual:
    model = Residual(**settings)  # type: ignore[arg-type]
    model.fit(data, loss, 0, model.shared(data.X, None))
    return model


@pytest.mark.parametrize("loss", [BCE, MSE], ids=["bce", "mse"])
def test_it_is_better_than_the_line_and_than_the_trees(loss: Loss) -> None:
    data, new = training(2000), training(2000, seed=1)
    model, mean = fit(data, loss), np.full(2000, data.y.mean())
    line = loss.predict(model._line(new.X))
    trees = LightGBM()
    trees.fit(data, loss, 0, trees.shared(data.X, None))
    both = d2(new.y, model.predict(new.X), mean)
    assert both > d2(new.y, line, mean) + 0.05
    assert both > d2(new.y, trees.predict(new.X), mean)


@pytest.mark.parametrize("loss", [BCE, MSE], ids=["bce", "mse"])
def test_a_prediction_is_the_line_plus_the_trees(loss: Loss) -> None:
    data = training()
    model = fit(data, loss)
    score = model._line(data.X) + predicted(model.booster_, data.X, raw=True)
    np.testing.assert_allclose(model.predict(data.X), loss.predict(score), rtol=1e-12)


def test_the_start_of_a_row_has_not_seen_its_target() -> None:
    """Rows of a group start from a fit without the group: a start that knew the labels would be nearer to them."""
    data = training(160, wide=60)
    model = Residual()
    left_out = model._fit_line(data, BCE)
    assert BCE.value(left_out, data.y).mean() > BCE.value(model._line(data.X), data.y).mean() + 0.01
    changed = data.y.copy()
    changed[:2] += 0.1
    moved = Residual()._fit_line(replace(data, y=changed), MSE) - Residual()._fit_line(data, MSE)
    np.testing.assert_allclose(moved[:2], 0, atol=1e-9)
    assert np.abs(moved[2:]).min() > 0


@pytest.mark.parametrize("loss", [BCE, MSE], ids=["bce", "mse"])
def test_left_out_scores_are_those_of_refitting(loss: Loss) -> None:
    rng = np.random.default_rng(0)
    Z, groups = rng.normal(size=(90, 4)) / 2, np.arange(90) // 3
    y = rng.binomial(30, expit(-1 + Z[:, 0])) / 30
    data = Training(Z.astype(np.float32), y, rng.uniform(0.5, 1.5, 90), None, (), np.zeros(90, bool), groups)
    penalty, scores = leave_out(Z, data, loss)
    assert penalty in PENALTIES
    assert penalty == choose_penalty(Z, data, loss)
    for group in range(30):
        rest, out = groups != group, groups == group
        # the weights of the mean loss stay what they were with all rows
        share = data.weight[rest].sum() / data.weight.sum()
        theta = solve(Z[rest], y[rest], data.weight[rest], loss, penalty / share)
        np.testing.assert_allclose(scores[out], Z[out] @ theta[:-1] + theta[-1], atol=0.02)


def test_held_out_rows_are_no_part_of_the_line_under_a_weighted_loss() -> None:
    data = training()
    weighted = replace(data, weight=np.where(data.held, 1, 1 + data.y))
    y = data.y.copy()
    y[data.held] = 0.5
    for rows, same in ((weighted, True), (data, False)):
        lines = [fit(replace(rows, y=targets), trees=2)._line(data.X) for targets in (data.y, y)]
        assert np.array_equal(*lines) is same


def test_the_files_come_back_and_are_the_same_for_a_seed(tmp_path: Path) -> None:
    data = training()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        fit(data).save(tmp_path / name)
    a, b = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab")
    assert a == b
    assert a.keys() == {"model.txt", "line.safetensors"}
    np.testing.assert_array_equal(Residual.load(tmp_path / "a").predict(data.X), fit(data).predict(data.X))


def test_rows_in_any_order_start_from_their_own_score() -> None:
    data = training()
    order = np.random.default_rng(0).permutation(600)
    shared = Residual().shared(data.X, None)
    shuffled = Training(
        data.X[order], data.y[order], data.weight, order, data.blocks, data.held[order], np.arange(600)[order] // 2
    )
    models = [Residual(), Residual()]
    for model, rows in zip(models, (data, shuffled), strict=True):
        model.fit(rows, BCE, 0, shared)
    np.testing.assert_allclose(logit(models[0].predict(data.X)), logit(models[1].predict(data.X)), atol=1e-3)


def test_rows_a_sampler_made_and_threads_give_what_one_fit_gives() -> None:
    data = training()
    made = replace(data, rows=None)
    shared = Residual().shared(data.X, None)

    def predict(rows: Training) -> NDArray[np.float64]:
        model = Residual(refit=False)
        model.fit(rows, BCE, 0, shared)
        return model.predict(data.X)

    alone = predict(data)
    with ThreadPoolExecutor(3) as pool:
        for p in pool.map(predict, [data, made, data]):
            np.testing.assert_allclose(p, alone, rtol=1e-9)
