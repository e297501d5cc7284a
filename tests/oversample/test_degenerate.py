"""Targets that break other packages: each has a result, or one clear line."""

import json
import warnings
from typing import Any

import numpy as np
import pytest

from oversample import SAMPLERS, SMOGN, GaussianNoise, RandomUndersampler

RNG = np.random.default_rng(0)
BETA = RNG.beta(0.7, 20, 400)
IDLE = {  # target → nothing is rare
    "constant": np.full(60, 0.3),
    "two values": np.repeat([0.0, 1.0], 30),
    "uniform": np.linspace(0, 1, 60),
    "one row": np.array([3.0]),
    "two rows": np.array([0.0, 3.0]),
    "five ratings": np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], 12),
}
SAMPLED = {  # target → the rows that are rare
    "all zero but one": (np.array([0.0] * 59 + [1.0]), 1),
    "97 % zeros": (np.concatenate([np.zeros(13_000), BETA]), None),
    "all ones but three": (np.array([1.0] * 57 + [0.2, 0.3, 0.4]), 3),
    "two atoms and a tail": (np.concatenate([np.zeros(100), np.ones(100), [0.4, 0.5, 0.6, 9.0]]), None),
    "one outlier": (np.append(np.linspace(0, 1, 60), 50.0), None),
    "both tails": (np.concatenate([np.linspace(0, 1, 60), [-50.0, -40, 40, 50]]), None),
    "negative": (-1 - RNG.gamma(0.7, size=200), None),
    "tiny": (np.where(RNG.random(300) < 0.7, 0.0, BETA[:300] * 1e-300), None),
    "huge": (BETA * 1e300, None),
    "fewer rare rows than neighbours": (np.concatenate([np.zeros(60), [0.2, 0.5, 0.9]]), 3),
    "one gap": (np.concatenate([np.linspace(0, 1, 80), np.linspace(30, 31, 4)]), None),
    "rare ratings": (np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], [2, 2, 30, 60, 40]), 4),
}
OVER = {name: sampler for name, sampler in SAMPLERS.items() if sampler is not RandomUndersampler}
AROUND = (GaussianNoise, SMOGN)  # their new rows leave the parents, not the bounds
all_of_them = pytest.mark.parametrize("Sampler", SAMPLERS.values(), ids=SAMPLERS)
every = pytest.mark.parametrize("Sampler", OVER.values(), ids=OVER)


def features(y: np.ndarray) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(len(y), 3)).astype(np.float32)


@all_of_them
@pytest.mark.parametrize("y", IDLE.values(), ids=IDLE)
def test_nothing_rare_comes_back_as_it_is_with_a_warning(Sampler: Any, y: np.ndarray) -> None:
    X = features(y)
    sampler = Sampler(random_state=0)
    with pytest.warns(UserWarning, match="no row is rare at threshold 0.5: nothing was sampled") as caught:
        X_new, y_new = sampler.fit_resample(X, y)
    assert caught[0].filename == __file__
    assert (X_new.tobytes(), y_new.tobytes()) == (X.tobytes(), y.tobytes())
    assert not sampler.synthetic_.any()


@every
@pytest.mark.parametrize(("y", "rare"), SAMPLED.values(), ids=SAMPLED)
def test_rare_rows_become_more(Sampler: Any, y: np.ndarray, rare: int | None) -> None:
    X = features(y)
    sampler = Sampler(random_state=0, target_bounds=(y.min(), y.max()))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*(fewer than k_neighbors|do not vary|half the median)")
        X_new, y_new = sampler.fit_resample(X, y)
    assert sampler.rare_.any()
    assert not sampler.rare_.all()
    assert rare in (None, sampler.rare_.sum())
    assert len(y_new) > len(y)
    assert sampler.rare_[sampler.sample_indices_[len(y) :]].all()
    assert np.isfinite(X_new).all()
    assert np.isfinite(y_new).all()
    assert (y_new[: len(y)].tobytes(), X_new[: len(y)].tobytes()) == (y.tobytes(), X.tobytes())
    parents = y[None] if Sampler in AROUND else y[sampler.parents_]
    low, high = parents.min(axis=1), parents.max(axis=1)
    assert ((y_new >= low) & (y_new <= high)).all()


@all_of_them
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([0.0, np.nan, 1.0]), "y contains NaN"),
        (np.array([0.0, np.inf, 1.0]), "y contains infinity"),
        (np.array([]), r"Found array with 0 sample\(s\)"),
        (np.zeros((3, 2)), "1d array"),
        (np.array(["a", "b", "c"]), "could not convert string to float"),
        (np.zeros(4), "inconsistent numbers of samples"),
    ],
    ids=["NaN", "infinite", "empty", "two columns", "words", "another length"],
)
def test_what_cannot_be_a_target_is_refused(Sampler: Any, y: np.ndarray, message: str) -> None:
    X = np.zeros((0 if len(y) == 0 else 3, 2))
    with pytest.raises(ValueError, match=message):
        Sampler().fit_resample(X, y)


@all_of_them
@pytest.mark.parametrize("y", [*IDLE.values(), *(y for y, _ in SAMPLED.values())], ids=[*IDLE, *SAMPLED])
def test_each_has_a_report_of_finite_figures(Sampler: Any, y: np.ndarray) -> None:
    sampler = Sampler(random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        _, y_new = sampler.fit_resample(features(y), y)
    figures = json.loads(sampler.report_.to_json(), parse_constant=pytest.fail)
    assert figures["rows_out"] == len(y_new)
    assert str(sampler.report_).startswith("rows ")


@pytest.mark.parametrize(("y", "rare"), SAMPLED.values(), ids=SAMPLED)
def test_undersampling_leaves_normal_rows_out_or_says_that_there_are_too_few(y: np.ndarray, rare: int | None) -> None:
    sampler = RandomUndersampler(random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        X_new, y_new = sampler.fit_resample(features(y), y)
    rare_rows = int(sampler.rare_.sum())
    assert rare in (None, rare_rows)
    assert len(y_new) == min(2 * rare_rows, len(y)) if len(sampler.bumps_) == 2 else rare_rows < len(y_new) <= len(y)
    assert bool(caught) == (len(y_new) == len(y))
    assert sampler.rare_[sampler.sample_indices_].sum() == rare_rows
    assert X_new.tobytes() == features(y)[sampler.sample_indices_].tobytes()


@every
@pytest.mark.filterwarnings("ignore:.*half the median")
def test_equal_features_everywhere(Sampler: Any) -> None:
    X, y = np.ones((400, 3), dtype=np.float32), np.where(np.arange(400) < 200, 0.0, BETA)
    X_new, y_new = Sampler(random_state=0).fit_resample(X, y)
    assert (X_new == 1).all()
    assert len(y_new) > 400
