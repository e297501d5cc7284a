"""Median distances: those of plain float64, and bounds that never exclude them."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oversample import medians
from oversample.bounds import Space
from oversample.medians import Medians


def plain(X: np.ndarray) -> np.ndarray:
    X = X.astype(np.float64)
    distance = np.sqrt(((X[:, None] - X[None]) ** 2).sum(axis=2))
    return np.array([np.median(np.delete(row, i)) for i, row in enumerate(distance)])


def hard(kind: str, n: int = 151) -> np.ndarray:
    rng = np.random.default_rng(11)
    return {
        "normal": rng.normal(size=(n, 24)),
        "one outlier": np.append(rng.normal(size=(n, 6)), np.full((1, 6), 1e9), axis=0),
        "heavy tails": rng.standard_cauchy(size=(n, 6)) ** 3,
        "clusters": rng.integers(0, 3, size=(n, 1)) * 1e3 + 1e-3 * rng.normal(size=(n, 6)),
        "far from the origin": 1e6 + rng.normal(size=(n, 6)),
        "duplicates": np.repeat(rng.normal(size=(n // 10, 6)), 10, axis=0),
        "one bit": rng.integers(0, 2, size=(n, 12)).astype(float),
        "equal": np.full((n, 3), 0.1),
        "small": 1e-30 * rng.normal(size=(n, 6)),
    }[kind]


KINDS = [
    "normal",
    "one outlier",
    "heavy tails",
    "clusters",
    "far from the origin",
    "duplicates",
    "one bit",
    "equal",
    "small",
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_bounds_hold_the_median_and_settling_gives_it(kind: str, dtype: type) -> None:
    X = hard(kind).astype(dtype)
    expected = plain(X)
    found = Medians(X)
    everything = np.arange(len(X))
    found.bound(everything)
    slack = 1e-12 * expected.max()  # of the plain sum's own rounding
    assert (found.low / found.scale <= expected + slack).all()
    assert (found.high / found.scale >= expected - slack).all()
    found.settle(everything)
    np.testing.assert_allclose(found.low / found.scale, expected, rtol=1e-12)
    np.testing.assert_array_equal(found.low, found.high)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_odd_and_even_numbers_of_others(n: int) -> None:
    X = 3.0 ** np.arange(n)[:, None]
    found = Medians(X)
    found.settle(np.arange(n))
    np.testing.assert_allclose(found.low / found.scale, plain(X))


@pytest.mark.parametrize("cells", [1, 2000, 10**6])
def test_block_size_and_sample_change_no_bit(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    X = hard("normal", 400).astype(np.float32)
    exact = Medians(X)
    exact.settle(np.arange(len(X)))
    monkeypatch.setattr(medians, "SAMPLE", 64)
    monkeypatch.setattr(medians, "BLOCK", 37)
    found = Medians(X, cells=cells)
    found.bound(np.arange(len(X)))
    assert (found.low <= exact.low).all()
    assert (found.high >= exact.low).all()
    assert np.isfinite(found.high).mean() > 0.98  # what a sample says is nearly always proved
    found.settle(np.arange(len(X)))
    np.testing.assert_array_equal(found.low, exact.low)


def test_an_order_of_rows_that_misleads_the_sample_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    X = hard("normal", 400)
    X[::6] += 100.0  # all that is sampled
    monkeypatch.setattr(medians, "SAMPLE", 64)
    found = Medians(X)
    found.bound(np.arange(len(X)))
    assert (found.low / found.scale <= plain(X)).all()
    assert (found.high / found.scale >= plain(X)).all()
    assert (found.low == 0).any()


def test_only_rows_that_are_asked_for_are_touched() -> None:
    found = Medians(hard("normal"))
    found.bound(np.array([3, 5]))
    found.settle(np.array([5, 5]))
    assert np.flatnonzero(found.low).tolist() == [3, 5]
    assert found.low[3] < found.high[3]
    assert found.low[5] == found.high[5]


def test_few_distances_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    original = Space.distances

    def counted(self: Space, a: np.ndarray, b: np.ndarray, touching: np.ndarray) -> np.ndarray:
        measured.append(len(a))
        return original(self, a, b, touching)

    monkeypatch.setattr(Space, "distances", counted)
    X = np.random.default_rng(0).normal(size=(1500, 384)).astype(np.float32)
    Medians(X).settle(np.arange(1500))
    assert sum(measured) < 0.02 * 1500**2


def test_memory_is_bounded_by_cells() -> None:
    X = np.random.default_rng(0).normal(size=(3000, 8)).astype(np.float32)
    tracemalloc.start()
    found = Medians(X, cells=100_000)
    found.bound(np.arange(3000))
    found.settle(np.arange(3000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6  # all distances would be 36 MB


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(2, 30), st.integers(1, 3)), elements=st.integers(-3, 3)))
def test_small_grids_full_of_ties(X: np.ndarray) -> None:
    found = Medians(X, cells=50)
    found.settle(np.arange(len(X)))
    np.testing.assert_allclose(found.low / found.scale, plain(X), rtol=1e-12)
