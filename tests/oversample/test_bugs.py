"""One test for every bug found in the published packages, named by what goes wrong there, over our samplers.

Where the recipe is SMOTER's (targets between parents, one share), the test is of SMOTER and those that interpolate.
"""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from imblearn.pipeline import make_pipeline
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict, cross_val_score

from oversample import SAMPLERS, SMOTER, RandomUndersampler, fit_relevance
from oversample.neighbors import nearest
from oversample.relevance import fivenum

OVER = {name: sampler for name, sampler in SAMPLERS.items() if sampler is not RandomUndersampler}
every = pytest.mark.parametrize("Sampler", SAMPLERS.values(), ids=SAMPLERS)
over = pytest.mark.parametrize("Sampler", OVER.values(), ids=OVER)


def data(n: int = 400, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, d)), np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))


def positive(y: np.ndarray) -> np.ndarray:
    return (y > 0).astype(float)


def run(sampler: Any, X: Any, y: Any) -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return sampler.fit_resample(X, y)


@every
def test_targets_sit_inside_the_distance(Sampler: Any) -> None:
    """Targets that are scaled by a thousand change neither parents nor features."""
    X, y = data()
    one, other = Sampler(random_state=0), Sampler(random_state=0)
    X_one, _ = run(one, X, y)
    X_other, _ = run(other, X, y * 1024)
    np.testing.assert_array_equal(one.parents_, other.parents_)
    np.testing.assert_allclose(X_one, X_other, atol=1e-9)


def test_synthetic_targets_are_the_harmonic_mean_of_their_parents() -> None:
    X, y = data()
    sampler = SMOTER(random_state=0)
    _, y_new = sampler.fit_resample(X, y)
    new = sampler.synthetic_
    (first, second), share = sampler.parents_[new].T, sampler.lambda_[new]
    np.testing.assert_allclose(y_new[new], y[first] + share * (y[second] - y[first]), atol=1e-15)
    harmonic = 2 / (1 / y[first] + 1 / y[second])
    assert (np.abs(y_new[new] - harmonic) < 1e-9).mean() < 0.05


@over
def test_negative_features_are_clipped_to_0(Sampler: Any) -> None:
    X, y = data()
    X = -np.abs(X) - 100
    X_new, _ = run(Sampler(random_state=0), X, y)
    assert (X_new[len(y) :] < -50).mean() > 0.99


def test_equal_targets_of_two_parents_become_half_as_much_again() -> None:
    X, _ = data()
    y = np.repeat([0.0, 0.3], [350, 50])
    _, y_new = SMOTER(random_state=0, relevance=positive).fit_resample(X, y)
    assert set(y_new[len(y) :]) == {0.3}


@over
def test_the_fraction_of_a_factor_is_dropped(Sampler: Any) -> None:
    X, y = data()
    sampler = Sampler(random_state=0, relevance=positive, sampling_strategy={1: 2.6})
    rare = int(positive(y).sum())
    assert len(run(sampler, X, y)[1]) == len(y) - rare + round(2.6 * rare)


def test_the_share_to_keep_is_dropped() -> None:
    X, y = data()
    zeros = int((y == 0).sum())
    sampler = RandomUndersampler(random_state=0, relevance=positive, sampling_strategy={0: 0.37})
    assert (sampler.fit_resample(X, y)[1] == 0).sum() == round(0.37 * zeros)


@every
def test_there_is_no_seed_or_it_is_not_enough(Sampler: Any) -> None:
    """Neither NumPy's global generator nor a fit before has a say, and the global one does not move."""
    X, y = data()
    sampler = Sampler(random_state=0)
    first = run(sampler, X, y)
    np.random.seed(1)  # noqa: NPY002 - what others draw from
    state = np.random.get_state()[1].tobytes()  # noqa: NPY002
    again = run(sampler, X, y)
    assert [part.tobytes() for part in first] == [part.tobytes() for part in again]
    assert np.random.get_state()[1].tobytes() == state  # noqa: NPY002


@every
@pytest.mark.parametrize("index", ["reversed", "words", "all the same", "dates"])
def test_an_index_of_its_own_raises(Sampler: Any, index: str) -> None:
    X, y = data()
    n = len(y)
    labels = {
        "reversed": np.arange(n)[::-1],
        "words": [f"row {i}" for i in range(n)],
        "all the same": np.zeros(n, dtype=int),
        "dates": pd.date_range("2024-01-01", periods=n),
    }[index]
    frame, series = pd.DataFrame(X, index=labels).add_prefix("x"), pd.Series(y, index=labels, name="y")
    X_new, y_new = run(Sampler(random_state=0), frame, series)
    X_plain, y_plain = run(Sampler(random_state=0), X, y)
    np.testing.assert_array_equal(X_new.to_numpy(), X_plain)
    np.testing.assert_array_equal(y_new.to_numpy(), y_plain)


@every
def test_one_missing_value_drops_its_column(Sampler: Any) -> None:
    X, y = data()
    X[7, 2] = np.nan
    for table in (X, pd.DataFrame(X)):
        with pytest.raises(ValueError, match="NaN"):
            Sampler(random_state=0).fit_resample(table, y)


@every
def test_control_points_of_two_columns_crash(Sampler: Any) -> None:
    X, y = data()
    points = [(0.0, 0.0), (0.02, 0.2), (0.1, 1.0)]
    sampler = Sampler(random_state=0, relevance="range", control_points=points)
    run(sampler, X, y)
    np.testing.assert_allclose(fit_relevance("range", y, points)(np.array([0.0, 0.02, 0.1])), [0, 0.2, 1])
    assert sampler.rare_.any()


