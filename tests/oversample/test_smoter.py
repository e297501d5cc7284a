"""SMOTER: new rows lie between two rare neighbours, in features and in target alike."""

import numpy as np
import pytest

from oversample import SMOTER
from oversample.neighbors import nearest


def data(n: int = 400, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, d)), np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))


def drawn(**settings: object) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, SMOTER]:
    X, y = data()
    sampler = SMOTER(random_state=3, **settings)
    return X, y, *sampler.fit_resample(X, y), sampler


def test_features_and_target_share_one_lambda() -> None:
    X, y, X_new, y_new, sampler = drawn()
    new = np.flatnonzero(sampler.synthetic_)
    assert len(new) > 50
    i, j = sampler.parents_[new].T
    step = X[j] - X[i]
    lam = ((X_new[new] - X[i]) * step).sum(axis=1) / (step**2).sum(axis=1)
    assert lam.min() >= 0
    assert lam.max() <= 1
    assert np.ptp(lam) > 0.8
    np.testing.assert_allclose(X_new[new], X[i] + lam[:, None] * step, atol=1e-12)
    np.testing.assert_allclose(y_new[new], y[i] + lam * (y[j] - y[i]), atol=1e-12)


def test_the_target_is_torgos_distance_weighted_mean() -> None:
    X, y, X_new, y_new, sampler = drawn()
    new = np.flatnonzero(sampler.synthetic_)
    i, j = sampler.parents_[new].T
    near, far = np.linalg.norm(X_new[new] - X[i], axis=1), np.linalg.norm(X_new[new] - X[j], axis=1)
    np.testing.assert_allclose(y_new[new], (far * y[i] + near * y[j]) / (near + far), rtol=1e-9)


def test_new_targets_lie_between_their_parents_without_tolerance() -> None:
    X, y, X_new, y_new, sampler = drawn(target_bounds=(0.0, 1.0))
    parents = sampler.parents_
    assert (y_new >= y[parents].min(axis=1)).all()
    assert (y_new <= y[parents].max(axis=1)).all()
    assert (X_new >= X[parents].min(axis=1)).all()
    assert (X_new <= X[parents].max(axis=1)).all()
    assert y_new.max() <= 1


@pytest.mark.parametrize("k", [1, 3])
def test_the_second_parent_is_among_the_nearest_by_features_alone(k: int) -> None:
    X, _, _, _, sampler = drawn(k_neighbors=k)
    rare = np.flatnonzero(sampler.rare_)
    near = {row: set(rare[columns]) for row, columns in zip(rare, nearest(X[rare], k), strict=True)}
    pairs = sampler.parents_[sampler.synthetic_]
    assert all(j in near[i] for i, j in pairs)


def test_negative_features_stay_negative() -> None:
    X, y = data()
    X = -np.abs(X) - 1
    assert SMOTER(random_state=0).fit_resample(X, y)[0].max() <= -1


def test_every_rare_row_is_a_seed_equally_often() -> None:
    X, y = data()
    sampler = SMOTER(random_state=0, sampling_strategy=2.0)
    sampler.fit_resample(X, y)
    times = np.bincount(sampler.sample_indices_[len(y) :], minlength=len(y))[sampler.rare_]
    assert np.ptp(times) <= 1


def test_two_bumps_never_mix_and_share_equally() -> None:
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.normal(size=200), np.full(4, -20.0), np.full(9, 20.0)])
    X = rng.normal(size=(len(y), 3))
    sampler = SMOTER(random_state=0, relevance=lambda v: (np.abs(v) > 10).astype(float))
    _, y_new = sampler.fit_resample(X, y)
    assert {-20.0, 20.0} == set(y_new[len(y) :])
    assert (y_new == -20).sum() == (y_new == 20).sum() == 100


def test_a_bump_of_one_row_is_repeated() -> None:
    X = np.random.default_rng(0).normal(size=(50, 3))
    y = np.array([0.0] * 49 + [1.0])
    sampler = SMOTER(random_state=0)
    X_new, y_new = sampler.fit_resample(X, y)
    assert (X_new[50:] == X[49]).all()
    assert (y_new[50:] == 1).all()
    assert len(y_new) == 98
    assert not sampler.synthetic_.any()


def test_fewer_rare_rows_than_neighbours() -> None:
    X = np.random.default_rng(0).normal(size=(50, 3))
    y = np.array([0.0] * 47 + [1.0, 2.0, 1.5])
    sampler = SMOTER(random_state=0, k_neighbors=20, relevance=np.sign)
    _, y_new = sampler.fit_resample(X, y)
    assert set(sampler.parents_[50:].ravel()) == {47, 48, 49}
    assert y_new[50:].min() >= 1
    assert y_new[50:].max() <= 2


def test_97_percent_zeros() -> None:
    rng = np.random.default_rng(0)
    y = np.where(rng.random(3000) < 0.97, 0.0, rng.beta(0.7, 20, 3000))
    sampler = SMOTER(random_state=0, target_bounds=(0.0, 1.0))
    _, y_new = sampler.fit_resample(rng.normal(size=(3000, 5)).astype(np.float32), y)
    assert y_new[3000:].min() > 0
    assert len(y_new) - 3000 == (~sampler.rare_).sum() - sampler.rare_.sum()
