"""The torch head: the best weights win, not the last; seeds repeat; the file is plain safetensors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from scipy.special import expit

from regress.heads import MLP, Gated, Linear
from regress.losses import Loss
from regress.metrics import d2
from regress.models import Training
from regress.ridge import Ridge

Matrix = NDArray[np.float32]
Array = NDArray[np.float64]
BCE = Loss.parse("bce")


def posts(n: int = 300, seed: int = 0) -> tuple[Matrix, Array]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 12)).astype(np.float32)
    return X, rng.binomial(40, expit(-2 + X[:, 0] + X[:, 1] * X[:, 2])) / 40


def training(X: Matrix, y: Array, loss: Loss = BCE) -> Training:
    return Training(X, y, loss.weights(y), None, (slice(0, X.shape[1]),), np.arange(len(y)) % 6 == 0)


def fit(data: Training, loss: Loss = BCE, seed: int = 0) -> MLP:
    model = MLP()
    model.fit(data, loss, seed, None)
    return model


@pytest.mark.parametrize("name", ["bce", "wbce:2", "mse"])
def test_the_best_epoch_is_kept(name: str) -> None:
    """The study kept the last. The held-out loss of what predicts must be the least of the history."""
    loss = Loss.parse(name)
    rng = np.random.default_rng(0)
    data = training(rng.normal(size=(200, 60)).astype(np.float32), rng.beta(1, 9, 200), loss)
    model = fit(data, loss)
    history = [held for _, held in model.history_]
    assert history[-1] > min(history)  # it went on past its best, or this test shows nothing
    p, y, weight = model.predict(data.X)[data.held], data.y[data.held], data.weight[data.held]
    value = (p - y) ** 2 if loss.squared else -y * np.log(p) - (1 - y) * np.log(1 - p)
    assert np.mean(weight * value) == pytest.approx(min(history), rel=1e-4)


def test_it_stops_when_patience_is_spent() -> None:
    rng = np.random.default_rng(0)
    model = fit(training(rng.normal(size=(200, 60)).astype(np.float32), rng.beta(1, 9, 200)))
    history = [held for _, held in model.history_]
    assert len(history) == int(np.argmin(history)) + 1 + model.patience < model.epochs


def test_held_out_rows_teach_nothing() -> None:
    """Turning their labels round may change when to stop, but no step that was taken."""
    X, y = posts(300)
    data = training(X, y)
    turned = np.where(data.held, 1 - y, y)
    other = Training(X, turned, data.weight, None, data.blocks, data.held)
    one, two = fit(data), fit(other)
    assert two.predict(X).mean() < one.predict(X).mean() + 0.1  # had it learned from them, it would predict far more
    assert len(two.history_) == 1 + two.patience  # every step towards the others' labels is a step away from theirs


def test_it_learns_an_interaction_that_a_linear_model_cannot() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1200, 3)).astype(np.float32)
    y = expit(-1 + 2 * X[:, 0] * X[:, 1]).astype(np.float64)
    p = fit(training(X[:1000], y[:1000])).predict(X[1000:])
    assert d2(y[1000:], p, np.full(200, y[:1000].mean())) > 0.1


def test_noise_ends_near_the_mean() -> None:
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(300, 100)).astype(np.float32), rng.beta(1, 9, 300)
    p = fit(training(X[:240], y[:240])).predict(X[240:])
    assert d2(y[240:], p, np.full(60, y[:240].mean())) > -0.1
    assert p.mean() == pytest.approx(y[:240].mean(), rel=0.3)


def test_a_seed_repeats_itself_and_another_does_not() -> None:
    data = training(*posts(200))
    one, two, other = (fit(data, seed=seed).predict(data.X) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_dropout_is_off_when_predicting() -> None:
    data = training(*posts(200))
    model = fit(data)
    np.testing.assert_array_equal(model.predict(data.X), model.predict(data.X))


def test_squared_loss_predicts_beyond_one() -> None:
    X, y = posts()
    loss = Loss.parse("mse")
    p = fit(training(X, 5 * y + 3, loss), loss).predict(X)
    assert p.mean() == pytest.approx((5 * y + 3).mean(), rel=0.1)


def test_columns_in_any_memory_order() -> None:
    data = training(*posts(200))
    model = fit(data)
    np.testing.assert_allclose(model.predict(np.asfortranarray(data.X)), model.predict(data.X), rtol=1e-6)


def test_the_file_holds_plain_float32_arrays(tmp_path: Path) -> None:
    fit(training(*posts(200))).save(tmp_path)
    arrays = load_file(tmp_path / "model.safetensors")
    assert arrays["hidden.weight"].shape == (256, 12)
    assert arrays["hidden.weight"].dtype == np.float32


def switched(n: int, seed: int) -> tuple[Matrix, Array]:
    """Two blocks of five columns and a sign: where it is positive the first block tells the rate, else the second."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 11)).astype(np.float32)
    X[:, 10] = np.sign(X[:, 10])
    return X, expit(-1 + 2 * np.where(X[:, 10] > 0, X[:, 0], X[:, 5])).astype(np.float64)


def test_the_gate_learns_which_block_counts_in_which_post() -> None:
    (X, y), (new, truth) = switched(3000, 0), switched(600, 1)
    data = Training(X, y, BCE.weights(y), None, (slice(0, 5), slice(5, 10)), np.arange(len(y)) % 6 == 0)
    gated, linear = Gated(), Linear()
    for model in (gated, linear):
        model.fit(data, BCE, 0, None)
    mean = np.full(len(truth), y.mean())
    assert d2(truth, gated.predict(new), mean) > 0.9
    assert d2(truth, linear.predict(new), mean) < 0.7
    first = gated.net_.gate(torch.from_numpy(new)).softmax(dim=1)[:, 0].detach().numpy()
    assert first[new[:, 10] > 0].mean() > first[new[:, 10] < 0].mean() + 0.3


def test_the_linear_head_finds_what_the_closed_form_finds() -> None:
    X, y = posts(1500)
    linear, ridge = Linear(), Ridge()
    for model in (linear, ridge):
        model.fit(training(X, y), BCE, 0, None)
    assert np.corrcoef(linear.predict(X), ridge.predict(X))[0, 1] > 0.99
