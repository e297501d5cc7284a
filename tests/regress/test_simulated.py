"""Metrics, calibration, verdicts, folds, models and the loop together, on simulated posts with a known truth."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.config import InputError
from regress.calibration import BetaCalibration, fit_beta
from regress.choices import NOTHING, Choice
from regress.crossval import CrossValidation
from regress.features import Block, Features
from regress.folds import make_folds, strata
from regress.inference import bootstrap, verdict
from regress.losses import Loss, sigmoid
from regress.metrics import cross_entropy, d2, scores, spearman
from regress.models import MODELS, Training, model_class
from regress.scaling import Scaler
from regress.trainer import Setup, Trainer

Array = NDArray[np.float64]
N = 600


def simulate(seed: int = 0, n: int = N) -> tuple[NDArray[np.float32], Array, Array, Array]:
    """X, y, trials and the true rate: a logistic signal in 5 of 30 features, many zeros."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 30)).astype(np.float32)
    truth = sigmoid(X[:, :5].astype(np.float64) @ np.full(5, 0.7) - 3)
    trials = rng.integers(5, 60, n).astype(np.float64)
    return X, rng.binomial(trials.astype(int), truth) / trials, trials, truth


def alone(n: int) -> NDArray[np.int64]:
    return np.arange(n, dtype=np.int64)


# ---------------------------------------------------------------- metrics, calibration, verdicts


def test_d2_is_zero_for_the_mean_and_one_for_the_truth() -> None:
    y = np.array([0.0, 0.1, 0.3, 0.6])
    mean = np.full(4, y.mean())
    assert d2(y, mean, mean) == 0
    assert d2(y, np.clip(y, 1e-4, 1), mean) == pytest.approx(1, abs=1e-3)
    assert d2(y, np.full(4, 0.9), mean) < 0


def test_log_loss_has_its_arguments_the_right_way_round() -> None:
    # the origin's reversed one calls the constant 0 best
    y = np.array([0.0, 0.5])
    assert cross_entropy(y, np.zeros(2)).mean() > cross_entropy(y, np.full(2, 0.25)).mean()
    assert cross_entropy(np.array([0.5]), np.array([0.5]))[0] == pytest.approx(np.log(2))


def test_scores_count_what_lies_outside() -> None:
    y, p = np.array([0.0, 0.2, 0.4]), np.array([-0.1, 0.2, 1.2])
    measured = scores(y, p, np.full(3, 0.2), np.ones(3))
    assert measured.outside == 2
    assert measured.bias == pytest.approx(1.3 / 0.6)
    assert measured.mae == pytest.approx(0.3)
    assert spearman(y, np.zeros(3)) == 0


def test_beta_calibration_undoes_a_known_distortion() -> None:
    _, y, _, truth = simulate(n=20_000)
    known = BetaCalibration(a=0.6, b=1.4, c=0.5)
    distorted = known.apply(truth)
    fitted = fit_beta(distorted, y)
    assert fitted.apply(distorted).mean() / y.mean() == pytest.approx(1, abs=1e-3)
    assert cross_entropy(y, fitted.apply(distorted)).mean() < cross_entropy(y, distorted).mean()
    assert np.abs(fitted.apply(distorted) - truth).mean() < 0.005


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_beta_calibration_is_monotone_and_never_worse(seed: int, reverse: bool) -> None:
    rng = np.random.default_rng(seed)
    p = rng.random(60)
    y = np.clip((1 - p if reverse else p) * rng.random(60), 0, 1)
    fitted = fit_beta(p, y)
    assert fitted.a >= 0
    assert fitted.b >= 0
    order = np.argsort(p)
    assert (np.diff(fitted.apply(p)[order]) >= -1e-12).all()
    assert cross_entropy(y, fitted.apply(p)).mean() <= cross_entropy(y, p).mean() + 1e-12


def test_a_constant_stays_a_constant() -> None:
    assert fit_beta(np.full(10, 0.2), np.linspace(0, 1, 10)) == BetaCalibration()


