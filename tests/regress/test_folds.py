"""Folds: every row tested once, no group or content on both sides, strata even, refusals in one line."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.config import InputError
from regress.folds import Folds, make_folds, parse_folds, strata, time_folds, without_common

Rows = NDArray[np.int64]


def rates(n: int, seed: int = 0, zeros: float = 0.35) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return np.where(rng.uniform(size=n) < zeros, 0, rng.beta(1, 20, n))


def nothing(n: int) -> Rows:
    """Contents of posts of which each is its own."""
    return np.full((n, 2), -1)


@st.composite
def posts(draw: st.DrawFn) -> tuple[NDArray[np.float64], Rows | None, Rows, int, int]:
    """Rates, groups or None, contents with some copies, number of folds, seed."""
    n, seed = draw(st.integers(60, 150)), draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 25, n) if draw(st.booleans()) else None
    contents = np.where(rng.uniform(size=(n, 2)) < 0.3, rng.integers(0, n, (n, 2)), -1)
    return rates(n, seed, draw(st.sampled_from([0.0, 0.4, 0.9]))), groups, contents, draw(st.integers(2, 5)), seed


def drawn(case: tuple[NDArray[np.float64], Rows | None, Rows, int, int], repeats: int = 1) -> tuple[Folds, ...]:
    y, groups, contents, n_folds, seed = case
    try:
        return make_folds(y, groups, contents, n_folds=n_folds, repeats=repeats, seed=seed)
    except InputError as error:
        assume("to train on" not in str(error))  # such contents are refused, rightly
        raise


def share_nothing(folds: Folds, k: int) -> None:
    """No row and no content on both sides."""
    test, train = folds.test(k), folds.train(k)
    assert not set(test) & set(train)
    for column in folds.contents.T:
        assert not (set(column[test]) & set(column[train])) - {-1}


@settings(max_examples=40, deadline=None)
@given(posts(), st.integers(1, 3))
def test_invariants(case: tuple[NDArray[np.float64], Rows | None, Rows, int, int], repeats: int) -> None:
    y, groups, _, n_folds, seed = case
    repetitions = drawn(case, repeats)
    assert len(repetitions) == repeats
    for r, folds in enumerate(repetitions):
        tested = np.concatenate([folds.test(k) for k in range(n_folds)])
        np.testing.assert_array_equal(np.sort(tested), np.arange(len(y)))
        assert folds.scored.all()
        dropped = 0
        for k in range(n_folds):
            test, train = folds.test(k), folds.train(k)
            assert len(test) > 0
            share_nothing(folds, k)
            np.testing.assert_array_equal(folds.calibrating(k), np.setdiff1d(np.arange(len(y)), test))
            if groups is not None:
                assert not set(groups[test]) & set(groups[train])
            dropped += len(y) - len(test) - len(train)
        assert folds.purged == dropped
        (again,) = make_folds(y, groups, folds.contents, n_folds=n_folds, seed=seed + r)
        np.testing.assert_array_equal(again.assignment, folds.assignment)
        assert again.digest == folds.digest


@st.composite
def timed(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.float64], Rows, int]:
    """Rates, times of which many are equal, contents with some copies, number of folds."""
    n, seed = draw(st.integers(60, 150)), draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    times = rng.integers(0, draw(st.sampled_from([8, 30, 10_000])), n).astype(np.float64)
    contents = np.where(rng.uniform(size=(n, 2)) < 0.1, rng.integers(0, n, (n, 2)), -1)
    return rates(n, seed, 0.2), times, contents, draw(st.integers(1, 5))


@settings(max_examples=60, deadline=None)
@given(timed())
def test_forward_folds_never_train_on_the_future(case: tuple[NDArray, NDArray, Rows, int]) -> None:
    y, times, contents, n_folds = case
    folds = time_folds(y, times, contents, n_folds=n_folds)
    assert folds.n_folds == n_folds + 1
    assert set(folds.assignment) == set(range(-1, n_folds + 1))
    for k in range(folds.n_folds):
        test, train, calibrating = folds.test(k), folds.train(k), folds.calibrating(k)
        assert times[train].max() < times[test].min()
        share_nothing(folds, k)
        assert set(calibrating) == set(np.concatenate([np.zeros(0, np.int64), *(folds.test(j) for j in range(k))]))
    np.testing.assert_array_equal(folds.scored, folds.assignment >= 1)
    for time in np.unique(times):
        assert len(np.unique(folds.assignment[times == time])) == 1


def test_blocks_of_time_hold_about_equally_many_posts() -> None:
    n = 700
    times = np.random.default_rng(0).permutation(n).astype(np.float64)
    folds = time_folds(rates(n), times, nothing(n))
    np.testing.assert_array_equal(np.bincount(folds.assignment + 1), np.full(7, 100))
    assert folds.purged == 0
    assert len(folds.calibrating(0)) == 0
    half_at_once = np.where(times < 350, 0, times)
    assert np.bincount(time_folds(rates(n), half_at_once, nothing(n)).assignment + 1)[0] == 350


def test_copies_of_what_a_forward_fold_tests_are_purged_from_its_past() -> None:
    folds = Folds(2, np.array([-1, -1, 0, 1]), np.array([[7], [8], [9], [7]]), forward=True)
    np.testing.assert_array_equal(folds.train(0), [0, 1])
    np.testing.assert_array_equal(folds.train(1), [1, 2])  # 0 shares 7
    assert folds.purged == 1


def test_times_that_cannot_be_cut() -> None:
    n = 90
    y, times = rates(n), np.arange(n) % 6.0
    with pytest.raises(InputError, match="6 different times cannot be cut into 7 blocks"):
        time_folds(y, times, nothing(n))
    with pytest.raises(InputError, match="--folds 44 by time does not fit 90 posts: name a number from 1 to 43"):
        time_folds(y, times, nothing(n), n_folds=44)
    with pytest.raises(InputError, match="2 of 90 posts have no time"):
        time_folds(y, np.where(np.arange(n) < 2, np.nan, times), nothing(n))
    with pytest.raises(InputError, match="fold 0 has 15 of 90 posts to train on, or all of one rate"):
        time_folds(np.where(times == 0, 0, y), times, nothing(n), n_folds=4)


@pytest.mark.parametrize(("text", "expected"), [("5", (5, 1)), ("5x2", (5, 2)), ("10x20", (10, 20))])
def test_folds_are_read(text: str, expected: tuple[int, int]) -> None:
    assert parse_folds(text) == expected


@pytest.mark.parametrize("text", ["", "x", "5x", "x2", "5x0", "-5", "5.0", "5 x 2", "5x2x2", "٥", "9" * 5000])
def test_what_is_no_number_of_folds(text: str) -> None:
    with pytest.raises(InputError, match="expected a number, or folds x repetitions such as 5x2"):
        parse_folds(text)


def test_the_first_repetition_is_that_of_every_version() -> None:
    """Stored runs are compared by these digests: with copies purged, without and with groups."""
    n, rng = 200, np.random.default_rng(3)
    contents = np.where(rng.uniform(size=(n, 2)) < 0.3, rng.integers(0, n, (n, 2)), -1)
    groups = rng.integers(0, 40, n)
    one, two = (make_folds(rates(n), each, contents, repeats=2, seed=7)[0].digest for each in (None, groups))
    assert one == "1ba9a136db4d8e28348f5d143d7d03b0c324da58b9490b585dd316e70ea591ff"
    assert two == "bcfee3d674c4021d89a449cfc4d59078f35129012b135956641e411f56935912"


def test_only_copies_of_test_posts_are_purged() -> None:
    folds = Folds(2, np.array([0, 0, 1, 1, 1]), np.array([[7, -1], [8, 3], [7, -1], [9, 3], [9, -1]]))
    np.testing.assert_array_equal(folds.train(0), [4])  # 2 shares the picture 7, 3 the text 3
    np.testing.assert_array_equal(folds.train(1), [])
    assert folds.purged == 4


def test_the_same_number_in_two_columns_is_not_the_same_content() -> None:
    folds = Folds(2, np.array([0, 1]), np.array([[5, -1], [-1, 5]]))
    assert folds.purged == 0


def test_missing_contents_are_no_copies() -> None:
    n = 100
    assert make_folds(rates(n), None, nothing(n))[0].purged == 0


def test_another_seed_gives_other_folds_and_another_digest() -> None:
    y = rates(200)
    one, two = (make_folds(y, None, nothing(200), seed=seed)[0] for seed in (0, 1))
    assert (one.assignment != two.assignment).any()
    assert one.digest != two.digest


def test_the_digest_knows_what_was_purged() -> None:
    assignment, copies = np.array([0, 0, 1, 1]), np.array([[1], [2], [1], [3]])
    assert Folds(2, assignment, copies).digest != Folds(2, assignment, np.full((4, 1), -1)).digest


def test_the_digest_is_the_same_everywhere() -> None:
    """Runs of different machines and versions are compared by it: a change here breaks every stored run."""
    folds = Folds(2, np.array([0, 1, 0, 1]), np.array([[0], [1], [2], [0]]))
    assert folds.digest == "18145dd93178b7a535f6ab6965ac9ebb8f45deda7faad2eee04b4d3ee8430f3e"


def test_rare_high_rates_are_spread_evenly() -> None:
    y = rates(2000)
    (folds,) = make_folds(y, None, nothing(2000))
    labels = strata(y, 5)
    top = [int((labels[folds.test(k)] == labels.max()).sum()) for k in range(5)]
    assert min(top) >= 2
    assert max(top) - min(top) <= 1
    zeros = [int((y[folds.test(k)] == 0).sum()) for k in range(5)]
    assert max(zeros) - min(zeros) <= 1


def test_strata_separate_zeros_and_the_top() -> None:
    y = rates(5000)
    labels = strata(y, 5)
    assert set(labels[y == 0]) == {0}
    assert (labels[y > 0] > 0).all()
    assert 15 <= len(np.unique(labels)) <= 20
    assert (labels == labels.max()).sum() == pytest.approx(0.01 * (y > 0).sum(), abs=2)
    assert (np.diff(labels[np.argsort(y, kind="stable")]) >= 0).all()


@given(st.integers(10, 120), st.integers(2, 5), st.sampled_from([0.0, 0.5, 0.97]), st.integers(0, 10_000))
def test_no_stratum_is_smaller_than_the_number_of_folds(n: int, n_folds: int, zeros: float, seed: int) -> None:
    labels = strata(rates(n, seed, zeros), n_folds)
    assert np.bincount(labels).min() >= n_folds
    np.testing.assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))


@pytest.mark.parametrize("n_folds", [-1, 0, 1, 51])
def test_a_number_of_folds_that_cannot_be(n_folds: int) -> None:
    with pytest.raises(InputError, match=f"--folds {n_folds} does not fit 100 posts"):
        make_folds(rates(100), None, nothing(100), n_folds=n_folds)


def test_fewer_groups_than_folds() -> None:
    with pytest.raises(InputError, match="3 groups cannot fill 5 folds"):
        make_folds(rates(90), np.arange(90) % 3, nothing(90))


def test_when_all_posts_share_one_picture_nothing_is_left() -> None:
    contents = np.stack([np.zeros(90, np.int64), np.full(90, -1)], axis=1)
    with pytest.raises(InputError, match="0 of 90 posts to train on"):
        make_folds(rates(90), None, contents)


def test_one_group_of_nearly_all_posts() -> None:
    groups = np.concatenate([np.zeros(86, np.int64), np.arange(1, 5)])
    with pytest.raises(InputError, match="4 of 90 posts to train on"):
        make_folds(rates(90), groups, nothing(90))


def test_training_rows_of_one_rate_are_refused() -> None:
    y = np.zeros(40)
    y[0] = 0.5
    with pytest.raises(InputError, match="all of one rate"):
        make_folds(y, None, nothing(40), n_folds=4)


@given(st.lists(st.integers(-1, 12), min_size=1, max_size=200))
def test_common_contents_are_none_and_the_others_stay(column: list[int]) -> None:
    contents = np.array([column, np.arange(len(column))]).T
    left, found = without_common(contents)
    common = {i for i in set(column) if i >= 0 and column.count(i) > max(0.1 * len(column), 10)}
    assert found == len(common)
    assert left[:, 0].tolist() == [-1 if i in common else i for i in column]
    np.testing.assert_array_equal(left[:, 1], contents[:, 1])
