"""Intervals hold what they promise, in every quarter of the predictions."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import betabinom

from regress.calibration import fit_beta
from regress.dispersion import intra_class_correlation
from regress.intervals import BetaBinomial, Mondrian, PostIntervals, post_intervals

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


def atom_and_tail(n: int, seed: int, rho: float, most: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rates of 3 % on average, up to half of them 0, with a long tail; calibrated guesses that know half of it."""
    rng = np.random.default_rng(seed)
    known, score = rng.normal(size=n), rng.normal(size=n)
    tail = 0.5 * np.maximum(rng.exponential(1, n) - 1.5, 0)
    rate = expit(-4.2 + known + 0.6 * rng.normal(size=n) + tail)
    trials = np.maximum(5, np.exp(rng.normal(most, 1.2, n))).astype(int)
    seen = rng.beta(rate * (1 / rho - 1), (1 - rate) * (1 / rho - 1)) if rho else rate
    return rng.binomial(trials, seen) / trials, expit(-4 + known + 0.2 * score), trials.astype(float)


WORLDS = pytest.mark.parametrize(("rho", "most"), [(0.03, 5.5), (0.0, 5.5), (0.1, 4.0), (0.01, 7.0)])


@WORLDS
def test_both_kinds_cover_ninety_per_cent_of_fresh_posts_in_every_quarter(rho: float, most: float) -> None:
    y, score, trials = atom_and_tail(10_000, 0, rho, most)
    new_y, new_score, new_trials = atom_and_tail(10_000, 1, rho, most)
    calibrator = fit_beta(score, y)
    fitted = PostIntervals.from_json(json.loads(json.dumps(post_intervals(y, calibrator.apply(score), trials))))
    p = calibrator.apply(new_score)
    for found in (coverage(new_y, p, *fitted(p)), coverage(new_y, p, *fitted(p, new_trials))):
        assert ((found > 0.87) & (found < 0.93)).all(), found


def test_both_kinds_cover_ninety_per_cent_when_cross_fitted() -> None:
    y, score, trials = atom_and_tail(10_000, 2, 0.03, 5.5)
    fold, p = np.arange(len(y)) % 5, np.zeros(len(y))
    ends = np.zeros((4, len(y)))
    for k in range(5):
        p[fold == k] = fit_beta(score[fold != k], y[fold != k]).apply(score[fold == k])
    for k in range(5):
        test, rest = fold == k, fold != k
        fitted = PostIntervals.from_json(post_intervals(y[rest], p[rest], trials[rest]))
        ends[:2, test], ends[2:, test] = fitted(p[test]), fitted(p[test], trials[test])
    for low, high in (ends[:2], ends[2:]):
        found = coverage(y, p, low, high)
        assert ((found > 0.87) & (found < 0.93)).all(), found


def test_without_their_levels_beta_binomial_intervals_would_not_cover() -> None:
    """What the levels are for: hidden rates that are not Beta distributed."""
    y, score, trials = atom_and_tail(10_000, 0, 0.0, 5.5)
    p = fit_beta(score, y).apply(score)
    assert coverage(y, p, *BetaBinomial(intra_class_correlation(y, p, trials))(p, trials)).max() > 0.94


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.02, 0.98))
def test_a_level_holds_a_rate_exactly_where_it_is_said_to(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    p, trials = rng.beta(0.5, 5, 40), rng.integers(1, 80, 40).astype(float)
    y = rng.binomial(trials.astype(int), p) / trials
    law = BetaBinomial(0.05)
    low, high = law(p, trials, level)
    a, b, c = law.levels_that_hold(y, p, trials)
    clear = np.abs(np.stack([a, b, c]) - level).min(axis=0) > 1e-9  # rounding decides at an end itself
    held = (y >= low - 1e-12) & (y <= high + 1e-12)
    np.testing.assert_array_equal(held[clear], (((level > a) & (level <= b)) | (level > c))[clear])


def test_of_few_posts_the_highest_level_is_asked() -> None:
    y, p, trials = np.array([0.0, 0.1]), np.array([0.05, 0.06]), np.array([10.0, 20.0])
    found = post_intervals(y, p, trials)
    assert found["levels"] == [1.0]
    low, high = PostIntervals.from_json(found)(p, trials)
    assert ((low <= y) & (y <= high)).all()


@pytest.mark.parametrize("change", [{"levels": [0.9, 0.9]}, {"levels": None}, {"mondrian": {}}, {"rho": "much"}])
def test_what_is_no_interval(change: dict[str, object]) -> None:
    y, p, trials = posts(30, 0)
    with pytest.raises((KeyError, TypeError, ValueError)):
        PostIntervals.from_json(post_intervals(y, p, trials) | change)
