"""Sampling happens inside the training part alone, calibration on original posts alone, and notes are told once."""

import os
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import regress.crossval
from data.config import InputError
from oversample import SAMPLERS
from oversample.weights import WEIGHTS, effective_sample_size
from regress.calibration import Calibration, fit_calibration
from regress.choices import NOTHING, Choice
from regress.crossval import CrossValidation
from regress.features import Block, Features
from regress.folds import make_folds
from regress.losses import Loss, sigmoid
from regress.metrics import scores
from regress.models import Training
from regress.sampling import Part, columns, resample, row_weights, told_once
from regress.scaling import Scaler
from regress.trainer import Setup, Trainer

Array = NDArray[np.float64]
BCE = Loss.parse("bce")
WEIGHTED = [f"{name}-weights" for name in WEIGHTS]


def posts(n: int = 400, seed: int = 0) -> tuple[Features, Array]:
    """Two encoders' features and rates as the demo's: 40 % zeros, a skewed rest, and some signal in both encoders."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 12)).astype(np.float32)
    truth = sigmoid(X[:, :2].sum(axis=1).astype(np.float64) + X[:, 8] - 2.5)
    trials = rng.integers(5, 60, n)
    y = rng.binomial(trials, truth) / trials
    X[: n // 10, 8:] = np.nan  # posts without a text
    blocks = (Block("eyes", "1", X[:, :8], "image"), Block("words", "2", X[:, 8:], "text"))
    return Features("all", blocks), y


def loop_of(features: Features, y: Array, groups: NDArray[np.int64] | None = None, seed: int = 0) -> CrossValidation:
    n = len(y)
    contents = np.random.default_rng(seed).integers(-1, 2 * n, (n, 1))
    folds = make_folds(y, groups, contents, n_folds=4, seed=seed)
    return CrossValidation(Trainer(features, y, np.full(n, 30.0), np.arange(n) if groups is None else groups), folds)


def distinct(y: Array) -> Array:
    """The same rates, but for a trace that makes each of the positive ones another number: a name for its post."""
    return np.where(y > 0, np.clip(y - np.linspace(1e-9, 1e-7, len(y)), 1e-12, 1), 0)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000), grouped=st.booleans(), model=st.sampled_from(["mean", "lgbm"]))
def test_no_held_out_post_is_ever_a_parent(name: str, seed: int, grouped: bool, model: str) -> None:
    features, y = posts(n=160, seed=seed)
    y = distinct(y)
    groups = np.random.default_rng(seed).integers(0, 50, len(y)) if grouped else None
    loop = loop_of(features, y, groups, seed)
    parents: list[Array] = []

    class Recorder(SAMPLERS[name]):  # type: ignore[misc, name-defined]
        def fit_resample(self, X: Any, y: Any, **keywords: Any) -> Any:
            result = super().fit_resample(X, y, **keywords)
            parents.append(np.unique(np.asarray(y)[self.parents_]))
            return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SAMPLERS, name, Recorder)
        patch.setattr(os, "sched_getaffinity", lambda _: {0})  # one fit after the other: all posts, fold 0, 1, …
        loop.run(Setup(model, BCE, Choice.parse(name), "beta", seed))
    assert len(parents) == loop.partitions[0].n_folds + 1  # all posts, and each fold
    for k, found in enumerate(parents[1:]):
        train = loop.partitions[0].train(k)
        held = loop.trainer._hold_out(train, seed) if model == "lgbm" else np.zeros(len(train), bool)
        positive = found[found > 0]
        assert len(positive)
        assert np.isin(positive, y[train[~held]]).all()
        assert not np.isin(positive, y[loop.partitions[0].test(k)]).any()
        assert not np.isin(positive, y[train[held]]).any()


@pytest.mark.parametrize("name", ["random", "smoter", "undersample"])
@pytest.mark.parametrize("scaled", [True, False])
def test_parents_are_rows_of_the_part_and_those_held_out_stay_as_they_are(name: str, scaled: bool) -> None:
    features, y = posts()
    held = np.arange(len(y)) % 7 == 0
    scaler = Scaler.fit(features.X[~held], features.slices)
    new = resample(Choice.parse(name), Part(features, features.X, y, held), scaler, 0, scaled=scaled)
    before = scaler.transform(features.X) if scaled else features.X
    np.testing.assert_array_equal(new.X[new.held], before[held])
    np.testing.assert_array_equal(new.y[new.held], y[held])
    copies = new.parents[:, 0] == new.parents[:, 1]
    np.testing.assert_array_equal(new.X[copies], before[new.parents[copies, 0]])
    between = np.sort(y[new.parents], axis=1)
    assert ((new.y >= between[:, 0]) & (new.y <= between[:, 1])).all()
    assert not np.isin(new.parents[~new.held], np.flatnonzero(held)).any()
    assert (len(new.y) < len(y)) == (name == "undersample")


@pytest.mark.parametrize("name", ["smoter", "dense-weights"])
def test_calibration_sees_original_posts_of_other_folds_only(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    features, y = posts()
    loop = loop_of(features, distinct(y))
    seen: list[Array] = []

    def recorded(kind: str, p: Array, y: Array) -> Calibration:
        seen.append(y)
        return fit_calibration(kind, p, y)

    monkeypatch.setattr(regress.crossval, "fit_calibration", recorded)
    loop.run(Setup("ridge", BCE, Choice.parse(name), "beta", 0))
    expected = [loop.trainer.y[loop.partitions[0].assignment != k] for k in range(loop.partitions[0].n_folds)]
    assert len(seen) == len(expected) + 1
    for found, originals in zip(seen, [*expected, loop.trainer.y], strict=True):
        np.testing.assert_array_equal(np.sort(found), np.sort(originals))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("model", ["ridge", "lgbm"])
@pytest.mark.parametrize("name", [*sorted(SAMPLERS), *WEIGHTED])
def test_calibration_brings_every_choice_back_to_the_level_of_the_truth(name: str, model: str) -> None:
    features, y = posts()
    loop = loop_of(features, y)
    outcome = loop.run(Setup(model, BCE, Choice.parse(name), "beta", 0))
    measured = scores(y, outcome.partitions[0].prediction, outcome.partitions[0].mean, np.ones(len(y)))
    assert measured.bias == pytest.approx(1, abs=0.05)
    assert measured.d2 > 0.05


def test_neighbours_are_found_by_the_blocks_that_are_named() -> None:
    features, y = posts()
    scaler = Scaler.fit(features.X, features.slices)
    found = columns(features, scaler)
    assert {name: len(places) for name, places in found.items()} == {"eyes": 8, "words": 5}  # with its indicator
    assert sorted(np.concatenate(list(found.values()))) == list(range(13))
    part = Part(features, features.X, y, np.zeros(len(y), bool))

    def parents(names: str) -> NDArray[np.int64]:
        return resample(Choice.parse(f"smoter{names}"), part, scaler, 0, scaled=True).parents

    np.testing.assert_array_equal(parents(":neighbors_by=image"), parents(":neighbors_by=eyes"))
    np.testing.assert_array_equal(parents(":neighbors_by=image+text"), parents(""))
    assert not np.array_equal(parents(":neighbors_by=image"), parents(":neighbors_by=text"))
    with pytest.raises(InputError, match="unknown block 'imag': did you mean 'image'"):
        parents(":neighbors_by=imag")


@pytest.mark.parametrize("model", ["ridge", "lgbm"])
def test_weights_are_those_of_the_rows_trained_on_and_multiply_the_losss(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, y = posts()
    loop = loop_of(features, y)
    loss, kind, seen = Loss.parse("wbce:3"), regress.crossval.model_class(model), list[Training]()
    original = kind.fit

    def recorded(self: Any, training: Training, *others: Any) -> None:
        seen.append(training)
        original(self, training, *others)

    monkeypatch.setattr(kind, "fit", recorded)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})  # one fit after the other: all posts, fold 0, 1, …
    loop.run(Setup(model, loss, Choice.parse("dense-weights:ess=0.7"), "beta", 0))
    for k, training in enumerate(seen[1:]):
        train, rest = loop.partitions[0].train(k), ~training.held
        mine = y[train][rest]
        weight = WEIGHTS["dense"](mine, ess=0.7)
        assert effective_sample_size(weight) == pytest.approx(0.7 * len(mine), rel=1e-3)
        np.testing.assert_allclose(training.weight[rest], (w := loss.weights(mine) * weight) / w.mean())
        assert (training.weight[training.held] == 1).all()  # a watch over original posts, all alike
        assert training.held.any() == (model == "lgbm")
        np.testing.assert_array_equal(training.y, y[train])


def test_exponential_weights_are_the_weighted_loss() -> None:
    loop = loop_of(*posts())
    by_loss = loop.run(Setup("ridge", Loss.parse("wbce:3"), NOTHING, "beta", 0))
    by_weights = loop.run(Setup("ridge", BCE, Choice.parse("exp-weights:alpha=3"), "beta", 0))
    np.testing.assert_allclose(by_weights.partitions[0].raw, by_loss.partitions[0].raw, rtol=1e-6)


def test_weights_do_not_stop_a_head_before_it_has_learnt() -> None:
    """A head that starts at the plain level takes the weighted one for a loss, and stops at its first epoch."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 300)).astype(np.float32)
    truth = sigmoid(X[:, :40].sum(axis=1).astype(np.float64) / np.sqrt(40) - 2.5)
    trials = rng.integers(5, 60, len(X))
    loop = loop_of(Features("all", (Block("eyes", "1", X, "image"),)), rng.binomial(trials, truth) / trials)
    outcome = loop.run(Setup("mlp", BCE, Choice.parse("dense-weights:ess=0.5"), "beta", 0))
    assert (
        scores(loop.trainer.y, outcome.partitions[0].prediction, outcome.partitions[0].mean, trials.astype(float)).d2
        > 0.1
    )


