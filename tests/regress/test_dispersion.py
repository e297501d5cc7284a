"""Overdispersion is found again where it was put, and decides between views and posts as weights."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import expit

from regress.dispersion import BetaPrior, fit_prior, intra_class_correlation, trial_weights


def posts(rho: float, n: int = 30_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = expit(rng.normal(-2, 0.7, n))
    trials = np.maximum(2, np.exp(rng.normal(4, 1.5, n))).astype(int).astype(float)
    rate = p if rho == 0 else rng.beta(p * (1 / rho - 1), (1 - p) * (1 / rho - 1))
    return rng.binomial(trials.astype(int), rate) / trials, p, trials


@pytest.mark.parametrize("rho", [0.0, 0.02, 0.1, 0.4])
def test_the_correlation_is_found_again(rho: float) -> None:
    assert intra_class_correlation(*posts(rho)) == pytest.approx(rho, abs=0.004 + 0.05 * rho)


def test_nothing_to_tell_from_is_no_correlation() -> None:
    y = np.zeros(5)
    assert intra_class_correlation(y, y, np.full(5, 10.0)) == 0
    assert intra_class_correlation(y, np.full(5, 0.1), np.full(5, 10.0)) in (0.0, pytest.approx(0, abs=1))


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=30), st.floats(0, 1))
def test_weights_grow_with_the_trials_and_less_than_they_do(counts: list[int], rho: float) -> None:
    trials = np.sort(np.array(counts, dtype=float))
    weight = trial_weights(trials, rho)
    assert weight.mean() == pytest.approx(1)
    assert (np.diff(weight) >= -1e-12).all()
    assert weight[-1] / weight[0] <= trials[-1] / trials[0] * (1 + 1e-9)


def test_the_ends_of_the_weights_are_trials_and_posts() -> None:
    trials = np.array([1.0, 9.0])
    np.testing.assert_allclose(trial_weights(trials, 0), [0.2, 1.8])
    np.testing.assert_allclose(trial_weights(trials, 1), [1, 1])


def test_the_prior_of_beta_rates_is_found_again_and_ranks_the_rare_ones_truly() -> None:
    rng = np.random.default_rng(0)
    truth = rng.beta(0.5, 9.5, 20_000)
    trials = rng.integers(3, 60, 20_000).astype(float)
    y = rng.binomial(trials.astype(int), truth) / trials
    prior = fit_prior(y, trials)
    assert prior.mean == pytest.approx(0.05, abs=0.002)
    assert prior.strength == pytest.approx(10, rel=0.1)
    shrunken = prior.shrunken(y, trials)
    top = np.argsort(shrunken)[-1000:]
    assert shrunken[top].mean() == pytest.approx(truth[top].mean(), rel=0.03)
    raw = np.argsort(y)[-1000:]
    assert y[raw].mean() > 1.2 * truth[raw].mean()  # what the raw rates claim


@settings(max_examples=30)
@given(st.floats(0, 1), st.integers(1, 1000), st.floats(0.01, 0.99), st.floats(0.1, 1e6))
def test_shrunken_rates_lie_between_the_rate_and_the_mean(y: float, v: int, mean: float, strength: float) -> None:
    (found,) = BetaPrior(mean, strength).shrunken(np.array([y]), np.array([float(v)]))
    assert min(y, mean) - 1e-12 <= found <= max(y, mean) + 1e-12


def test_rates_that_vary_by_chance_alone_become_the_mean() -> None:
    y, _, trials = posts(0.0, 300)
    assert (BetaPrior(0.2, np.inf).shrunken(y, trials) == 0.2).all()


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 1000)), min_size=1, max_size=30))
@example([(5e-324, 1)])
@example([(5e-324, 2)])
def test_a_prior_of_any_rates_draws_each_towards_its_mean(pairs: list[tuple[float, int]]) -> None:
    y, trials = np.array(pairs, dtype=np.float64).T
    prior = fit_prior(y, trials)
    rates = prior.shrunken(y, trials)
    assert 0 <= prior.mean <= 1 + 1e-12
    assert (rates >= np.minimum(y, prior.mean) - 1e-9).all()
    assert (rates <= np.maximum(y, prior.mean) + 1e-9).all()
