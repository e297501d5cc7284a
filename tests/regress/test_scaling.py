"""Scaling: training statistics only, zeros and an indicator for absent blocks, and back again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from regress.scaling import Scaler

Matrix = NDArray[np.float32]
BLOCKS = (slice(0, 3), slice(3, 5))


def matrix(n: int = 60, seed: int = 0, absent: tuple[int, ...] = ()) -> Matrix:
    """Two blocks with means and deviations of their own; the second absent in the rows named."""
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, 5)) * [1, 10, 0.01, 3, 100] + [0, -50, 7, 1, 1e4]).astype(np.float32)
    X[list(absent), 3:] = np.nan
    return X


def test_training_columns_have_mean_zero_and_deviation_one() -> None:
    X = matrix()
    scaled = Scaler.fit(X, BLOCKS).transform(X)
    assert scaled.dtype == np.float32
    assert scaled.shape == X.shape
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-4)


def test_absent_blocks_become_zeros_and_an_indicator() -> None:
    X = matrix(absent=(4, 9))
    scaled = Scaler.fit(X, BLOCKS).transform(X)
    assert scaled.shape == (60, 6)
    np.testing.assert_array_equal(np.flatnonzero(scaled[:, 5]), [4, 9])
    np.testing.assert_array_equal(scaled[[4, 9], 3:5], 0)
    assert np.isfinite(scaled).all()
    assert (scaled[4, :3] != 0).all()


def test_statistics_ignore_absent_rows() -> None:
    X = matrix(absent=tuple(range(20)))
    scaler = Scaler.fit(X, BLOCKS)
    only = Scaler.fit(X[20:], BLOCKS)
    np.testing.assert_array_equal(scaler.mean[3:], only.mean[3:])
    np.testing.assert_array_equal(scaler.scale[3:], only.scale[3:])


def test_absent_only_in_new_rows_needs_no_indicator() -> None:
    scaler = Scaler.fit(matrix(), BLOCKS)
    scaled = scaler.transform(matrix(seed=1, absent=(0,)))
    assert scaled.shape == (60, 5)
    np.testing.assert_array_equal(scaled[0, 3:], 0)


def test_a_block_no_training_row_has_says_nothing() -> None:
    scaler = Scaler.fit(matrix(absent=tuple(range(60))), BLOCKS)
    np.testing.assert_array_equal(scaler.transform(matrix(seed=1))[:, 3:5], 0)


def test_a_constant_column_becomes_zero_even_where_new_rows_vary() -> None:
    X = matrix()
    X[:, 1] = 0.1
    scaler = Scaler.fit(X, BLOCKS)
    np.testing.assert_array_equal(scaler.transform(X)[:, 1], 0)
    np.testing.assert_array_equal(scaler.transform(matrix(seed=1))[:, 1], 0)


def test_new_rows_are_scaled_by_training_statistics() -> None:
    scaler, shifted = Scaler.fit(matrix(), BLOCKS), matrix() + np.float32(1)
    np.testing.assert_allclose(scaler.transform(shifted)[:, 0].mean(), 1 / matrix()[:, 0].std(), rtol=1e-4)


@given(st.integers(0, 10_000))
def test_inverse_undoes_transform(seed: int) -> None:
    X = matrix(20, seed)
    scaler = Scaler.fit(X, BLOCKS)
    np.testing.assert_allclose(scaler.inverse(scaler.transform(X)), X, rtol=1e-5, atol=1e-4)


def test_inverse_gives_constant_columns_their_value() -> None:
    X = matrix()
    X[:, 0] = 3.5
    scaler = Scaler.fit(X, BLOCKS)
    np.testing.assert_array_equal(scaler.inverse(scaler.transform(X))[:, 0], np.float32(3.5))


def test_neither_direction_changes_its_argument() -> None:
    X = matrix(absent=(1,))
    before, scaler = X.copy(), Scaler.fit(X, BLOCKS)
    scaled = scaler.transform(X)
    after = scaled.copy()
    scaler.inverse(scaled)
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(scaled, after)


@pytest.mark.parametrize("absent", [(), (3, 8)])
def test_arrays_carry_all_of_a_scaler(absent: tuple[int, ...]) -> None:
    X = matrix(absent=absent)
    scaler = Scaler.fit(X, BLOCKS)
    again = Scaler.from_arrays(scaler.to_arrays())
    np.testing.assert_array_equal(again.transform(X), scaler.transform(X))
    np.testing.assert_array_equal(again.inverse(scaler.transform(X)), scaler.inverse(scaler.transform(X)))


def test_large_offsets_keep_their_precision() -> None:
    rng = np.random.default_rng(0)
    X = (1e4 + rng.normal(size=(1000, 1))).astype(np.float32)
    scaled = Scaler.fit(X, (slice(0, 1),)).transform(X)
    assert abs(float(scaled.mean(dtype=np.float64))) < 2e-3
    assert scaled.std() == pytest.approx(1, abs=1e-3)
