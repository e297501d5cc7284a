"""Ridge against scikit-learn's own, its optimality conditions, and the blocks it has to balance."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from scipy.special import expit
from sklearn.linear_model import Ridge as ScikitRidge

from regress.linear import COMPONENTS
from regress.losses import Loss
from regress.metrics import d2
from regress.models import Training
from regress.ridge import Ridge

Array = NDArray[np.float64]


def posts(
    n: int, dims: tuple[int, ...], seed: int = 0, strength: float = 1.0
) -> tuple[NDArray[np.float32], Array, tuple[slice, ...]]:
    """Standardised blocks; the rate depends on the first column of each."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, sum(dims))).astype(np.float32)
    ends = np.cumsum((0, *dims))
    blocks = tuple(slice(int(a), int(b)) for a, b in pairwise(ends))
    score = -2 + strength * sum(X[:, block.start] for block in blocks)
    return X, rng.binomial(50, expit(score)) / 50, blocks


def fit(X: NDArray[np.float32], y: Array, blocks: tuple[slice, ...], loss: str = "bce") -> Ridge:
    model, parsed = Ridge(), Loss.parse(loss)
    model.fit(Training(X, y, parsed.weights(y), None, blocks, np.zeros(len(y), bool)), parsed, 0, None)
    return model


def test_squared_loss_is_scikit_learns_ridge() -> None:
    """With every component kept the projection is a rotation, and the penalty can be translated."""
    X, y, blocks = posts(300, (10,))
    model = fit(X, y, blocks, "mse")
    total = X.var(axis=0, dtype=np.float64).sum()
    for factor in (1.0, 0.5):  # whether the squared loss counts twice is the implementation's affair
        alpha = model.penalty_ * len(X) * total * factor
        reference = ScikitRidge(alpha=alpha).fit(X.astype(np.float64), y).predict(X)
        if np.abs(model.predict(X) - reference).max() < 1e-5:
            return
    pytest.fail("neither convention of the penalty agrees with scikit-learn")


@pytest.mark.parametrize("loss", ["bce", "wbce:2"])
def test_the_fit_is_at_its_minimum(loss: str) -> None:
    """The intercept is free, so weighted predictions must average to weighted labels."""
    X, y, blocks = posts(500, (15, 5))
    weight = Loss.parse(loss).weights(y)
    p = fit(X, y, blocks, loss).predict(X)
    assert np.average(p, weights=weight) == pytest.approx(np.average(y, weights=weight), rel=1e-3)


def test_it_learns_more_columns_than_rows() -> None:
    X, y, blocks = posts(120, (200, 60), strength=2)
    model = fit(X, y, blocks)
    assert np.isfinite(model.predict(X)).all()
    assert model.coef_.shape == (260,)


def test_no_more_directions_than_components_are_used() -> None:
    """New rows that differ only outside the 256 axes are predicted the same."""
    X, y, blocks = posts(500, (COMPONENTS + 60,))
    scores = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)[2][COMPONENTS + 5 :]
    model = fit(X, y, blocks)
    assert np.abs(scores @ model.coef_).max() < 1e-3 * np.abs(model.coef_).max()


def test_a_wide_block_of_noise_does_not_drown_a_narrow_one() -> None:
    rng = np.random.default_rng(0)
    narrow, y, _ = posts(1200, (4,), strength=1.5)
    wide = rng.normal(size=(1200, 600)).astype(np.float32)
    X, blocks = np.concatenate([wide, narrow], axis=1), (slice(0, 600), slice(600, 604))
    train, test = np.arange(800), np.arange(800, 1200)
    mean = np.full(400, y[train].mean())
    both = d2(y[test], fit(X[train], y[train], blocks).predict(X[test]), mean)
    alone = d2(y[test], fit(narrow[train], y[train], (slice(0, 4),)).predict(narrow[test]), mean)
    assert both > 0.8 * alone > 0.3


def test_noise_is_shrunk_towards_the_mean() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 200)).astype(np.float32), rng.beta(1, 9, 600)
    model = fit(X, y, (slice(0, 200),))
    assert np.std(model.predict(X)) < 0.2 * np.std(y)


def test_indicator_columns_past_the_blocks_are_used() -> None:
    X, _, blocks = posts(600, (8,))
    absent = (np.arange(600) % 3 == 0).astype(np.float32)[:, None]
    y = np.random.default_rng(0).binomial(50, np.where(absent[:, 0] > 0, 0.4, 0.05)) / 50
    p = fit(np.concatenate([X, absent], axis=1), y, blocks).predict(np.concatenate([X, absent], axis=1))
    assert p[absent[:, 0] > 0].mean() > 3 * p[absent[:, 0] == 0].mean()


@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_constant_and_empty_columns_do_no_harm(loss: str) -> None:
    X, y, _ = posts(200, (6,))
    X = np.concatenate([X, np.zeros((200, 5), np.float32)], axis=1)
    p = fit(X, y, (slice(0, 6), slice(6, 11)), loss).predict(X)
    assert np.isfinite(p).all()
    assert np.corrcoef(p, y)[0, 1] > 0.5


@pytest.mark.parametrize("value", [0.0, 1.0, 0.25])
def test_labels_all_equal_give_that_constant(value: float) -> None:
    X, _, blocks = posts(100, (5,))
    np.testing.assert_allclose(fit(X, np.full(100, value), blocks).predict(X), value, atol=0.01)


def test_the_order_of_columns_does_not_matter() -> None:
    X, y, _ = posts(300, (12,))
    order = np.random.default_rng(0).permutation(12)
    one, other = fit(X, y, (slice(0, 12),)), fit(X[:, order], y, (slice(0, 12),))
    np.testing.assert_allclose(other.predict(X[:, order]), one.predict(X), atol=1e-4)


def test_the_file_is_plain_safetensors(tmp_path: Path) -> None:
    X, y, blocks = posts(100, (5,))
    fit(X, y, blocks, "mse").save(tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="numpy") as file:
        assert set(file.keys()) == {"coef", "intercept"}
        assert file.metadata() == {"link": "identity"}
