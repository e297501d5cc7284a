"""The hurdle model: whether, times how much."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from regress.hurdle import Hurdle
from regress.losses import Loss
from regress.metrics import d2
from regress.models import Training


def training(n: int = 1500, seed: int = 0, zeros: bool = True) -> Training:
    """One column tells whether, another how much."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4)).astype(np.float32)
    happens = (rng.random(n) < expit(2 * X[:, 0])) | (not zeros)
    y = np.where(happens, expit(-1 + X[:, 1] + 0.2 * rng.normal(size=n)), 0.0)
    return Training(X, y, np.ones(n), np.arange(n), (slice(0, 4),), np.arange(n) % 6 == 0)


def fit(data: Training, loss: str = "bce") -> Hurdle:
    model = Hurdle()
    model.fit(data, Loss.parse(loss), 0, Hurdle().shared(data.X, None))
    return model


@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_each_half_learns_its_own_column(loss: str) -> None:
    data, new = training(), training(seed=1)
    model = fit(data, loss)
    happens = new.y > 0
    whether, amount = model.occurs_.predict(new.X), model.amount_.predict(new.X)
    assert np.corrcoef(whether, new.X[:, 0])[0, 1] > 0.8
    assert abs(np.corrcoef(whether, new.X[:, 1])[0, 1]) < 0.2
    assert np.corrcoef(amount[happens], new.y[happens])[0, 1] > 0.9
    np.testing.assert_array_equal(model.predict(new.X), whether * amount)
    assert d2(new.y, model.predict(new.X), np.full(len(new.y), data.y.mean())) > 0.3


def test_without_zeros_only_the_amount_counts() -> None:
    data = training(zeros=False)
    model = fit(data)
    np.testing.assert_allclose(model.occurs_.predict(data.X), 1, atol=1e-3)


def test_both_files_come_back(tmp_path: Path) -> None:
    data = training(300)
    model = fit(data)
    model.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"occurs.txt", "amount.txt"}
    np.testing.assert_array_equal(Hurdle.load(tmp_path).predict(data.X), model.predict(data.X))
