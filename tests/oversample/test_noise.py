"""Gaussian noise: normal, by the deviations of the bump, whole rows at once."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from imblearn.pipeline import make_pipeline
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict
from threadpoolctl import threadpool_limits

from oversample import SMOGN, GaussianNoise, base, noise
from oversample.noise import deviations


def data(n: int = 400, d: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, d)) * 10.0 ** np.arange(d), np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))


@pytest.mark.parametrize("perturbation", [0.1, 0.5])
def test_noise_is_normal_by_the_deviations_of_the_bump(perturbation: float) -> None:
    X, y = data()
    sampler = GaussianNoise(random_state=0, sampling_strategy=20.0, perturbation=perturbation)
    X_new, y_new = sampler.fit_resample(X, y)
    new, rare = sampler.synthetic_, sampler.rare_
    seeds = sampler.sample_indices_[new]
    np.testing.assert_array_equal(sampler.parents_[new], np.stack([seeds, seeds], axis=1))
    moved = (np.column_stack([X_new, y_new])[new] - np.column_stack([X, y])[seeds]) / perturbation
    units = moved / np.column_stack([X, y])[rare].std(axis=0, ddof=1)
    assert min(stats.kstest(column, "norm").pvalue for column in units.T) > 0.001
    assert np.abs(np.corrcoef(units.T) - np.eye(4)).max() < 0.05


def test_each_bump_has_its_own_deviations() -> None:
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(200, 1)), rng.normal(size=(20, 1)), 1000 * rng.normal(size=(20, 1))])
    y = np.concatenate([np.zeros(200), np.linspace(-21, -20, 20), np.linspace(20, 120, 20)])
    sampler = GaussianNoise(random_state=0, relevance=lambda v: (np.abs(v) > 10).astype(float), sampling_strategy=30.0)
    X_new, y_new = sampler.fit_resample(X, y)
    for rows in (slice(200, 220), slice(220, 240)):
        new = sampler.synthetic_ & np.isin(sampler.sample_indices_, np.arange(240)[rows])
        seeds = sampler.sample_indices_[new]
        assert np.std(X_new[new] - X[seeds]) == pytest.approx(0.1 * X[rows].std(ddof=1), rel=0.05)
        assert np.std(y_new[new] - y[seeds]) == pytest.approx(0.1 * y[rows].std(ddof=1), rel=0.05)


def test_every_rare_row_is_a_seed_equally_often_and_no_normal_one_is() -> None:
    X, y = data()
    sampler = GaussianNoise(random_state=0, sampling_strategy=2.0)
    sampler.fit_resample(X, y)
    times = np.bincount(sampler.sample_indices_[len(y) :], minlength=len(y))
    assert np.ptp(times[sampler.rare_]) <= 1
    assert times[~sampler.rare_].sum() == 0


def test_rows_keep_their_joint() -> None:
    """A rival draws each column anew: columns that go together are parted."""
    X, y = data()
    X = np.column_stack([X[:, 0], 2 * X[:, 0], -X[:, 0]])
    X_new, _ = GaussianNoise(random_state=0, sampling_strategy=20.0).fit_resample(X, y)
    assert np.corrcoef(X_new[len(y) :].T)[0, 1:] == pytest.approx([1, -1], abs=0.02)


def test_negatives_stay_negative() -> None:
    """A rival clips them to 0."""
    X, y = data()
    assert GaussianNoise(random_state=0).fit_resample(-np.abs(X) - 10_000, y)[0].max() < -1000


def test_targets_stay_inside_the_bounds_that_are_given() -> None:
    X, y = data()
    settings_: dict[str, Any] = {"random_state": 0, "sampling_strategy": 20.0, "perturbation": 3.0}
    assert GaussianNoise(**settings_).fit_resample(X, y)[1].min() < 0
    y_new = GaussianNoise(**settings_, target_bounds=(0.0, y.max())).fit_resample(X, y)[1]
    assert (y_new.min(), y_new.max()) == (0, y.max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_constant_in_a_bump_stays_so(dtype: type) -> None:
    X, y = data()
    X = np.column_stack([np.full(len(y), 0.1), X]).astype(dtype)
    y = np.where(y > 0, 0.3, 0.0)
    X_new, y_new = GaussianNoise(random_state=0, relevance=np.sign).fit_resample(X, y)
    assert set(X_new[:, 0]) == {dtype(0.1)}
    assert set(y_new) == {0.0, 0.3}
    assert len(np.unique(X_new[:, 1])) == len(y_new)


@pytest.mark.parametrize("rare", [1, 4])
def test_rows_that_do_not_vary_are_repeated_with_a_note(rare: int) -> None:
    X, y = np.ones((50, 2)), np.array([0.0] * (50 - rare) + [1.0] * rare)
    sampler = GaussianNoise(random_state=0, relevance=np.sign)
    with pytest.warns(UserWarning, match=f"{rare} rare rows at y=1 do not vary: they can only be repeated"):
        X_new, y_new = sampler.fit_resample(X, y)
    assert (X_new == 1).all()
    assert len(y_new) > 50
    assert not sampler.synthetic_.any()


def test_two_rows() -> None:
    X, y = np.arange(50.0)[:, None], np.array([0.0] * 48 + [1.0, 3.0])
    sampler = GaussianNoise(random_state=0, relevance=np.sign, sampling_strategy=100.0)
    _, y_new = sampler.fit_resample(X, y)
    assert np.std(y_new[50:] - y[sampler.sample_indices_[50:]]) == pytest.approx(0.1 * np.sqrt(2), rel=0.05)


def test_97_percent_zeros() -> None:
    rng = np.random.default_rng(0)
    y = np.where(rng.random(3000) < 0.97, 0.0, rng.beta(0.7, 20, 3000))
    sampler = GaussianNoise(random_state=0, target_bounds=(0.0, 1.0))
    _, y_new = sampler.fit_resample(rng.normal(size=(3000, 5)).astype(np.float32), y)
    assert y_new.min() >= 0
    assert len(y_new) - 3000 == 1500 - sampler.rare_.sum()


@pytest.mark.parametrize("bad", [0, -0.1, np.inf, np.nan, True, "0.1", None])
@pytest.mark.parametrize("Sampler", [GaussianNoise, SMOGN])
def test_perturbation_is_a_number_above_0(Sampler: Any, bad: object) -> None:
    with pytest.raises(ValueError, match=f"perturbation={bad!r}: expected a number of standard deviations above 0"):
        Sampler(perturbation=bad).fit_resample(*data())


def test_blocks_of_any_size_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data(1500)
    expected = GaussianNoise(random_state=0).fit_resample(X, y)[0].tobytes()
    monkeypatch.setattr(base, "BLOCK", 13)
    assert GaussianNoise(random_state=0).fit_resample(X, y)[0].tobytes() == expected


def test_renormalised_noise_has_norm_1() -> None:
    X, y = data()
    X = X / np.linalg.norm(X, axis=1, keepdims=True)
    plain, unit = (GaussianNoise(random_state=0, renormalize=flag).fit_resample(X, y)[0] for flag in (False, True))
    assert np.ptp(np.linalg.norm(plain, axis=1)) > 0.01
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1)


@pytest.mark.filterwarnings("ignore:.*half the median")
@pytest.mark.parametrize("Sampler", [GaussianNoise, SMOGN])
def test_held_out_rows_are_never_parents(Sampler: Any) -> None:
    X, y = data()
    folds = np.arange(len(y)) % 3
    X = np.column_stack([1000.0 * np.eye(3)[folds], X])  # a held-out row's own column is 0 in every training row

    class Checks(Ridge):
        def fit(self, X: np.ndarray, y: np.ndarray) -> Any:
            seen.append(X[:, :3].max(axis=0))
            return super().fit(X, y)

    seen: list[np.ndarray] = []
    splits = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in range(3)]
    cross_val_predict(make_pipeline(Sampler(random_state=0, threshold=0.3), Checks()), X, y, cv=splits)
    np.testing.assert_array_equal(np.array(seen) == 0, np.eye(3, dtype=bool))


def test_deviations_by_hand() -> None:
    values = np.array([[1.0, 5.0], [2.0, 5.0], [9.0, 7.0], [3.0, 5.0]])
    np.testing.assert_allclose(deviations(values, np.array([3, 0, 1])), [1.0, 0.0])
    np.testing.assert_array_equal(deviations(values, np.array([2])), [0.0, 0.0])


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_deviations_of_any_size(scale: float, shift: float) -> None:
    X = np.random.default_rng(0).normal(size=(300, 4)) + shift
    found = deviations(X * scale, np.arange(300)) / scale
    np.testing.assert_allclose(found, X.std(axis=0, ddof=1), rtol=1e-9)


def test_one_outlier_does_not_hide_the_rest() -> None:
    X = np.append(1e9, np.zeros(10**5))[:, None]
    assert deviations(X, np.arange(len(X)))[0] == pytest.approx(X.std(ddof=1), rel=1e-9)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(1, 40), st.integers(1, 4)), elements=st.floats(-1e6, 1e6, width=32)))
def test_deviations_are_those_of_numpy(X: np.ndarray) -> None:
    expected = X.astype(np.float64).std(axis=0, ddof=1) if len(X) > 1 else np.zeros(X.shape[1])
    reach = np.ptp(X, axis=0).astype(np.float64)
    found = deviations(X, np.arange(len(X)))
    assert (np.abs(found - expected) <= 1e-7 * reach + 1e-9 * np.abs(X).max()).all()
    assert (found[reach == 0] == 0).all()


def test_deviations_take_any_order_and_threads() -> None:
    X = np.random.default_rng(0).normal(size=(9000, 40)).astype(np.float32)
    rows = np.random.default_rng(1).permutation(9000)[:8000]
    expected = deviations(X, rows)
    for threads in (1, 2):
        with threadpool_limits(threads):
            for matrix in (np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]):
                np.testing.assert_array_equal(deviations(matrix, rows), expected)
    assert len(rows) > noise.STEP  # more than one block
