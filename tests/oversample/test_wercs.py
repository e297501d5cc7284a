"""WERCS: copies in proportion to relevance, rows left out in proportion to what it lacks of 1."""

from typing import Any

import numpy as np
import pytest

from oversample import WERCS


def data(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 4)).astype(np.float32), np.where(rng.random(n) < 0.7, 0.0, rng.beta(0.7, 20, n))


def staged(*relevances: float, each: int = 1) -> tuple[np.ndarray, np.ndarray, Any]:
    """Rows whose relevance is given: groups of `each` rows."""
    phi = np.repeat(relevances, each)
    return np.arange(len(phi))[:, None], np.arange(float(len(phi))), lambda y: phi[y.astype(int)]


def test_copies_are_drawn_by_relevance_inside_the_bump() -> None:
    X, y, relevance = staged(0.0, 0.2, 0.5, 0.6, 0.9, each=10)
    sampler = WERCS(random_state=0, relevance=relevance, sampling_strategy={1: 1001.0})
    X_new, y_new = sampler.fit_resample(X, y)
    times = np.bincount(sampler.sample_indices_[50:], minlength=50).reshape(5, 10).sum(axis=1)
    np.testing.assert_array_equal(times[:2], 0)
    np.testing.assert_allclose(times / 30_000, np.array([0, 0, 0.5, 0.6, 0.9]) / 2.0, atol=0.015)
    assert X_new.tobytes() == X[sampler.sample_indices_].tobytes()
    assert y_new.tobytes() == y[sampler.sample_indices_].tobytes()
    assert not sampler.synthetic_.any()


def test_without_a_threshold_copies_are_drawn_by_relevance_from_all_rows() -> None:
    X, y, relevance = staged(0.0, 0.25, 0.75, 1.0, each=10)
    sampler = WERCS(random_state=0, relevance=relevance, over=1000.0)
    _, y_new = sampler.fit_resample(X, y)
    assert len(y_new) == 40 + 40_000
    times = np.bincount(sampler.sample_indices_[40:], minlength=40).reshape(4, 10).sum(axis=1)
    np.testing.assert_allclose(times / 40_000, [0, 0.125, 0.375, 0.5], atol=0.01)
    assert sampler.sampling_strategy_ == {0: 20 + times[:2].sum(), 1: 20 + times[2:].sum()}


def test_rows_are_left_out_by_what_relevance_lacks_of_1() -> None:
    """Of three rows one goes: with probabilities 1 − φ over their sum."""
    X, y, relevance = staged(0.0, 0.5, 0.75)
    gone = np.zeros(3)
    for seed in range(3000):
        sampler = WERCS(random_state=seed, relevance=relevance, under=0.34, undersample=True)
        sampler.fit_resample(X, y)
        gone[np.setdiff1d(np.arange(3), sampler.sample_indices_)] += 1 / 3000
    np.testing.assert_allclose(gone, np.array([1, 0.5, 0.25]) / 1.75, atol=0.03)


def test_of_two_that_go_the_second_is_drawn_from_the_rest() -> None:
    X, y, relevance = staged(0.0, 0.5, 0.75)
    stays = np.zeros(3)
    for seed in range(3000):
        sampler = WERCS(random_state=seed, relevance=relevance, under=0.67, undersample=True)
        sampler.fit_resample(X, y)
        stays[sampler.sample_indices_] += 1 / 3000
    w = np.array([1, 0.5, 0.25]) / 1.75
    first_second = [(a, b) for a in range(3) for b in range(3) if a != b]
    expected = np.zeros(3)
    for a, b in first_second:
        expected[3 - a - b] += w[a] * w[b] / (1 - w[a])
    np.testing.assert_allclose(stays, expected, atol=0.03)


def test_undersampling_inside_bumps_leaves_the_least_relevant_rows_out_first() -> None:
    X, y, relevance = staged(0.0, 0.4, 1.0, each=100)
    sampler = WERCS(random_state=0, relevance=relevance, undersample=True, sampling_strategy={0: 0.5})
    sampler.fit_resample(X, y)
    stays = np.bincount(sampler.sample_indices_, minlength=300).reshape(3, 100).sum(axis=1)
    assert stays.sum() == 200
    assert stays[2] == 100
    assert stays[0] < 45
    assert stays[1] > 55


