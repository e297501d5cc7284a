"""C-Mixup: partners by their targets, exactly as published; rows between both."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oversample import CMixup
from oversample.cmixup import Partners
from oversample.density import Density


def data(n: int = 400, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, d)), np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))


def published(y: np.ndarray, seed: int, bandwidth: float) -> np.ndarray:
    """The probability of every partner, row by row; logarithms, since all kernels may be too small for a number."""
    logs = -(((y - y[seed]) / bandwidth) ** 2) / 2
    logs[seed] = -np.inf
    p = np.exp(logs - logs.max())
    return np.asarray(p / p.sum())


SPREAD = np.random.default_rng(7).normal(size=40)
TARGETS = {  # targets, σ
    "wide kernel": (SPREAD, 5.0),
    "narrow kernel": (SPREAD, 0.3),
    "an atom": (np.concatenate([np.zeros(300), np.abs(SPREAD)]), 0.4),
    "far from all others": (np.append(SPREAD, [30.0]), 0.5),
    "two far from all others": (np.append(SPREAD, [-30.0, 31.0]), 9.0),
    "all far apart": (np.arange(6.0) * 4 + np.array([0, 0.02, 0, 0.05, 0, 0]), 0.7),
    "far atoms": (np.repeat([0.0, 8.0, 8.3], [1, 50, 3]), 1.0),
    "two rows": (np.array([3.0, 4.0]), 0.001),
    "equal": (np.full(5, 2.0), 1.0),
}


@pytest.mark.parametrize(("y", "bandwidth"), TARGETS.values(), ids=TARGETS)
def test_partners_are_drawn_as_published(y: np.ndarray, bandwidth: float) -> None:
    partners, rng = Partners(y, bandwidth), np.random.default_rng(0)
    for seed in {0, len(y) // 2, len(y) - 2, len(y) - 1}:
        got = np.bincount(partners.draw(np.full(40_000, seed), rng), minlength=len(y)) / 40_000
        p = published(y, seed, bandwidth)
        assert got[seed] == 0
        np.testing.assert_allclose(got, p, atol=1e-4 + 5 * np.sqrt(p.max() / 40_000))
        means = [((y - y[seed]) * share).sum() for share in (got, p)]
        assert means[0] == pytest.approx(means[1], abs=5 * np.sqrt(p @ (y - y[seed]) ** 2 / 40_000) + 1e-12)


def test_a_hand_computed_case() -> None:
    """Targets 0, 1, 2 with σ = 1: the first's partner is the second with e^−½ / (e^−½ + e^−2) = 0.8176."""
    drawn = Partners(np.array([0.0, 1.0, 2.0]), 1.0).draw(np.zeros(100_000, dtype=int), np.random.default_rng(0))
    assert (drawn == 1).mean() == pytest.approx(0.8176, abs=0.005)


@settings(max_examples=60, deadline=None)
@given(
    y=arrays(np.float64, st.integers(2, 30), elements=st.floats(-1e300, 1e300) | st.floats(-2, 2) | st.just(0.0)),
    bandwidth=st.floats(1e-3, 1e3),
)
def test_no_row_is_its_own_partner_and_any_target_has_one(y: np.ndarray, bandwidth: float) -> None:
    seeds = np.arange(len(y))
    try:
        partners = Partners(y, bandwidth)
    except ValueError as error:
        assert np.ptp(y / 2) > bandwidth * 1e149
        assert "bandwidths apart" in str(error)  # noqa: PT017
        return
    drawn = partners.draw(seeds, np.random.default_rng(0))
    assert ((drawn != seeds) & (drawn >= 0) & (drawn < len(y))).all()


def test_features_and_target_share_one_lambda_and_lie_between_both_parents() -> None:
    X, y = data()
    sampler = CMixup(random_state=3, target_bounds=(0.0, 1.0))
    X_new, y_new = sampler.fit_resample(X, y)
    assert (X_new[: len(y)].tobytes(), y_new[: len(y)].tobytes()) == (X.tobytes(), y.tobytes())
    i, j = sampler.parents_.T
    assert (i != j)[sampler.synthetic_].all()
    np.testing.assert_allclose(X_new, X[i] + sampler.lambda_[:, None] * (X[j] - X[i]), atol=1e-12)
    np.testing.assert_allclose(y_new, y[i] + sampler.lambda_ * (y[j] - y[i]), atol=1e-12)
    assert (y_new >= np.minimum(y[i], y[j])).all()
    assert (y_new <= np.maximum(y[i], y[j])).all()