def test_what_the_posts_cannot_give_is_one_line() -> None:
    features, y = posts()
    loop = loop_of(features, y)
    with pytest.raises(InputError, match="--oversample dense-weights:ess=1e-05: ess=1e-05 cannot be reached"):
        row_weights(Choice.parse("dense-weights:ess=0.00001"), y)
    with pytest.raises(InputError, match="--oversample smoter:sampling_strategy=9:2: sampling_strategy names bump 9"):
        loop.run(Setup("ridge", BCE, Choice.parse("smoter:sampling_strategy=9:2"), "beta", 0))


@pytest.mark.filterwarnings("error")
def test_a_samplers_notes_are_kept_and_are_no_warnings() -> None:
    features, y = posts()
    loop = loop_of(features, y)
    outcome = loop.run(Setup("ridge", BCE, Choice.parse("smoter:k_neighbors=300"), "beta", 0))
    (note,) = outcome.notes
    assert "fewer than k_neighbors=300 + 1" in note
    assert note.endswith("(in 4 of 4 folds; the numbers of one)")
    assert loop.run(Setup("ridge", BCE, NOTHING, "beta", 0)).notes == []


def test_other_warnings_than_notes_are_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    features, y = posts()

    class Loud(SAMPLERS["random"]):  # type: ignore[misc, name-defined]
        def fit_resample(self, X: Any, y: Any, **keywords: Any) -> Any:
            warnings.warn("overflow", RuntimeWarning, stacklevel=2)
            return super().fit_resample(X, y, **keywords)

    monkeypatch.setitem(SAMPLERS, "random", Loud)
    part = Part(features, features.X, y, np.zeros(len(y), bool))
    with pytest.warns(RuntimeWarning, match="overflow"):
        resample(Choice.parse("random"), part, Scaler.fit(features.X, features.slices), 0, scaled=True)


