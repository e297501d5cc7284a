"""One definition of each loss: against finite differences, torch, LightGBM and published formulas; its name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.config import InputError
from regress.dispersion import trial_weights
from regress.losses import KINDS, Loss, sigmoid
from regress.models import MODELS, model_class

Array = NDArray[np.float64]
NAMES = ["mse", "bce", "wbce:2", "binomial", "focal:0", "focal:1", "focal:2", "focal:2.5", "bmse"]


def rows(n: int = 200, seed: int = 0) -> tuple[Array, Array]:
    """Raw scores and soft labels, the labels 0 and 1 among them."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 3, n), np.concatenate([[0.0, 1.0], rng.uniform(size=n - 2)])


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mse", Loss("mse", squared=True)),
        ("bce", Loss("bce")),
        ("wbce:2.5", Loss("wbce:2.5", alpha=2.5)),
        ("binomial", Loss("binomial")),
        ("focal:2", Loss("focal:2", gamma=2)),
        ("bmse", Loss("bmse", squared=True)),
    ],
)
def test_parse(text: str, expected: Loss) -> None:
    assert Loss.parse(text) == expected
    assert expected.kind == text.partition(":")[0]


def test_one_name_for_one_parameter() -> None:
    assert Loss.parse("wbce:2.0").name == Loss.parse("wbce:2").name == "wbce:2"
    assert Loss.parse("focal:2.0") == Loss.parse("focal:2")


@pytest.mark.parametrize(("text", "near"), [("bcee", "bce"), ("focl:2", "focal"), ("binomal", "binomial")])
def test_a_mistyped_loss_is_answered_with_the_nearest(text: str, near: str) -> None:
    with pytest.raises(InputError) as caught:
        Loss.parse(text)
    assert str(caught.value) == (
        f"unknown loss {text.partition(':')[0]!r}: did you mean {near!r}? "
        "known losses are bce, binomial, bmse, focal:GAMMA, mse, wbce:ALPHA"
    )


@pytest.mark.parametrize("text", ["wbce", "wbce:", "wbce:x", "wbce:0", "wbce:-1", "wbce:nan", "wbce:inf", "wbce:1e4"])
def test_an_alpha_that_cannot_be_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Loss.parse(text)
    assert repr(text) in str(caught.value)
    assert "wbce:3" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["focal", "focal:", "focal:x", "focal:0.5", "focal:-1", "focal:nan", "focal:11"])
def test_a_gamma_that_cannot_be_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Loss.parse(text)
    assert str(caught.value) == f"loss {text!r} needs a γ of 0, or from 1 to 10: write for example focal:2"


@pytest.mark.parametrize("text", ["", "BCE", "huber", "wbce2"])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="known losses are"):
        Loss.parse(text)


@pytest.mark.parametrize("kind", ["mse", "bce", "binomial", "bmse"])
def test_a_parameter_where_none_belongs_is_refused(kind: str) -> None:
    with pytest.raises(InputError, match=f"{kind} takes no weight"):
        Loss.parse(f"{kind}:3")


def test_models_say_which_losses_they_take() -> None:
    everywhere = {"mse", "bce", "wbce", "binomial"}
    special = {name: set(KINDS) for name in ("mean", "linear", "mlp", "gated", "attention")}
    special["binridge"] = {"binomial"}
    for name in MODELS:
        assert model_class(name).losses == special.get(name, everywhere), name


# ---------------------------------------------------------------- values and gradients


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NAMES), st.integers(0, 10_000), st.floats(0.3, 3))
def test_gradient_is_the_slope_of_the_value(name: str, seed: int, noise: float) -> None:
    """Of each row by its own score: the others' are left where they are."""
    loss, h = Loss.parse(name), 1e-5
    score, y = rows(20, seed)
    for row in range(20):
        step = h * (np.arange(20) == row)
        slope = (loss.value(score + step, y, noise) - loss.value(score - step, y, noise))[row] / (2 * h)
        assert loss.gradient(score, y, noise)[row] == pytest.approx(slope, rel=1e-6, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(NAMES), st.integers(0, 10_000), st.floats(0.3, 3))
