"""Intervals hold what they promise, in every quarter of the predictions."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import betabinom

from regress.intervals import BetaBinomial, Mondrian

RHO = 0.05


def posts(n: int, seed: int, most: float = 5.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rates, their predictions (the truth before overdispersion), trials."""
    rng = np.random.default_rng(seed)
    p = expit(rng.normal(-2.5, 1, n))
    trials = np.maximum(5, np.exp(rng.normal(most, 1, n))).astype(int).astype(float)
    y = rng.binomial(trials.astype(int), rng.beta(p * (1 / RHO - 1), (1 - p) * (1 / RHO - 1))) / trials
    return y, p, trials


def coverage(y: np.ndarray, p: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """By quarter of the prediction."""
    quarter = np.searchsorted(np.quantile(p, [0.25, 0.5, 0.75]), p)
    inside = (y >= low - 1e-12) & (y <= high + 1e-12)
    return np.array([inside[quarter == k].mean() for k in range(4)])


def test_mondrian_covers_ninety_per_cent_of_new_posts_in_every_quarter() -> None:
    y, p, _ = posts(20_000, 0)
    new_y, new_p, _ = posts(20_000, 1)
    found = coverage(new_y, new_p, *Mondrian.fit(y, p)(new_p))
    assert (np.abs(found - 0.9) < 0.03).all(), found


def test_one_quantile_for_all_would_not() -> None:
    """The failure that Mondrian bins are for: it has to show in these data, or the test above shows nothing."""
    y, p, _ = posts(20_000, 0)
    reach = np.quantile(np.abs(y - p), 0.9)
    found = coverage(y, p, p - reach, p + reach)
    assert found[0] > 0.97
    assert found[3] < 0.8


def test_the_beta_binomial_covers_ninety_per_cent_in_every_quarter() -> None:
    y, p, trials = posts(20_000, 2, most=7.0)
    found = coverage(y, p, *BetaBinomial(RHO)(p, trials))
    assert (np.abs(found - 0.9) < 0.03).all(), found


def test_more_trials_narrow_the_interval_to_what_overdispersion_leaves() -> None:
    p = np.full(3, 0.1)
    low, high = BetaBinomial(RHO)(p, np.array([20.0, 200.0, 200_000.0]))
    width = high - low
    assert width[0] > width[1] > width[2] > 0.1
    low, high = BetaBinomial(0.0)(p[:1], np.array([1e6]))
    assert high[0] - low[0] < 0.002


@pytest.mark.parametrize("v", [1, 7, 40, 900])
def test_quantiles_are_those_of_the_distribution(v: int) -> None:
    p = np.linspace(0.021, 0.9, 12)
    trials = np.full(12, float(v))
    low, high = BetaBinomial(RHO)(p, trials)
    law = betabinom(v, p * (1 / RHO - 1), (1 - p) * (1 / RHO - 1))
    zero = law.pmf(0) > 0.05
    np.testing.assert_array_equal(low * v, np.where(zero, 0, law.ppf(0.05)))
    np.testing.assert_allclose(high * v, np.where(zero, law.ppf(0.9), law.ppf(0.95)))


def test_above_a_thousand_trials_quantiles_are_nearly_those_of_the_distribution() -> None:
    p, v = np.linspace(0.02, 0.9, 12), 1500.0  # the first has a P(0) above 5 %: another rule
    low, high = BetaBinomial(RHO)(p, np.full(12, v))
    law = betabinom(v, p * (1 / RHO - 1), (1 - p) * (1 / RHO - 1))
    np.testing.assert_allclose(low[1:], law.ppf(0.05)[1:] / v, atol=0.002)
    np.testing.assert_allclose(high[1:], law.ppf(0.95)[1:] / v, atol=0.002)


def test_few_rows_constant_predictions_and_json() -> None:
    y = np.array([0.0, 0.1, 0.5])
    one = Mondrian.fit(y, np.full(3, 0.2))
    low, high = one(np.array([0.2]))
    assert low[0] == 0
    assert high[0] == pytest.approx(0.5)
    again = Mondrian.from_json(one.to_json())
    np.testing.assert_array_equal(again(np.array([0.7])), one(np.array([0.7])))


def test_many_equal_predictions_are_one_bin() -> None:
    rng = np.random.default_rng(0)
    p = np.where(rng.random(2000) < 0.8, 0.01, rng.random(2000))
    y = np.clip(p + rng.normal(0, 0.02, 2000), 0, 1)
    fitted = Mondrian.fit(y, p)
    assert len(fitted.edges) + 1 == len(fitted.low) == len(fitted.high)
    low, high = fitted(p)
    assert 0.88 < ((y >= low) & (y <= high)).mean() < 0.94
