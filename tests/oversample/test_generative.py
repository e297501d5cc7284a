"""The autoencoder's rows: near the manifold that real rows lie on, at the targets they claim, the same every time."""

import builtins
import pickle
import sys
from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from oversample import VAESampler, base
from oversample.generative import exact_product


def curved(n: int = 1500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows on a curved surface of three dimensions in 32, which the target bends; 60 % of the targets are 0."""
    mix = np.random.default_rng(7).normal(size=(6, 32)) / 3
    rng = np.random.default_rng(seed)
    a, b, c = rng.uniform(-2, 2, size=(3, n))
    surface = np.stack([np.sin(2 * a), np.cos(2 * a), b, b**2, c, a * b], axis=1)
    rate = np.exp(1.2 * np.sin(2 * a) + b - c**2 / 2) / 40
    y = np.where(rng.random(n) < 0.6, 0.0, np.minimum(rate, 1))
    return (surface @ mix).astype(np.float32), y


def distance(rows: np.ndarray, real: np.ndarray) -> float:
    """Median distance to the nearest of many real rows."""
    squares = (rows**2).sum(axis=1)[:, None] - 2 * rows @ real.T + (real**2).sum(axis=1)
    return float(np.sqrt(np.maximum(squares.min(axis=1), 0)).mean())


def test_new_rows_stay_nearer_to_the_real_ones_than_noise_of_the_same_size() -> None:
    X, y = curved()
    sampler = VAESampler(random_state=0, target_bounds=(0.0, 1.0))
    X_new, y_new = sampler.fit_resample(X, y)
    made = sampler.synthetic_
    seeds, new = X[sample := sampler.sample_indices_[made]], X_new[made]
    step = np.linalg.norm(new - seeds, axis=1, keepdims=True)
    noise = np.random.default_rng(1).normal(size=new.shape)
    noise *= step / np.linalg.norm(noise, axis=1, keepdims=True)
    many = curved(20_000, seed=5)[0]
    assert step.min() > 0
    assert distance(new, many) < 0.7 * distance((seeds + noise).astype(np.float32), many)
    first, second = sampler.parents_[made].T
    np.testing.assert_array_equal(first, sample)
    assert (y_new[made] >= np.minimum(y[first], y[second])).all()
    assert (y_new[made] <= np.maximum(y[first], y[second])).all()
    assert sampler.rare_[sampler.parents_[made]].all()
    assert X_new[: len(y)].tobytes() == X.tobytes()


def test_rows_follow_their_target() -> None:
    """Where one column is the target itself, a new row's is its new target, though its seed's is another."""
    rng = np.random.default_rng(0)
    y = np.where(rng.random(1500) < 0.5, 0.0, rng.gamma(2, 1, 1500))
    X = np.column_stack([y, rng.normal(size=(1500, 3))])
    sampler = VAESampler(random_state=0, noise=0.0)
    X_new, y_new = sampler.fit_resample(X, y)
    made, seed = sampler.synthetic_, sampler.sample_indices_
    moved, asked = (X_new[:, 0] - X[seed, 0])[made], (y_new - y[seed])[made]
    assert np.corrcoef(moved, asked)[0, 1] > 0.9


def test_threads_change_no_byte_and_the_callers_torch_is_left_alone() -> None:
    X, y = curved(600)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    outputs = set()
    for count in (1, 2):
        torch.set_num_threads(count)
        with threadpool_limits(count):
            X_new, y_new = VAESampler(random_state=0, epochs=1).fit_resample(X, y)
        outputs.add(X_new.tobytes() + y_new.tobytes())
        assert torch.get_num_threads() == count
    torch.set_num_threads(threads)
    assert len(outputs) == 1
    assert torch.equal(torch.get_rng_state(), state)


def test_blocks_of_any_size_change_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """A matrix product rounds by the number of its rows: with blocks of one row 83 % of the values were others."""
    X, y = curved(600)
    outputs = set()
    for block in (512, 1, 7):
        monkeypatch.setattr(base, "BLOCK", block)
        outputs |= {
            VAESampler(random_state=0, epochs=1).fit_resample(X.astype(t), y)[0].tobytes() for t in (X.dtype, float)
        }
    assert len(outputs) == 2  # float32 and float64


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 768, 40), (3, 257, 9)])
def test_products_are_those_of_whole_numbers(shape: tuple[int, int, int]) -> None:
    """Each row of the result is the same alone, and right to 6 digits whatever the scales of rows and columns."""
    n, terms, m = shape
    rng = np.random.default_rng(0)
    a = rng.normal(size=(n, terms)) * 10.0 ** rng.integers(-200, 100, (n, 1))
    b = rng.normal(size=(terms, m)) * 10.0 ** rng.integers(-100, 100, (1, m))
    product = exact_product(a, b)
    np.testing.assert_array_equal(product, np.concatenate([exact_product(row[None], b) for row in a]))
    np.testing.assert_array_equal(product, exact_product(a[:, ::-1], b[::-1]))
    size = np.abs(a).max(axis=1, keepdims=True) * np.abs(b).max(axis=0) * np.sqrt(terms)
    assert (np.abs(product - a @ b) <= 3e-6 * size).all()
    assert not exact_product(0 * a, b).any()


def test_the_callers_settings_of_torch_change_no_byte() -> None:
    X, y = curved(300)
    expected = VAESampler(random_state=0, epochs=1).fit_resample(X, y)[0].tobytes()
    for context in (torch.no_grad(), torch.inference_mode(), torch.device("meta")):
        with context:
            assert VAESampler(random_state=0, epochs=1).fit_resample(X, y)[0].tobytes() == expected
    torch.set_default_dtype(torch.float64)
    try:
        assert VAESampler(random_state=0, epochs=1).fit_resample(X, y)[0].tobytes() == expected
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("settings", [{"relevance": lambda v: (v == 2).astype(float)}, {"sampling_strategy": {0: 2.0}}])
def test_atoms_alone_are_learned_from_where_they_are_to_grow(settings: dict[str, Any]) -> None:
    X, _ = curved(200)
    y = np.repeat([0.0, 1.0, 2.0], [100, 60, 40])
    X_new, y_new = VAESampler(random_state=0, **settings).fit_resample(X, y)
    assert len(y_new) > 200
    assert np.isfinite(X_new).all()
    assert 0 <= y_new.min() < y_new.max() <= 2


def test_a_fitted_sampler_is_pickled_without_torch() -> None:
    sampler = VAESampler(random_state=0, epochs=1)
    sampler.fit_resample(*curved(300))
    assert b"torch" not in pickle.dumps(sampler)


def test_constant_columns_stay_constant_and_negative_ones_negative() -> None:
    X, y = curved(600)
    X[:, 0], X[:, 1] = -3, -np.abs(X[:, 1]) - 50
    X_new, _ = VAESampler(random_state=0).fit_resample(X, y)
    assert (X_new[:, 0] == -3).all()
    assert (X_new[:, 1] < -40).all()


@pytest.mark.parametrize("rare", [1, 2])
def test_a_bump_of_a_row_or_two(rare: int) -> None:
    X, y = curved(200)
    y[:] = 0
    y[:rare] = np.linspace(0.5, 0.6, rare)
    sampler = VAESampler(random_state=0)
    with pytest.warns(UserWarning, match="fewer than k_neighbors"):
        X_new, y_new = sampler.fit_resample(X, y)
    assert np.isfinite(X_new).all()
    assert set(sampler.sample_indices_[200:]) == set(range(rare))
    assert (y_new[200:] >= 0.5).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent": 0}, "latent=0"),
        ({"hidden": 1.5}, "hidden=1.5"),
        ({"epochs": True}, "epochs=True"),
        ({"beta": -1}, "beta=-1"),
        ({"noise": np.inf}, "noise=inf"),
    ],
)
def test_bad_settings_are_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VAESampler(**settings).fit(*curved(50))


def test_without_torch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "torch":
            raise ImportError(name)
        return real(name, *rest, **more)

    for name in [name for name in sys.modules if name.partition(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ValueError, match="VAESampler needs PyTorch, which is not installed: pip install torch"):
        VAESampler(random_state=0).fit_resample(*curved(100))