def test_torch_heads_and_numpy_agree_on_value_and_gradient(name: str, seed: int, noise: float) -> None:
    import torch

    from regress.training import row_loss

    loss, (score, y) = Loss.parse(name), rows(50, seed)
    tensor, log_noise = torch.from_numpy(score).requires_grad_(), torch.tensor(np.log(noise))
    value = row_loss(tensor, torch.from_numpy(y), loss, log_noise)
    torch.autograd.backward(value.sum())
    assert tensor.grad is not None
    np.testing.assert_allclose(value.detach().numpy(), loss.value(score, y, noise), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(tensor.grad.numpy(), loss.gradient(score, y, noise), rtol=1e-10, atol=1e-10)


def test_the_noise_of_balanced_mse_has_the_slope_that_torch_says() -> None:
    import torch

    from regress.training import row_loss

    loss, (score, y), h = Loss.parse("bmse"), rows(50), 1e-6
    log_noise = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    torch.autograd.backward(row_loss(torch.from_numpy(score), torch.from_numpy(y), loss, log_noise).sum())
    above, below = (loss.value(score, y, np.exp(0.2 + step)).sum() for step in (h, -h))
    assert log_noise.grad is not None
    assert float(log_noise.grad) == pytest.approx((above - below) / (2 * h), rel=1e-6)


@pytest.mark.parametrize("name", ["mse", "bce", "wbce:2", "binomial"])
def test_the_first_leaves_of_lightgbm_are_newton_steps_of_our_gradient(name: str) -> None:
    """From known scores, a leaf of LightGBM's own objective is −lr ΣG/ΣH over its rows, weights included."""
    import lightgbm

    from regress.lgbm import LightGBM  # which of LightGBM's objectives stands for a loss is for this model to say

    assert LightGBM.losses >= {Loss.parse(name).kind}
    loss, (score, y), rate = Loss.parse(name), rows(300), 0.1
    leaf = np.arange(300) % 3 == 0
    weight = loss.weights(y, trials=np.random.default_rng(1).integers(1, 500, 300).astype(float), rho=0.05)
    data = lightgbm.Dataset(leaf[:, None].astype(float), y, weight=weight, init_score=score, params={"verbosity": -1})
    free = {"min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 0, "num_threads": 1, "verbosity": -1}
    objective = {"objective": "regression" if loss.squared else "cross_entropy"}
    booster = lightgbm.train({**free, **objective, "num_leaves": 2, "learning_rate": rate}, data, 1)
    found = np.asarray(booster.predict(np.array([[0.0], [1.0]]), raw_score=True))
    slope = weight * loss.gradient(score, y)
    curvature = weight * (loss.gradient(score + 1e-5, y) - loss.gradient(score - 1e-5, y)) / 2e-5
    expected = [-rate * slope[rows].sum() / curvature[rows].sum() for rows in (~leaf, leaf)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_bce_is_the_cross_entropy_of_the_prediction() -> None:
    loss, (score, y) = Loss.parse("bce"), rows()
    p = loss.predict(score)
    np.testing.assert_allclose(loss.value(score, y), -y * np.log(p) - (1 - y) * np.log(1 - p), rtol=1e-9)


def test_focal_is_the_quality_focal_loss_of_the_paper() -> None:
    """Li et al. (2020), equation 7: −|y − σ|^β ((1 − y) log(1 − σ) + y log σ); its least value is at σ = y."""
    (score, y), loss = rows(), Loss.parse("focal:2")
    p = sigmoid(score)
    np.testing.assert_allclose(
        loss.value(score, y), -((y - p) ** 2) * ((1 - y) * np.log(1 - p) + y * np.log(p)), rtol=1e-9
    )
    label = np.full(9, 0.3)
    around = np.log(label / (1 - label)) + np.linspace(-1, 1, 9)
    assert loss.value(around, label).argmin() == 4
    assert loss.gradient(around, label)[4] == pytest.approx(0, abs=1e-15)


def test_focal_without_gamma_is_bce() -> None:
    score, y = rows()
    np.testing.assert_array_equal(Loss.parse("focal:0").value(score, y), Loss.parse("bce").value(score, y))
    np.testing.assert_array_equal(Loss.parse("focal:0").gradient(score, y), Loss.parse("bce").gradient(score, y))


def test_balanced_mse_is_the_code_of_the_paper() -> None:
    """Ren et al. (2022), `bmc_loss`: cross-entropy of logits −(pred − target.T)²/2σ² with labels 0 … n − 1."""
    import torch

    (score, y), sigma = rows(30), 0.7
    pred, target = torch.from_numpy(score)[:, None], torch.from_numpy(y)[:, None]
    logits = -((pred - target.T) ** 2) / (2 * sigma**2)
    theirs = torch.nn.functional.cross_entropy(logits, torch.arange(30), reduction="none")
    np.testing.assert_allclose(Loss.parse("bmse").value(score, y, sigma), theirs.numpy(), rtol=1e-10)


def test_balanced_mse_of_one_number_for_all_is_chance() -> None:
    """Whatever the number, each target has on average its share of the softmax's entropy: at equal targets, ln n."""
    np.testing.assert_allclose(Loss.parse("bmse").value(np.zeros(8), np.full(8, 0.3)), np.log(8))


def test_squared_losses_predict_their_score_and_the_others_its_sigmoid() -> None:
    score = np.array([-1.0, 0.0, np.log(3)])
    for name in NAMES:
        expected = score if name in ("mse", "bmse") else np.array([1 / (1 + np.e), 0.5, 0.75])
        np.testing.assert_allclose(Loss.parse(name).predict(score), expected)


@pytest.mark.parametrize("name", NAMES)
def test_extreme_scores_stay_finite(name: str) -> None:
    score, y = np.array([-1e4, 1e4, 700.0]), np.array([1.0, 0.0, 1.0])
    assert np.isfinite(Loss.parse(name).value(score, y)).all()
    assert np.isfinite(Loss.parse(name).gradient(score, y)).all()
    np.testing.assert_array_equal(sigmoid(score), [0.0, 1.0, 1.0])


# ---------------------------------------------------------------- weights


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.floats(0.01, 50))
def test_weights_have_mean_one_and_grow_with_the_label(labels: list[float], alpha: float) -> None:
    y = np.sort(np.array(labels))
    weight = Loss.parse(f"wbce:{alpha}").weights(y)
    assert weight.mean() == pytest.approx(1)
    assert np.isfinite(weight).all()
    assert (np.diff(weight) >= 0).all()


def test_weights_are_exp_alpha_y() -> None:
    weight = Loss.parse("wbce:3").weights(np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(weight[1:] / weight[0], np.exp([1.5, 3.0]))


def test_binomial_weights_are_what_trials_are_worth() -> None:
    y, trials = np.array([0.0, 0.4, 1.0]), np.array([1.0, 10.0, 1000.0])
    for rho in (0.0, 0.1, 1.0):
        weight = Loss.parse("binomial").weights(y, trials, rho)
        np.testing.assert_array_equal(weight, trial_weights(trials, rho))
        np.testing.assert_allclose(weight / weight[0], trials / (1 + (trials - 1) * rho))
    with pytest.raises(ValueError, match="trials"):
        Loss.parse("binomial").weights(y)


@pytest.mark.parametrize("name", ["mse", "bce", "focal:2", "bmse"])
def test_the_others_count_all_rows_the_same(name: str) -> None:
    y, trials = np.array([0.0, 0.4, 1.0]), np.array([1.0, 10.0, 1000.0])
    np.testing.assert_array_equal(Loss.parse(name).weights(y, trials, 0.1), np.ones(3))