@pytest.mark.parametrize("n", [6, 10, 14, 18])
def test_quartiles_differ_from_tukeys_hinges_when_n_is_2_modulo_4(n: int) -> None:
    y = np.arange(n, dtype=float)
    half = n // 2  # odd: the hinges are the medians of either half
    np.testing.assert_array_equal(fivenum(y), [0, np.median(y[:half]), (n - 1) / 2, np.median(y[half:]), n - 1])
    assert np.quantile(y, 0.25) != fivenum(y)[1]


def test_relevance_by_range_runs_beyond_its_control_points() -> None:
    relevance = fit_relevance("range", np.zeros(1), [(0, 0), (1, 0.5), (2, 1)])
    values = relevance(np.array([-1e6, -1.0, 2.5, 1e6]))
    np.testing.assert_array_equal(values, [0, 0, 1, 1])


@over
def test_noise_column_by_column_destroys_what_goes_together(Sampler: Any) -> None:
    """Rows come from one parent, or one pair: two columns that are far from 0 together or not at all stay a pair."""
    X, y = data()
    X[:, 0] = np.where(np.arange(len(y)) % 2, 100.0, -100.0)
    X[:, 1] = X[:, 0]
    X_new, _ = run(Sampler(random_state=0), X, y)
    new = X_new[len(y) :]
    ends = np.abs(np.abs(new[:, :2]) - 100) < 40  # a row of either kind, with noise
    both = new[ends.all(axis=1)]
    assert (np.sign(both[:, 0]) == np.sign(both[:, 1])).all()
    assert np.corrcoef(new[:, 0], new[:, 1])[0, 1] > 0.9


def test_the_nearest_neighbour_is_skipped() -> None:
    """Rows in pairs: with one neighbour each is drawn with its other half."""
    X = np.repeat(np.arange(40.0), 2)[:, None] * 10 + np.tile([0.0, 1.0], 40)[:, None]
    np.testing.assert_array_equal(nearest(X, 1).ravel(), np.arange(80) ^ 1)
    y = np.where(np.arange(80) < 60, 0.0, 1 + np.arange(80) / 100)
    sampler = SMOTER(random_state=0, k_neighbors=1, relevance=positive)
    sampler.fit_resample(X, y)
    first, second = sampler.parents_[sampler.synthetic_].T
    np.testing.assert_array_equal(first ^ 1, second)


@every
def test_held_out_rows_become_parents(Sampler: Any) -> None:
    """Every fold of a cross-validated pipeline samples from its training part alone."""
    X, y = data()
    seen: list[tuple[set[float], np.ndarray]] = []

    class Spy(Sampler):  # type: ignore[misc]
        def fit_resample(self, X: Any, y: Any, **weights: Any) -> Any:
            result = super().fit_resample(X, y, **weights)
            seen.append((set(X[:, 0]), X[np.unique(self.parents_), 0]))
            return result

    X[:, 0] = np.arange(len(y))
    folds = KFold(5, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        cross_val_predict(make_pipeline(Spy(random_state=0), Ridge()), X, y, cv=folds)
    assert len(seen) == 5
    for (rows, parents), (train, _) in zip(seen, folds.split(X), strict=True):
        assert rows == set(train.astype(float))
        assert set(parents) <= rows


@every
def test_samples_are_scored_as_if_they_were_data(Sampler: Any) -> None:
    """What is predicted and scored is each held-out row once, and nothing that was made."""
    X, y = data()
    pipeline = make_pipeline(Sampler(random_state=0), Ridge())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert np.isfinite(cross_val_score(pipeline, X, y, cv=4)).all()
        assert cross_val_predict(pipeline, X, y, cv=4).shape == y.shape


@every
def test_sample_weights_are_not_resampled(Sampler: Any) -> None:
    X, y = data()
    weight = np.random.default_rng(0).uniform(1, 9, len(y))
    sampler = Sampler(random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        _, y_new = sampler.fit_resample(X, y, sample_weight=weight)
    assert sampler.sample_weight_.shape == y_new.shape
    (first, second), share = sampler.parents_.T, sampler.lambda_
    np.testing.assert_allclose(sampler.sample_weight_, weight[first] * (1 - share) + weight[second] * share)


@over
def test_an_atom_at_zero_breaks_it(Sampler: Any) -> None:
    """With 75 % zeros the box plot has no width: all rows or none were rare."""
    rng = np.random.default_rng(0)
    X, y = data(1000)
    y = np.where(rng.random(1000) < 0.85, 0.0, rng.beta(0.7, 20, 1000))
    sampler = Sampler(random_state=0)
    run(sampler, X, y)
    assert not sampler.rare_[y == 0].any()
    assert 0.05 < sampler.rare_[y > 0].mean() < 0.35
    assert len(sampler.sample_indices_) > len(y)


@over
def test_targets_leave_their_range(Sampler: Any) -> None:
    """LightGBM's cross-entropy died on y = 1.00868."""
    X, y = data()
    y[:5] = 1.0
    _, y_new = run(Sampler(random_state=0, target_bounds=(0.0, 1.0), sampling_strategy=3.0), X, y)
    assert 0 <= y_new.min() <= y_new.max() <= 1
