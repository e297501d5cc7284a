"""One definition of each loss: against finite differences, torch, published formulas, and what users mistype."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.config import InputError
from regress.losses import Loss, sigmoid

Array = NDArray[np.float64]
NAMES = ["mse", "bce", "wbce:2"]


def rows(n: int = 200, seed: int = 0) -> tuple[Array, Array]:
    """Raw scores and soft labels, the labels 0 and 1 among them."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 3, n), np.concatenate([[0.0, 1.0], rng.uniform(size=n - 2)])


@pytest.mark.parametrize(("text", "squared", "alpha"), [("mse", True, 0), ("bce", False, 0), ("wbce:2.5", False, 2.5)])
def test_parse(text: str, squared: bool, alpha: float) -> None:
    assert Loss.parse(text) == Loss(text, squared=squared, alpha=alpha)


def test_one_name_for_one_alpha() -> None:
    assert Loss.parse("wbce:2.0").name == Loss.parse("wbce:2").name == "wbce:2"


def test_a_mistyped_loss_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        Loss.parse("bcee")
    assert str(caught.value) == "unknown loss 'bcee': did you mean 'bce'? known losses are bce, mse, wbce:ALPHA"


@pytest.mark.parametrize("text", ["wbce", "wbce:", "wbce:x", "wbce:0", "wbce:-1", "wbce:nan", "wbce:inf", "wbce:1e4"])
def test_an_alpha_that_cannot_be_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Loss.parse(text)
    assert repr(text) in str(caught.value)
    assert "wbce:3" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "BCE", "focal"])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="known losses are"):
        Loss.parse(text)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_the_slope_of_the_value(name: str) -> None:
    loss, (score, y), h = Loss.parse(name), rows(), 1e-5
    slope = (loss.value(score + h, y) - loss.value(score - h, y)) / (2 * h)
    np.testing.assert_allclose(loss.gradient(score, y), slope, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_torch_heads_and_numpy_agree_on_value_and_gradient(name: str) -> None:
    import torch

    from regress.training import row_loss

    loss, (score, y) = Loss.parse(name), rows()
    tensor = torch.from_numpy(score).requires_grad_()
    value = row_loss(tensor, torch.from_numpy(y), loss)
    torch.autograd.backward(value.sum())
    assert tensor.grad is not None
    np.testing.assert_allclose(value.detach().numpy(), loss.value(score, y), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(tensor.grad.numpy(), loss.gradient(score, y), rtol=1e-12, atol=1e-12)


def test_bce_is_the_cross_entropy_of_the_prediction() -> None:
    loss, (score, y) = Loss.parse("bce"), rows()
    p = loss.predict(score)
    np.testing.assert_allclose(loss.value(score, y), -y * np.log(p) - (1 - y) * np.log(1 - p), rtol=1e-9)


def test_mse_predicts_its_score_and_bce_its_sigmoid() -> None:
    score = np.array([-1.0, 0.0, np.log(3)])
    np.testing.assert_array_equal(Loss.parse("mse").predict(score), score)
    np.testing.assert_allclose(Loss.parse("bce").predict(score), [1 / (1 + np.e), 0.5, 0.75])


def test_extreme_scores_stay_finite() -> None:
    score, y = np.array([-1e4, 1e4]), np.array([1.0, 0.0])
    np.testing.assert_array_equal(Loss.parse("bce").value(score, y), [1e4, 1e4])
    np.testing.assert_array_equal(sigmoid(score), [0.0, 1.0])


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


@pytest.mark.parametrize("name", ["mse", "bce"])
def test_without_alpha_all_rows_count_the_same(name: str) -> None:
    np.testing.assert_array_equal(Loss.parse(name).weights(np.array([0.0, 0.4, 1.0])), np.ones(3))
