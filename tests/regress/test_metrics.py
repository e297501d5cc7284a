"""Metrics against worked examples, scikit-learn and SciPy; and the mistakes of the study they are to prevent."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import d2_log_loss_score, log_loss, mean_absolute_error, mean_squared_error

from data.targets import label_entropy
from regress.metrics import (
    EPSILON,
    clip,
    cross_entropy,
    d2,
    decomposition,
    lift,
    rare_error,
    scores,
    spearman,
    worth,
)

Array = NDArray[np.float64]


def sample(n: int = 300, seed: int = 0) -> tuple[Array, Array, Array, Array]:
    """Rates with a third of zeros, fair predictions, the mean, trials."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.uniform(size=n) < 0.3, 0, rng.beta(1, 8, n))
    p = np.clip(0.5 * y + rng.beta(1, 20, n), 0.001, 0.999)
    return y, p, np.full(n, y.mean()), rng.integers(1, 1000, n).astype(float)


def test_cross_entropy_by_hand() -> None:
    np.testing.assert_allclose(
        cross_entropy(np.array([0.0, 1.0, 0.5]), np.array([0.5, 0.25, 0.1])),
        [np.log(2), np.log(4), -(np.log(0.1) + np.log(0.9)) / 2],
    )


def test_cross_entropy_of_hard_labels_is_log_loss() -> None:
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 100).astype(float), rng.uniform(0.01, 0.99, 100)
    assert cross_entropy(y, p).mean() == pytest.approx(log_loss(y, p))


def test_d2_of_hard_labels_is_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 200).astype(float)
    p = np.clip(0.3 + 0.4 * y + rng.normal(0, 0.1, 200), 0.01, 0.99)
    weight = rng.uniform(0.5, 2, 200)
    mean = np.full(200, np.average(y, weights=weight))
    assert d2(y, p, mean, weight) == pytest.approx(d2_log_loss_score(y, p, sample_weight=weight))


def test_predictions_outside_are_clipped_at_epsilon() -> None:
    np.testing.assert_array_equal(
        clip(np.array([-1.0, 0, 0.3, 1, 7])), [EPSILON, EPSILON, 0.3, 1 - EPSILON, 1 - EPSILON]
    )
    assert np.isfinite(cross_entropy(np.array([1.0, 0.0]), np.array([0.0, 1.0]))).all()


def test_the_arguments_cannot_be_swapped_unnoticed() -> None:
    """The study computed log loss with truth and prediction exchanged, where the constant 0 wins."""
    y, p, mean, trials = sample()
    assert scores(y, np.zeros_like(y), mean, trials).d2 < 0 < scores(y, p, mean, trials).d2


def test_d2_is_zero_for_the_mean_and_one_for_the_truth() -> None:
    y, _, mean, trials = sample()
    inside = np.clip(y, 0.01, 0.99)
    assert d2(y, mean, mean) == 0
    assert d2(y, mean, mean, trials) == 0
    assert d2(inside, inside, np.full_like(y, inside.mean())) == pytest.approx(1)


def test_d2_by_hand() -> None:
    y, p, mean = np.array([0.0, 1.0]), np.array([0.2, 0.8]), np.array([0.5, 0.5])
    assert d2(y, p, mean) == pytest.approx(1 - np.log(0.8) / np.log(0.5))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_no_prediction_is_below_the_floor(pairs: list[tuple[float, float]]) -> None:
    y, p = np.array(pairs).T
    assert (cross_entropy(y, p) >= label_entropy(y) - 1e-12).all()


def test_d2_where_the_mean_is_perfect_is_zero() -> None:
    y = np.full(10, 0.3)
    assert d2(y, np.full(10, 0.5), y) == 0


def test_a_weight_of_two_is_a_row_twice() -> None:
    y, p, mean, _ = sample(50)
    weight = np.where(np.arange(50) < 20, 2.0, 1.0)
    twice = np.repeat(np.arange(50), weight.astype(int))
    assert d2(y, p, mean, weight) == pytest.approx(d2(y[twice], p[twice], mean[twice]))


def test_spearman_is_scipys_with_ties() -> None:
    y, p, _, _ = sample()
    p = p.round(2)
    assert spearman(y, p) == pytest.approx(spearmanr(y, p).statistic)


@pytest.mark.parametrize("constant", [0.0, 0.3])
def test_spearman_of_a_constant_is_zero(constant: float) -> None:
    y = np.array([0.1, 0.5, 0.2])
    assert spearman(y, np.full(3, constant)) == 0
    assert spearman(np.full(3, constant), y) == 0


@given(st.integers(0, 1000))
def test_spearman_ignores_monotone_maps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, p = rng.uniform(size=20), rng.uniform(size=20)
    assert spearman(y, np.exp(3 * p)) == pytest.approx(spearman(y, p))
    assert spearman(y, -p) == pytest.approx(-spearman(y, p))


