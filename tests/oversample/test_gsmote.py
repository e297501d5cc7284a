"""G-SMOTE: points of a truncated, deformed ball around a rare row; targets by inverse distance to both parents."""

from typing import Any

import numpy as np
import pytest

from oversample import GSMOTE, base
from oversample.neighbors import nearest


def data(n: int = 400, d: int = 6, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, d)).astype(dtype), np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))


def places(d: int = 3, **settings: Any) -> tuple[np.ndarray, np.ndarray, GSMOTE]:
    """New points in units of their ball: along the line to j (m,), and the distance from it (m,)."""
    X, y = data(d=d)
    sampler = GSMOTE(random_state=3, sampling_strategy=30.0, **settings)
    X_new, _ = sampler.fit_resample(X, y)
    new = sampler.synthetic_
    i, j = sampler.parents_[new].T
    step = X[j] - X[i]
    radius = np.linalg.norm(step, axis=1)
    point = (X_new[new] - X[i]) / radius[:, None]
    along = (point * step).sum(axis=1) / radius
    return along, np.sqrt(np.maximum((point**2).sum(axis=1) - along**2, 0)), sampler


def reference(d: int, truncation: float, deformation: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The published steps one after the other, in all d coordinates, the line being the first axis."""
    rng = np.random.default_rng(9)
    point = rng.normal(size=(count, d))
    point *= rng.random((count, 1)) ** (1 / d) / np.linalg.norm(point, axis=1, keepdims=True)
    along = point[:, 0].copy()
    mirrored = along < truncation - 1 if truncation > 0 else (along > truncation + 1) & (truncation < 0)
    along[mirrored] *= -1
    return along, (1 - deformation) * np.linalg.norm(point[:, 1:], axis=1)


@pytest.mark.parametrize("d", [2, 3, 20])
@pytest.mark.parametrize(("truncation", "deformation"), [(0, 0), (1, 0), (0.5, 0.5), (-1, 0), (-0.5, 0.25), (0, 1)])
def test_points_are_distributed_as_published(d: int, truncation: float, deformation: float) -> None:
    got = places(d, truncation_factor=truncation, deformation_factor=deformation)[:2]
    for mine, theirs in zip(got, reference(d, truncation, deformation, 50_000), strict=True):
        np.testing.assert_allclose(*(np.quantile(v, np.linspace(0.05, 0.95, 10)) for v in (mine, theirs)), atol=0.035)


def test_an_undeformed_ball_is_evenly_filled() -> None:
    along, across, _ = places(3, truncation_factor=0)
    assert np.hypot(along, across).max() <= 1 + 1e-9
    assert (np.hypot(along, across) ** 3).mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("truncation", "low", "high"), [(1, 0, 1), (0.4, -0.6, 1), (-1, -1, 0), (-0.4, -1, 0.6)])
def test_truncation_cuts_the_ball_off(truncation: float, low: float, high: float) -> None:
    along, _, _ = places(2, truncation_factor=truncation)
    assert low - 1e-9 <= along.min() < low + 0.05
    assert high - 0.05 < along.max() <= high + 1e-9


def test_deformation_flattens_it() -> None:
    assert places(deformation_factor=0.9)[1].max() <= 0.1 + 1e-6
    assert places(deformation_factor=1.0)[1].max() < 1e-7


def test_both_factors_1_leave_the_line_between_the_parents() -> None:
    X, y = data()
    sampler = GSMOTE(random_state=3, truncation_factor=1, deformation_factor=1)
    X_new, _ = sampler.fit_resample(X, y)
    i, j = sampler.parents_.T
    np.testing.assert_allclose(X_new, X[i] + sampler.lambda_[:, None] * (X[j] - X[i]), atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"truncation_factor": -1}, {"deformation_factor": 0.7}])
def test_targets_are_the_mean_by_inverse_distance_and_stay_between_their_parents(settings: dict[str, Any]) -> None:
    X, y = data()
    sampler = GSMOTE(random_state=3, target_bounds=(0.0, 1.0), **settings)
    X_new, y_new = sampler.fit_resample(X, y)
    new = sampler.synthetic_
    i, j = sampler.parents_[new].T
    near, far = np.linalg.norm(X_new[new] - X[i], axis=1), np.linalg.norm(X_new[new] - X[j], axis=1)
    np.testing.assert_allclose(y_new[new], (y[i] / near + y[j] / far) / (1 / near + 1 / far), rtol=1e-5)
    np.testing.assert_allclose(sampler.lambda_[new], near / (near + far), rtol=1e-5)
    assert (y_new >= y[sampler.parents_].min(axis=1)).all()
    assert (y_new <= y[sampler.parents_].max(axis=1)).all()
    assert new.sum() > 50


def test_the_case_of_one_dimension_by_hand() -> None:
    """From 0 with y = 1 towards 4 with y = 5, a new point x' has λ = x' / 4 and y' = 1 + x'."""
    X = np.concatenate([np.linspace(-9, -8, 20), [0.0, 4.0]])[:, None]
    y = np.concatenate([np.zeros(20), [1.0, 5.0]])
    sampler = GSMOTE(random_state=0, k_neighbors=1, relevance=np.sign)
    X_new, y_new = sampler.fit_resample(X, y)
    assert len(y_new) > 25
    np.testing.assert_allclose(y_new[22:], 1 + X_new[22:, 0], rtol=1e-6)


@pytest.mark.parametrize("k", [1, 3])
def test_the_second_parent_is_among_the_nearest_of_its_bump(k: int) -> None:
    X, y = data()
    sampler = GSMOTE(random_state=0, k_neighbors=k)
    sampler.fit_resample(X, y)
    rare = np.flatnonzero(sampler.rare_)
    near = {row: set(rare[columns]) for row, columns in zip(rare, nearest(X[rare], k), strict=True)}
    assert all(j in near[i] for i, j in sampler.parents_[sampler.synthetic_])


def test_neighbours_by_a_block_alone() -> None:
    X, y = data()
    sampler = GSMOTE(random_state=0, k_neighbors=1, blocks={"a": [0, 1], "b": [2, 3, 4, 5]}, neighbors_by="a")
    sampler.fit_resample(X, y)
    rare = np.flatnonzero(sampler.rare_)
    near = dict(zip(rare, rare[nearest(X[rare][:, :2], 1)[:, 0]], strict=True))
    assert all(near[i] == j for i, j in sampler.parents_[sampler.synthetic_])


def test_unit_vectors_stay_unit_vectors_when_asked() -> None:
    X, y = data(dtype=np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    X_new, _ = GSMOTE(random_state=0, renormalize=True).fit_resample(X, y)
    np.testing.assert_allclose(np.linalg.norm(X_new, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_block_size_and_memory_order_change_no_byte(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data(2000, 37, dtype=dtype)
    outputs = set()
    for block in (512, 1, 7, 100_000):
        monkeypatch.setattr(base, "BLOCK", block)
        outputs |= {GSMOTE(random_state=0).fit_resample(matrix, y)[0].tobytes() for matrix in (X, np.asfortranarray(X))}
    assert len(outputs) == 1


def test_constant_columns_stay_constant_and_negative_features_are_not_clipped() -> None:
    X, y = data(dtype=np.float32)
    X[:, 1], X[:, 2] = 0.1, -50 + X[:, 2]
    X_new, _ = GSMOTE(random_state=0, sampling_strategy=9.0).fit_resample(X, y)
    assert set(X_new[:, 1]) == {np.float32(0.1)}
    assert X_new[:, 2].max() < -40


def test_equal_rows_stay_where_they_are_and_share_their_targets() -> None:
    X, y = np.ones((50, 3)), np.array([0.0] * 45 + [1.0, 2.0, 3.0, 4.0, 5.0])
    X_new, y_new = GSMOTE(random_state=0, k_neighbors=3, relevance=np.sign).fit_resample(X, y)
    assert (X_new == 1).all()
    assert 1 <= y_new[50:].min() < y_new[50:].max() <= 5


def test_a_single_row_is_repeated_and_two_are_each_others_neighbours() -> None:
    X = np.random.default_rng(0).normal(size=(50, 3))
    with pytest.warns(UserWarning, match="a single row can only be repeated"):
        X_new, _ = GSMOTE(random_state=0).fit_resample(X, np.array([0.0] * 49 + [1.0]))
    assert (X_new[50:] == X[49]).all()
    sampler = GSMOTE(random_state=0, relevance=np.sign)
    with pytest.warns(UserWarning, match="fewer than k_neighbors"):
        sampler.fit_resample(X, np.array([0.0] * 48 + [1.0, 2.0]))
    assert {tuple(pair) for pair in sampler.parents_[50:]} == {(48, 49), (49, 48)}


def test_97_percent_zeros() -> None:
    rng = np.random.default_rng(0)
    y = np.where(rng.random(3000) < 0.97, 0.0, rng.beta(0.7, 20, 3000))
    _, y_new = GSMOTE(random_state=0).fit_resample(rng.normal(size=(3000, 5)).astype(np.float32), y)
    assert y_new[3000:].min() > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"truncation_factor": 1.5}, "truncation_factor=1.5: expected a number from -1 to 1"),
        ({"truncation_factor": "1"}, "truncation_factor='1'"),
        ({"deformation_factor": -0.1}, "deformation_factor=-0.1: expected a number from 0 to 1"),
        ({"deformation_factor": True}, "deformation_factor=True"),
        ({"k_neighbors": 0}, "k_neighbors=0"),
    ],
)
def test_settings_out_of_range_are_one_clear_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GSMOTE(**settings).fit_resample(*data())
