"""What every sampler keeps: originals, types, bounds, weights, plain errors."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

import oversample
from oversample import SAMPLERS, SMOTER, Oversampler, RandomOversampler, RandomUndersampler, RegressionSampler
from oversample.draw import Draw
from oversample.strategy import Bump

OVER = {name: sampler for name, sampler in SAMPLERS.items() if sampler is not RandomUndersampler}
BETWEEN = {name: SAMPLERS[name] for name in ("random", "smoter", "wercs", "adasyn", "ratio")}  # of rare rows, no noise
every = pytest.mark.parametrize("Sampler", OVER.values(), ids=OVER)


def data(n: int = 300, dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(n, 4)).astype(dtype), np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))


def test_all_is_true() -> None:
    assert len(set(oversample.__all__)) == len(oversample.__all__)
    assert all(hasattr(oversample, name) for name in oversample.__all__)
    assert {sampler.__name__ for sampler in SAMPLERS.values()} < set(oversample.__all__)
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
@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.5])
def test_the_ratio_is_rare_rows_per_normal_row(Sampler: Any, ratio: float) -> None:
    X, y = data()
    sampler = Sampler(random_state=0, sampling_strategy=ratio)
    sampler.fit_resample(X, y)
    normal = (~sampler.rare_).sum()
    assert sampler.rare_[sampler.sample_indices_].sum() == round(ratio * normal)


@every
def test_a_ratio_that_is_already_reached_warns_and_changes_nothing(Sampler: Any) -> None:
    X, y = data()
    with pytest.warns(UserWarning, match=r"already as many as sampling_strategy=0.001 asks for: nothing was sampled"):
        X_new, _ = Sampler(random_state=0, sampling_strategy=0.001).fit_resample(X, y)
    assert X_new.tobytes() == X.tobytes()


def test_made_rows_are_floats_that_hold_the_numbers_exactly() -> None:
    X, y = data()
    assert SMOTER(random_state=0).fit_resample(X, y.astype(np.float32))[1].dtype == np.float32
    for before, after in ((np.int64, np.float64), (np.int8, np.float32), (np.float16, np.float32)):
        X_new, y_new = SMOTER(random_state=0).fit_resample((X * 10).astype(before), np.round(y * 1000).astype(int))
        assert (X_new.dtype, y_new.dtype) == (after, np.float64)
        np.testing.assert_array_equal(X_new[: len(y)], (X * 10).astype(before))


def test_copied_rows_keep_any_dtype() -> None:
    X, y = data()
    frame = pd.DataFrame({"a": X[:, 0], "b": np.arange(len(y)) + 2**60, "c": y > 0})
    X_new, y_new = RandomOversampler(random_state=0).fit_resample(frame, np.round(y * 1000).astype(int))
    assert X_new.dtypes.equals(frame.dtypes)
    assert y_new.dtype == np.int64
    assert set(X_new.b) == set(frame.b)


@every
def test_pandas_in_pandas_out_whatever_the_index(Sampler: Any) -> None:
    X, y = data()
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.arange(len(y))[::-1] * 7)
    X_new, y_new = Sampler(random_state=0).fit_resample(frame, pd.Series(y, index=frame.index, name="rate"))
    X_plain, y_plain = Sampler(random_state=0).fit_resample(X, y)
    pd.testing.assert_frame_equal(X_new, pd.DataFrame(X_plain, columns=list("abcd")))
    pd.testing.assert_series_equal(y_new, pd.Series(y_plain, name="rate"))


@every
def test_lists_in_lists_out(Sampler: Any) -> None:
    X, y = data(dtype=np.float64)
    X_new, y_new = Sampler(random_state=0).fit_resample(X.tolist(), y.tolist())
    X_plain, y_plain = Sampler(random_state=0).fit_resample(X, y)
    assert (X_new, y_new) == (X_plain.tolist(), y_plain.tolist())


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
        ({"sampling_strategy": True}, "sampling_strategy=True"),
        ({"sampling_strategy": {}}, "sampling_strategy={}"),
        ({"sampling_strategy": {1: -1}}, "sampling_strategy={1: -1}"),
        ({"sampling_strategy": {7: 2.0}}, r"names bump 7: expected bumps of these targets, {0: normal \[0, .* × 2"),
        ({"sampling_strategy": {0: 0.5}}, "takes rows away from bump 0: expected factors from 1, or pass undersample"),
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
@pytest.mark.parametrize("Matrix", [sparse.csr_matrix, sparse.csr_array, sparse.coo_array])
def test_sparse_matrices_are_refused_in_one_line(Sampler: Any, Matrix: Any) -> None:
    X, y = data()
    with pytest.raises(
        ValueError, match=r"X is a sparse matrix of shape \(300, 4\): expected a dense one, pass X.toarr"
    ):
        Sampler().fit_resample(Matrix(X), y)


@every
def test_weights_are_resampled_along(Sampler: Any) -> None:
    X, y = data()
    trials = np.random.default_rng(0).integers(5, 99, len(y))
    sampler = Sampler(random_state=0)
    sampler.fit_resample(X, y, sample_weight=trials)
    first, second = sampler.parents_.T
    expected = (1 - sampler.lambda_) * trials[first] + sampler.lambda_ * trials[second]
    np.testing.assert_allclose(sampler.sample_weight_, expected)
    np.testing.assert_array_equal(sampler.sample_weight_[: len(y)], trials)
    sampler.fit_resample(X, y)
    np.testing.assert_array_equal(sampler.sample_weight_, np.ones(len(expected)))


@every
@pytest.mark.parametrize("weight", [np.ones(3), np.full(300, np.nan), np.ones((300, 2))])
def test_weights_that_do_not_fit_are_refused(Sampler: Any, weight: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected a finite number for each of 300 rows"):
        Sampler().fit_resample(*data(), sample_weight=weight)


@every
@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_a_target_of_one_column_is_one_column_less(Sampler: Any) -> None:
    X, y = data()
    expected = Sampler(random_state=0).fit_resample(X, y)[1]
    np.testing.assert_array_equal(Sampler(random_state=0).fit_resample(X, y[:, None])[1], expected)


@every
def test_a_frame_of_one_target_stays_a_frame(Sampler: Any) -> None:
    """imbalanced-learn's contract; an array came back."""
    X, y = data()
    expected = Sampler(random_state=0).fit_resample(X, y)[1]
    y_new = Sampler(random_state=0).fit_resample(X, pd.DataFrame({"rate": y}))[1]
    pd.testing.assert_frame_equal(y_new, pd.DataFrame({"rate": expected}))


