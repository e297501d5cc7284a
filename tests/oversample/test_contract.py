"""What every sampler keeps: originals, seeds, types, imbalanced-learn's pipeline, plain errors."""

import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from imblearn.pipeline import make_pipeline
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_predict

import oversample
from oversample import SAMPLERS, RegressionSampler

every = pytest.mark.parametrize("Sampler", SAMPLERS.values(), ids=SAMPLERS)


def data(n: int = 300, dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(n, 4)).astype(dtype), np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))


def test_all_is_true() -> None:
    assert sorted(oversample.__all__) == ["RandomOversampler", "RegressionSampler", "SAMPLERS", "SMOTER"]
    assert all(issubclass(sampler, RegressionSampler) for sampler in SAMPLERS.values())


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_originals_come_first_bit_for_bit(Sampler: Any, dtype: type) -> None:
    X, y = data(dtype=dtype)
    before = X.tobytes(), y.tobytes()
    X_new, y_new = Sampler(random_state=0, target_bounds=(0.0, 1.0)).fit_resample(X, y)
    assert X_new.dtype == dtype
    assert y_new.dtype == np.float64
    assert (X_new[: len(y)].tobytes(), y_new[: len(y)].tobytes()) == before == (X.tobytes(), y.tobytes())


@every
def test_fitted_attributes_describe_every_output_row(Sampler: Any) -> None:
    X, y = data()
    sampler = Sampler(random_state=0)
    X_new, y_new = sampler.fit_resample(X, y)
    m = len(y_new)
    assert sampler.sample_indices_.shape == sampler.synthetic_.shape == (m,)
    assert sampler.parents_.shape == (m, 2)
    assert sampler.sample_indices_.dtype == sampler.parents_.dtype == np.int64
    assert sampler.relevance_.shape == sampler.rare_.shape == y.shape
    np.testing.assert_array_equal(sampler.sample_indices_[: len(y)], np.arange(len(y)))
    np.testing.assert_array_equal(sampler.parents_[:, 0], sampler.sample_indices_)
    copies = ~sampler.synthetic_
    np.testing.assert_array_equal(X_new[copies], X[sampler.sample_indices_[copies]])
    assert sampler.n_features_in_ == 4


@every
def test_one_seed_gives_one_result_and_another_another(Sampler: Any) -> None:
    X, y = data()
    first, again, other = (Sampler(random_state=seed).fit_resample(X, y) for seed in (0, 0, 1))
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() == again[1].tobytes()
    assert first[0].tobytes() != other[0].tobytes()


@every
@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.5])
def test_the_ratio_is_rare_rows_per_normal_row(Sampler: Any, ratio: float) -> None:
    X, y = data()
    sampler = Sampler(random_state=0, sampling_strategy=ratio)
    sampler.fit_resample(X, y)
    normal = (~sampler.rare_).sum()
    assert sampler.rare_[sampler.sample_indices_].sum() == round(ratio * normal)


@every
def test_a_ratio_that_is_already_reached_changes_nothing(Sampler: Any) -> None:
    X, y = data()
    X_new, _ = Sampler(random_state=0, sampling_strategy=0.001).fit_resample(X, y)
    assert X_new.tobytes() == X.tobytes()


@every
def test_float32_targets_stay_float32_and_integers_become_float(Sampler: Any) -> None:
    X, y = data()
    assert Sampler(random_state=0).fit_resample(X, y.astype(np.float32))[1].dtype == np.float32
    X_new, y_new = Sampler(random_state=0).fit_resample((X * 10).astype(int), np.round(y * 1000).astype(int))
    assert X_new.dtype == y_new.dtype == np.float64


@every
def test_pandas_in_pandas_out_whatever_the_index(Sampler: Any) -> None:
    X, y = data()
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.arange(len(y))[::-1] * 7)
    X_new, y_new = Sampler(random_state=0).fit_resample(frame, pd.Series(y, index=frame.index, name="rate"))
    X_plain, y_plain = Sampler(random_state=0).fit_resample(X, y)
    pd.testing.assert_frame_equal(X_new, pd.DataFrame(X_plain, columns=list("abcd")))
    pd.testing.assert_series_equal(y_new, pd.Series(y_plain, name="rate"))


@every
def test_lists_are_taken_too(Sampler: Any) -> None:
    X, y = data(dtype=np.float64)
    X_new, _ = Sampler(random_state=0).fit_resample(X.tolist(), y.tolist())
    assert X_new.tobytes() == Sampler(random_state=0).fit_resample(X, y)[0].tobytes()


