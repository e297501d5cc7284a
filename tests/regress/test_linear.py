"""Leaving a group out without refitting gives what refitting gives."""

import numpy as np
import pytest
from scipy.special import expit

from regress.linear import PENALTIES, _companies, _newton_path, _squared_path, choose_penalty, solve
from regress.losses import Loss
from regress.models import Training

MSE, BCE = Loss.parse("mse"), Loss.parse("bce")


def training(n: int = 60, k: int = 6, noise: float = 0.5) -> tuple[np.ndarray, Training]:
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(n, k)) / np.sqrt(k)
    y = expit(2 * Z[:, 0] - 1 + noise * rng.normal(size=n))
    groups = np.where(np.arange(n) < 12, np.arange(n) // 4, 100 + np.arange(n))  # three groups of four
    weight = rng.uniform(0.5, 2, n)
    data = Training(Z.astype(np.float32), y, weight / weight.mean(), None, (), np.zeros(n, bool), groups)
    return Z, data


def refitted(Z: np.ndarray, data: Training, loss: Loss, penalty: float) -> np.ndarray:
    """Each group's scores by a fit on all others; the penalty weighs as much as in the fit on all rows."""
    score = np.empty(len(Z))
    assert data.groups is not None
    for group in np.unique(data.groups):
        out = data.groups == group
        share = data.weight[~out].sum() / data.weight.sum()
        theta = solve(Z[~out], data.y[~out], data.weight[~out], loss, penalty / share)
        score[out] = Z[out] @ theta[:-1] + theta[-1]
    return score


def test_squared_error_is_left_out_exactly() -> None:
    Z, data = training()
    for penalty, score in zip(PENALTIES, _squared_path(Z, data, _companies(data.groups), PENALTIES), strict=True):
        np.testing.assert_allclose(score, refitted(Z, data, MSE, penalty), rtol=1e-5, atol=1e-7)


def test_cross_entropy_is_left_out_nearly() -> None:
    Z, data = training(200)
    for penalty, score in zip(PENALTIES, _newton_path(Z, data, _companies(data.groups), PENALTIES), strict=True):
        exact = refitted(Z, data, BCE, penalty)
        assert np.abs(score - exact).max() < 0.02 * np.ptp(exact)


@pytest.mark.parametrize("loss", [MSE, BCE], ids=["mse", "bce"])
def test_noise_is_penalised_more_than_a_signal(loss: Loss) -> None:
    Z, data = training(300, 40, noise=0.0)
    shuffled = Training(data.X, np.random.default_rng(1).permutation(data.y), data.weight, None, (), data.held)
    assert choose_penalty(Z, shuffled, loss) == PENALTIES[0]
    assert choose_penalty(Z, data, loss) < PENALTIES[2]


@pytest.mark.parametrize("loss", [MSE, BCE], ids=["mse", "bce"])
def test_copies_do_not_vouch_for_each_other(loss: Loss) -> None:
    """Noise, each row four times: told which rows are copies, the choice is the one without copies."""
    Z, data = training(120, 40)
    y = np.random.default_rng(1).permutation(data.y)
    four = np.repeat(np.arange(120), 4)
    copied = Training(data.X[four], y[four], np.ones(480), None, (), np.zeros(480, bool), four)
    blind = Training(data.X[four], y[four], np.ones(480), None, (), np.zeros(480, bool))
    assert choose_penalty(Z[four], copied, loss) == PENALTIES[0]
    assert choose_penalty(Z[four], blind, loss) < PENALTIES[0]


def test_groups_of_one_are_no_company() -> None:
    assert _companies(None) == []
    (pair,) = _companies(np.array([3, 1, 3, 2]))
    np.testing.assert_array_equal(pair, [[0, 2]])


@pytest.mark.parametrize("copies", [1, 3])
def test_rows_that_are_their_own_fit_are_left_out_exactly_too(copies: int) -> None:
    """More columns than rows: leverages next to 1, where float32 says nothing of what is left."""
    rng = np.random.default_rng(0)
    Z, y = np.repeat(rng.normal(size=(20, 60)) / np.sqrt(60), copies, axis=0), rng.uniform(size=20 * copies)
    groups, n = np.repeat(np.arange(20), copies), 20 * copies
    data = Training(Z.astype(np.float32), y, np.ones(n), None, (), np.zeros(n, bool), groups)
    *_, score = _squared_path(Z, data, _companies(groups), PENALTIES)
    np.testing.assert_allclose(score, refitted(Z, data, MSE, PENALTIES[-1]), atol=1e-4)
