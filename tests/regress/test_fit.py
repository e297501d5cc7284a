"""`regress.fit` and `regress.compare` as a user runs them, on a table in the origin's shape with cached embeddings."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from embed.extract import Extract
from embed.extract import run as extract
from regress import load, wording
from regress.fit import Fit
from regress.fit import run as fit
from regress.run import load_run

ACTIVITIES = ("like", "comment", "hide", "expand", "open_photo", "open", "share_to_message")
N = 90


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """posts.csv and the cache.h5 of its texts: MiniLM's real weights and the text statistics."""
    place = tmp_path_factory.mktemp("fit")
    rng = np.random.default_rng(0)
    cats = rng.random(N) < 0.5
    view = rng.integers(200, 900, N)
    columns: dict[str, object] = {"view": view, "author": np.arange(N) % 12}
    columns |= {name: rng.binomial(view, 0.05) for name in ACTIVITIES}
    columns["open_photo"] = rng.binomial(view, np.where(cats, 0.3, 0.02))
    words = np.where(cats, "a cat sleeps &amp; purrs", "the stock market fell<br>")
    columns["text"] = [None if i % 15 == 7 else f"{word} {i}" for i, word in enumerate(words)]
    pd.DataFrame(columns).to_csv(place / "posts.csv", index=False)
    extract(Extract(posts=place / "posts.csv", cache=place / "cache.h5", text=("all-MiniLM-L6-v2",)))
    return place