def test_over_and_under_together() -> None:
    X, y = data()
    sampler = WERCS(random_state=0, over=0.5, under=0.25, undersample=True)
    X_new, y_new = sampler.fit_resample(X, y)
    assert len(y_new) == 400 + 200 - 100
    kept = sampler.sample_indices_[:300]
    assert (np.diff(kept) > 0).all()
    assert X_new.tobytes() == X[sampler.sample_indices_].tobytes()
    assert set(np.flatnonzero(sampler.relevance_ == 1)) <= set(kept)
    assert (sampler.relevance_[sampler.sample_indices_[300:]] > 0).all()
    assert sum(sampler.sampling_strategy_.values()) == 500


def test_under_alone() -> None:
    X, y = data()
    sampler = WERCS(random_state=0, under=0.3, undersample=True)
    _, y_new = sampler.fit_resample(X, y)
    assert len(y_new) == 280
    assert len(set(sampler.sample_indices_)) == 280


def test_a_row_of_relevance_1_is_never_left_out() -> None:
    X, y, relevance = staged(0.0, 1.0, each=20)
    sampler = WERCS(random_state=0, relevance=relevance, under=0.9, undersample=True)
    with pytest.warns(UserWarning, match=r"under=0.9 of 40 rows are 36, but only 20 have a relevance below 1"):
        _, y_new = sampler.fit_resample(X, y)
    np.testing.assert_array_equal(y_new, y[20:])


def test_a_mapping_is_obeyed_where_all_relevances_are_1_or_0() -> None:
    X, y, relevance = staged(0.0, 1.0, each=20)
    settings: dict[str, Any] = {"random_state": 0, "relevance": relevance, "undersample": True}
    sampler = WERCS(**settings, sampling_strategy={0: 2.0, 1: 0.5})
    sampler.fit_resample(X, y)
    assert sampler.sampling_strategy_ == {0: 40, 1: 10}
    assert (sampler.sample_indices_ >= 20).sum() == 10
    assert len(set(WERCS(**settings, sampling_strategy={1: 0.5}).fit_resample(X, y)[1])) == 30


@pytest.mark.parametrize("relevance", [np.zeros_like, np.sign])
def test_nothing_to_sample_is_said(relevance: Any) -> None:
    X, y = np.arange(10.0)[:, None], np.arange(10.0)
    expected = (
        "no relevance is above 0" if relevance is np.zeros_like else "over=0.01, under=None of 10 rows is less than"
    )
    with pytest.warns(UserWarning, match=f"{expected}.*: nothing was sampled"):
        X_new, _ = WERCS(random_state=0, over=0.01, relevance=relevance).fit_resample(X, y)
    assert X_new.tobytes() == X.tobytes()


def test_one_row_stays() -> None:
    X, y, relevance = staged(0.0)
    with pytest.warns(UserWarning, match="nothing was sampled"):
        assert len(WERCS(relevance=relevance, under=0.9, undersample=True).fit_resample(X, y)[1]) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"over": 0}, "over=0: expected None, or new rows per row, a number above 0"),
        ({"over": np.inf}, "over=inf"),
        ({"over": True}, "over=True"),
        ({"over": "1"}, "over='1'"),
        ({"under": 1.0, "undersample": True}, "under=1.0: expected None, or a share of all rows between 0 and 1"),
        ({"under": np.nan, "undersample": True}, "under=nan"),
        ({"under": 0.5}, "under=0.5 leaves rows out: expected undersample=True beside it"),
        ({"over": 0.5, "undersample": True}, "over=0.5, undersample=True: expected a share to leave out, pass under"),
    ],
)
def test_bad_shares_are_one_clear_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        WERCS(**settings).fit_resample(*data())
    assert "\n" not in str(caught.value)


def test_97_percent_zeros() -> None:
    rng = np.random.default_rng(0)
    y = np.where(rng.random(3000) < 0.97, 0.0, rng.beta(0.7, 20, 3000))
    X = rng.normal(size=(3000, 2))
    for sampler in (WERCS(random_state=0), WERCS(random_state=0, over=0.5)):
        _, y_new = sampler.fit_resample(X, y)
        assert y_new[3000:].min() > 0  # zeros have a relevance of 0
        assert len(y_new) - 3000 == (1500 if sampler.over else 1500 - sampler.rare_.sum())
