"""Metrics: values by hand, what holds for any data, and one clear line for data they cannot read."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oversample.metrics import Errors, geometric_mean_error, retrieval, sera, sera_curve, shots
from oversample.relevance import fit_relevance

rows = st.lists(
    st.tuples(st.floats(-100, 100), st.floats(-100, 100), st.sampled_from([0, 0.25, 0.5, 0.7, 1])),
    min_size=1,
    max_size=50,
)


def columns(data: list[tuple[float, float, float]]) -> list[np.ndarray]:
    return [np.array(column, dtype=float) for column in zip(*data, strict=True)]


def test_sera_by_hand() -> None:
    assert sera(np.array([0.0, 1.0, 2.0]), np.array([3.0, 1.5, 0.0]), np.array([0.0, 0.5, 1.0])) == 0.125 + 4


@given(rows)
def test_sera_is_the_area_under_its_curve(data: list[tuple[float, float, float]]) -> None:
    y, p, phi = columns(data)
    threshold, error = sera_curve(y, p, phi)
    assert np.diff(threshold, prepend=0) @ error == pytest.approx(sera(y, p, phi))
    for t, at in zip(threshold, error, strict=True):
        assert at == pytest.approx(((p - y)[phi >= t] ** 2).sum())
    assert (np.diff(error) <= 1e-9 * error[0]).all()


@given(rows, st.floats(-50, 50), st.floats(0.1, 10))
def test_sera_under_shifts_units_order_and_repeats(
    data: list[tuple[float, float, float]], shift: float, scale: float
) -> None:
    y, p, phi = columns(data)
    plain = pytest.approx(sera(y, p, phi), abs=1e-9)
    assert sera(y[::-1], p[::-1], phi[::-1]) == plain
    assert sera(p, y, phi) == plain
    assert sera(y + shift, p + shift, phi) == pytest.approx(sera(y, p, phi), rel=1e-6, abs=1e-6)
    assert sera(scale * y, scale * p, phi) / scale**2 == plain
    assert sera(np.tile(y, 2), np.tile(p, 2), np.tile(phi, 2)) / 2 == plain
    assert sera(y, p, np.ones(len(y))) == pytest.approx(((p - y) ** 2).sum())
    assert sera(y, y, phi) == 0


def test_the_trapezoid_of_the_field_comes_near() -> None:
    rng = np.random.default_rng(0)
    y = rng.gamma(1.0, size=3_000)
    p, phi = y + rng.normal(size=3_000), fit_relevance("extremes", y)(y)
    steps = np.linspace(0, 1, 1001)
    area = np.trapezoid([((p - y)[phi >= t] ** 2).sum() for t in steps], steps)
    assert sera(y, p, phi) == pytest.approx(area, rel=0.01)


# precision and recall


def ramp(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0.0, 1.0)


def test_retrieval_by_hand() -> None:
    y = np.array([0.0, 0.6, 1.0, 0.8])
    p = np.array([0.7, 0.5, 1.0, 0.2])
    errors = np.array([0.7, 0.1, 0.0, 0.6])
    hit = np.where(errors <= 0.5, 1 - np.exp(-10 * (errors - 0.5) ** 2 / 0.25), 0)
    recall = (hit[1] * 0.6 + hit[2] * 1 + hit[3] * 0.8) / 2.4
    precision = (hit[0] * 0.7 + hit[1] * 0.5 + hit[2] * 1) / 2.2
    f1 = 2 * precision * recall / (precision + recall)
    np.testing.assert_allclose(retrieval(y, p, ramp, tolerance=0.5), (precision, recall, f1))


def test_a_perfect_model_finds_all() -> None:
    y = np.linspace(0, 1, 50)
    np.testing.assert_allclose(retrieval(y, y, ramp, tolerance=0.1), 1, atol=1e-4)
    assert retrieval(y, y, ramp, tolerance=0.1, steepness=1).recall == pytest.approx(1 - np.exp(-1))


def test_an_error_of_the_tolerance_is_no_hit() -> None:
    y = np.array([1.0, 2.0])
    assert retrieval(y, y + 0.5, ramp, tolerance=0.5) == (0, 0, 0)


def test_nothing_found_and_nothing_to_find() -> None:
    low, high = np.zeros(3), np.ones(3)
    assert retrieval(high, low, ramp, tolerance=0.1) == (0, 0, 0)
    np.testing.assert_array_equal(retrieval(low, high, ramp, tolerance=0.1), (0, np.nan, np.nan))
    np.testing.assert_array_equal(retrieval(low, low, ramp, tolerance=0.1), np.nan)


@given(rows, st.floats(0.1, 50), st.floats(0.1, 1))
def test_retrieval_is_from_0_to_1_and_swaps(
    data: list[tuple[float, float, float]], tolerance: float, threshold: float
) -> None:
    y, p, _ = columns(data)
    scores = retrieval(y, p, ramp, tolerance=tolerance, threshold=threshold)
    assert all(0 <= score <= 1 + 1e-12 or np.isnan(score) for score in scores)
    turned = retrieval(p, y, ramp, tolerance=tolerance, threshold=threshold)
    if ramp(y).max() >= threshold and ramp(p).max() >= threshold:
        assert (turned.recall, turned.precision) == (scores.precision, scores.recall)
        wider = retrieval(y, p, ramp, tolerance=2 * tolerance, threshold=threshold)
        assert wider.recall >= scores.recall


def test_relevance_of_a_target_applies_to_predictions() -> None:
    rng = np.random.default_rng(0)
    y = np.append(np.zeros(600), rng.beta(0.7, 20, 400))
    phi = fit_relevance("auto", y)
    good = retrieval(y, y + rng.normal(scale=0.001, size=1_000), phi, tolerance=0.05)
    mean = retrieval(y, np.full(1_000, y.mean()), phi, tolerance=0.05)
    assert good.f1 > 0.9
    assert mean == (0, pytest.approx(mean.recall), 0)


# shots


def test_shots_by_hand() -> None:
    y_train = np.concatenate([np.full(101, 0.5), np.full(100, 1.5), np.full(20, 2.5), np.full(19, 3.5)])
    y = np.array([0.0, 0.9, 1.0, 2.0, 3.0, 4.0, 4.1, -0.1])
    p = y + np.array([1.0, 3.0, 1.0, 2.0, 1.0, 2.0, 3.0, 2.0])
    result = shots(y, p, y_train, bins=np.arange(5.0))
    assert list(result) == ["many", "medium", "few", "all"]
    assert result["many"] == (2, pytest.approx(2), pytest.approx(5), pytest.approx(np.sqrt(3)))
    assert result["medium"] == (2, pytest.approx(1.5), pytest.approx(2.5), pytest.approx(np.sqrt(2)))
    assert result["few"] == (4, pytest.approx(2), pytest.approx(4.5), pytest.approx(12**0.25))
    assert result["all"].rows == 8


def test_the_last_bin_is_closed() -> None:
    y_train = np.repeat([0.0, 1.0], [5, 200])
    assert shots(np.array([1.0]), np.array([1.5]), y_train, bins=2)["many"].rows == 1


def test_a_group_without_rows_is_nan() -> None:
    result = shots(np.zeros(3), np.ones(3), np.zeros(500))
    assert result["many"] == Errors(3, 1.0, 1.0, 1.0)
    np.testing.assert_array_equal(result["few"], (0, np.nan, np.nan, np.nan))


@given(rows, st.integers(1, 40), st.integers(1, 10))
def test_every_row_has_one_group(data: list[tuple[float, float, float]], bins: int, few: int) -> None:
    y, p, _ = columns(data)
    result = shots(y, p, y, bins=bins, many=few + 3, few=few)
    assert sum(result[name].rows for name in ("many", "medium", "few")) == result["all"].rows == len(y)
    total = sum(result[name].rows * result[name].mae for name in ("many", "medium", "few") if result[name].rows)
    assert total == pytest.approx(np.abs(p - y).sum())


# geometric mean


def test_geometric_mean_error_by_hand() -> None:
    assert geometric_mean_error(np.zeros(3), np.array([1.0, -10.0, 100.0])) == pytest.approx(10)


def test_an_error_of_zero_is_the_smallest_number() -> None:
    y, p = np.zeros(1000), np.append(np.ones(999), 0.0)
    assert geometric_mean_error(y, p) == pytest.approx(0.5, abs=0.01)
    assert geometric_mean_error(y, p, tiny=1e-3) == pytest.approx(0.993, abs=0.001)
    assert geometric_mean_error(y, y) == pytest.approx(2.2e-308, rel=0.02)


@given(rows, st.floats(0.1, 10))
def test_geometric_mean_error_is_no_more_than_the_mean(data: list[tuple[float, float, float]], scale: float) -> None:
    y, p, _ = columns(data)
    error = geometric_mean_error(y, p, tiny=1e-9)
    assert error <= np.maximum(np.abs(p - y), 1e-9).mean() * (1 + 1e-9)
    assert geometric_mean_error(scale * y, scale * p, tiny=scale * 1e-9) == pytest.approx(scale * error, rel=1e-6)


# what cannot be read

ONE, TWO = np.zeros(1), np.zeros(2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sera(TWO, ONE, TWO), r"shapes are y \(2,\), p \(1,\), relevance \(2,\): expected one dimension"),
        (lambda: sera(np.zeros((2, 1)), TWO, TWO), r"shapes are y \(2, 1\)"),
        (lambda: sera(np.empty(0), np.empty(0), np.empty(0)), "one or more"),
        (lambda: sera(ONE, np.array([np.nan]), ONE), r"p\[0\]=nan: expected finite numbers"),
        (lambda: sera(ONE, ONE, np.array([1.1])), "relevance from 1.1 to 1.1: expected numbers from 0 to 1"),
        (lambda: sera_curve(ONE, ONE, np.array([-0.1])), "relevance from -0.1 to -0.1"),
        (lambda: sera_curve(ONE, np.array([np.inf]), ONE), r"p\[0\]=inf"),
        (lambda: retrieval(ONE, TWO, ramp, tolerance=1), "shapes are"),
        (lambda: retrieval(ONE, ONE, ramp, tolerance=0), "tolerance=0: expected a number above 0"),
        (lambda: retrieval(ONE, ONE, ramp, tolerance=1, threshold=0), "threshold=0"),
        (lambda: retrieval(ONE, ONE, ramp, tolerance=1, steepness=np.nan), "steepness=nan"),
        (lambda: retrieval(ONE, ONE, lambda v: v + 2, tolerance=1), "relevance from 2 to 2"),
        (lambda: shots(ONE, ONE, np.array([np.nan])), r"y_train\[0\]=nan"),
        (lambda: shots(ONE, ONE, ONE, bins=0), "bins=0: expected a number of bins, or their edges ascending"),
        (lambda: shots(ONE, ONE, ONE, bins=np.array([1.0, 0.0])), "expected a number of bins"),
        (lambda: shots(ONE, ONE, ONE, many=5, few=9), "many=5, few=9: expected few up to many"),
        (lambda: geometric_mean_error(ONE, TWO), "shapes are"),
        (lambda: geometric_mean_error(ONE, ONE, tiny=0), "tiny=0: expected a number above 0"),
    ],
)
def test_one_clear_line(call: Any, message: str) -> None:
    with warnings.catch_warnings(), pytest.raises(ValueError, match=message):
        call()


def test_lists_are_read_too() -> None:
    assert sera([0, 1], [1, 1], [1, 0]) == 1.0  # type: ignore[arg-type]
