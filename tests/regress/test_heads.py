"""The torch head: the best weights win, not the last; seeds repeat; the file is plain safetensors."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file
from scipy.special import expit

from regress.heads import MLP, Attention, Gated, Head, Linear
from regress.linear import Projection
from regress.losses import Loss
from regress.metrics import d2
from regress.models import Training
from regress.ridge import Ridge

Matrix = NDArray[np.float32]
Array = NDArray[np.float64]
BCE = Loss.parse("bce")
HEADS = [Linear, MLP, Gated, Attention]


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


# ---------------------------------------------------------------- losses of heads alone


@pytest.mark.parametrize("name", ["focal:2", "bmse", "binomial"])
@pytest.mark.parametrize("head", HEADS)
def test_every_head_learns_by_every_loss(head: type[Head], name: str) -> None:
    X, y = posts(600)
    loss, model = Loss.parse(name), head()
    weight = loss.weights(y, np.full(600, 40.0), 0.1)
    data = Training(X, y, weight, None, (slice(0, 6), slice(6, 12)), np.arange(600) % 6 == 0)
    model.fit(data, loss, 0, None)
    assert np.corrcoef(model.predict(X), y)[0, 1] > 0.6
    assert model.history_[-1][0] < model.history_[0][0]


def test_balanced_mse_is_blind_to_how_often_a_rate_occurs() -> None:
    """Under noise, mse shrinks rare high rates towards the many low ones; balanced mse does so far less."""
    rng = np.random.default_rng(0)
    y = np.where(rng.uniform(size=3000) < 0.95, 0.1, 0.9)
    X = (y + rng.normal(0, 0.4, 3000))[:, None].astype(np.float32)
    high = {}
    for name in ("mse", "bmse"):
        loss, model = Loss.parse(name), MLP(learning_rate=2e-3)
        model.fit(training(X, y, loss), loss, 0, None)
        high[name] = model.predict(np.array([[0.9]], np.float32))[0]
    assert high["mse"] < 0.45  # the mean of what lies there: 0.1 + 0.8 · 0.28
    assert high["bmse"] > 0.55  # with as many high as low it would be 0.1 + 0.8 · 0.88


def test_squared_losses_are_told_in_the_units_of_the_target() -> None:
    X, y = posts(400)
    one, hundred = (fit(training(X, scale * y, Loss.parse("mse")), Loss.parse("mse")) for scale in (1, 100))
    np.testing.assert_allclose(np.array(hundred.history_), 1e4 * np.array(one.history_), rtol=1e-3)


# ---------------------------------------------------------------- settings and files


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hidden": 0}, "hidden=0: expected a whole number from 1"),
        ({"dropout": 1.0}, "dropout=1.0: expected a number from 0, below 1"),
        ({"epochs": 0}, "epochs=0: expected a whole number from 1"),
        ({"patience": 0}, "patience=0: expected a whole number from 1"),
        ({"batch": -1}, "batch=-1: expected a whole number from 1"),
        ({"learning_rate": 0.0}, "learning_rate=0.0: expected a number above 0, up to 1"),
        ({"learning_rate": float("nan")}, "learning_rate=nan: expected a number above 0, up to 1"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1: expected a number from 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        MLP(**settings)
    assert str(caught.value) == said


@pytest.mark.parametrize("head", HEADS)
def test_what_is_searched_holds_the_defaults(head: type[Head]) -> None:
    for key, search in head.search.items():
        assert search.low <= getattr(head(), key) <= search.high


def test_settings_reach_the_network_and_its_training() -> None:
    data = training(*posts(200))
    model = MLP(hidden=7, epochs=3, learning_rate=1e-2)
    model.fit(data, BCE, 0, None)
    assert model.net_.hidden.weight.shape == (7, 12)
    assert len(model.history_) == 3
    slow = MLP(hidden=7, epochs=3, learning_rate=1e-7)
    slow.fit(data, BCE, 0, None)
    assert np.ptp(slow.predict(data.X)) < 1e-3 < np.ptp(model.predict(data.X))


@pytest.mark.parametrize("head", HEADS)
def test_a_file_gives_back_settings_history_and_predictions(head: type[Head], tmp_path: Path) -> None:
    X, y = posts(200)
    data = Training(X, y, np.ones(200), None, (slice(0, 8), slice(8, 11)), np.arange(200) % 6 == 0, None, (4, 1))
    model = head(epochs=4, weight_decay=0.2)
    if not isinstance(model, Linear):
        model = head(epochs=4, weight_decay=0.2, hidden=9)  # type: ignore[call-arg]
    model.fit(data, BCE, 0, None)
    model.save(tmp_path)
    again = head.load(tmp_path)
    assert vars(again)["history_"] == model.history_
    assert again.weight_decay == 0.2
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    with safe_open(tmp_path / "model.safetensors", framework="np") as file:
        assert json.loads(file.metadata()["head"])["settings"]["epochs"] == 4


# ---------------------------------------------------------------- chance


@pytest.fixture
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def state(head: type[Head], seed: int) -> dict[str, Any]:
    X, y = posts(500, seed)
    data = Training(X, y, np.ones(500), None, (slice(0, 8), slice(8, 12)), np.arange(500) % 6 == 0, None, (2, 1))
    model = head(epochs=6)
    model.fit(data, BCE, seed, None)
    return {name: value.numpy().tobytes() for name, value in model.net_.state_dict().items()}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("head", HEADS)
def test_fits_beside_each_other_give_the_bytes_of_one_after_the_other(head: type[Head]) -> None:
    alone = [state(head, seed) for seed in range(4)]
    with ThreadPoolExecutor(2) as pool:
        beside = list(pool.map(lambda seed: state(head, seed), range(4)))
    assert beside == alone


@pytest.mark.parametrize("head", HEADS)
def test_the_global_random_state_is_neither_read_nor_moved(head: type[Head]) -> None:
    torch.manual_seed(1)
    before, first = torch.get_rng_state(), state(head, 0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert state(head, 0) == first


def test_what_reads_columns_says_what_was_trained_on_components() -> None:
    X, y = posts()
    data = training(X, y)
    projection, Z = Projection.fit(data)
    gain = np.sqrt(Z.shape[1])
    inside = MLP(components=None)
    inside.fit(training((Z * gain).astype(np.float32), y), BCE, 0, None)
    expected = inside.predict((projection.apply(X) * gain).astype(np.float32))
    np.testing.assert_allclose(fit(data).predict(X), expected, atol=1e-5)
    assert np.std(expected) > 0.01


def test_rows_that_come_in_components_give_the_same_bytes() -> None:
    X, y = posts()
    data = training(X, y)
    projection, scores = Projection.of(X, data.blocks)
    given = replace(data, X=scores, projection=projection)
    assert fit(given).predict(X).tobytes() == fit(data).predict(X).tobytes()


def test_rows_that_are_all_alike_have_no_components() -> None:
    X, y = np.ones((60, 5), np.float32), np.random.default_rng(0).beta(1, 9, 60)
    p = fit(training(X, y)).predict(X)
    assert np.ptp(p) == 0
    assert p[0] == pytest.approx(y.mean(), abs=0.03)
