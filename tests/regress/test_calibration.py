"""Calibration undoes known distortions, never turns ranks round, and never makes its own data worse."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit

from data.config import InputError
from regress.calibration import (
    IDENTITY,
    BetaCalibration,
    IsotonicCalibration,
    fit_beta,
    fit_calibration,
    fit_isotonic,
    from_json,
)
from regress.metrics import cross_entropy

Array = NDArray[np.float64]


def rates(n: int = 20_000, seed: int = 0) -> tuple[Array, Array]:
    """True means and soft labels drawn around them."""
    rng = np.random.default_rng(seed)
    mean = rng.beta(1.5, 8, n)
    return mean, rng.binomial(10, mean) / 10


def test_the_formula_of_the_paper() -> None:
    p, (a, b, c) = np.array([0.1, 0.5, 0.8]), (0.7, 1.9, -0.3)
    expected = 1 / (1 + 1 / (np.exp(c) * p**a / (1 - p) ** b))
    np.testing.assert_allclose(BetaCalibration(a, b, c).apply(p), expected)


@pytest.mark.parametrize("parameters", [(1.0, 1.0, 1.2), (0.5, 0.5, 0.0), (2.0, 2.0, -0.5), (1.5, 0.6, 0.2)])
def test_it_finds_the_map_that_undoes_a_distortion(parameters: tuple[float, float, float]) -> None:
    distorted, _ = rates()
    calibrated = BetaCalibration(*parameters).apply(distorted)
    y = np.random.default_rng(1).binomial(50, calibrated) / 50
    found = fit_beta(distorted, y)
    assert np.abs(found.apply(distorted) - calibrated).mean() < 0.005


def test_right_predictions_are_left_about_as_they_are() -> None:
    mean, y = rates()
    assert np.abs(fit_beta(mean, y).apply(mean) - mean).max() < 0.03


def test_a_raised_level_comes_back_to_the_mean() -> None:
    """What a weight exp(α·y) does to predictions, roughly: a shift of the logit."""
    mean, y = rates()
    raised = expit(logit(mean) + 1)
    assert raised.mean() > 1.5 * y.mean()
    assert fit_beta(raised, y).apply(raised).mean() == pytest.approx(y.mean(), rel=0.01)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.floats(-3, 3), st.floats(-2, 2))
def test_it_keeps_ranks_and_never_raises_its_own_loss(seed: int, slope: float, shift: float) -> None:
    mean, y = rates(80, seed)
    p = expit(slope * logit(mean) + shift)
    found = fit_beta(p, y)
    q = found.apply(p)
    assert min(found.a, found.b) >= 0
    assert ((q >= 0) & (q <= 1)).all()
    assert (np.diff(q[np.argsort(p, kind="stable")]) >= -1e-12).all()
    assert cross_entropy(y, q).mean() <= cross_entropy(y, p).mean() + 1e-12


def test_ranks_the_wrong_way_round_become_a_constant() -> None:
    mean, y = rates(2000)
    q = fit_beta(1 - mean, y).apply(1 - mean)
    assert np.ptp(q) < 0.02
    assert q.mean() == pytest.approx(y.mean(), rel=0.02)


@pytest.mark.parametrize("value", [0.0, 0.2, 1.0, -3.0])
def test_constant_predictions_are_left_alone(value: float) -> None:
    p = np.full(50, value)
    assert fit_beta(p, rates(50)[1]) is IDENTITY
    np.testing.assert_array_equal(IDENTITY.apply(p), p)


def test_predictions_of_squared_loss_outside_the_unit_interval() -> None:
    mean, y = rates(500)
    q = fit_beta(2 * mean - 0.3, y).apply(2 * mean - 0.3)
    assert ((q > 0) & (q < 1)).all()


def test_labels_of_zeros_and_ones_separated_by_the_prediction() -> None:
    """The likelihood has no maximum here; the fit must end all the same, at something finite."""
    p = np.linspace(0.01, 0.99, 100)
    y = (p > 0.5).astype(float)
    found = fit_beta(p, y)
    assert np.isfinite([found.a, found.b, found.c]).all()
    assert cross_entropy(y, found.apply(p)).mean() < 0.8 * cross_entropy(y, p).mean()


def test_new_predictions_beyond_those_seen() -> None:
    mean, y = rates(500)
    q = fit_beta(mean, y).apply(np.array([0.0, 1e-9, 1 - 1e-9, 1.0]))
    assert np.isfinite(q).all()
    assert (np.diff(q) >= 0).all()


# ---------------------------------------------------------------- isotonic


def test_isotonic_is_scikit_learns() -> None:
    from sklearn.isotonic import IsotonicRegression

    p, y = rates(3000)
    theirs = IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1).fit(p, y)
    new = np.linspace(-0.2, 1.2, 1001)
    np.testing.assert_allclose(fit_isotonic(p, y).apply(new), theirs.predict(new), atol=1e-15)


def test_pooled_neighbours_by_hand() -> None:
    """0.3 and 0.2 violate the order and become their mean; between thresholds the map is linear."""
    found = fit_isotonic(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.0, 0.3, 0.2, 0.9]))
    np.testing.assert_allclose(
        found.apply(np.array([0.1, 0.2, 0.25, 0.3, 0.35, 0.4])), [0, 0.25, 0.25, 0.25, 0.575, 0.9]
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.floats(-3, 3), st.floats(-2, 2), st.integers(0, 3))
def test_isotonic_keeps_order_and_mean_and_is_best_of_all_monotone_maps(
    seed: int, slope: float, shift: float, decimals: int
) -> None:
    mean, y = rates(80, seed)
    p = np.round(expit(slope * logit(mean) + shift), decimals + 1)  # with ties
    found = fit_isotonic(p, y)
    if found == IDENTITY:
        assert np.ptp(p) == 0
        return
    q = found.apply(p)
    assert (np.diff(q[np.argsort(p, kind="stable")]) >= -1e-12).all()
    assert q.mean() == pytest.approx(y.mean())
    for other in (p, fit_beta(p, y).apply(p), np.full(80, y.mean())):
        assert ((q - y) ** 2).mean() <= ((other - y) ** 2).mean() + 1e-12
        assert cross_entropy(y, q).mean() <= cross_entropy(y, other).mean() + 1e-3  # which clips a 0 at ε


@pytest.mark.parametrize("kind", ["beta", "isotonic"])
def test_no_prediction_is_out_of_range(kind: str) -> None:
    """scikit-learn's own default is NaN there."""
    p, y = rates(200)
    q = fit_calibration(kind, p, y).apply(np.array([-1e9, -1.0, 0.0, p.min(), p.max(), 1.0, 2.0, 1e9]))
    assert np.isfinite(q).all()
    assert ((q >= 0) & (q <= 1)).all()
    assert (np.diff(q) >= 0).all()


