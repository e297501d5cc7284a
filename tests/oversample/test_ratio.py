"""Density ratio: copies of rare rows, the more the rarer their targets are against the density that is wanted."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from oversample import DensityRatio
from oversample.weights import ratio


def data(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 4)).astype(np.float32), np.where(rng.random(n) < 0.7, 0.0, rng.beta(0.7, 20, n))


def test_every_new_row_is_a_rare_row_bit_for_bit() -> None:
    X, y = data()
    sampler = DensityRatio(random_state=0)
    X_new, y_new = sampler.fit_resample(X, y)
    rows = sampler.sample_indices_
    assert (X_new.tobytes(), y_new.tobytes()) == (X[rows].tobytes(), y[rows].tobytes())
    assert sampler.rare_[rows[len(y) :]].all()
    assert not sampler.synthetic_.any()


def test_the_ratio_is_uniform_over_the_density_of_what_is_no_atom() -> None:
    y = np.concatenate([np.zeros(100), np.random.default_rng(0).normal(5, 1, 50)])
    sampler = DensityRatio(clip=1e9).fit(np.zeros((150, 1)), y)
    rest = y[100:]
    box = np.diff(np.quantile(rest, [0.25, 0.75]))[0] / 1.349
    width = 1.06 * min(rest.std(), box) * 50**-0.2
    inverse = 1 / gaussian_kde(rest, width / rest.std(ddof=1))(rest)
    np.testing.assert_allclose(sampler.ratio_[100:], inverse / inverse.mean(), rtol=1e-6)
    np.testing.assert_allclose(sampler.ratio_[:100], 1)


@pytest.mark.parametrize("settings", [{}, {"exponent": 0.5}, {"clip": 2.0}, {"target": lambda v: v}])
def test_copies_are_drawn_in_proportion_to_the_ratio(settings: dict[str, Any]) -> None:
    X, y = data()
    sampler = DensityRatio(random_state=0, sampling_strategy=100.0, **settings)
    sampler.fit_resample(X, y)
    drawn = np.bincount(sampler.sample_indices_[len(y) :], minlength=len(y))[sampler.rare_]
    weight = ratio(y, **settings)[sampler.rare_]
    expected = drawn.sum() * weight / weight.sum()
    assert ((drawn - expected) ** 2 / expected).sum() < 2 * len(expected)  # χ², of which the mean is len − 1
    assert np.ptp(weight) > 0.3


def test_exponent_0_draws_all_alike() -> None:
    assert set(DensityRatio(exponent=0).fit(*data()).ratio_) == {1.0}


def test_clipped_ratios_keep_a_lone_row_from_making_up_its_bump() -> None:
    X, y = data()
    y[0] = 1.0
    share = {}
    for clip in (1.5, 1e9):
        sampler = DensityRatio(random_state=0, clip=clip)
        sampler.fit_resample(X, y)
        share[clip] = (sampler.sample_indices_[len(y) :] == 0).mean()
    assert share[1.5] < 0.5 * share[1e9]


def test_97_percent_zeros_and_an_atom_inside_a_bump() -> None:
    rng = np.random.default_rng(0)
    y = np.where(rng.random(3000) < 0.97, 0.0, rng.beta(0.7, 20, 3000))
    _, y_new = DensityRatio(random_state=0).fit_resample(np.zeros((3000, 1)), y)
    assert y_new[3000:].min() > 0
    sampler = DensityRatio(random_state=0, relevance=lambda v: (v == 0).astype(float), sampling_strategy={0: 2.0})
    assert set(sampler.fit_resample(np.zeros((3000, 1)), y)[1][3000:]) == {0.0}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exponent": -1}, "exponent=-1"),
        ({"exponent": "1"}, "exponent='1'"),
        ({"clip": 0.5}, "clip=0.5"),
        ({"clip": True}, "clip=True"),
        ({"target": "normal"}, "unknown target 'normal': known is uniform"),
        ({"target": lambda v: v - 1}, "expected a finite number from 0 for every value"),
    ],
)
def test_settings_out_of_range_are_one_clear_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        DensityRatio(**settings).fit_resample(*data())
    assert "\n" not in str(caught.value)