@every
def test_clone_pickle_and_parameters(Sampler: Any) -> None:
    sampler = Sampler(k_neighbors=3, threshold=0.8, relevance="range", control_points=[(0, 0), (1, 1)])
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
    grid = {f"{name}__sampling_strategy": ["balance", 0.5], f"{name}__k_neighbors": [2, 5]}
    search = GridSearchCV(make_pipeline(Sampler(random_state=0), Ridge()), grid, cv=2).fit(X, y)
    assert set(search.best_params_) == set(grid)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@every
@pytest.mark.parametrize(
    ("y", "what"),
    [
        (np.zeros(40), "no row is rare"),
        (np.repeat([0.0, 1.0], 20), "no row is rare"),
        (np.linspace(0, 1, 40), "no row is rare"),
        (np.full(1, 3.0), "no row is rare"),
    ],
    ids=["constant", "two values", "uniform", "one row"],
)
def test_nothing_rare_warns_and_changes_nothing(Sampler: Any, y: np.ndarray, what: str) -> None:
    X = np.random.default_rng(0).normal(size=(len(y), 2))
    sampler = Sampler(random_state=0)
    with pytest.warns(UserWarning, match=what) as caught:
        X_new, y_new = sampler.fit_resample(X, y)
    assert caught[0].filename == __file__
    assert X_new.tobytes() == X.tobytes()
    assert y_new.tobytes() == y.tobytes()
    assert not sampler.synthetic_.any()


@every
def test_everything_rare_warns(Sampler: Any) -> None:
    X, y = data()
    with pytest.warns(UserWarning, match="every row is rare"):
        assert len(Sampler(relevance=np.ones_like).fit_resample(X, y)[1]) == len(y)


@every
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(Sampler: Any, bad: float) -> None:
    X, y = data()
    broken = y.copy()
    broken[3] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        Sampler().fit_resample(X, broken)
    X[3, 1] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        Sampler().fit_resample(X, y)


@every
@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"sampling_strategy": "auto"}, "sampling_strategy='auto': expected 'balance'"),
        ({"sampling_strategy": 0}, "sampling_strategy=0"),
        ({"sampling_strategy": np.inf}, "sampling_strategy=inf"),
        ({"threshold": 1.5}, "threshold=1.5"),
        ({"threshold": "high"}, "threshold='high'"),
        ({"k_neighbors": 0}, "k_neighbors=0"),
        ({"k_neighbors": 2.5}, "k_neighbors=2.5"),
        ({"relevance": "box"}, "unknown relevance 'box'"),
        ({"relevance": lambda y: y - 1}, "expected a number from 0 to 1"),
        ({"relevance": lambda y: y * np.nan}, "expected a number from 0 to 1"),
        ({"relevance": lambda y: y[:2]}, "expected a number from 0 to 1"),
        ({"target_bounds": (1, 0)}, r"target_bounds=.* expected .low, high."),
        ({"target_bounds": 3}, "target_bounds=3"),
        ({"target_bounds": ("a", "b")}, "target_bounds="),
        ({"target_bounds": (0.0, 1e-9)}, r"targets are outside target_bounds=.*: widen them or fix y"),
    ],
)
def test_bad_settings_are_one_clear_line(Sampler: Any, settings_: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Sampler(**settings_).fit_resample(*data())
    assert "\n" not in str(caught.value)


@every
def test_weights_are_not_swallowed(Sampler: Any) -> None:
    X, y = data()
    with pytest.raises(TypeError, match="sample_weight"):
        Sampler().fit_resample(X, y, sample_weight=np.ones(len(y)))


@every
@settings(max_examples=40, deadline=None)
@given(
    y=arrays(np.float64, st.integers(1, 60), elements=st.floats(-50, 50, width=32) | st.just(0.0)),
    seed=st.integers(0, 99),
    threshold=st.sampled_from([0.2, 0.5, 1.0]),
)
def test_any_target_gives_rows_between_input_rows(Sampler: Any, y: np.ndarray, seed: int, threshold: float) -> None:
    X = np.random.default_rng(seed).normal(size=(len(y), 3))
    sampler = Sampler(random_state=seed, threshold=threshold)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        X_new, y_new = sampler.fit_resample(X, y)
    parents = sampler.parents_
    assert X_new[: len(y)].tobytes() == X.tobytes()
    assert y_new[: len(y)].tobytes() == y.tobytes()
    assert ((parents >= 0) & (parents < len(y))).all()
    assert sampler.rare_[parents[len(y) :]].all()
    assert (X_new >= X[parents].min(axis=1)).all()
    assert (X_new <= X[parents].max(axis=1)).all()
    assert (y_new >= y[parents].min(axis=1)).all()
    assert (y_new <= y[parents].max(axis=1)).all()