def test_scores_are_what_their_names_say() -> None:
    y, p, mean, trials = sample()
    s = scores(y, p, mean, trials)
    assert s.d2 == d2(y, p, mean)
    assert s.d2_trials == d2(y, p, mean, worth(y, mean, trials)) != s.d2
    assert s.log_loss_floor < s.log_loss < s.log_loss_mean
    assert s.d2 == pytest.approx(1 - (s.log_loss - s.log_loss_floor) / (s.log_loss_mean - s.log_loss_floor))
    assert s.mse == pytest.approx(mean_squared_error(y, p))
    assert s.mae == pytest.approx(mean_absolute_error(y, p))
    assert s.bias == pytest.approx(p.mean() / y.mean())
    assert s.outside == 0


def test_bias_shows_a_level_that_spearman_does_not() -> None:
    y, p, mean, trials = sample()
    one, double = scores(y, p, mean, trials), scores(y, 2 * p, mean, trials)
    assert double.bias == pytest.approx(2 * one.bias)
    assert double.spearman == one.spearman


def test_predictions_outside_are_counted() -> None:
    y, p, mean, trials = sample()
    p[:3], p[3] = -0.1, 1.2
    assert scores(y, p, mean, trials).outside == 4


def test_trials_are_worth_what_overdispersion_leaves_of_them_whatever_the_model() -> None:
    rng = np.random.default_rng(0)
    trials = np.exp(rng.normal(4, 1.5, 20_000)).astype(int) + 2.0
    y = rng.binomial(trials.astype(int), rng.beta(0.5, 9.5, 20_000)) / trials  # ρ = 1/(0.5 + 9.5 + 1)
    expected = trials / (1 + (trials - 1) / 11)
    np.testing.assert_allclose(worth(y, np.full_like(y, y.mean()), trials), expected / expected.mean(), rtol=0.05)
    by_chance = rng.binomial(trials.astype(int), 0.05) / trials
    assert worth(by_chance, np.full_like(y, 0.05), trials).max() > 10  # without it nearly the trials themselves


def test_lift_by_hand_and_with_shared_places() -> None:
    y = np.array([0.0, 0.2, 0.4, 0.6] * 10)  # 5 % of 40 are two
    assert lift(y, y) == pytest.approx(0.6 / 0.3)
    assert lift(y, np.zeros(40)) == pytest.approx(1)
    first_alone = np.zeros(40)
    first_alone[3] = 1  # the second place is shared by the 39 others
    assert lift(y, first_alone) == pytest.approx((0.6 + (y.sum() - 0.6) / 39) / 2 / 0.3)


def test_the_error_of_rare_rates_by_hand() -> None:
    y, p, phi = np.array([0.0, 0.1, 0.5, 0.9]), np.array([0.9, 0.1, 0.3, 0.5]), np.array([0, 0.49, 0.5, 1])
    assert rare_error(y, p, phi) == pytest.approx((0.2 + 0.4) / 2)
    assert rare_error(y, np.stack([p, y]), phi) == pytest.approx((0.2 + 0.4) / 4)
    assert rare_error(y, p, np.zeros(4)) is None


def test_the_split_of_the_log_loss_by_hand() -> None:
    y, p = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.1, 0.2, 0.2, 0.9])  # best monotone map: 0, ½, ½, 1
    best = (2 * np.log(2) - 2 * np.log1p(-EPSILON)) / 4
    miscalibration, discrimination = decomposition(y, p)
    assert miscalibration == pytest.approx(-np.log([0.9, 0.2, 0.8, 0.9]).mean() - best)
    assert discrimination == pytest.approx(np.log(2) - best)


@given(st.integers(0, 1000), st.floats(0.2, 3), st.integers(0, 2))
def test_the_split_adds_up_to_d2_and_a_monotone_map_moves_miscalibration_alone(
    seed: int, power: float, digits: int
) -> None:
    y, p, _, _ = sample(60, seed)
    p = p.round(digits + 1)
    mean = np.full(60, y.mean())
    miscalibration, discrimination = decomposition(y, p)
    uncertainty, floor = cross_entropy(y, mean).mean(), label_entropy(y).mean()
    assert d2(y, p, mean) == pytest.approx((discrimination - miscalibration) / (uncertainty - floor))
    assert discrimination >= -1e-4  # but for clipping
    assert decomposition(y, p**power)[1] == pytest.approx(discrimination)


def test_scores_of_repetitions_are_means_over_them() -> None:
    y, p, mean, trials = sample()
    q = np.clip(p[::-1], 0.01, 0.99)
    one, two = scores(y, p, mean, trials), scores(y, q, mean, trials)
    both = scores(y, np.stack([p, q]), np.stack([mean, mean]), trials)
    for name, value in both.to_json().items():
        expected = getattr(one, name) + getattr(two, name)
        assert value == pytest.approx(expected if name == "outside" else expected / 2), name


def test_scores_are_json() -> None:
    record = json.loads(json.dumps(scores(*sample()).to_json(), allow_nan=False))
    assert {
        "d2",
        "d2_trials",
        "log_loss",
        "log_loss_mean",
        "log_loss_floor",
        "miscalibration",
        "discrimination",
        "mse",
        "mae",
        "mae_rare",
        "sera",
        "spearman",
        "lift",
        "bias",
        "outside",
    } == set(record)
