"""Neighbours: the mean of the nearest, and how many is chosen without looking at the row itself."""

import numpy as np
import pytest

from regress.knn import Neighbors, _allowed
from regress.losses import Loss
from regress.models import Training

BLOCKS = (slice(0, 5),)


def training(n: int, seed: int = 0, noise: float = 0.0) -> Training:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5)).astype(np.float32)
    y = 1 / (1 + np.exp(1 - 2 * X[:, 0])) if not noise else rng.random(n)
    return Training(X, y, rng.uniform(0.5, 1.5, n), np.arange(n), BLOCKS, np.zeros(n, bool))


def test_predictions_are_weighted_means_of_the_nearest_rows() -> None:
    data = training(200)
    model = Neighbors()
    model.fit(data, Loss.parse("bce"), 0, None)
    new = training(20, seed=1).X
    Z, Q = model.projection_.apply(data.X), model.projection_.apply(new)
    for q, p in zip(Q, model.predict(new), strict=True):
        near = np.argsort(((Z - q) ** 2).sum(axis=1))[: model.k_]
        assert p == pytest.approx(np.average(data.y[near], weights=data.weight[near]))


@pytest.mark.parametrize(("noise", "few"), [(0.0, True), (1.0, False)])
def test_noise_wants_many_neighbours_and_a_signal_few(noise: float, few: bool) -> None:
    model = Neighbors()
    model.fit(training(600, noise=noise), Loss.parse("mse"), 0, None)
    assert (model.k_ <= 20) is few


def test_a_row_is_not_its_own_neighbour() -> None:
    """Pure noise: whoever counts a row's target as evidence for the row itself would choose the fewest."""
    model = Neighbors()
    model.fit(training(300, noise=1.0), Loss.parse("mse"), 0, None)
    assert model.k_ >= 40


def test_rows_that_are_all_alike_give_a_mean() -> None:
    data = training(300)
    alike = Training(np.zeros_like(data.X), data.y, data.weight, data.rows, BLOCKS, data.held)
    model = Neighbors()
    model.fit(alike, Loss.parse("mse"), 0, None)
    assert np.ptp(model.predict(data.X)) == 0


@pytest.mark.parametrize("n", [2, 3, 6])
def test_few_rows_are_enough(n: int) -> None:
    model = Neighbors()
    model.fit(training(n), Loss.parse("bce"), 0, None)
    assert model.k_ <= max(n - 1, 1)
    assert np.isfinite(model.predict(training(4, seed=2).X)).all()


def test_allowed_numbers_end_where_the_rows_end() -> None:
    assert _allowed(np.zeros((3, 25), dtype=np.int64)) == [5, 10, 20]
    assert _allowed(np.zeros((3, 2), dtype=np.int64)) == [2]
