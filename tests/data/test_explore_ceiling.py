"""Ceilings of R² and D² against simulated posts whose true rates are known."""

import math
from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.exploration.ceiling import Ceiling, ceilings, noise_variance, r2_ceiling
from data.exploration.deconvolution import true_entropy
from data.targets import label_entropy

Array = NDArray[np.float64]
Rates = Callable[[np.random.Generator, int], Array]

SHAPES: dict[str, tuple[Rates, tuple[int, int]]] = {
    "beta": (lambda rng, n: rng.beta(1, 5, n), (2, 50)),
    "demo": (lambda rng, n: rng.beta(0.6, 3, n), (5, 500)),
    "origin": (lambda rng, n: rng.beta(0.3, 100, n), (4000, 11000)),
    "zeros": (lambda rng, n: rng.beta(1, 20, n) * (rng.random(n) < 0.4), (2, 40)),
    "two atoms": (lambda rng, n: np.where(rng.random(n) < 0.5, 0.02, 0.2), (5, 50)),
    "few": (lambda rng, n: rng.beta(0.5, 20, n), (2, 20)),
}


def simulate(shape: str, seed: int, n: int = 1000) -> tuple[Array, Array, Array]:
    """True rates, observed rates and trials."""
    rates, (least, most) = SHAPES[shape]
    rng = np.random.default_rng(seed)
    p, trials = rates(rng, n), rng.integers(least, most, n)
    return p, rng.binomial(trials, p) / trials, trials.astype(np.float64)


def one(y: Array, trials: Array) -> Ceiling:
    (ceiling,) = ceilings(y[:, None], trials)
    return ceiling


@given(st.integers(2, 40), st.floats(0, 1))
def test_the_noise_is_estimated_without_bias(v: int, p: float) -> None:
    k = np.arange(v + 1)
    chances = np.array([math.comb(v, i) * p**i * (1 - p) ** (v - i) for i in k.tolist()])
    expected = chances @ noise_variance(k / v, np.full(v + 1, float(v)))
    assert expected == pytest.approx(p * (1 - p) / v, rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_r2_is_that_of_the_true_rates(shape: str) -> None:
    """The mean over simulated tables is the truth's within three standard errors, and a bias of 1/n."""
    gaps = []
    for seed in range(100):
        p, y, trials = simulate(shape, seed)
        found = r2_ceiling(y, trials)
        assert found is not None
        gaps.append(found - (1 - np.mean((y - p) ** 2) / y.var()))
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(len(gaps)) + 2e-3


@pytest.mark.parametrize("shape", SHAPES)
def test_d2_is_near_that_of_the_true_rates(shape: str) -> None:
    gaps = []
    for seed in range(5):
        p, y, trials = simulate(shape, seed, 2000)
        floor, mean = label_entropy(y).mean(), label_entropy(np.array([y.mean()]))[0]
        gaps.append((label_entropy(p).mean() - true_entropy(y, trials).mean()) / (mean - floor))
    assert abs(np.mean(gaps)) < 0.07


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """The truth: the ceiling of the distribution the posts are drawn from, by a table of a million posts."""
    p, y, trials = simulate("beta", 999, 1_000_000)
    truth = 1 - np.mean((y - p) ** 2) / y.var()
    held = 0
    for seed in range(100):
        _, y, trials = simulate("beta", seed, 400)
        r2 = one(y, trials).r2
        assert r2 is not None
        assert r2.low < r2.value < r2.high
        held += r2.low <= truth <= r2.high
    assert held >= 88  # of 95 expected; 88 or fewer have a chance of 0.4 %


def test_many_targets_are_as_each_alone() -> None:
    _, a, trials = simulate("beta", 1, 300)
    _, b, _ = simulate("zeros", 2, 300)
    b[::3] = np.nan
    for found, alone in zip(ceilings(np.stack([a, b], axis=1), trials), (one(a, trials), one(b, trials)), strict=True):
        assert found.posts == alone.posts
        assert found.r2 is not None
        assert alone.r2 is not None
        assert astuple(found.r2) == pytest.approx(astuple(alone.r2))


def test_posts_of_one_trial_do_not_count() -> None:
    _, y, trials = simulate("beta", 3, 300)
    more = one(np.append(y, [0.0, 1.0]), np.append(trials, [1.0, 1.0]))
    assert more.posts == 300
    assert more.r2 is not None
    assert more.r2.value == pytest.approx(r2_ceiling(y, trials))


@pytest.mark.parametrize("y", [np.zeros(30), np.full(30, 0.1), np.array([0.5]), np.full(30, np.nan)], ids=range(4))
def test_where_nothing_varies_there_is_no_ceiling(y: Array) -> None:
    ceiling = one(y, np.full(len(y), 10.0))
    assert (ceiling.r2, ceiling.d2) == (None, None)


def test_noise_alone_has_a_ceiling_near_zero() -> None:
    rng = np.random.default_rng(0)
    trials = np.full(5000, 20.0)
    ceiling = one(rng.binomial(20, 0.1, 5000) / 20, trials)
    assert ceiling.r2 is not None
    assert ceiling.r2.low < 0 < ceiling.r2.high
    assert ceiling.d2 is not None
    assert abs(ceiling.d2.value) < 0.06  # what the page promises


@given(st.lists(st.tuples(st.integers(1, 10**7), st.floats(0, 1)), min_size=1, max_size=30))
def test_entropies_of_any_counts_are_entropies(pairs: list[tuple[int, float]]) -> None:
    trials = np.array([float(v) for v, _ in pairs])
    y = np.array([round(v * share) / v for v, share in pairs])
    entropy = true_entropy(y, trials)
    assert np.all((entropy >= 0) & (entropy <= np.log(2) + 1e-9))


def test_with_many_trials_the_entropy_is_the_rate_s_own() -> None:
    y = np.array([0.0, 0.001, 0.02, 0.3, 0.9, 1.0])
    np.testing.assert_allclose(true_entropy(y, np.full(6, 1e6)), label_entropy(y), atol=0.012)