def test_verdicts_by_simulation() -> None:
    names: dict[str, list[str]] = {"constant": [], "noise": [], "shuffled": [], "oracle": [], "biased": []}
    for seed in range(20):
        _, y, _, truth = simulate(seed)
        rng = np.random.default_rng(seed)
        mean = np.full(N, y.mean())
        given_predictions = {
            "constant": np.full(N, 0.05),
            "noise": rng.random(N),
            "shuffled": rng.permutation(truth),
            "oracle": truth,
            "biased": np.clip(truth * 9, 0, 0.999),
        }
        for name, p in given_predictions.items():
            names[name].append(verdict(y, p, mean, alone(N), seed=seed).name)
    assert set(names["constant"]) == {"COLLAPSED"}
    assert names["noise"].count("NO SIGNAL") >= 19
    assert names["shuffled"].count("NO SIGNAL") >= 19
    assert "USEFUL" not in names["noise"] + names["shuffled"]
    assert set(names["oracle"]) == {"USEFUL"}
    assert set(names["biased"]) == {"MISCALIBRATED"}


def test_clusters_widen_the_interval() -> None:
    _, y, _, truth = simulate()
    mean = np.full(N, y.mean())
    y8, p8, m8 = (np.repeat(v[: N // 8], 8) for v in (y, truth, mean))
    single, whole = bootstrap(y8, p8, m8, alone(len(y8))), bootstrap(y8, p8, m8, alone(len(y8)) // 8)
    assert whole.d2_high - whole.d2_low > 2 * (single.d2_high - single.d2_low)


# ---------------------------------------------------------------- folds


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.booleans())
def test_folds_keep_their_promises(seed: int, n_folds: int, grouped: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 120
    y = np.where(rng.random(n) < 0.5, 0, rng.random(n))
    groups = rng.integers(0, 30, n) if grouped else None
    contents = np.stack([rng.integers(-1, 400, n), rng.integers(-1, 900, n)], axis=1)
    folds = make_folds(y, groups, contents, n_folds=n_folds, seed=seed)[0]
    tested = np.concatenate([folds.test(k) for k in range(n_folds)])
    assert sorted(tested) == list(range(n))
    for k in range(n_folds):
        train, test = folds.train(k), folds.test(k)
        assert not set(train) & set(test)
        for column in contents.T:
            shared = set(column[train]) & set(column[test])
            assert shared <= {-1}
        if groups is not None:
            assert not set(groups[train]) & set(groups[test])
    again = make_folds(y, groups, contents, n_folds=n_folds, seed=seed)[0]
    assert again.digest == folds.digest


def test_strata_hold_enough_rows_for_every_fold() -> None:
    y = np.concatenate([np.zeros(300), np.linspace(0.001, 0.9, 61)])
    counts = np.bincount(strata(y, 5))
    assert (counts >= 5).all()
    assert counts[0] == 300


def test_impossible_folds_are_input_errors() -> None:
    y = np.linspace(0, 1, 20)
    none = np.full((20, 1), -1)
    with pytest.raises(InputError, match="--folds 1"):
        make_folds(y, None, none, n_folds=1)
    with pytest.raises(InputError, match="2 groups"):
        make_folds(y, alone(20) // 10, none, n_folds=5)
    with pytest.raises(InputError, match="share one picture"):
        make_folds(y, None, np.zeros((20, 1), dtype=np.int64), n_folds=5)


# ---------------------------------------------------------------- scaling and models


def test_scaler_centres_marks_absent_blocks_and_inverts() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(3, 5, (50, 4)).astype(np.float32)
    X[:, 3] = 7
    X[:10, :2] = np.nan
    scaler = Scaler.fit(X, (slice(0, 2), slice(2, 4)))
    scaled = scaler.transform(X)
    assert scaled.shape == (50, 5)
    assert (scaled[:10, :2] == 0).all()
    assert scaled[:, 4].tolist() == [1.0] * 10 + [0.0] * 40
    assert np.allclose(scaled[10:, :2].std(axis=0), 1, atol=1e-5)
    assert (scaled[:, 3] == 0).all()
    assert np.allclose(scaler.inverse(scaled)[10:], X[10:], atol=1e-4)
    again = Scaler.from_arrays(scaler.to_arrays())
    assert np.array_equal(again.transform(X), scaled)


def training(name: str, X: NDArray[np.float32], y: Array, loss: Loss, rows: NDArray[np.int64] | None) -> Training:
    held = alone(len(y)) % 7 == 0 if model_class(name).early_stopping else np.zeros(len(y), bool)
    return Training(X=X, y=y, weight=loss.weights(y), rows=rows, blocks=(slice(0, 30),), held=held)


@pytest.mark.parametrize("loss", ["bce", "mse", "wbce:3"])
@pytest.mark.parametrize("name", sorted(set(MODELS) - {"mean", "stack"}))
def test_models_learn_repeat_themselves_and_survive_a_file(name: str, loss: str, tmp_path: Path) -> None:
    X, y, _, truth = simulate()
    kind, chosen = model_class(name), Loss.parse(loss)
    predictions = []
    for _ in range(2):
        model = kind()
        model.fit(training(name, X, y, chosen, alone(N)), chosen, 0, kind().shared(X, None))
        predictions.append(model.predict(X))
    assert np.array_equal(*predictions)
    assert spearman(truth, predictions[0]) > 0.5
    if loss != "mse":
        assert (predictions[0] >= 0).all()
        assert (predictions[0] <= 1).all()
    model.save(tmp_path)
    assert np.allclose(kind.load(tmp_path).predict(X), predictions[0], rtol=1e-6)


def test_trees_refuse_rates_above_one() -> None:
    X, y, _, _ = simulate()
    kind, loss = model_class("lgbm"), Loss.parse("bce")
    with pytest.raises(InputError, match="0 to 1"):
        kind().fit(training("lgbm", X, y + 0.5, loss, alone(N)), loss, 0, kind().shared(X, None))


def test_bins_of_a_sampled_fold_are_the_shared_ones() -> None:
    X, y, _, _ = simulate()
    kind, loss = model_class("lgbm"), Loss.parse("bce")
    shared, models = kind().shared(X, None), []
    for rows in (alone(N), None):
        model: Any = kind(refit=False)  # what a sampler made is not fitted again with the rows that were held out
        model.fit(training("lgbm", X, y, loss, rows), loss, 0, shared)
        models.append(model.predict(X))
    assert np.allclose(*models)


# ---------------------------------------------------------------- the loop


def cross_validation(seed: int = 0) -> tuple[CrossValidation, Array, Array]:
    X, y, trials, truth = simulate(seed)
    X[:40, 15:] = np.nan
    features = Features("all", (Block("a", "1", X[:, :15]), Block("b", "2", X[:, 15:])))
    contents = np.full((N, 1), -1)
    return CrossValidation(Trainer(features, y, trials, alone(N)), make_folds(y, None, contents)), trials, truth


@pytest.mark.parametrize("sampler", ["none", "random", "smoter"])
@pytest.mark.parametrize("model", ["ridge", "lgbm"])
def test_every_post_is_predicted_out_of_fold(model: str, sampler: str) -> None:
    loop, trials, _ = cross_validation()
    outcome = loop.run(Setup(model, Loss.parse("bce"), Choice.parse(sampler), "beta", 0))
    measured = scores(loop.trainer.y, outcome.partitions[0].prediction, outcome.partitions[0].mean, trials)
    assert np.isfinite(outcome.partitions[0].prediction).all()
    assert measured.d2 > 0.1
    assert measured.bias == pytest.approx(1, abs=0.05)
    assert outcome.fitted.predict(loop.trainer.features.X).shape == (N,)


def test_no_target_of_a_fold_touches_its_own_predictions() -> None:
    """Changing a fold's targets may change every prediction but that fold's own raw ones."""
    loop, _, _ = cross_validation()
    setup = Setup("ridge", Loss.parse("bce"), Choice.parse("smoter"), "beta", 0)
    before = loop.run(setup)
    test = loop.partitions[0].test(2)
    y = loop.trainer.y.copy()
    y[test] = np.random.default_rng(1).permutation(y[test])
    after = CrossValidation(replace(loop.trainer, y=y), loop.partitions).run(setup)
    assert np.array_equal(before.partitions[0].raw[test], after.partitions[0].raw[test])
    assert np.array_equal(before.partitions[0].mean[test], after.partitions[0].mean[test])
    assert not np.array_equal(before.partitions[0].raw, after.partitions[0].raw)


def test_weighted_loss_is_brought_back_to_the_level_of_the_truth() -> None:
    loop, _, _ = cross_validation()
    outcome = loop.run(Setup("ridge", Loss.parse("wbce:10"), NOTHING, "beta", 0))
    assert outcome.partitions[0].raw.mean() / loop.trainer.y.mean() > 1.2
    assert outcome.partitions[0].prediction.mean() / loop.trainer.y.mean() == pytest.approx(1, abs=0.05)


def test_a_head_that_is_constant_is_called_collapsed() -> None:
    """The origin's five dead networks, planted: no feature varies, so the head can only say one number."""
    loop, _, _ = cross_validation()
    dead = Features("dead", (Block("a", "1", np.zeros((N, 8), np.float32)),))
    outcome = CrossValidation(replace(loop.trainer, features=dead), loop.partitions).run(
        Setup("mlp", Loss.parse("bce"), NOTHING, "beta", 0)
    )
    assert (
        verdict(loop.trainer.y, outcome.partitions[0].prediction, outcome.partitions[0].mean, alone(N)).name
        == "COLLAPSED"
    )


def test_the_mean_has_d2_zero_whatever_the_loss() -> None:
    loop, trials, _ = cross_validation()
    for loss in ("mse", "bce", "wbce:3"):
        outcome = loop.run(Setup("mean", Loss.parse(loss), NOTHING, "beta", 0))
        assert scores(loop.trainer.y, outcome.partitions[0].prediction, outcome.partitions[0].mean, trials).d2 == 0


# ---------------------------------------------------------------- found in review


def test_an_absent_block_comes_back_absent() -> None:
    """A synthetic row between two posts without a picture must not look like the average picture to a tree."""
    X = np.random.default_rng(0).normal(3, 5, (50, 4)).astype(np.float32)
    X[:10, :2] = np.nan
    scaler = Scaler.fit(X, (slice(0, 2), slice(2, 4)))
    scaled = scaler.transform(X)
    back = scaler.inverse((scaled[:5] + scaled[5:10]) / 2)
    assert np.isnan(back[:, :2]).all()
    assert np.isfinite(back[:, 2:]).all()


@pytest.mark.parametrize("name", ["lgbm", "mlp"])
def test_models_that_stop_early_also_fit_when_nothing_is_held_out(name: str) -> None:
    X, y, _, truth = simulate()
    kind, loss = model_class(name), Loss.parse("bce")
    full = training(name, X, y, loss, alone(N))
    model = kind()
    model.fit(replace(full, held=np.zeros(N, bool)), loss, 0, kind().shared(X, None))
    assert spearman(truth, model.predict(X)) > 0.5


def test_a_head_survives_labels_that_are_all_one() -> None:
    X, y, _, _ = simulate()
    kind, loss = model_class("mlp"), Loss.parse("bce")
    model = kind()
    model.fit(training("mlp", X, np.ones_like(y), loss, alone(N)), loss, 0, None)
    assert np.isfinite(model.predict(X)).all()


def test_the_inner_split_tears_no_group_and_leaves_rows_to_train_on() -> None:
    loop, _, _ = cross_validation()
    for groups in (alone(N) // 3, np.zeros(N, dtype=np.int64)):
        held = replace(loop.trainer, groups=groups)._hold_out(alone(N), 0)
        assert not set(groups[held]) & set(groups[~held])
        assert not held.all()


def test_a_weight_where_none_belongs_is_named() -> None:
    with pytest.raises(InputError, match="bce takes no weight"):
        Loss.parse("bce:3")
