"""The density of a target: a direct sum to nine digits, wherever it is evaluated, however odd the target."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import gaussian_kde

from oversample.density import BLOCK, Density, check_target, silverman

RNG = np.random.default_rng(0)
TARGETS = {
    "normal": RNG.normal(size=2_000),
    "zeros and a beta": np.append(np.zeros(1_200), RNG.beta(0.7, 20, 800)),
    "heavy tails": RNG.standard_cauchy(1_500),
    "far outlier": np.append(RNG.normal(size=500), 1e8),
    "two values": np.repeat([0.0, 1.0], 30),
    "two rows": np.array([0.0, 3.0]),
    "one row": np.array([-7.0]),
    "constant": np.full(20, 0.1),
    "zeros": np.zeros(9),
}
numbers = st.floats(-1e6, 1e6, allow_nan=False)


def direct(y: np.ndarray, values: np.ndarray, h: float) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.exp(-(((values[:, None] - y) / h) ** 2) / 2).sum(axis=1) / (len(y) * h * np.sqrt(2 * np.pi))


def places(y: np.ndarray, h: float) -> np.ndarray:
    """The targets, what lies between and beyond, and both ends of the number line."""
    return np.concatenate([y, np.linspace(y.min() - 5 * h, y.max() + 5 * h, 301), [-1e300, 1e300]])


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("factor", [0.1, 1, 30])
def test_it_is_the_direct_sum(y: np.ndarray, factor: float) -> None:
    density = Density(y, factor * Density(y).bandwidth)
    values = places(y, density.bandwidth)
    expected = direct(y, values, density.bandwidth)
    np.testing.assert_allclose(density(values), expected, rtol=1e-6, atol=2e-9 * expected.max())


def test_it_is_scipys_with_scipys_bandwidth() -> None:
    y = TARGETS["normal"]
    oracle = gaussian_kde(y, bw_method="silverman")
    values = np.linspace(-6, 6, 200)
    np.testing.assert_allclose(Density(y, oracle.factor * y.std(ddof=1))(values), oracle(values), rtol=1e-6, atol=1e-9)


def test_it_integrates_to_one() -> None:
    y = np.array([0.0, 0.0, 1.0, 5.0])
    values = np.linspace(-30, 40, 20_001)
    assert np.trapezoid(Density(y)(values), values) == pytest.approx(1, abs=1e-8)


def test_more_rows_than_a_block() -> None:
    y = RNG.normal(size=BLOCK + 10)
    density = Density(y)
    np.testing.assert_allclose(density(y)[-20:], direct(y, y[-20:], density.bandwidth), rtol=1e-8)


def test_the_shape_of_the_values_is_kept() -> None:
    density = Density(TARGETS["normal"])
    assert density(np.zeros((2, 3))).shape == (2, 3)
    assert density(np.empty(0)).shape == (0,)
    assert float(density(0.0)) == density(np.zeros(1))[0]


def test_no_number_has_no_density() -> None:
    np.testing.assert_array_equal(Density(np.arange(5.0))(np.array([np.nan, np.inf, -np.inf])), [np.nan, 0, 0])


@given(st.lists(numbers, min_size=1, max_size=40), st.lists(numbers, max_size=9), st.floats(1e-3, 1e3))
def test_any_targets_anywhere(y: list[float], values: list[float], h: float) -> None:
    target = np.array(y)
    at = np.concatenate([target, values])
    expected = direct(target, at, h)
    np.testing.assert_allclose(Density(target, h)(at), expected, atol=1e-8 * expected.max())


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=40), st.integers(-1060, 990))
def test_units_do_not_matter(y: list[int], power: int) -> None:
    target = np.array(y, dtype=float)
    np.testing.assert_array_equal(
        Density(target).kernels(target), Density(target * 2.0**power).kernels(target * 2.0**power)
    )


@pytest.mark.parametrize("y", [[1.7e308, -1.7e308, 0], [5e-324, 0, 1e-323], [0, 1e-300, 1e300]])
def test_the_ends_of_the_number_line(y: list[float]) -> None:
    kernels = Density(np.array(y)).kernels(np.array(y))
    assert ((kernels >= 1) & (kernels <= 3)).all()


def test_a_bandwidth_far_below_the_range_costs_nothing() -> None:
    y = np.array([0.0, 1.0, 1.0, 1e9])
    np.testing.assert_allclose(Density(y, 1e-200).kernels(y), [1, 2, 2, 1])


def test_silvermans_rule() -> None:
    y = np.arange(9.0)  # quartiles 2 and 6
    assert silverman(y) == pytest.approx(1.06 * np.sqrt(60 / 9) * 9**-0.2)
    assert silverman(np.append(y, 1e9)) == pytest.approx(1.06 * (6.75 - 2.25) / 1.349 * 10**-0.2)


def test_without_a_quartile_range_the_deviation_is_taken() -> None:
    y = np.append(np.zeros(97), [1.0, 2.0, 3.0])
    assert silverman(y) == pytest.approx(1.06 * y.std() * 100**-0.2)


@pytest.mark.parametrize(("value", "scale"), [(0.1, 0.1), (-4.0, 4.0), (0.0, 1.0)])
def test_a_constant_has_the_bandwidth_of_its_size(value: float, scale: float) -> None:
    assert Density(np.full(10, value)).bandwidth == pytest.approx(1.06 * scale * 10**-0.2)


@pytest.mark.parametrize("bandwidth", [0, -1, np.nan, np.inf, 1e-320])
def test_unusable_bandwidths(bandwidth: float) -> None:
    with pytest.raises(ValueError, match=r"bandwidth=.*expected a number above 0"):
        Density(np.array([0.0, 1.0]), bandwidth)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([0.0, np.nan]), r"y\[1\]=nan: expected finite numbers"),
        (np.array([-np.inf, 0.0]), r"y\[0\]=-inf: expected finite"),
        (np.empty(0), r"y has shape \(0,\): expected one dimension and a row or more"),
        (np.zeros((2, 1)), r"y has shape \(2, 1\)"),
        (np.array(3.0), r"y has shape \(\)"),
    ],
)
def test_what_cannot_be_a_target_is_refused(y: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_target(y)
    with pytest.raises(ValueError, match=message):
        Density(y)