def test_isotonic_predicts_zero_where_it_saw_only_zeros() -> None:
    """As its description warns; the metrics clip at ε and count it."""
    p = np.linspace(0.01, 0.5, 100)
    found = fit_isotonic(p, np.where(p < 0.1, 0.0, p))
    assert (found.apply(np.array([0.0, 0.05])) == 0).all()


@pytest.mark.parametrize("kind", ["beta", "isotonic"])
def test_constants_are_left_alone_by_both(kind: str) -> None:
    assert fit_calibration(kind, np.full(50, 0.2), rates(50)[1]) is IDENTITY


# ---------------------------------------------------------------- kept as JSON


@pytest.mark.parametrize("kind", ["beta", "isotonic"])
def test_json_gives_it_back(kind: str) -> None:
    found = fit_calibration(kind, *rates(500))
    kept = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert kept["kind"] == kind
    assert from_json(kept) == found


def test_what_was_kept_without_a_kind_is_beta() -> None:
    assert from_json({"a": 0.5, "b": 2.0, "c": -1.0}) == BetaCalibration(0.5, 2.0, -1.0)


def test_other_kinds_are_one_line() -> None:
    with pytest.raises(InputError, match="unknown calibration 'isotonc': did you mean 'isotonic'"):
        fit_calibration("isotonc", *rates(50))
    with pytest.raises(InputError, match="'venn' is not of this version"):
        from_json({"kind": "venn"})


def test_thresholds_are_plain_numbers() -> None:
    found = fit_isotonic(*rates(100))
    assert isinstance(found, IsotonicCalibration)
    assert {type(value) for value in (*found.p, *found.rate)} == {float}
