"""Every sampler inside scikit-learn and imbalanced-learn: clone, pickle, pipelines, searches, routing, threads."""

import pickle
import warnings
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.pipeline import make_pipeline
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from threadpoolctl import threadpool_limits

from oversample import SAMPLERS, RandomUndersampler

OVER = {name: sampler for name, sampler in SAMPLERS.items() if sampler is not RandomUndersampler}
BETWEEN = {name: SAMPLERS[name] for name in ("random", "smoter", "wercs", "adasyn", "ratio")}  # of rare rows, no noise
every = pytest.mark.parametrize("Sampler", OVER.values(), ids=OVER)


def data(n: int = 300, dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(n, 4)).astype(dtype), np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))


@every
def test_one_seed_gives_one_result_and_another_another(Sampler: Any) -> None:
    X, y = data()
    first, again, other = (Sampler(random_state=seed).fit_resample(X, y) for seed in (0, 0, 1))
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() == again[1].tobytes()
    assert first[0].tobytes() != other[0].tobytes()


@every
def test_clone_pickle_and_parameters(Sampler: Any) -> None:
    sampler = Sampler(sampling_strategy={1: 2.0}, threshold=0.8, relevance="range", control_points=[(0, 0), (1, 1)])
    assert clone(sampler).get_params() == sampler.get_params()
    assert pickle.loads(pickle.dumps(sampler)).get_params() == sampler.get_params()
    assert not any(name.endswith("_") for name in vars(clone(sampler)))


@every
def test_fit_checks_and_returns_itself(Sampler: Any) -> None:
    X, y = data()
    sampler = Sampler()
    assert sampler.fit(X, y) is sampler
    with pytest.raises(ValueError, match="threshold=0"):
        Sampler(threshold=0).fit(X, y)


@every
def test_pipeline_samples_for_fitting_only(Sampler: Any) -> None:
    X, y = data()
    pipeline = make_pipeline(Sampler(random_state=0), Ridge())
    direct = Ridge().fit(*Sampler(random_state=0).fit_resample(X, y))
    np.testing.assert_allclose(pipeline.fit(X, y).predict(X), direct.predict(X))
    assert cross_val_predict(pipeline, X, y, cv=3).shape == y.shape


@every
def test_grid_search_sets_its_parameters(Sampler: Any) -> None:
    X, y = data()
    name = Sampler.__name__.lower()
    grid = {f"{name}__sampling_strategy": ["balance", "extreme", 0.5], f"{name}__threshold": [0.5, 0.8]}
    search = GridSearchCV(make_pipeline(Sampler(random_state=0), Ridge()), grid, cv=2).fit(X, y)
    assert set(search.best_params_) == set(grid)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@every
def test_metadata_routing_brings_weights_to_the_sampler(Sampler: Any) -> None:
    X, y = data()
    with config_context(enable_metadata_routing=True):
        sampler = Sampler(random_state=0).set_fit_resample_request(sample_weight=True)
        pipeline = make_pipeline(sampler, Ridge().set_fit_request(sample_weight=False))
        pipeline.fit(X, y, sample_weight=np.full(len(y), 3.0))
    np.testing.assert_allclose(pipeline[0].sample_weight_, 3.0)


@every
def test_column_names_are_remembered(Sampler: Any) -> None:
    X, y = data()
    sampler = Sampler(random_state=0)
    sampler.fit_resample(pd.DataFrame(X, columns=list("abcd")), y)
    assert sampler.feature_names_in_.tolist() == list("abcd")
    sampler.fit_resample(X, y)
    assert not hasattr(sampler, "feature_names_in_")


@every
def test_any_kind_of_random_state(Sampler: Any) -> None:
    X, y = data()
    for seed in (np.random.default_rng, np.random.RandomState):
        first, again = (Sampler(random_state=seed(4)).fit_resample(X, y)[0].tobytes() for _ in range(2))
        assert first == again
    with pytest.raises((TypeError, ValueError)):
        Sampler(random_state="x").fit_resample(X, y)


@every
@pytest.mark.filterwarnings("ignore:.*half the median")
def test_memory_order_threads_and_views_change_no_byte(Sampler: Any) -> None:
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(2500, 96)).astype(np.float32), np.where(rng.random(2500) < 0.2, 0, rng.beta(0.7, 20, 2500))
    outputs = set()
    for threads, matrix in product((1, 2), (X, np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2])):
        with threadpool_limits(threads):
            outputs.add(b"".join(part.tobytes() for part in Sampler(random_state=0).fit_resample(matrix, y)))
    assert len(outputs) == 1


@pytest.mark.parametrize("Sampler", BETWEEN.values(), ids=BETWEEN)
def test_held_out_rows_are_never_parents(Sampler: Any) -> None:
    """Each fold's regressor checks the rows it is given: every one lies between rows of that fold's training part."""
    X, y = data()
    X[:, 0] = np.arange(len(y)) % 3  # the fold a row is held out in

    class Checks(Ridge):
        def fit(self, X: np.ndarray, y: np.ndarray) -> Any:
            seen.append(set(np.unique(X[:, 0])))
            return super().fit(X, y)

    seen: list[set[float]] = []
    splits = [(np.flatnonzero(X[:, 0] != fold), np.flatnonzero(X[:, 0] == fold)) for fold in range(3)]
    cross_val_predict(make_pipeline(Sampler(random_state=0, threshold=0.3), Checks()), X, y, cv=splits)
    assert [fold not in values for fold, values in enumerate(seen)] == [True, True, True]
    assert all(min(values) >= 0 and max(values) <= 2 for values in seen)


@every
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(30, 120), folds=st.integers(2, 6), zeros=st.floats(0.2, 0.9))
def test_whatever_the_folds_no_held_out_row_is_ever_a_parent(
    Sampler: Any, seed: int, n: int, folds: int, zeros: float
) -> None:
    """A column carries each row's number; a spy compares who is sampled from with who is held out."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.arange(n), rng.normal(size=(n, 2))])
    y = np.where(rng.random(n) < zeros, 0.0, rng.gamma(0.7, size=n))
    seen: list[tuple[set[int], set[int]]] = []

    class Spy(Sampler):  # type: ignore[misc]
        def fit_resample(self, X: np.ndarray, y: np.ndarray, **weights: Any) -> Any:
            result = super().fit_resample(X, y, **weights)
            parents = np.concatenate([self.parents_.ravel(), self.sample_indices_])
            seen.append((set(X[:, 0].astype(int)), set(X[parents, 0].astype(int))))
            return result

    splits = list(KFold(folds, shuffle=True, random_state=seed % 2**31).split(X))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        cross_val_predict(make_pipeline(Spy(random_state=seed, threshold=0.3), Ridge()), X, y, cv=splits)
    assert len(seen) == folds
    for (train, held_out), (rows, parents) in zip(splits, seen, strict=True):
        assert rows == set(train)
        assert parents <= rows
        assert not parents & set(held_out)
