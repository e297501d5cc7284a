"""Nearest neighbours: the answer of plain float64, whatever the block, the scale or the ties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oversample import neighbors


def nearest(X: np.ndarray, k: int, **settings_: int) -> np.ndarray:
    """The set of each row's neighbours by row number: the order within a row is no part of the contract."""
    return np.sort(neighbors.nearest(X, k, **settings_), axis=1)


def plain(X: np.ndarray, k: int) -> np.ndarray:
    X = X.astype(np.float64)
    distance = ((X[:, None] - X[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    return np.sort(np.argsort(distance, axis=1, kind="stable")[:, : min(k, len(X) - 1)], axis=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 5, 30])
def test_equals_plain_float64(dtype: type, k: int) -> None:
    X = np.random.default_rng(k).normal(size=(200, 24)).astype(dtype)
    np.testing.assert_array_equal(nearest(X, k), plain(X, k))


@pytest.mark.parametrize("block", [1, 7, 64, 299, 300, 5000])
def test_the_block_size_changes_nothing(block: int) -> None:
    X = np.random.default_rng(0).normal(size=(300, 40)).astype(np.float32)
    X[100:180] = X[:80]  # ties
    np.testing.assert_array_equal(nearest(X, 5, block=block), nearest(X, 5))


def test_more_equal_rows_than_candidates_are_ranked_by_number() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 24)).astype(np.float32)
    equal = np.sort(rng.permutation(400)[:150])
    X[equal] = X[equal[0]]
    near = nearest(X, 4)
    np.testing.assert_array_equal(near[equal[-1]], equal[:4])
    np.testing.assert_array_equal(near[equal[0]], equal[1:5])
    np.testing.assert_array_equal(near, plain(X, 4))


def test_differences_too_small_for_float32_are_seen() -> None:
    X = np.random.default_rng(3).normal(size=(120, 3))
    X[:60] = X[0] + 1e-10 * np.random.default_rng(4).normal(size=(60, 3))  # one point in float32
    np.testing.assert_array_equal(nearest(X, 5), plain(X, 5))


@pytest.mark.parametrize("shift", [0.0, 1e6])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_shift_and_scale(shift: float, scale: float) -> None:
    X = np.random.default_rng(5).normal(size=(80, 6))
    np.testing.assert_array_equal(nearest((X + shift) * scale, 3), plain(X + shift, 3))


def test_too_few_rows() -> None:
    assert nearest(np.zeros((0, 3)), 5).shape == (0, 0)
    assert nearest(np.zeros((1, 3)), 5).shape == (1, 0)
    np.testing.assert_array_equal(nearest(np.eye(2), 5), [[1], [0]])
    assert nearest(np.eye(3), 5).shape == (3, 2)


def test_all_equal_rows_never_name_themselves() -> None:
    near = nearest(np.ones((50, 4), dtype=np.float32), 5)
    assert not (near == np.arange(50)[:, None]).any()


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(2, 40), st.integers(1, 4)), elements=st.integers(-3, 3)), st.integers(1, 6)
)
def test_small_grids_full_of_ties(X: np.ndarray, k: int) -> None:
    np.testing.assert_array_equal(nearest(X, k, block=3), plain(X, k))
