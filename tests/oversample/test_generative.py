"""The autoencoder's rows: near the manifold that real rows lie on, at the targets they claim, the same every time."""

import builtins
import sys
from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from oversample import VAESampler


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