@pytest.mark.parametrize("alpha", [0.4, 1.0, 2.0])
def test_lambda_is_beta(alpha: float) -> None:
    sampler = CMixup(random_state=0, alpha=alpha, sampling_strategy=50.0)
    sampler.fit_resample(*data())
    drawn = sampler.lambda_[sampler.synthetic_]
    assert drawn.mean() == pytest.approx(0.5, abs=0.02)
    assert drawn.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


def test_seeds_are_rare_and_partners_may_be_normal() -> None:
    X, y = data()
    sampler = CMixup(random_state=0)
    sampler.fit_resample(X, y)
    new = sampler.synthetic_
    assert sampler.rare_[sampler.parents_[new, 0]].all()
    assert 0 < sampler.rare_[sampler.parents_[new, 1]].mean() < 1
    times = np.bincount(sampler.sample_indices_[len(y) :], minlength=len(y))[sampler.rare_]
    assert np.ptp(times) <= 1


def test_a_narrow_bandwidth_keeps_targets_alike() -> None:
    X, y = data()
    far = {}
    for bandwidth in (0.001, 0.1):
        sampler = CMixup(random_state=0, bandwidth=bandwidth)
        sampler.fit_resample(X, y)
        far[bandwidth] = np.abs(np.diff(y[sampler.parents_[sampler.synthetic_]])).mean()
        assert sampler.bandwidth_ == bandwidth
    assert far[0.001] < 0.2 * far[0.1]


def test_without_a_bandwidth_it_is_that_of_the_density_without_atoms() -> None:
    X, y = data()
    assert CMixup().fit(X, y).bandwidth_ == Density(y[y > 0]).bandwidth


def test_one_factor_for_every_bump_makes_all_rows_seeds_as_in_the_paper() -> None:
    X, y = data()
    bumps = len(CMixup().fit(X, y).bumps_)
    sampler = CMixup(random_state=0, sampling_strategy=dict.fromkeys(range(bumps), 2.0))
    sampler.fit_resample(X, y)
    assert set(np.bincount(sampler.sample_indices_)) == {2}


def test_97_percent_zeros_and_negative_features() -> None:
    rng = np.random.default_rng(0)
    y = np.where(rng.random(3000) < 0.97, 0.0, rng.beta(0.7, 20, 3000))
    sampler = CMixup(random_state=0)
    X_new, y_new = sampler.fit_resample(-1 - rng.random((3000, 5)).astype(np.float32), y)
    assert X_new.max() <= -1
    assert y_new[3000:].min() > 0
    assert len(y_new) - 3000 == 1500 - sampler.rare_.sum()


@pytest.mark.parametrize("rare", [1, 2])
def test_bumps_of_one_row_and_of_two_find_partners_outside(rare: int) -> None:
    X = np.random.default_rng(0).normal(size=(50, 3))
    y = np.append(np.linspace(0, 1, 50 - rare), np.full(rare, 1.5))
    sampler = CMixup(random_state=0, relevance=lambda v: (v > 1).astype(float), bandwidth=0.5)
    _, y_new = sampler.fit_resample(X, y)
    assert sampler.synthetic_[50:].all()
    assert len(np.unique(y_new[50:])) > 10


def test_a_data_set_of_one_row_can_only_be_repeated() -> None:
    _, y_new = CMixup(relevance=np.ones_like, sampling_strategy={0: 3.0}).fit_resample([[1.0]], [2.0])
    assert y_new == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"alpha": 0}, "alpha=0: expected a number above 0"),
        ({"alpha": "2"}, "alpha='2'"),
        ({"bandwidth": 0.0}, "bandwidth=0.0: expected None, or a number above 0 in units of y"),
        ({"bandwidth": np.inf}, "bandwidth=inf"),
        ({"bandwidth": 1e-200}, "bandwidths apart: expected a bandwidth larger than 1e-200"),
    ],
)
def test_settings_out_of_range_are_one_clear_line(settings_: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        CMixup(**settings_).fit_resample(*data())
    assert "\n" not in str(caught.value)
