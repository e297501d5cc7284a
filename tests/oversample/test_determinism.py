"""The same seed gives the same bytes: for any number of threads, block size and order in memory."""

from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from oversample import SAMPLERS, base, bounds, neighbors

SHAPE = 4000, 96


def data(dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Enough rare rows for several blocks and threads; rows that are equal, and rows that nearly are."""
    n, d = SHAPE
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)).astype(dtype)
    X[1::4] = X[::4]
    X[2::4] = X[::4] + rng.normal(scale=1e-6, size=(n // 4, d)).astype(dtype)
    return X, np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))


def result(name: str, X: np.ndarray, y: np.ndarray) -> list[bytes]:
    sampler = SAMPLERS[name](relevance="extremes", random_state=5)
    outputs = sampler.fit_resample(X, y)
    fitted = (sampler.sample_indices_, sampler.parents_, sampler.lambda_, sampler.synthetic_, sampler.sample_weight_)
    return [np.asarray(part).tobytes() for part in (*outputs, *fitted)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SAMPLERS)
def test_threads(name: str, dtype: type) -> None:
    X, y = data(dtype)
    results = []
    for threads in (1, 2, 8):
        with threadpool_limits(threads):
            results.append(result(name, X, y))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SAMPLERS)
def test_order_in_memory(name: str, dtype: type) -> None:
    X, y = data(dtype)
    wide = np.zeros((SHAPE[0], 2 * SHAPE[1]), dtype)
    wide[:, ::2] = X
    expected = result(name, X, y)
    assert result(name, np.asfortranarray(X), y) == expected
    assert result(name, wide[:, ::2], y) == expected
    assert result(name, np.ascontiguousarray(X[::-1])[::-1], y) == expected


@pytest.mark.parametrize("name", SAMPLERS)
def test_block_sizes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data()
    expected = result(name, X, y)
    for size in (1000, 61):
        monkeypatch.setattr(base, "BLOCK", size)
        monkeypatch.setattr(bounds, "STEP", size)
        for function in (neighbors.nearest, neighbors.nearest_among):
            monkeypatch.setitem(function.__kwdefaults__, "block", size)
        assert result(name, X, y) == expected


def test_neighbours_of_float32_and_of_the_same_numbers_in_float64_are_the_same() -> None:
    X, _ = data()
    np.testing.assert_array_equal(neighbors.nearest(X, 5), neighbors.nearest(X.astype(np.float64), 5))


def test_a_generator_moves_on() -> None:
    X, y = data()
    settings: dict[str, Any] = {"relevance": "extremes", "random_state": np.random.default_rng(5)}
    first, second = (SAMPLERS["smoter"](**settings).fit_resample(X, y)[0].tobytes() for _ in range(2))
    assert first == result("smoter", X, y)[0] != second
