"""SMOTER: new rows lie between two rare neighbours, in features and in target alike."""

import numpy as np
import pytest
from imblearn.pipeline import make_pipeline
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor

from oversample import SMOTER
from oversample.neighbors import nearest


def data(n: int = 400, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, d)), np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))


def drawn(**settings: object) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, SMOTER]:
    X, y = data()
    sampler = SMOTER(random_state=3, **settings)
    return X, y, *sampler.fit_resample(X, y), sampler


def test_features_and_target_share_one_lambda() -> None:
    X, y, X_new, y_new, sampler = drawn()
    new = np.flatnonzero(sampler.synthetic_)
    assert len(new) > 50
    i, j = sampler.parents_[new].T
    step = X[j] - X[i]
    lam = ((X_new[new] - X[i]) * step).sum(axis=1) / (step**2).sum(axis=1)
    assert lam.min() >= 0
    assert lam.max() <= 1
    assert np.ptp(lam) > 0.8
    np.testing.assert_allclose(X_new[new], X[i] + lam[:, None] * step, atol=1e-12)
    np.testing.assert_allclose(y_new[new], y[i] + lam * (y[j] - y[i]), atol=1e-12)


def test_the_target_is_torgos_distance_weighted_mean() -> None:
    X, y, X_new, y_new, sampler = drawn()
    new = np.flatnonzero(sampler.synthetic_)
    i, j = sampler.parents_[new].T
    near, far = np.linalg.norm(X_new[new] - X[i], axis=1), np.linalg.norm(X_new[new] - X[j], axis=1)
    np.testing.assert_allclose(y_new[new], (far * y[i] + near * y[j]) / (near + far), rtol=1e-9)


def test_new_targets_lie_between_their_parents_without_tolerance() -> None:
    X, y, X_new, y_new, sampler = drawn(target_bounds=(0.0, 1.0))
    parents = sampler.parents_
    assert (y_new >= y[parents].min(axis=1)).all()
    assert (y_new <= y[parents].max(axis=1)).all()
    assert (X_new >= X[parents].min(axis=1)).all()
    assert (X_new <= X[parents].max(axis=1)).all()
    assert y_new.max() <= 1


@pytest.mark.parametrize("k", [1, 3])
def test_the_second_parent_is_among_the_nearest_by_features_alone(k: int) -> None:
    X, _, _, _, sampler = drawn(k_neighbors=k)
    rare = np.flatnonzero(sampler.rare_)
    near = {row: set(rare[columns]) for row, columns in zip(rare, nearest(X[rare], k), strict=True)}
    pairs = sampler.parents_[sampler.synthetic_]
    assert all(j in near[i] for i, j in pairs)


def test_negative_features_stay_negative() -> None:
    X, y = data()
    X = -np.abs(X) - 1
    assert SMOTER(random_state=0).fit_resample(X, y)[0].max() <= -1


def test_every_rare_row_is_a_seed_equally_often() -> None:
    X, y = data()
    sampler = SMOTER(random_state=0, sampling_strategy=2.0)
    sampler.fit_resample(X, y)
    times = np.bincount(sampler.sample_indices_[len(y) :], minlength=len(y))[sampler.rare_]
    assert np.ptp(times) <= 1


def test_two_bumps_never_mix_and_share_equally() -> None:
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.normal(size=200), np.full(4, -20.0), np.full(9, 20.0)])
    X = rng.normal(size=(len(y), 3))
    sampler = SMOTER(random_state=0, k_neighbors=3, relevance=lambda v: (np.abs(v) > 10).astype(float))
    _, y_new = sampler.fit_resample(X, y)
    assert {-20.0, 20.0} == set(y_new[len(y) :])
    assert (y_new == -20).sum() == (y_new == 20).sum() == 71  # 213 rows in three bumps


def test_a_bump_of_one_row_is_repeated_with_a_warning() -> None:
    X = np.random.default_rng(0).normal(size=(50, 3))
    y = np.array([0.0] * 49 + [1.0])
    sampler = SMOTER(random_state=0)
    with pytest.warns(UserWarning, match=r"1 rare rows from y=1 to 1.*a single row can only be repeated") as caught:
        X_new, y_new = sampler.fit_resample(X, y)
    assert caught[0].filename == __file__
    assert (X_new[50:] == X[49]).all()
    assert (y_new[50:] == 1).all()
    assert len(y_new) == 49 + 25
    assert not sampler.synthetic_.any()


def test_fewer_rare_rows_than_neighbours_warn() -> None:
    X = np.random.default_rng(0).normal(size=(50, 3))
    y = np.array([0.0] * 47 + [1.0, 2.0, 1.5])
    sampler = SMOTER(random_state=0, k_neighbors=20, relevance=np.sign)
    with pytest.warns(UserWarning, match=r"3 rare rows from y=1 to 2, fewer than k_neighbors=20 \+ 1"):
        _, y_new = sampler.fit_resample(X, y)
    assert set(sampler.parents_[50:].ravel()) == {47, 48, 49}
    assert y_new[50:].min() >= 1
    assert y_new[50:].max() <= 2


def test_just_enough_neighbours_do_not_warn() -> None:
    X, y = np.random.default_rng(0).normal(size=(50, 3)), np.array([0.0] * 44 + [1.0] * 6)
    SMOTER(random_state=0, k_neighbors=5, relevance=np.sign).fit_resample(X, y)
    with pytest.warns(UserWarning, match="fewer than k_neighbors=6"):
        SMOTER(random_state=0, k_neighbors=6, relevance=np.sign).fit_resample(X, y)


