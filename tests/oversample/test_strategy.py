"""Bumps and their sizes: the published formulas, and what we do otherwise (no row is thrown away unasked)."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oversample.strategy import Bump, factors, find_bumps, wanted

SIZES, RARE = np.array([10, 60, 30]), np.array([True, False, True])


def bumps_of(sizes: np.ndarray, rare: np.ndarray) -> list[Bump]:
    starts = np.cumsum(sizes) - sizes
    return [Bump(np.arange(a, a + n), a, a + n - 1, bool(r)) for a, n, r in zip(starts, sizes, rare, strict=True)]


def test_bumps_are_runs_in_the_order_of_the_target() -> None:
    y = np.array([5.0, 1.0, 4.0, 2.0, 3.0, 1.0])
    bumps = find_bumps(y, np.array([True, True, True, False, False, True]))
    assert [(b.rows.tolist(), b.low, b.high, b.rare) for b in bumps] == [
        ([1, 5], 1.0, 1.0, True),
        ([3, 4], 2.0, 3.0, False),
        ([2, 0], 4.0, 5.0, True),
    ]


@given(st.lists(st.tuples(st.integers(-9, 9), st.booleans()), min_size=1, max_size=50))
def test_bumps_hold_every_row_once_and_alternate(rows: list[tuple[int, bool]]) -> None:
    y, rare = np.array([float(v) for v, _ in rows]), np.array([v % 3 == 0 for v, _ in rows])
    bumps = find_bumps(y, rare)
    assert sorted(np.concatenate([b.rows for b in bumps])) == list(range(len(y)))
    assert all(a.rare != b.rare and a.high < b.low for a, b in pairwise(bumps))
    assert all((rare[b.rows] == b.rare).all() for b in bumps)


def test_equal_targets_stay_in_the_order_of_their_rows() -> None:
    y = np.random.default_rng(0).integers(0, 4, 2000).astype(float)
    for bump in find_bumps(y, y == 3):
        steps = np.diff(bump.rows)[np.diff(y[bump.rows]) == 0]
        assert (steps > 0).all()


def test_balance_is_the_mean_size_over_the_size() -> None:
    np.testing.assert_allclose(factors(SIZES, RARE, "balance"), [33 / 10, 33 / 60, 33 / 30])  # B = round(100 / 3)


def test_extreme_turns_the_sizes_upside_down() -> None:
    c = factors(SIZES, RARE, "extreme")
    turned = 33**2 / SIZES
    np.testing.assert_allclose(c, turned * 3 * 33 / turned.sum() / SIZES)
    np.testing.assert_allclose(c * SIZES, [66, 11, 22])  # 1/10 : 1/60 : 1/30 of 3 B
    assert wanted(bumps_of(SIZES, RARE), "extreme", undersample=True).tolist() == [66, 11, 30]


@pytest.mark.parametrize(
    ("strategy", "undersample", "expected"),
    [
        ("balance", False, [33, 60, 33]),
        ("balance", True, [33, 33, 33]),
        ("extreme", False, [66, 60, 30]),
        (1.0, False, [15, 60, 45]),
        (1.0, True, [15, 60, 45]),
        (0.1, True, [10, 60, 30]),
        ({0: 2.5}, False, [25, 60, 30]),
        ({0: 2, 1: 1.5}, False, [20, 90, 30]),
        ({1: 0.5, 2: 0.1}, True, [10, 30, 3]),
    ],
)
def test_sizes(strategy: object, undersample: bool, expected: list[int]) -> None:
    assert wanted(bumps_of(SIZES, RARE), strategy, undersample=undersample).tolist() == expected


@pytest.mark.parametrize("sizes", [[20, 80], [80, 20], [1, 99], [50, 50]])
def test_two_bumps_balanced_both_ways_are_equal(sizes: list[int]) -> None:
    got = wanted(bumps_of(np.array(sizes), np.array([False, True])), "balance", undersample=True)
    assert got.tolist() == [min(50, sizes[0]), max(50, sizes[1])]


@given(st.lists(st.integers(1, 500), min_size=1, max_size=9), st.sampled_from(["balance", "extreme", 0.3, 4.0]))
def test_nothing_is_thrown_away_unasked_and_normal_bumps_never_grow(sizes: list[int], strategy: object) -> None:
    rare = np.arange(len(sizes)) % 2 == 0
    plain = wanted(bumps_of(np.array(sizes), rare), strategy, undersample=False)
    assert (plain >= sizes).all()
    assert (plain[~rare] == np.array(sizes)[~rare]).all()
    asked = wanted(bumps_of(np.array(sizes), rare), strategy, undersample=True)
    assert (asked[rare] == plain[rare]).all()
    assert (asked <= plain).all()


def test_a_bump_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(
        ValueError, match=r"names bump 3: .* {0: rare \[0, 9\] × 10, 1: normal \[10, 69\] × 60, 2: rare"
    ):
        wanted(bumps_of(SIZES, RARE), {3: 2.0}, undersample=False)
