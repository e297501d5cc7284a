"""Weights: the published formulas by hand, what holds for all of them, and targets with an atom at zero."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oversample.density import Density
from oversample.weights import (
    WEIGHTS,
    dense,
    effective_sample_size,
    exponential,
    kernel_window,
    lds,
    ratio,
    tempered,
)

RNG = np.random.default_rng(0)
BETA = RNG.beta(0.7, 20, 2_000)
TARGETS = {
    "normal": RNG.normal(size=500),
    "60 % zeros": np.append(np.zeros(3_000), BETA),
    "97 % zeros": np.append(np.zeros(64_000), BETA),
    "all zero but one": np.append(np.zeros(99), 1.0),
    "two values": np.repeat([0.0, 1.0], [30, 70]),
    "constant": np.full(50, 0.3),
    "one row": np.array([3.0]),
    "two rows": np.array([0.0, 3.0]),
    "five rows": np.array([0.0, 0.0, 1.0, 2.0, 9.0]),
    "ratings": np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], [2, 2, 30, 60, 40]),
    "heavy tails": RNG.standard_cauchy(500),
    "tiny": BETA[:200] * 1e-300,
    "huge": (BETA[:200] - 0.1) * 1e300,
    "the number line": np.array([-1.7e308, 0.0, 5e-324, 1.0, 1.7e308]),
}
every = pytest.mark.parametrize("scheme", WEIGHTS.values(), ids=WEIGHTS)
small = st.lists(st.integers(-60, 60), min_size=2, max_size=50)


def shares(weight: np.ndarray) -> float:
    return effective_sample_size(weight) / len(weight)


@every
@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_weights_are_finite_and_positive_with_mean_1(scheme: Any, y: np.ndarray) -> None:
    weight = scheme(y)
    assert (weight.dtype, weight.shape) == (np.float64, y.shape)
    assert np.isfinite(weight).all()
    assert weight.min() > 0
    assert weight.mean() == pytest.approx(1)


@every
@given(y=small, seed=st.integers(0, 99))
def test_a_row_weighs_the_same_wherever_it_stands(scheme: Any, y: list[int], seed: int) -> None:
    target = np.array(y) / 8
    order = np.random.default_rng(seed).permutation(len(y))
    np.testing.assert_allclose(scheme(target[order]), scheme(target)[order], rtol=1e-6)


@every
@given(y=small)
def test_equal_targets_weigh_the_same(scheme: Any, y: list[int]) -> None:
    weight = scheme(np.array(y) / 8)
    for value in set(y):
        assert np.ptp(weight[np.array(y) == value]) == 0


@pytest.mark.parametrize("name", ["dense", "lds", "ratio"])
@given(y=small, power=st.integers(-30, 30), shift=st.integers(-8, 8))
def test_units_do_not_matter(name: str, y: list[int], power: int, shift: int) -> None:
    target = np.array(y, dtype=float)
    assume(np.ptp(target) > 0)  # the bandwidth of a constant is its size
    other = (target + 64 * shift) * 2.0**power
    np.testing.assert_allclose(WEIGHTS[name](other), WEIGHTS[name](target), rtol=1e-4, atol=1e-9)


@every
@given(y=small, share=st.floats(0.01, 1))
def test_the_effective_sample_size_is_that_asked_for(scheme: Any, y: list[int], share: float) -> None:
    target = np.array(y) / 8
    try:
        weight = scheme(target, ess=share)
    except ValueError as error:
        assert "cannot be reached" in str(error)  # noqa: PT017 - whether it can depends on the target
        return
    assert shares(weight) == pytest.approx(share, rel=1e-6)
    assert weight.mean() == pytest.approx(1)
    assert weight.min() > 0


@every
@pytest.mark.parametrize("y", [TARGETS["normal"], TARGETS["60 % zeros"], TARGETS["97 % zeros"]], ids=["-", "60", "97"])
@pytest.mark.parametrize("share", [0.3, 0.7, 1])
def test_common_shares_can_be_reached(scheme: Any, y: np.ndarray, share: float) -> None:
    assert shares(scheme(y, ess=share)) == pytest.approx(share, rel=1e-8)


@every
def test_what_cannot_be_reached_names_what_can(scheme: Any) -> None:
    with pytest.raises(ValueError, match="cannot be reached: expected 1"):
        scheme(np.full(50, 0.3), ess=0.5)
    np.testing.assert_array_equal(scheme(np.full(50, 0.3), ess=1), 1)


def test_powers_end_at_the_share_of_the_largest() -> None:
    y = np.repeat([0.0, 1.0], [60, 40])
    with pytest.raises(ValueError, match=r"ess=0.4 cannot be reached: expected more than 0.4, up to 1, 40 of 100 rows"):
        exponential(y, ess=0.4)
    weight = exponential(y, ess=0.4001)
    assert shares(weight) == pytest.approx(0.4001)
    assert weight[-1] == pytest.approx(2.5, rel=1e-3)


def test_dense_ends_where_all_but_the_rarest_have_the_least_weight() -> None:
    y = np.append(np.zeros(90), np.linspace(1, 2, 10) ** 2)  # one row is the rarest
    with pytest.raises(ValueError, match=r"ess=0.005 cannot be reached: expected 0.0100\d* to 1"):
        dense(y, ess=0.005)


@every
@pytest.mark.parametrize("share", [0, -0.1, 1.01, np.nan, "half"])
def test_a_share_is_above_0_and_up_to_1(scheme: Any, share: Any) -> None:
    with pytest.raises(ValueError, match=r"ess=.*expected a share of the rows, above 0 and up to 1"):
        scheme(TARGETS["normal"], ess=share)


@pytest.mark.parametrize(
    ("name", "setting"),
    [("exp", {"alpha": 3}), ("dense", {"alpha": 1}), ("lds", {"reweight": "inverse"}), ("ratio", {"exponent": 0.5})],
)
def test_a_strength_or_a_sample_size(name: str, setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(setting))}=.*, ess=0.5: expected one of them"):
        WEIGHTS[name](TARGETS["normal"], **setting, ess=0.5)
    WEIGHTS[name](TARGETS["normal"], **setting)


@every
@pytest.mark.parametrize("y", [[0.0, np.nan], [0.0, np.inf], [], [[1.0]]])
def test_what_cannot_be_a_target_is_refused(scheme: Any, y: list[Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        scheme(np.array(y, dtype=float))


def test_effective_sample_size_by_hand() -> None:
    assert effective_sample_size(np.array([1.0, 1.0, 2.0])) == pytest.approx(16 / 6)
    assert effective_sample_size(np.array([0.0, 5.0])) == 1
    assert effective_sample_size(np.full(7, 1e300)) == pytest.approx(7)
    assert effective_sample_size(np.full(7, 1e-300)) == pytest.approx(7)


@pytest.mark.parametrize("weight", [[0.0, 0.0], [-1.0, 2.0], [np.nan, 1.0], []])
def test_weights_without_an_effective_sample_size(weight: list[float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        effective_sample_size(np.array(weight))


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=40), st.floats(0.05, 1))
def test_tempered_keeps_the_order_and_the_ratios_of_logarithms(weight: list[float], share: float) -> None:
    w = np.array(weight)
    assume(share > np.mean(w > w.max() * 0.99) and w.min() < w.max() / 2)
    new = tempered(w, share)
    assert shares(new) == pytest.approx(share, rel=1e-6)
    order = np.argsort(w)
    assert (np.diff(new[order]) >= 0).all()
    logs = np.log(w / w.max())
    inner = (new > 1e-300) & (w < w.max() / 2)  # below, weights end at the smallest number
    t = np.log(new / new.max())[inner] / logs[inner]
    np.testing.assert_allclose(t, t[:1].repeat(len(t)), rtol=1e-6)


def test_tempered_takes_weights_above_0() -> None:
    with pytest.raises(ValueError, match="the least weight is 0: expected weights above 0"):
        tempered(np.array([0.0, 1.0]), 0.5)


# the formulas


def test_exp_by_hand() -> None:
    y = np.array([0.0, 0.1, 1.0])
    expected = np.exp(3 * y)
    np.testing.assert_allclose(exponential(y), expected / expected.mean())
    assert exponential(y, alpha=3)[2] / exponential(y, alpha=3)[0] == pytest.approx(20.09, abs=0.01)
    assert exponential(y, alpha=10)[2] / exponential(y, alpha=10)[0] == pytest.approx(22_026, abs=1)
    np.testing.assert_allclose(exponential(100 * y, alpha=0.03), exponential(y, alpha=3))
    np.testing.assert_allclose(exponential(y + 5, alpha=-2), exponential(y, alpha=-2))


@pytest.mark.parametrize("alpha", [-1e300, -5, 0, 5, 1e300])
def test_exp_neither_overflows_nor_vanishes(alpha: float) -> None:
    weight = exponential(np.array([-1.7e308, 0.0, 1.7e308]), alpha=alpha)
    assert weight.min() > 0
    assert weight.mean() == pytest.approx(1)


def test_dense_by_hand() -> None:
    y = TARGETS["normal"]
    p = Density(y)(y)
    p = (p - p.min()) / (p.max() - p.min())
    for alpha in (0, 0.5, 1, 2):
        expected = np.maximum(1 - alpha * p, 1e-3)
        np.testing.assert_allclose(dense(y, alpha=alpha, epsilon=1e-3), expected / expected.mean(), rtol=1e-5)


def test_dense_of_an_atom_and_a_rest() -> None:
    y = TARGETS["60 % zeros"]
    weight = dense(y, alpha=0.5)
    assert (weight[y == 0] == weight.min()).all()
    rest = dense(BETA, alpha=0.5)
    np.testing.assert_allclose(weight[y > 0] / weight.max(), rest / rest.max())


@pytest.mark.parametrize("zeros", [0.3, 0.6, 0.75, 0.97])
def test_positives_weigh_as_without_the_zeros(zeros: float) -> None:
    y = np.append(np.zeros(round(len(BETA) * zeros / (1 - zeros))), BETA)
    for name in ("dense", "lds", "ratio"):
        weight, alone = WEIGHTS[name](y)[y > 0], WEIGHTS[name](BETA)
        np.testing.assert_allclose(weight / weight.mean(), alone)


def test_lds_by_hand() -> None:
    y = np.array([0.0, 0.0, 1.0, 3.0, 4.0])  # bins of 1: 2, 1, 0, 2
    smooth = np.array([(2 * 2 + 1) / 4, (2 + 2 * 1 + 0) / 4, (1 + 2) / 4, 2 * 2 / 4])
    expected = 1 / smooth[[0, 0, 1, 3, 3]]
    weight = lds(y, bins=4, kernel="triangular", kernel_size=3)
    np.testing.assert_allclose(weight, expected / expected.mean())
    root = np.sqrt(expected)
    weight = lds(y, bins=4, kernel="triangular", kernel_size=3, reweight="sqrt_inverse")
    np.testing.assert_allclose(weight, root / root.mean())


def test_lds_without_smoothing_is_the_inverse_frequency() -> None:
    y = np.repeat([1.0, 2.0, 3.0, 4.0], [4, 40, 50, 6])
    weight = lds(y, kernel_size=1)
    np.testing.assert_allclose([weight[y == v].sum() for v in (1, 2, 3, 4)], 25)


def test_lds_does_not_smear_an_atom_over_its_neighbours() -> None:
    y = TARGETS["60 % zeros"]
    weight = lds(y)
    assert weight[y == 0][0] < weight[y > 0].min() / 5
    assert weight[y == 0].sum() / weight[y == BETA.max()].sum() == pytest.approx(1, rel=1)


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("gaussian", np.exp([-0.5, -0.125, 0, -0.125, -0.5])),
        ("triangular", [1, 2, 3, 2, 1]),
        ("laplace", np.exp([-1, -0.5, 0, -0.5, -1])),
    ],
)
def test_kernels(kernel: str, expected: list[float]) -> None:
    np.testing.assert_allclose(kernel_window(kernel, 5, 2.0), expected / np.sum(expected))


def test_ratio_by_hand() -> None:
    y = np.append(TARGETS["normal"], [-9.0, 9.0])
    expected = 1 / Density(y)(y)
    np.testing.assert_allclose(ratio(y, clip=1e9), expected / expected.mean())
    clipped = np.clip(expected / expected.mean(), 1 / 3, 3)
    np.testing.assert_allclose(ratio(y, clip=3), clipped / clipped.mean())
    np.testing.assert_allclose(ratio(y, clip=3, exponent=0.5), np.sqrt(clipped) / np.sqrt(clipped).mean())
    assert np.ptp(ratio(y, exponent=0)) == 0


def test_ratio_to_its_own_density_is_1() -> None:
    y = TARGETS["normal"]
    np.testing.assert_allclose(ratio(y, target=Density(y)), 1)


@pytest.mark.parametrize("zeros", [0.6, 0.97])
def test_ratio_leaves_an_atom_its_mass(zeros: float) -> None:
    y = np.append(np.zeros(round(len(BETA) * zeros / (1 - zeros))), BETA)
    np.testing.assert_allclose(ratio(y)[y == 0], 1)


def test_ratio_moves_the_mean_to_that_of_the_target() -> None:
    y = np.random.default_rng(3).normal(size=20_000)
    weight = ratio(y, target=lambda v: np.exp(-((v - 0.5) ** 2) / 2))
    assert np.average(y, weights=weight) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("scheme", "setting", "message"),
    [
        (exponential, {"alpha": np.inf}, "alpha=inf: expected a finite number"),
        (dense, {"alpha": -1}, "alpha=-1, epsilon=1e-06: expected alpha from 0"),
        (dense, {"epsilon": 0}, "0 < epsilon < 1"),
        (lds, {"bins": 0}, "bins=0: expected a whole number from 1"),
        (lds, {"bins": 2.5}, "bins=2.5"),
        (lds, {"kernel": "box"}, "unknown kernel 'box': known are gaussian, triangular, laplace"),
        (lds, {"kernel_size": 4}, "kernel_size=4, sigma=2.0: expected an odd number of bins and sigma above 0"),
        (lds, {"sigma": 0}, "sigma=0"),
        (lds, {"reweight": "none"}, "unknown reweight 'none': known are inverse, sqrt_inverse"),
        (ratio, {"exponent": -1}, "expected exponent from 0"),
        (ratio, {"clip": 0.5}, "clip from 1"),
        (ratio, {"target": "normal"}, "unknown target 'normal': known is uniform, or a function of values"),
        (ratio, {"target": lambda v: v[:-1]}, "expected a finite number from 0 for every value"),
        (ratio, {"target": lambda v: -np.ones(len(v))}, "expected a finite number from 0"),
        (ratio, {"target": lambda v: np.zeros(len(v))}, "and one above 0"),
    ],
)
def test_settings_out_of_range_are_one_line(scheme: Any, setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        scheme(TARGETS["normal"], **setting)
    assert "\n" not in str(caught.value)
