"""Relevance: golden values of the definitions, and the case the project exists for: an atom at zero."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oversample.relevance import atoms, extremes, fit_relevance, fivenum, hermite

THREE = [(-1, 0, 0), (0, 0.3, 0.4), (1, 1, 0.5)]
TWO = [(-1, 0), (0, 0.3), (1, 1)]
numbers = st.floats(-1e6, 1e6, allow_nan=False)


@pytest.mark.parametrize(("points", "expected"), [(THREE, [0.1, 0.6375]), (TWO, [0.0875, 0.7125])])
def test_range_has_the_published_values(points: list[tuple[float, ...]], expected: list[float]) -> None:
    y = np.array([-0.5, 0.5])
    np.testing.assert_allclose(fit_relevance("range", y, points)(y), expected, atol=1e-12)


@pytest.mark.parametrize("points", [THREE, TWO])
def test_range_meets_its_control_points_and_is_constant_outside(points: list[tuple[float, ...]]) -> None:
    y = np.array([-9.0, -1.0, 0.0, 1.0, 9.0])
    np.testing.assert_allclose(fit_relevance("range", y, points)(y), [0, 0, 0.3, 1, 1], atol=1e-12)


def test_range_takes_control_points_in_any_order() -> None:
    y = np.linspace(-2, 2, 41)
    np.testing.assert_array_equal(fit_relevance("range", y, THREE)(y), fit_relevance("range", y, THREE[::-1])(y))


@given(
    st.lists(
        st.tuples(st.integers(-50, 50), st.floats(0, 1), st.floats(-99, 99)),
        min_size=2,
        max_size=6,
        unique_by=lambda p: p[0],
    )
)
def test_no_interval_overshoots_its_two_control_points(points: list[tuple[int, float, float]]) -> None:
    points = sorted(points)
    phi = fit_relevance("range", np.zeros(1), points)
    for (x, f, _), (x2, f2, _) in pairwise(points):
        inner = phi(np.linspace(x, x2, 25))
        assert inner.min() >= min(f, f2) - 1e-9
        assert inner.max() <= max(f, f2) + 1e-9


@pytest.mark.parametrize(
    "points",
    [
        None,
        [],
        [(0, 1)],
        [(0, 1), (0, 0)],
        [(0, 0), (1, 1.5)],
        [(0, 0), (1, np.nan)],
        [(0,), (1,)],
        "x",
        [(0, 1), (2,)],
    ],
)
def test_unusable_control_points_are_one_line(points: object) -> None:
    with pytest.raises(ValueError, match="control_points=") as caught:
        fit_relevance("range", np.arange(9.0), points)
    assert "\n" not in str(caught.value)


def test_control_points_that_nothing_reads_are_refused() -> None:
    with pytest.raises(ValueError, match="'range' needs them"):
        fit_relevance("extremes", np.arange(9.0), THREE)


def test_unknown_relevance_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown relevance 'box': known are auto, extremes, hurdle, density, range"):
        fit_relevance("box", np.arange(9.0))


def test_a_function_of_ones_own_is_taken_as_it_is() -> None:
    y = np.arange(3.0)
    assert fit_relevance(np.ones_like, y) is np.ones_like


@pytest.mark.parametrize(  # R: fivenum(c(...))
    ("y", "expected"),
    [
        ([1], [1, 1, 1, 1, 1]),
        ([1, 2], [1, 1, 1.5, 2, 2]),
        ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
        ([6, 1, 5, 2, 4, 3], [1, 2, 3.5, 5, 6]),
        ([1, 2, 3, 4, 5, 6, 7], [1, 2.5, 4, 5.5, 7]),
        ([1, 2, 3, 4, 5, 6, 7, 8], [1, 2.5, 4.5, 6.5, 8]),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [1, 3, 5.5, 8, 10]),
    ],
)
def test_fivenum_is_that_of_r(y: list[float], expected: list[float]) -> None:
    np.testing.assert_array_equal(fivenum(np.array(y, dtype=float)), expected)


@pytest.mark.parametrize("n", [6, 10, 14])
def test_hinges_are_not_quartiles_where_n_mod_4_is_2(n: int) -> None:
    y = np.arange(n, dtype=float)
    assert fivenum(y)[1] != np.quantile(y, 0.25)


def test_extremes_by_hand() -> None:
    y = np.array([*range(1, 10), 30.0])  # hinges 3 and 8, so 30 is beyond 15.5 and the whisker ends at 9
    np.testing.assert_array_equal(extremes(y), [(1, 0, 0), (5.5, 0, 0), (9, 1, 0)])
    phi = fit_relevance("extremes", y)
    np.testing.assert_allclose(phi(np.array([1, 5.5, 7.25, 9, 30])), [0, 0, 0.5, 1, 1])
    s = 0.25
    assert phi(np.array([5.5 + s * 3.5]))[0] == pytest.approx(s * s * (3 - 2 * s))


@pytest.mark.parametrize(("largest", "rare"), [(15.5, False), (15.6, True)])
def test_beyond_one_and_a_half_boxes_is_an_outlier(largest: float, rare: bool) -> None:
    y = np.array([*range(1, 10), largest])
    assert (fit_relevance("extremes", y)(y).max() == 1) == rare


def test_extremes_mirror_with_the_target() -> None:
    y = np.random.default_rng(0).gamma(1.0, size=501)
    np.testing.assert_allclose(fit_relevance("extremes", y)(y), fit_relevance("extremes", -y)(-y), atol=1e-9)


def test_without_outliers_nothing_is_relevant() -> None:
    y = np.linspace(0, 1, 101)
    assert fit_relevance("auto", y)(y).max() == 0


def test_a_whisker_on_the_median_leaves_the_median_normal() -> None:
    y = np.array([-1.0] + [0.0] * 97 + [0.5, 1.0])
    np.testing.assert_array_equal(fit_relevance("extremes", y)(np.array([-1, 0, 0.5, 1.0])), [1, 0, 1, 1])


@given(st.lists(numbers, min_size=1, max_size=60), st.lists(numbers, min_size=1, max_size=9))
def test_relevance_is_from_0_to_1_everywhere(y: list[float], at: list[float]) -> None:
    for method in ("auto", "extremes", "hurdle", "density"):
        phi = fit_relevance(method, np.array(y))(np.array(at))
        assert ((phi >= 0) & (phi <= 1)).all()


def zero_inflated(zeros: float, n: int = 20_000) -> np.ndarray:
    rng = np.random.default_rng(7)
    positive = rng.beta(0.7, 20, size=n)
    return np.concatenate([np.zeros(round(n * zeros / (1 - zeros))), positive])


@pytest.mark.parametrize("zeros", [0.3, 0.6, 0.75, 0.9, 0.97])
def test_the_rare_share_of_the_positives_does_not_depend_on_the_zeros(zeros: float) -> None:
    y = zero_inflated(zeros)
    phi = fit_relevance("auto", y)(y)
    assert (phi[y == 0] == 0).all()
    assert np.mean(phi[y > 0] >= 0.5) == pytest.approx(0.163, abs=0.01)


@pytest.mark.parametrize("zeros", [0.3, 0.6, 0.75, 0.9, 0.97])
def test_the_density_of_the_positives_does_not_depend_on_the_zeros(zeros: float) -> None:
    y = zero_inflated(zeros)
    phi = fit_relevance("density", y)(y)
    assert (phi[y == 0] == 0).all()
    np.testing.assert_array_equal(phi[y > 0], fit_relevance("density", y[y > 0])(y[y > 0]))
    assert np.mean(phi[y > 0] >= 0.5) == pytest.approx(0.474, abs=0.01)


def test_density_by_hand() -> None:
    y = np.array([0.0, 0.0, 1.0, 3.0])
    h = 1.06 * min(y.std(), (np.quantile(y, 0.75) - np.quantile(y, 0.25)) / 1.349) * 4**-0.2
    sums = np.exp(-((y[:, None] - y) ** 2) / (2 * h * h)).sum(axis=1)
    np.testing.assert_allclose(fit_relevance("density", y)(y), (sums[0] - sums) / (sums[0] - sums[3]), atol=1e-7)


def test_density_sees_a_gap_that_a_box_plot_does_not() -> None:
    y = np.concatenate([np.linspace(0, 1, 200), np.linspace(4, 5, 200), [2.5]])
    assert fit_relevance("density", y)(np.array([2.5]))[0] == 1
    assert fit_relevance("extremes", y)(y).max() == 0


def test_beyond_the_targets_all_is_rare_by_density() -> None:
    y = np.random.default_rng(0).normal(size=300)
    np.testing.assert_array_equal(fit_relevance("density", y)(np.array([-1e300, -9, 9, np.inf])), 1)


@pytest.mark.parametrize("y", [[1.0], [0.0, 3.0], [2.0, 2.0, 2.0], [1.0] * 30 + [2.0] * 30])
def test_equally_dense_targets_are_normal(y: list[float]) -> None:
    assert fit_relevance("density", np.array(y))(np.array(y)).max() == 0


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=60), st.floats(0.01, 100), st.floats(-100, 100))
def test_density_is_the_same_in_other_units(y: list[int], scale: float, shift: float) -> None:
    target = np.array(y, dtype=float)
    for other in (scale * target, -target, scale * target + shift):
        if len(np.unique(other)) == len(np.unique(target)):
            phi = fit_relevance("density", other)(other)
            np.testing.assert_allclose(phi, fit_relevance("density", target)(target), atol=1e-3)


def test_the_box_plot_alone_degenerates() -> None:
    y = zero_inflated(0.75)
    assert np.mean(fit_relevance("extremes", y)(y)[y > 0] >= 0.5) > 0.5


def test_atoms_hold_a_tenth_and_are_repeated() -> None:
    np.testing.assert_array_equal(atoms(np.array([0.0] * 10 + [1.0] * 9 + list(range(2, 83)))), [0])
    assert len(atoms(np.array([*range(12), 3.0, 3.0]))) == 0  # a fifth of them, but three rows may be equal by chance


def test_auto_is_extremes_without_an_atom() -> None:
    y = np.random.default_rng(1).gamma(0.5, size=300)
    np.testing.assert_array_equal(fit_relevance("auto", y)(y), fit_relevance("extremes", y)(y))


def test_one_value_beside_an_atom_is_rare_and_two_atoms_are_not() -> None:
    y = np.array([0.0] * 97 + [1.0] * 3)
    np.testing.assert_array_equal(fit_relevance("auto", y)(y), y)
    y = np.array([0.0] * 5 + [1.0] * 5)
    assert fit_relevance("auto", y)(y).max() == 0


def test_one_control_value_is_constant() -> None:
    np.testing.assert_array_equal(hermite(extremes(np.full(4, 2.0)))(np.array([1.0, 2.0, 3.0])), 0)


@pytest.mark.parametrize("method", ["auto", "density"])
@pytest.mark.parametrize("positives", [[0.1], [0.1, 0.2], [0.1, 0.2, 0.3, 0.4]])
def test_a_handful_beside_an_atom_is_rare_as_a_whole(positives: list[float], method: str) -> None:
    y = np.array([0.0] * 97 + positives)
    np.testing.assert_array_equal(fit_relevance(method, y)(y), y > 0)