@pytest.mark.parametrize("k", [0, 2.5, True, "5"])
def test_k_neighbors_is_a_whole_number_from_1(k: object) -> None:
    with pytest.raises(ValueError, match=f"k_neighbors={k!r}: expected a whole number from 1"):
        SMOTER(k_neighbors=k).fit_resample(*data())


def test_grid_search_over_k_neighbors() -> None:
    X, y = data()
    pipeline = make_pipeline(SMOTER(random_state=0), KNeighborsRegressor())
    search = GridSearchCV(pipeline, {"smoter__k_neighbors": [1, 3, 9]}, cv=3).fit(X, y)
    assert search.best_params_["smoter__k_neighbors"] in {1, 3, 9}
    assert len(set(search.cv_results_["mean_test_score"])) == 3  # the parameter reaches the sampler


def test_97_percent_zeros() -> None:
    rng = np.random.default_rng(0)
    y = np.where(rng.random(3000) < 0.97, 0.0, rng.beta(0.7, 20, 3000))
    sampler = SMOTER(random_state=0, target_bounds=(0.0, 1.0))
    _, y_new = sampler.fit_resample(rng.normal(size=(3000, 5)).astype(np.float32), y)
    assert y_new[3000:].min() > 0
    assert len(y_new) - 3000 == 1500 - sampler.rare_.sum()


def test_the_fraction_of_a_factor_is_not_dropped() -> None:
    X, y = data()
    sampler = SMOTER(random_state=0)
    rare = int(sampler.fit(X, y).rare_.sum())
    _, y_new = SMOTER(random_state=0, sampling_strategy={1: 2.5}).fit_resample(X, y)
    assert len(y_new) - len(y) == round(1.5 * rare)


def test_equal_targets_stay_what_they_are() -> None:
    """A rival makes y_i + y_j / 2 of two equal targets."""
    X, _ = data(100)
    y = np.array([0.0] * 90 + [0.3] * 10)
    _, y_new = SMOTER(random_state=0, relevance=np.sign).fit_resample(X[:100], y)
    assert set(y_new) == {0.0, 0.3}


def test_targets_do_not_enter_the_distance() -> None:
    """Rows near in X have far targets; with y in the distance, neighbours would be chosen across."""
    X = np.repeat(np.arange(8.0), 2)[:, None] * 100 + np.tile([0.0, 1.0], 8)[:, None]
    y = np.tile([1e6, 2e6], 8)
    X, y = np.concatenate([X, np.full((40, 1), -1e4)]), np.concatenate([y, np.zeros(40)])
    sampler = SMOTER(random_state=0, k_neighbors=1, relevance=np.sign)
    _, y_new = sampler.fit_resample(X, y)
    new = sampler.synthetic_
    assert new.sum() > 5
    assert (np.abs(np.diff(X[sampler.parents_[new], 0])) == 1).all()
    assert ((y_new[new] > 1e6) & (y_new[new] < 2e6)).all()


def test_targets_are_no_harmonic_mean() -> None:
    """λ is uniform, so the mean of new targets is the mean of their parents, not below it."""
    _, y, _, y_new, sampler = drawn(sampling_strategy=20.0)
    middle = y[sampler.parents_[sampler.synthetic_]].mean(axis=1)
    assert y_new[sampler.synthetic_].mean() == pytest.approx(middle.mean(), rel=0.01)


def test_lambda_is_uniform() -> None:
    *_, sampler = drawn(sampling_strategy=20.0)
    quarters = np.quantile(sampler.lambda_[sampler.synthetic_], [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(quarters, [0, 0.25, 0.5, 0.75, 1], atol=0.02)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_never_leaves_the_parents(dtype: type) -> None:
    """Thousands of new rows: without care some of a constant column differ by a bit, and near zero some change sign."""
    X, y = data()
    X = np.column_stack([np.full(len(y), 0.1), -(10.0 ** np.random.default_rng(0).uniform(-40, 0, len(y))), X[:, 0]])
    X = X.astype(dtype)
    sampler = SMOTER(random_state=0, sampling_strategy=50.0)
    X_new, y_new = sampler.fit_resample(X, y)
    assert set(X_new[:, 0]) == {dtype(0.1)}
    assert (X_new >= X[sampler.parents_].min(axis=1)).all()
    assert (X_new <= X[sampler.parents_].max(axis=1)).all()
    assert (y_new >= y[sampler.parents_].min(axis=1)).all()
    assert (y_new <= y[sampler.parents_].max(axis=1)).all()


def test_no_column_is_lost_and_columns_stay_together() -> None:
    """Two columns that are one are one in every new row; noise or copies column by column would part them."""
    X, y = data()
    X[:, 1] = 2 * X[:, 0]
    X_new, _ = SMOTER(random_state=0).fit_resample(X, y)
    assert X_new.shape[1] == X.shape[1]
    np.testing.assert_allclose(X_new[:, 1], 2 * X_new[:, 0])


def test_the_largest_numbers_do_not_overflow() -> None:
    X, y = np.zeros((50, 1)), np.array([0.0] * 44 + [1e308] * 6)
    X[44:46, 0] = -1.6e308, 1.6e308  # their difference is no number
    X_new, y_new = SMOTER(random_state=0, relevance=np.sign, sampling_strategy=9.0).fit_resample(X, y)
    assert set(map(tuple, X_new)) > {(-1.6e308,), (1.6e308,), (0.0,)}
    assert np.isfinite(X_new).all()
    assert (y_new[44:] == 1e308).all()