@every
def test_undersampling_takes_normal_rows_only_and_keeps_the_order(Sampler: Any) -> None:
    X, y = data()
    sampler = Sampler(random_state=0, undersample=True)
    X_new, y_new = sampler.fit_resample(X, y)
    kept = sampler.sample_indices_[: np.flatnonzero(np.diff(sampler.sample_indices_) <= 0)[0] + 1]
    assert set(np.flatnonzero(sampler.rare_)) <= set(kept)
    assert len(kept) < len(y)
    assert X_new[: len(kept)].tobytes() == X[kept].tobytes()
    assert y_new[: len(kept)].tobytes() == y[kept].tobytes()
    assert len(y_new) == len(y)  # two bumps of n / 2
    assert sampler.sampling_strategy_ == {0: 150, 1: 150}


@every
def test_relevance_at_the_threshold_is_rare(Sampler: Any) -> None:
    X, y = data()
    sampler = Sampler(random_state=0, threshold=0.25, relevance=lambda v: np.where(v > 0.05, 0.25, 0.2))
    sampler.fit(X, y)
    np.testing.assert_array_equal(sampler.rare_, y > 0.05)


@dataclass(kw_only=True, eq=False, repr=False)
class Noise(Oversampler):
    """What a sampler of another recipe takes: its settings and two small methods."""

    scale: float = 1.0

    def _draw(self, X: Any, y: Any, bump: Bump, count: int, rng: np.random.Generator) -> Draw:
        return Draw.around(rng.choice(bump.rows, count), np.full(count, self.scale))

    def _make(self, X: Any, y: Any, draw: Draw, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        noise = draw.spread[:, None] * rng.normal(size=(len(draw.first), X.shape[1] + 1))
        return X[draw.first] + noise[:, :-1], y[draw.first] + noise[:, -1]


def test_another_recipe_is_one_small_class_and_target_bounds_hold_it() -> None:
    X, y = data(dtype=np.float64)
    sampler = Noise(random_state=0, target_bounds=(0.0, 1.0))
    X_new, y_new = sampler.fit_resample(X, y)
    assert sampler.synthetic_.sum() == len(y_new) - len(y) > 50
    assert X_new[: len(y)].tobytes() == X.tobytes()
    assert (y_new.min(), y_new.max()) == (0.0, 1.0)
    assert Noise(random_state=0).fit_resample(X, y)[1].max() > 1


@pytest.mark.parametrize("Sampler", BETWEEN.values(), ids=BETWEEN)
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
