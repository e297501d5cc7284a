"""Errors by bins: every post in one bin, the zeros apart, shares and gains that add up to the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.targets import label_entropy
from regress.metrics import cross_entropy
from regress.runs import Predictions
from regress.strata import quantile_bins, strata

N = 400


def predictions(seed: int = 0, zeros: float = 0.3) -> Predictions:
    """The mean, and a run that knows the hidden rate; every two posts are a cluster."""
    rng = np.random.default_rng(seed)
    rate = rng.beta(0.8, 5.0, N)
    trials = np.ceil(rng.lognormal(3.5, 1.0, N))
    y = np.where(rng.random(N) < zeros, 0.0, rng.binomial(trials.astype(int), rate) / trials)
    mean = np.full(N, y.mean())
    p = np.stack([mean, np.clip(rate * (1 - zeros), 1e-4, 1)])
    rows = np.arange(N)
    return Predictions([str(row) for row in rows], rows, y, trials, mean, rows // 2, p, p)


@given(
    st.lists(st.integers(0, 20).map(float), max_size=60), st.lists(st.floats(0, 1), min_size=1, max_size=5).map(sorted)
)
def test_bins_hold_every_row_once_and_do_not_part_equal_values(values: list[float], quantiles: list[float]) -> None:
    array = np.array(values)
    bins = quantile_bins(array, quantiles)
    assert sorted(np.concatenate([np.empty(0, int), *bins]).tolist()) == list(range(len(values)))
    assert all(len(rows) for rows in bins)
    highest = [float(array[rows].max()) for rows in bins]
    lowest = [float(array[rows].min()) for rows in bins]
    assert all(high < low for high, low in zip(highest, lowest[1:], strict=False))


def test_zeros_are_a_bin_of_their_own() -> None:
    found = predictions()
    by_rate = strata(found)[0]
    assert (by_rate.by, by_rate.bins[0].low, by_rate.bins[0].high, by_rate.bins[0].truth) == ("rate", 0, 0, 0)
    assert by_rate.bins[0].posts == (found.y == 0).sum()
    assert by_rate.bins[1].low > 0
    assert by_rate.bins[-1].posts < by_rate.bins[1].posts  # the tail is looked at closely
    assert strata(predictions(zeros=0.0))[0].bins[0].posts < 100


def test_shares_gains_and_predictions_add_up_to_the_whole() -> None:
    found = predictions()
    excess = (cross_entropy(found.y, found.p[1]) - label_entropy(found.y)).mean()
    gain = (cross_entropy(found.y, found.mean) - cross_entropy(found.y, found.p[1])).mean()
    ways = strata(found)
    assert [way.by for way in ways] == ["rate", "trials"]
    for way in ways:
        weights, errors = np.array([each.posts for each in way.bins]) / N, way.errors[1]
        assert sum(each.share for each in errors) == pytest.approx(1)
        assert weights @ [each.excess for each in errors] == pytest.approx(excess)
        assert weights @ [each.gain.mean for each in errors] == pytest.approx(gain)
        assert weights @ [each.predicted for each in errors] == pytest.approx(found.p[1].mean())
        assert weights @ [each.truth for each in way.bins] == pytest.approx(found.y.mean())
        assert all(each.gain.mean == pytest.approx(0) for each in way.errors[0])  # the mean gains nothing on itself


def test_clusters_widen_the_intervals() -> None:
    alone, rng = predictions(), np.random.default_rng(1)
    twice = np.repeat(rng.permutation(N)[: N // 2], 2)
    doubled = Predictions(
        alone.ids,
        alone.rows,
        alone.y[twice],
        alone.trials[twice],
        alone.mean[twice],
        alone.rows // 2,
        alone.p[:, twice],
        alone.p[:, twice],
    )
    single = Predictions(
        alone.ids,
        alone.rows,
        doubled.y,
        doubled.trials,
        doubled.mean,
        alone.rows,
        doubled.p,
        doubled.p,
    )
    whole, torn = strata(doubled)[1].errors[1], strata(single)[1].errors[1]
    widths = [[each.gain.high - each.gain.low for each in errors] for errors in (whole, torn)]
    assert all(a > 1.3 * b for a, b in zip(*widths, strict=True))


def test_a_single_bin_is_no_finding() -> None:
    found = predictions()
    same = Predictions(found.ids, found.rows, found.y, np.full(N, 7.0), found.mean, found.clusters, found.p, found.raw)
    assert [way.by for way in strata(same)] == ["rate"]
