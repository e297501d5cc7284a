"""The corrected t test and Holm's steps, by hand and against the formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from regress.folds import time_folds
from regress.pairs import corrected_t, holm, share_tested


def test_without_overlap_it_is_the_plain_t_test() -> None:
    d = np.random.default_rng(0).normal(0.3, 1, 12)
    plain = ttest_1samp(d, 0)
    found = corrected_t(d, 0.0)
    assert (found.t, found.p) == (pytest.approx(plain.statistic), pytest.approx(plain.pvalue))


def test_overlap_widens_it_as_published() -> None:
    d = np.array([0.1, 0.2, 0.3, 0.2, 0.2])
    found = corrected_t(d, 0.25)
    assert found.mean == pytest.approx(0.2)
    assert found.t == pytest.approx(0.2 / np.sqrt((1 / 5 + 1 / 4) * 0.005))
    assert found.p > corrected_t(d, 0.0).p


def test_folds_that_do_not_differ() -> None:
    assert corrected_t(np.zeros(5), 0.25).p == 1
    assert corrected_t(np.full(5, -0.5), 0.25).p == 0
    assert corrected_t(np.full(5, -0.5), 0.25).t == -np.inf
    with pytest.raises(ValueError, match="1 fold: expected"):
        corrected_t(np.ones(1), 0.25)


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(holm(np.array([0.6, 0.7])), [1, 1])
    assert holm(np.array([])).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_never_lowers(values: list[float]) -> None:
    p = np.array(values)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(p * len(p), 1) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_the_share_that_is_tested() -> None:
    assert share_tested(5) == 0.25
    assert share_tested(3, forward=True) == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)
    n = 800
    times, none = np.arange(n, dtype=np.float64), np.full((n, 1), -1)
    folds = time_folds(np.random.default_rng(0).random(n), times, none, n_folds=6)
    shares = [len(folds.test(k)) / len(folds.train(k)) for k in range(1, 7)]
    assert share_tested(6, forward=True) == pytest.approx(np.mean(shares))
