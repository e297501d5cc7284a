"""ADASYN: more new rows where rare rows have normal neighbours, made between rare ones."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oversample import ADASYN, SMOTER
from oversample.adasyn import apportioned
from oversample.neighbors import nearest


def data(n: int = 400, d: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, d)), np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))


def counts(sampler: ADASYN, n: int) -> np.ndarray:
    return np.bincount(sampler.sample_indices_[n:], minlength=n)


def golden() -> tuple[np.ndarray, np.ndarray]:
    """Rare rows at 0, 1, 2 | 100, 103, with normal ones at 99, 101 and far away: shares 0, 0, 0 | 1, ½ for k = 2."""
    X = np.concatenate([[0.0, 1.0, 2.0, 100.0, 103.0, 99.0, 101.0], 1e6 + np.arange(30)])[:, None]
    return X, np.concatenate([np.ones(5), np.zeros(32)])


def test_golden_counts() -> None:
    X, y = golden()
    sampler = ADASYN(random_state=0, k_neighbors=2, relevance=np.sign, sampling_strategy={1: 4.0})
    sampler.fit_resample(X, y)
    np.testing.assert_array_equal(counts(sampler, len(y))[:5], [0, 0, 0, 10, 5])


def test_counts_are_the_papers_but_for_the_rounding() -> None:
    X, y = data()
    sampler = ADASYN(random_state=0, relevance=np.sign, sampling_strategy=3.0)
    sampler.fit_resample(X, y)
    rare = np.flatnonzero(sampler.rare_)
    (bump,) = (bump for bump in sampler.bumps_ if bump.rare)
    assert set(bump.rows) == set(rare)
    distance = np.linalg.norm(X[rare, None] - X[None], axis=2)
    near = np.argsort(distance, axis=1)[:, 1:6]
    ratio = (~sampler.rare_[near]).sum(axis=1) / 5
    times = counts(sampler, len(y))
    exact = ratio / ratio.sum() * times.sum()
    assert np.abs(times[rare] - exact).max() < 1
    assert times[~sampler.rare_].sum() == 0
    assert len(set(ratio)) > 3


def test_partners_are_rare_neighbours_and_rows_lie_between() -> None:
    X, y = data()
    sampler = ADASYN(random_state=0, k_neighbors=4)
    X_new, y_new = sampler.fit_resample(X, y)
    rare = np.flatnonzero(sampler.rare_)
    near = {row: set(rare[columns]) for row, columns in zip(rare, nearest(X[rare], 4), strict=True)}
    new = sampler.synthetic_
    assert new.sum() > 50
    i, j = sampler.parents_[new].T
    assert all(b in near[a] for a, b in zip(i, j, strict=True))
    share = sampler.lambda_[new]
    np.testing.assert_allclose(X_new[new], X[i] + share[:, None] * (X[j] - X[i]), atol=1e-12)
    np.testing.assert_allclose(y_new[new], y[i] + share * (y[j] - y[i]), atol=1e-12)


def test_rare_rows_of_another_bump_are_not_normal() -> None:
    X = np.concatenate([np.arange(10.0), 100 + np.arange(6.0), np.full(40, 1e5)])[:, None]
    y = np.concatenate([np.tile([-1.0, 1.0], 8), np.zeros(40)])
    X[15] = 1e5  # the only rare row with normal neighbours
    sampler = ADASYN(random_state=0, k_neighbors=2, relevance=np.abs)
    with pytest.warns(UserWarning, match="8 rare rows from y=-1 to -1 have rare neighbours only"):
        sampler.fit_resample(X, y)
    times = counts(sampler, len(y))
    assert np.flatnonzero(times[1:16:2]).tolist() == [7]
    assert np.ptp(times[0:16:2]) <= 1


def test_rare_neighbours_only_make_it_smoter_with_a_note() -> None:
    X, y = data()
    X[y > 0] += 1000.0
    ours, smoter = ADASYN(random_state=0, relevance=np.sign), SMOTER(random_state=0, relevance=np.sign)
    with pytest.warns(UserWarning, match=r"have rare neighbours only: each is a seed equally often, as in SMOTER"):
        X_new, _ = ours.fit_resample(X, y)
    assert X_new.tobytes() == smoter.fit_resample(X, y)[0].tobytes()


def test_neighbours_are_taken_in_the_chosen_block() -> None:
    X, y = golden()
    X = np.column_stack([X, np.where(y == 1, 0.0, 1e9)])
    settings: dict[str, Any] = {
        "random_state": 0,
        "k_neighbors": 2,
        "relevance": np.sign,
        "blocks": {"a": slice(0, 1), "b": slice(1, 2)},
        "sampling_strategy": {1: 4.0},
    }
    sampler = ADASYN(**settings, neighbors_by="a")
    sampler.fit_resample(X, y)
    np.testing.assert_array_equal(counts(sampler, len(y))[:5], [0, 0, 0, 10, 5])
    with pytest.warns(UserWarning, match="rare neighbours only"):
        ADASYN(**settings, neighbors_by="b").fit_resample(X, y)


def test_negatives_stay_negative_and_targets_in_bounds() -> None:
    X, y = data()
    X_new, y_new = ADASYN(random_state=0, target_bounds=(0, 1)).fit_resample(-np.abs(X) - 1, y)
    assert X_new.max() <= -1
    assert y_new[len(y) :].min() > 0
    assert y_new.max() <= y.max()


def test_a_bump_of_one_row_is_repeated_with_a_warning() -> None:
    X, y = np.arange(50.0)[:, None], np.array([0.0] * 49 + [1.0])
    with pytest.warns(UserWarning, match="a single row can only be repeated"):
        X_new, y_new = ADASYN(random_state=0).fit_resample(X, y)
    assert set(X_new[50:, 0]) == {49.0}
    assert set(y_new[50:]) == {1.0}


@pytest.mark.filterwarnings("ignore:2 rare rows")
@pytest.mark.parametrize("k", [1, 100])
def test_two_rows_and_more_neighbours_than_rows(k: int) -> None:
    X, y = np.arange(50.0)[:, None], np.array([0.0] * 48 + [1.0, 3.0])
    sampler = ADASYN(random_state=0, relevance=np.sign, k_neighbors=k)
    _, y_new = sampler.fit_resample(X, y)
    assert sampler.parents_[50:].min() >= 48
    assert ((y_new[50:] >= 1) & (y_new[50:] <= 3)).all()


def test_97_percent_zeros() -> None:
    rng = np.random.default_rng(0)
    y = np.where(rng.random(3000) < 0.97, 0.0, rng.beta(0.7, 20, 3000))
    sampler = ADASYN(random_state=0)
    _, y_new = sampler.fit_resample(rng.normal(size=(3000, 5)).astype(np.float32), y)
    assert y_new[3000:].min() > 0
    assert len(y_new) - 3000 == 1500 - sampler.rare_.sum()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30).filter(any), st.integers(1, 500), st.integers(0, 99))
def test_parts_sum_up_and_are_within_one_of_their_share(shares: list[int], count: int, seed: int) -> None:
    share = np.array(shares) / 5
    parts = apportioned(share, count, np.random.default_rng(seed))
    exact = share / share.sum() * count
    assert parts.sum() == count
    assert (np.abs(parts - exact) < 1).all()
    assert (parts[share == 0] == 0).all()


def test_who_wins_of_equal_remainders_is_drawn() -> None:
    won = sum(apportioned(np.ones(10), 3, np.random.default_rng(seed)) for seed in range(1000))
    assert np.abs(won - 300).max() < 75