def test_notes_are_told_once_with_the_number_of_folds() -> None:
    folds = [["a", "3 rare rows from y=0.1"], ["a"], ["4 rare rows from y=1e-05", "5 rare rows from y=0.2"]]
    assert told_once(folds, ["a", "6 rare rows from y=0.3", "b"]) == [
        "a (in 2 of 3 folds)",
        "3 rare rows from y=0.1 (in 2 of 3 folds; the numbers of one)",
        "b (in the fit on all posts)",
    ]
    assert told_once([[], []], []) == []


@pytest.mark.parametrize("text", ["none", "smoter"])
def test_rows_know_their_group_and_new_ones_their_parents(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What leaves out one post to choose a penalty has to leave out the rows that were made of it as well."""
    features, y = posts()
    y = distinct(y)
    groups = np.arange(len(y)) // 3
    loop, kind, seen = loop_of(features, y, groups), regress.crossval.model_class("ridge"), list[Training]()
    original = kind.fit

    def recorded(self: Any, training: Training, *others: Any) -> None:
        seen.append(training)
        original(self, training, *others)

    monkeypatch.setattr(kind, "fit", recorded)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})  # one fit after the other: all posts, fold 0, 1, …
    loop.run(Setup("ridge", BCE, Choice.parse(text), "beta", 0))
    for k, training in enumerate(seen[1:]):
        train = loop.partitions[0].train(k)
        assert training.groups is not None
        np.testing.assert_array_equal(training.groups[: len(train)], groups[train])
        assert (len(training.y) > len(train)) == (text == "smoter")
        assert np.isin(training.groups, groups[train]).all()


@pytest.mark.parametrize("name", ["random", "smoter", "undersample", "dense-weights"])
def test_shrunken_rates_choose_by_trials_and_change_no_rate(name: str) -> None:
    """Half of the posts are seen five times, half 500 times, all at one rate: what is rare among the first is luck."""
    rng = np.random.default_rng(0)
    trials = np.where(np.arange(400) % 2, 500, 5)
    y = rng.binomial(trials, rng.beta(2, 30, 400)) / trials
    X = rng.normal(size=(400, 6)).astype(np.float32)
    trainer = Trainer(Features("all", (Block("eyes", "1", X),)), y, trials.astype(float), np.arange(400))
    shares = {}
    for rarity in ("raw", "shrunken"):
        setup = Setup("ridge", BCE, Choice.parse(name), "beta", 0, rarity=rarity)
        training, _, _ = trainer._training(setup, np.arange(400), np.zeros(400, bool), 0.0, scaled=True)
        assert np.isin(training.y[training.weight > 0], y).mean() > 0.4  # originals keep their raw rates
        seldom = np.isin(training.groups, np.flatnonzero(trials == 5))
        shares[rarity] = (training.weight * seldom).sum() / training.weight.sum()
    assert shares["shrunken"] < shares["raw"] - 0.02
