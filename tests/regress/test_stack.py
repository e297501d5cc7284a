"""Stacking: weights from 0 on that copies share, never worse than the best member, and a folder for each."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit

from data.files import sha256_file
from regress.fitted import Fitted
from regress.losses import Loss
from regress.metrics import cross_entropy
from regress.models import Training, model_class
from regress.scaling import Scaler
from regress.stack import Stack, combine, fit_weights, logits

Array = NDArray[np.float64]
BLOCKS = (slice(0, 6),)


def loss_of(S: Array, coefficients: Array, y: Array, w: Array) -> float:
    score = S @ coefficients[:-1] + coefficients[-1]
    return float(np.average(np.logaddexp(0, score) - y * score, weights=w))


def posts(seed: int = 0, n: int = 2000) -> tuple[Array, Array]:
    """The logit of each post's rate, and its observed rate."""
    rng = np.random.default_rng(seed)
    score = rng.normal(-2, 1, n)
    return score, rng.binomial(40, expit(score)) / 40


def test_coefficients_that_made_the_rates_come_back() -> None:
    rng = np.random.default_rng(0)
    S, true = rng.normal(-2, 1, (3000, 3)), np.array([0.7, 0.0, 0.4, 0.3])
    found = fit_weights(S, combine(S, true), np.ones(3000))
    np.testing.assert_allclose(found, true, atol=1e-3)


def test_two_members_by_hand() -> None:
    """One row at ½ and its mirror: with logits ±1 and rates σ(±2) the weight is 2 and nothing is left to add."""
    S, y = np.array([[1.0], [-1.0]]), expit(np.array([2.0, -2.0]))
    np.testing.assert_allclose(fit_weights(S, y, np.ones(2)), [2, 0], atol=1e-4)


def test_copies_share_and_noise_counts_nothing() -> None:
    score, y = posts()
    S = np.stack([score, np.random.default_rng(1).normal(-2, 1, len(y)), score], axis=1)
    b = fit_weights(S, y, np.ones(len(y)))
    assert b[0] == pytest.approx(b[2], abs=1e-3)
    assert b[0] + b[2] == pytest.approx(1, abs=0.1)
    assert b[1] < 0.02


def test_a_member_that_is_wrong_way_round_counts_exactly_nothing() -> None:
    score, y = posts()
    noise = np.random.default_rng(1).normal(0, 0.7, (len(y), 2))
    S = np.array([-1, 1]) * score[:, None] + noise
    assert fit_weights(S, y, np.ones(len(y)))[0] == 0


def test_weights_of_rows_are_copies_of_rows() -> None:
    score, y = posts(n=300)
    S, twice = np.stack([score, score**2], axis=1), np.arange(300) % 3 == 0
    copied = fit_weights(np.concatenate([S, S[twice]]), np.concatenate([y, y[twice]]), np.ones(400))
    np.testing.assert_allclose(fit_weights(S, y, 1.0 + twice), copied, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_it_is_never_worse_than_its_best_member(seed: int, members: int) -> None:
    rng = np.random.default_rng(seed)
    y, w = rng.beta(0.3, 3, 80), rng.uniform(0.1, 2, 80)
    S = logits(np.clip(y[:, None] + rng.normal(0, rng.uniform(0.01, 1, members), (80, members)), 0, 1))
    found = fit_weights(S, y, w)
    assert (found[:-1] >= 0).all()
    best = min(loss_of(S, np.append(np.eye(members)[m], 0.0), y, w) for m in range(members))
    assert loss_of(S, found, y, w) <= best + 1e-5


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_no_step_that_is_allowed_makes_it_better(seed: int) -> None:
    """The minimum of a convex function: what lies near it is no better."""
    rng = np.random.default_rng(seed)
    y, w = rng.beta(0.3, 3, 80), rng.uniform(0.1, 2, 80)
    S = logit(np.clip(y[:, None], 0.01, 0.99)) + rng.normal(0, 1.5, (80, 3))
    found = fit_weights(S, y, w)
    for step in rng.normal(0, 0.02, (50, 4)):
        near = found + step
        near[:-1] = np.maximum(near[:-1], 0)
        assert loss_of(S, near, y, w) >= loss_of(S, found, y, w) - 1e-7


def test_predictions_of_0_and_1_are_clipped() -> None:
    assert np.isfinite(logits(np.array([0.0, 1.0, -3.0]))).all()
    y = np.array([0.0, 1.0, 0.5, 0.2])
    assert np.isfinite(fit_weights(logits(np.array([[0.0], [1.0], [1.0], [0.0]])), y, np.ones(4))).all()


def stack() -> tuple[Stack, NDArray[np.float32]]:
    """Fits of a scaled and of a raw model, one of whose blocks has holes."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 6)).astype(np.float32)
    y = rng.binomial(30, expit(-2 + X[:, 0])) / 30
    X[:30] = np.nan
    fits = []
    for name in ("ridge", "lgbm"):
        model = model_class(name)()
        scaler = Scaler.fit(X, BLOCKS) if model.representation == "scaled" else None
        given_rows = X if scaler is None else scaler.transform(X)
        held = (np.arange(300) % 6 == 0) & model.early_stopping
        training = Training(given_rows, y, np.ones(300), np.arange(300), BLOCKS, held)
        model.fit(training, Loss.parse("bce"), 0, model.shared(X, None))
        fits.append(Fitted(model, scaler))
    return Stack.of(("ridge", "lgbm"), fits, np.array([0.6, 0.5, 0.1])), X


def test_a_stack_combines_what_its_members_predict_and_comes_back_from_its_folder(tmp_path: Path) -> None:
    model, X = stack()
    ridge, lgbm = (member.predict(X) for member in model.members_)
    np.testing.assert_allclose(model.predict(X), expit(0.6 * logit(ridge) + 0.5 * logit(lgbm) + 0.1), rtol=1e-9)
    model.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"stack.safetensors", "ridge", "lgbm"}
    again = Stack.load(tmp_path)
    assert again.members == ("ridge", "lgbm")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_the_same_stack_is_the_same_bytes(tmp_path: Path) -> None:
    digests = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        stack()[0].save(tmp_path / name)
        digests.append([sha256_file(path) for path in sorted((tmp_path / name).rglob("*")) if path.is_file()])
    assert digests[0] == digests[1]
    assert len(digests[0]) == 4


def test_a_stack_gains_where_members_err_differently() -> None:
    score, y = posts()
    rng = np.random.default_rng(2)
    S = score[:, None] + rng.normal(0, 0.7, (len(y), 3))
    p = combine(S, fit_weights(S[:1000], y[:1000], np.ones(1000)))
    alone = min(cross_entropy(y[1000:], expit(S[1000:, m])).mean() for m in range(3))
    assert cross_entropy(y[1000:], p[1000:]).mean() < alone - 0.01


@pytest.mark.parametrize("members", [("ridge",), ("ridge", "ridge"), ("ridge", "stack"), ("ridge", "lgbmm")])
def test_impossible_members_are_named(members: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"^members="):
        Stack(members=members)


def test_it_is_not_fitted_on_rows() -> None:
    training = Training(np.zeros((2, 6), np.float32), np.zeros(2), np.ones(2), None, BLOCKS, np.zeros(2, bool))
    with pytest.raises(TypeError, match=r"Stack\.of"):
        Stack().fit(training, Loss.parse("bce"), 0, None)
