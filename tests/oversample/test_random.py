"""Random oversampling: copies of rare rows and nothing else."""

import numpy as np

from oversample import RandomOversampler


def data(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 4)).astype(np.float32), np.where(rng.random(n) < 0.7, 0.0, rng.beta(0.7, 20, n))


def test_every_new_row_is_a_rare_row_bit_for_bit() -> None:
    X, y = data()
    sampler = RandomOversampler(random_state=0)
    X_new, y_new = sampler.fit_resample(X, y)
    rows = sampler.sample_indices_
    assert X_new.tobytes() == X[rows].tobytes()
    assert y_new.tobytes() == y[rows].tobytes()
    assert len(y_new) > len(y)
    assert sampler.rare_[rows[len(y) :]].all()


def test_copies_are_not_synthetic_and_have_one_parent() -> None:
    X, y = data()
    sampler = RandomOversampler(random_state=0)
    sampler.fit_resample(X, y)
    assert not sampler.synthetic_.any()
    np.testing.assert_array_equal(sampler.parents_[:, 0], sampler.parents_[:, 1])


def test_copies_are_spread_evenly() -> None:
    X, y = data()
    sampler = RandomOversampler(random_state=0, sampling_strategy=50.0)
    sampler.fit_resample(X, y)
    times = np.bincount(sampler.sample_indices_)[sampler.rare_]
    assert times.min() > 0.8 * times.mean()
    assert times.max() < 1.2 * times.mean()
    assert len(set(times)) > 5  # drawn, not dealt out


def test_draws_reach_every_rare_row() -> None:
    X, y = data()
    sampler = RandomOversampler(random_state=0, sampling_strategy=3.0)
    sampler.fit_resample(X, y)
    assert set(sampler.sample_indices_[len(y) :]) == set(np.flatnonzero(sampler.rare_))
