"""SMOGN: interpolation where the neighbour is nearer than half the median distance, noise where it is not."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from threadpoolctl import threadpool_limits

from oversample import SMOGN, SMOTER, medians

LINE = np.array([0.0, 1.0, 10.0, 11.0, 30.0])  # half of the medians: 5.25, 4.75, 4.75, 5, 12.25


def golden(scale: float = 1.0, **settings_: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, SMOGN]:
    """Five rare rows on a line: the nearest of the first four is 1 away, of the last 19."""
    X = np.append(scale * LINE, np.full(60, -1e4))[:, None]
    y = np.append([5.0, 6.0, 7.0, 8.0, 9.0], np.zeros(60))
    sampler = SMOGN(random_state=0, relevance=np.sign, sampling_strategy=60.0, k_neighbors=1, **settings_)
    return X, y, *sampler.fit_resample(X, y), sampler


def data(n: int = 400, d: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, d)), np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))


def brute(points: np.ndarray, seeds: np.ndarray, partners: np.ndarray, pert: float) -> tuple[np.ndarray, np.ndarray]:
    points = points.astype(np.float64)
    distance = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2))
    half = np.array([np.median(np.delete(row, i)) for i, row in enumerate(distance)]) / 2
    return distance[seeds, partners] < half[seeds], np.minimum(pert, half)[seeds]


def test_golden_pairs() -> None:
    X, y, X_new, y_new, sampler = golden()
    new = np.arange(len(y_new)) >= len(y)
    pairs = {tuple(pair) for pair in sampler.parents_[new].tolist()}
    assert pairs == {(0, 1), (1, 0), (2, 3), (3, 2), (4, 4)}
    assert sampler.safe_share_ == pytest.approx(0.8, abs=0.001)
    i, j = sampler.parents_[new & (sampler.sample_indices_ != 4)].T
    between = np.isin(sampler.sample_indices_, [0, 1, 2, 3]) & new
    share = sampler.lambda_[between]
    np.testing.assert_allclose(X_new[between, 0], X[i, 0] + share * (X[j, 0] - X[i, 0]))
    np.testing.assert_allclose(y_new[between], y[i] + share * (y[j] - y[i]))


@pytest.mark.parametrize(("scale", "spread"), [(1.0, 0.02), (1e-3, 0.01225)])
def test_golden_noise_is_the_smaller_of_perturbation_and_half_the_median(scale: float, spread: float) -> None:
    X, y, X_new, y_new, sampler = golden(scale)
    noisy = (np.arange(len(y_new)) >= len(y)) & (sampler.sample_indices_ == 4)
    assert noisy.sum() > 600
    for values, new in ((X[:, 0], X_new[:, 0]), (y, y_new)):
        moved = (new[noisy] - values[4]) / values[:5].std(ddof=1)
        assert moved.mean() == pytest.approx(0, abs=spread / 5)
        assert moved.std() == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 2, 8, 40])
def test_every_pair_is_judged_as_plain_float64_judges_it(d: int, dtype: type) -> None:
    rng = np.random.default_rng(d)
    points = (rng.normal(size=(150, d)) + 3 * rng.integers(0, 3, size=(150, 1))).astype(dtype) / 50
    points[100:] = points[:50]  # ties
    seeds, partners = rng.integers(0, 150, size=(2, 2000))
    partners = np.where(partners == seeds, (seeds + 1) % 150, partners)
    safe, spread = SMOGN(perturbation=0.05)._judge(points, seeds, partners)
    expected_safe, expected_spread = brute(points, seeds, partners, 0.05)
    assert 0.02 < expected_safe.mean() < 0.98
    np.testing.assert_array_equal(safe, expected_safe)
    np.testing.assert_allclose(spread[~safe], expected_spread[~safe], rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(2, 25), st.integers(1, 3)), elements=st.integers(-4, 4)),
    st.integers(0, 9),
)
def test_grids_full_of_ties_are_judged_alike(points: np.ndarray, seed: int) -> None:
    """On one line, d(i, j) is often half the median itself, and then not safe."""
    seeds = np.arange(len(points))
    partners = (seeds + 1 + seed % (len(points) - 1)) % len(points)
    points = points * [[1.0, 0.0, 0.0][: points.shape[1]]]
    safe, spread = SMOGN(perturbation=1.5)._judge(points, seeds, partners)
    expected_safe, expected_spread = brute(points, seeds, partners, 1.5)
    np.testing.assert_array_equal(safe, expected_safe)
    np.testing.assert_array_equal(spread[~safe], expected_spread[~safe])


def test_where_all_is_safe_it_is_smoter() -> None:
    X, y = data(d=2)
    ours, smoter = SMOGN(random_state=0, k_neighbors=1), SMOTER(random_state=0, k_neighbors=1)
    X_new, y_new = ours.fit_resample(X, y)
    X_other, y_other = smoter.fit_resample(X, y)
    same = ours.parents_[:, 0] != ours.parents_[:, 1]
    assert same.sum() > 30
    np.testing.assert_array_equal(X_new[same], X_other[same])
    np.testing.assert_array_equal(y_new[same], y_other[same])
    np.testing.assert_array_equal(ours.sample_indices_, smoter.sample_indices_)


def test_no_normal_row_is_a_parent_and_every_rare_one_is_a_seed_equally_often() -> None:
    X, y = data()
    sampler = SMOGN(random_state=0, sampling_strategy=2.0)
    sampler.fit_resample(X, y)
    assert sampler.rare_[sampler.parents_[len(y) :]].all()
    assert np.ptp(np.bincount(sampler.sample_indices_[len(y) :], minlength=len(y))[sampler.rare_]) <= 1


def test_in_many_columns_hardly_a_pair_is_safe_and_that_is_said() -> None:
    X, y = data(d=200)
    sampler = SMOGN(random_state=0)
    with pytest.warns(UserWarning, match=r"only 0.0% of the neighbours are nearer than half the median") as caught:
        sampler.fit_resample(X, y)
    assert caught[0].filename == __file__
    assert sampler.safe_share_ == 0
    assert (sampler.parents_[:, 0] == sampler.parents_[:, 1]).all()


def test_the_share_of_several_bumps_is_that_of_all_pairs_drawn() -> None:
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(300, 2)), rng.normal(size=(60, 2)), 5 * np.eye(8)[:, :2]])
    y = np.concatenate([np.zeros(300), np.full(60, 9.0), np.full(8, -9.0)])
    sampler = SMOGN(random_state=0, relevance=lambda v: (v != 0).astype(float))
    sampler.fit_resample(X, y)
    new = sampler.parents_[len(y) :]
    assert sampler.safe_share_ == pytest.approx((new[:, 0] != new[:, 1]).mean())
    assert 0.05 < sampler.safe_share_ < 0.95


def test_without_a_draw_there_is_no_share() -> None:
    X, y = data()
    sampler = SMOGN(random_state=0, sampling_strategy=0.001)
    with pytest.warns(UserWarning, match="nothing was sampled"):
        sampler.fit_resample(X, y)
    assert np.isnan(sampler.safe_share_)


def test_neighbours_and_medians_are_taken_in_the_chosen_block() -> None:
    X, y = data(d=40)
    X[:, :2] /= 100
    settings_: dict[str, Any] = {"blocks": {"near": slice(0, 2), "far": slice(2, 40)}, "random_state": 0}
    sampler = SMOGN(**settings_, neighbors_by="near")
    sampler.fit_resample(X, y)
    assert sampler.safe_share_ > 0.6
    with pytest.warns(UserWarning, match="half the median"):
        SMOGN(**settings_, neighbors_by="far").fit_resample(X, y)


def test_targets_stay_inside_the_bounds_and_negatives_negative() -> None:
    X, y = data(d=8)
    sampler = SMOGN(random_state=0, target_bounds=(0.0, y.max()), perturbation=2.0, sampling_strategy=9.0)
    X_new, y_new = sampler.fit_resample(-np.abs(X) - 100, y)
    assert X_new.max() < -10
    assert (y_new.min(), y_new.max()) == (0, y.max())


def test_columns_that_go_together_do_so_in_new_rows() -> None:
    X, y = data()
    X = np.column_stack([X[:, 0], 2 * X[:, 0], -X[:, 0]])
    X_new, _ = SMOGN(random_state=0).fit_resample(X, y)
    assert np.corrcoef(X_new[len(y) :].T)[0, 1:] == pytest.approx([1, -1], abs=1e-3)


def test_a_bump_of_one_row_is_repeated_with_a_warning() -> None:
    X, y = np.arange(50.0)[:, None], np.array([0.0] * 49 + [1.0])
    sampler = SMOGN(random_state=0)
    with pytest.warns(UserWarning, match="a single row can only be repeated"):
        X_new, y_new = sampler.fit_resample(X, y)
    assert set(X_new[50:, 0]) == {49.0}
    assert set(y_new[50:]) == {1.0}


@pytest.mark.filterwarnings("ignore:2 rare rows")
def test_of_two_rows_the_other_is_all_there_is_and_never_near() -> None:
    X, y = np.arange(50.0)[:, None], np.array([0.0] * 48 + [1.0, 3.0])
    sampler = SMOGN(random_state=0, relevance=np.sign)
    with pytest.warns(UserWarning, match=r"only 0.0%"):
        X_new, y_new = sampler.fit_resample(X, y)
    assert len(np.unique(y_new[48:])) == len(y_new) - 48
    assert np.abs(X_new[50:, 0] - X[sampler.sample_indices_[50:], 0]).max() < 0.1


@pytest.mark.filterwarnings("ignore:only 0.0%")
def test_equal_rows_are_repeated() -> None:
    """Their distances are 0, which is not below half of 0, and noise of no spread is none."""
    X, y = np.ones((50, 2)), np.array([0.0] * 40 + list(range(1, 11)))
    sampler = SMOGN(random_state=0, relevance=np.sign)
    X_new, _ = sampler.fit_resample(X, y)
    assert (X_new == 1).all()
    assert not sampler.synthetic_.any()


def test_97_percent_zeros() -> None:
    rng = np.random.default_rng(0)
    y = np.where(rng.random(3000) < 0.97, 0.0, rng.beta(0.7, 20, 3000))
    sampler = SMOGN(random_state=0, target_bounds=(0.0, 1.0))
    _, y_new = sampler.fit_resample(rng.normal(size=(3000, 3)).astype(np.float32), y)
    assert y_new[3000:].min() >= 0
    assert len(y_new) - 3000 == 1500 - sampler.rare_.sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_order_and_block_sizes_change_no_byte(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X, y = data(3000, 24)
    X[:, 2:] *= 0.1
    X[::3] = X[1::3] + rng.integers(0, 2, size=(1000, 24)) * 1e-4  # near the boundary, and ties
    X, outputs = X.astype(dtype), set()
    for threads, cells in ((1, 2**22), (2, 2**22), (2, 30_000)):
        monkeypatch.setattr(medians.Medians.__init__, "__kwdefaults__", {"cells": cells})
        for matrix in (X, np.asfortranarray(X)):
            with threadpool_limits(threads):
                result = SMOGN(random_state=0, relevance="extremes", perturbation=0.5).fit_resample(matrix, y)
            outputs.add(b"".join(part.tobytes() for part in result))
    assert len(outputs) == 1
