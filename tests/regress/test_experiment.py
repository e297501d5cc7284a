"""`regress.fit` beyond one model on one partition: repetitions, time, leakage, all targets, stacks, what is kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.config import InputError
from embed.content import content_key
from embed.spaces import SpaceInfo
from embed.writer import CacheWriter
from regress import load
from regress.compare import Compare
from regress.compare import run as compare
from regress.fit import Fit, FittedRuns
from regress.fit import run as fit
from regress.foldfile import digest
from regress.losses import sigmoid
from regress.stack import logits

N = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 12 authors who post one after the other, with counts that their texts' vectors tell something of."""
    place, rng = tmp_path_factory.mktemp("experiment"), np.random.default_rng(3)
    signal, view = rng.normal(size=N), rng.integers(100, 900, N)
    table = {"view": view, "author": np.arange(N) // 25, "text": [f"text {i}" for i in range(N)]}
    table["day"] = (pd.Timestamp("2024-09-01") + pd.to_timedelta(np.arange(N) // 2, unit="D")).astype(str)
    for name, level in (("like", 2), ("open_photo", 3), ("hide", 40)):
        table[name] = rng.binomial(view, 1 / (1 + np.exp(level - signal)))
    pd.DataFrame(table).to_csv(place / "posts.csv", index=False)
    with CacheWriter(place / "cache.h5") as writer:
        spec = {"kind": "text", "family": "transformers", "weights": "ab" * 32}
        writer.open(SpaceInfo("words", content_key("words").hex(), "", spec, 6, "float32", {}))
        rows = rng.normal(size=(N, 6)) + np.outer(signal, [1, -1, 0, 0, 0, 0])
        writer.append("words", [content_key(f"text {i}") for i in range(N)], rows.astype(np.float32))
        writer.checkpoint()
    return place


def call(folder: Path, out: Path, **flags: Any) -> FittedRuns:
    given = {"model": ("ridge",), "target": "open_photo", "folds": "3", **flags}
    return fit(Fit(posts=folder / "posts.csv", cache=folder / "cache.h5", out=out, **given))


def test_repetitions_are_columns_of_their_own_and_count_alike(folder: Path, tmp_path: Path) -> None:
    (run,) = call(folder, tmp_path / "a", folds="3x2").runs
    (once,) = call(folder, tmp_path / "b").runs
    table, alone = run.predictions(), once.predictions()
    np.testing.assert_array_equal(table[alone.columns], alone)  # the first repetition is the plain partition
    assert not table["fold_1"].equals(table["fold"])
    assert not table["prediction_1"].equals(table["prediction"])
    losses = run.manifest["fold_losses"]["model"]
    assert np.shape(losses) == (2, 3)
    assert losses[0] == once.manifest["fold_losses"]["model"][0]
    y, p = table["y"].to_numpy(), table[["prediction", "prediction_1"]].to_numpy()
    expected = -(y[:, None] * np.log(p) + (1 - y[:, None]) * np.log1p(-p)).mean()
    assert run.manifest["metrics"]["log_loss"] == pytest.approx(expected)


def test_by_time_the_first_posts_are_not_scored_and_the_later_never_trained_on(folder: Path, tmp_path: Path) -> None:
    (run,) = call(folder, tmp_path, time="day").runs
    table = run.predictions()
    assert run.manifest["target"]["n"] == len(table) < N
    assert table["fold"].unique().tolist() == [1, 2, 3]
    assert table["row"].min() >= 2 * N // 5 - 2  # two of five blocks are for training and calibration alone
    assert np.diff(table["fold"]).min() >= 0  # rows are in the order of time
    changed = folder / "later.csv"
    posts = pd.read_csv(folder / "posts.csv")
    posts.loc[posts.index[-20:], "open_photo"] = 0
    posts.to_csv(changed, index=False)
    config = Fit(posts=changed, cache=folder / "cache.h5", out=tmp_path / "later", model=("ridge",), folds="3")
    (other,) = fit(replace(config, target="open_photo", time="day")).runs
    early = table["row"] < N - 24
    np.testing.assert_array_equal(other.predictions()["prediction"][early], table["prediction"][early])


def test_a_time_that_is_none_is_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--time text: 300 posts have no time, the first in row 1"):
        call(folder, tmp_path, time="text")
    with pytest.raises(InputError, match="time runs once"):
        call(folder, tmp_path, time="day", folds="3x2")


def test_leakage_is_the_gap_between_random_and_honest_folds(folder: Path, tmp_path: Path) -> None:
    runs = call(folder, tmp_path, group="author", time="day", leakage=True)
    found = runs.runs[0].manifest["leakage"]
    assert set(found) == {"random", "purged", "grouped", "time"}
    assert found["time"]["d2"] == runs.runs[0].manifest["metrics"]["d2"]
    assert found["random"]["n"] == N > found["time"]["n"]
    line = str(runs).splitlines()[-2].split()
    assert float(line[-1]) == pytest.approx(found["random"]["d2"] - found["time"]["d2"], abs=6e-4)
    (grouped,) = call(folder, tmp_path / "g", group="author").runs
    assert found["grouped"]["d2"] == pytest.approx(grouped.manifest["metrics"]["d2"])


def test_all_targets_are_fitted_on_the_same_features(folder: Path, tmp_path: Path) -> None:
    made = call(folder, tmp_path, target="all", model=("ridge", "mean"))
    names = [run.manifest["target"]["name"] for run in made.runs]
    assert names == ["like / view"] * 2 + ["open_photo / view"] * 2
    assert any("left out: hide / view is 0 for all" in note for note in made.notes)
    (alone,) = call(folder, tmp_path / "alone").runs
    found = next(run for run in made.runs if run.name == alone.name and run.folder.name.startswith("open_photo-"))
    np.testing.assert_array_equal(found.predictions()["prediction"], alone.predictions()["prediction"])


def test_a_stack_is_made_of_the_fits_of_its_members(folder: Path, tmp_path: Path) -> None:
    members = call(folder, tmp_path, model=("ridge", "lgbm")).runs
    kept = {path.name: path.stat().st_ino for path in (tmp_path / ".folds").iterdir()}
    (stack,) = call(folder, tmp_path, model=("stack",), set=("members=ridge+lgbm",)).runs
    assert {path.name: path.stat().st_ino for path in (tmp_path / ".folds").iterdir()} == kept  # no fold was fitted
    best = max(run.manifest["metrics"]["d2"] for run in members)
    assert stack.manifest["metrics"]["d2"] > best - 0.03
    X = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    assert {"ridge/model.safetensors", "lgbm/model.txt"} <= set(stack.manifest["files"])
    found = stack.load_model()
    weights = found.model.coef_
    parts = np.stack([logits(load(run.folder).predict_interval(X).raw) for run in members], axis=1)
    np.testing.assert_allclose(found.predict(X), sigmoid(parts @ weights[:-1] + weights[-1]))  # the members' own fits


def test_what_is_there_is_not_fitted_again_unless_it_depends_on_something_else(folder: Path, tmp_path: Path) -> None:
    first = call(folder, tmp_path, model=("ridge", "lgbm"))
    again = call(folder, tmp_path, model=("ridge", "lgbm", "mean"))
    assert (first.skipped, again.skipped) == (0, 2)
    assert "2 of them there already" in str(again)
    assert [run.manifest for run in again.runs[:2]] == [run.manifest for run in first.runs]
    assert call(folder, tmp_path, seed=1).skipped == 0
    assert call(folder, tmp_path, calibration="isotonic").skipped == 0
    assert call(folder, tmp_path, refit=True).skipped == 0
    (first.runs[0].folder / "model.safetensors").write_bytes(b"damaged")
    mended = call(folder, tmp_path)
    assert mended.skipped == 0
    np.testing.assert_array_equal(mended.runs[0].predictions(), first.runs[0].predictions())


def test_settings_are_found_on_inner_folds_and_told(folder: Path, tmp_path: Path) -> None:
    (run,) = call(folder, tmp_path, model=("lgbm",), tune=4, set=("trees=20",)).runs
    tuned = run.manifest["tuned"]
    assert run.name == "lgbm:trees=20,tune=4-bce-all"
    assert all(
        set(each) <= {"num_leaves", "learning_rate", "min_data_in_leaf", "lambda_l2", "feature_fraction"}
        for each in [*tuned["folds"], tuned["final"]]
    )
    (again,) = call(folder, tmp_path / "b", model=("lgbm",), tune=4, set=("trees=20",)).runs
    assert again.manifest["tuned"] == tuned
    assert digest(again.predictions()["raw"].to_numpy()) == digest(run.predictions()["raw"].to_numpy())


def test_a_caption_that_many_posts_share_is_no_copy(folder: Path, tmp_path: Path) -> None:
    """Purged, those with the caption would be predicted by a model of the others alone, whose rates are higher."""
    posts = pd.read_csv(folder / "posts.csv")
    stock = posts["open_photo"] / posts["view"] < 0.05
    assert 0.3 < stock.mean() < 0.7
    posts.loc[stock, "text"] = "text 0"
    posts.loc[posts.index[-2:], "text"] = "text 1"  # three copies, which are purged as ever
    posts.to_csv(tmp_path / "posts.csv", index=False)
    config = Fit(posts=tmp_path / "posts.csv", cache=folder / "cache.h5", out=tmp_path / "runs", model=("mean",))
    made = fit(replace(config, target="open_photo"))
    assert made.runs[0].manifest["metrics"]["bias"] == pytest.approx(1, abs=0.01)
    assert 0 < made.runs[0].manifest["folds"]["purged"] < 30
    assert any("1 picture or text is shared by more than a tenth" in note for note in made.notes)


def test_pairs_of_repeated_folds_differ_by_what_their_scores_differ(folder: Path, tmp_path: Path) -> None:
    call(folder, tmp_path / "runs", model=("ridge", "knn", "mean"), folds="3x2")
    told = compare(Compare(runs=tmp_path / "runs", out=tmp_path / "report.html", gallery=0)).to_json()
    loss = {run["name"]: run["log_loss"] for run in told["runs"]}
    assert len(told["pairs"]) == 3
    for pair in told["pairs"]:
        assert pair["log_loss"][1] == pytest.approx(loss[pair["first"]] - loss[pair["second"]], abs=1e-12)