def command(folder: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", module, *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


def test_fit_and_compare_find_the_planted_signal(folder: Path) -> None:
    done = command(folder, "regress.fit", "posts.csv", "--model", "mean,ridge", "--target", "open_photo", "--json")
    assert done.returncode == 0, done.stderr
    runs = {run["name"]: run for run in json.loads(done.stdout)["runs"]}
    assert runs["mean"]["d2"] == 0
    assert runs["ridge-bce-all"]["d2"] > 0.5
    compared = command(folder, "regress.compare", "--json")
    assert compared.returncode == 0, compared.stderr
    table = json.loads(compared.stdout)["runs"]
    assert [row["name"] for row in table] == ["ridge-bce-all", "mean"]
    assert table[0]["d2"] == runs["ridge-bce-all"]["d2"]
    assert table[0]["verdict"] == "USEFUL"
    assert "stock market" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_run_predicts_after_loading_as_it_did_when_fitted(folder: Path, tmp_path: Path) -> None:
    from data.posts import PostsOptions, open_posts
    from embed.content import read_keys
    from regress.features import read_features

    config = Fit(
        posts=folder / "posts.csv",
        cache=folder / "cache.h5",
        out=tmp_path,
        model=("ridge", "lgbm"),
        target="open_photo",
    )
    posts = open_posts(PostsOptions(posts=folder / "posts.csv"))
    (features,), notes = read_features(folder / "cache.h5", read_keys(posts), (), "posts.csv")
    assert any("6 posts without a readable text" in note for note in notes)
    for made in fit(config).runs:
        run = load_run(made.folder)
        assert run.manifest["features"] == features.names
        frame = run.predictions()
        assert len(frame) == N
        assert np.corrcoef(load(made.folder).predict(features.X), frame["y"])[0, 1] > 0.8


def test_groups_are_never_split(folder: Path, tmp_path: Path) -> None:
    config = Fit(
        posts=folder / "posts.csv",
        cache=folder / "cache.h5",
        out=tmp_path,
        model=("mean",),
        target="like",
        group="author",
    )
    frame = fit(config).runs[0].predictions()
    author = pd.read_csv(folder / "posts.csv")["author"].to_numpy()[frame["row"]]
    assert (frame.groupby(author)["fold"].nunique() == 1).all()


def test_the_same_call_gives_the_same_predictions_in_the_same_folder(folder: Path, tmp_path: Path) -> None:
    config = Fit(posts=folder / "posts.csv", cache=folder / "cache.h5", out=tmp_path, model=("lgbm",), target="like")
    first = fit(config).runs[0]
    before = (first.folder / "predictions.parquet").read_bytes()
    again = fit(config).runs[0]
    assert again.folder == first.folder
    assert (again.folder / "predictions.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["posts.csv", "--model", "lgbmm", "--target", "like"], ["did you mean 'lgbm'?"]),
        (["posts.csv"], [*ACTIVITIES]),
        (["posts.csv", "--target", "like", "--trials", "views"], ["views", "--trials"]),
        (["posts.csv", "--target", "like", "--features", "MiniLM"], ["all-MiniLM-L6-v2"]),
        (["posts.csv", "--target", "like", "--oversample", "smote"], ["did you mean 'smoter'?"]),
        (["none.csv", "--oversample", "smoter:k=5"], ["smoter:k=5", "k_neighbors"]),  # before anything is read
        (["none.csv", "--oversample", "smoter:k_neighbors=0"], ["k_neighbors=0", "whole number from 1"]),
        (["posts.csv", "--target", "like", "--oversample", "smoter:neighbors_by=image"], ["block 'image'", "text"]),
        (["posts.csv", "--target", "like", "--oversample", "random:sampling_strategy=7:2"], ["names bump 7"]),
        (["posts.csv", "--target", "like", "--loss", "bse"], ["known losses are"]),
        (["none.csv", "--loss", ","], ["--loss names nothing", "wbce:ALPHA"]),
        (["none.csv", "--model", ""], ["--model names nothing", "lgbm"]),
        (["posts.csv", "--target", "like", "--group", "autor"], ["author"]),
        (["posts.csv", "--target", "like", "--cache", "none.h5"], ["none.h5", "embed.extract"]),
        (["none.csv", "--target", "like"], ["none.csv"]),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder: Path, arguments: list[str], words: list[str]) -> None:
    done = command(folder, "regress.fit", *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def test_two_settings_are_two_runs_and_one_setting_is_one(folder: Path, tmp_path: Path) -> None:
    flag = (
        "random,smoter:k_neighbors=2,neighbors_by=text,smoter:k_neighbors=3,smoter:k_neighbors=3,smoter:k_neighbors=5"
    )
    place = ["--cache", str(folder / "cache.h5"), "--out", str(tmp_path / "runs")]
    features = ["--features", "statistics", "--oversample", flag]
    if (groups := command(folder, "regress.fit", "posts.csv", "--target", "like", *features, *place)).returncode:
        assert "unknown block 'text'" in groups.stderr  # statistics are a group of their own
    features[-1] = flag.replace("neighbors_by=text", "neighbors_by=statistics")
    model = ["--model", "ridge"]
    done = command(folder, "regress.fit", "posts.csv", "--target", "like", *model, *features, *place, "--json")
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    assert [run["name"].removeprefix("ridge-bce-statistics-") for run in runs] == [
        "random",
        "smoter:neighbors_by=statistics,k_neighbors=2",
        "smoter:k_neighbors=3",
        "smoter",
    ]
    assert len({run["folder"] for run in runs}) == 4
    for run in runs:
        line = shlex.split(wording.command(load_run(Path(run["folder"])).manifest["config"]))
        assert shlex.join(line) == shlex.join(
            [
                "python",
                "-m",
                "regress.fit",
                "posts.csv",
                *model,
                *features[:2],
                "--target",
                "like",
                *features[2:],
                *place,
            ]
        )


def test_notes_of_a_sampler_are_told_once_and_kept(folder: Path, tmp_path: Path) -> None:
    place = ["--cache", str(folder / "cache.h5"), "--out", str(tmp_path / "runs")]
    arguments = ["posts.csv", "--target", "like", "--features", "statistics", "--model", "ridge,lgbm", *place]
    done = command(folder, "regress.fit", *arguments, "--oversample", "smoter:k_neighbors=60")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    notes = [line for line in done.stdout.splitlines() if "smoter:k_neighbors=60: " in line]
    why = "no row is rare at threshold 0.5: nothing was sampled (in 5 of 5 folds)"
    assert notes == [f"note: smoter:k_neighbors=60: {why}"]
    for path in (tmp_path / "runs").glob("[!.]*"):
        (kept,) = load_run(path).manifest["notes"]
        assert "no row is rare" in kept


def test_posts_that_are_not_embedded_yet_are_counted(folder: Path, tmp_path: Path) -> None:
    table = pd.read_csv(folder / "posts.csv")
    table.loc[:3, "text"] = [f"never seen {i}" for i in range(4)]
    table.to_csv(tmp_path / "more.csv", index=False)
    done = command(tmp_path, "regress.fit", "more.csv", "--target", "like", "--cache", str(folder / "cache.h5"))
    assert done.returncode == 2
    assert "for 4 of 90 posts: run python -m embed.extract more.csv" in done.stderr


def test_a_damaged_run_is_refused(folder: Path, tmp_path: Path) -> None:
    config = Fit(posts=folder / "posts.csv", cache=folder / "cache.h5", out=tmp_path, model=("lgbm",), target="like")
    model = fit(config).runs[0].folder / "model.txt"
    model.write_text(model.read_text(encoding="utf-8")[:-200], encoding="utf-8")
    done = command(tmp_path, "regress.compare", str(model.parent))
    assert done.returncode == 2
    assert "'model.txt' is not the file that was written" in done.stderr


def test_help_names_every_model_and_sampler() -> None:
    from oversample import SAMPLERS
    from oversample.weights import WEIGHTS
    from regress.models import MODELS

    text = " ".join(command(Path(), "regress.fit", "--help").stdout.split())
    for name in [*MODELS, *SAMPLERS, *WEIGHTS]:
        assert name in text
