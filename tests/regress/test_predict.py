"""`regress.predict` and `regress.load` as a user runs them: real texts and pictures, new ones embedded on the fly."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from data.config import InputError
from data.posts import PostsOptions, open_posts
from embed.content import read_keys
from embed.extract import Extract
from embed.extract import run as extract
from embed.store import open_cache
from regress import load
from regress.features import read_features
from regress.fit import Fit
from regress.fit import run as fit
from regress.metrics import EPSILON
from regress.predict import Predict, Predictions
from regress.predict import run as predict
from regress.run import MANIFEST, Run, load_run

N = 60
HOSTILE = ['=1+1,"x"', "line\nfeed\r\nand\rreturn", "ключ 😺\u2028", "'; --\ttab", "\\"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """posts.csv, the cache.h5 of MiniLM's vectors and of the statistics of its texts, and runs of them."""
    place = tmp_path_factory.mktemp("predict")
    rng = np.random.default_rng(0)
    cats = rng.random(N) < 0.5
    view = rng.integers(200, 900, N)
    words = np.where(cats, "a cat sleeps and purrs", "the stock market fell")
    columns: dict[str, Any] = {"view": view, "like": rng.binomial(view, np.where(cats, 0.3, 0.02))}
    columns["text"] = [None if i % 15 == 7 else f"{word} {i}" for i, word in enumerate(words)]
    pd.DataFrame(columns).to_csv(place / "posts.csv", index=False)
    asked = Extract(
        posts=place / "posts.csv", cache=place / "cache.h5", text=("all-MiniLM-L6-v2",), backend="eager", device="cpu"
    )
    extract(asked)
    fit(
        Fit(
            posts=place / "posts.csv",
            cache=place / "cache.h5",
            out=place / "runs",
            model=("mean", "ridge", "lgbm"),
            target="like",
        )
    )
    return place


def run_of(folder: Path, model: str) -> Path:
    (found,) = (folder / "runs").glob(f"{model}-*")
    return found


def ask(folder: Path, model: str = "ridge", **options: Any) -> Predictions:
    return predict(Predict(**{"run": run_of(folder, model), "cache": folder / "cache.h5", **options}))


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "regress.predict", *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


def matrix(folder: Path) -> Any:
    posts = open_posts(PostsOptions(posts=folder / "posts.csv"))
    (features,), _ = read_features(folder / "cache.h5", read_keys(posts), (), "posts.csv")
    return features.X


def by_hand(run: Run, X: np.ndarray) -> np.ndarray:
    """What the final model says, and what the calibration that the manifest keeps makes of it."""
    raw, calibrator = run.load_model().predict(X), run.manifest["calibrator"]
    if calibrator is None:
        return raw
    p = np.clip(raw, EPSILON, 1 - EPSILON)
    a, b, c = (calibrator[name] for name in "abc")
    return expit(a * np.log(p) - b * np.log1p(-p) + c)


@pytest.mark.parametrize("model", ["mean", "ridge", "lgbm"])
def test_posts_in_the_cache_are_predicted_as_the_run_does(folder: Path, model: str) -> None:
    made = ask(folder, model, posts=folder / "posts.csv")
    expected = by_hand(load_run(run_of(folder, model)), matrix(folder))
    np.testing.assert_array_equal(made.found.prediction, expected)
    assert made.embedded == {}
    assert any("fitted on these very posts" in note for note in made.notes)
    if model == "mean":
        assert np.isnan(made.found.low).all()
        return
    assert any("4 posts without a readable text" in note for note in made.notes)
    y = pd.read_csv(folder / "posts.csv").pipe(lambda table: table["like"] / table["view"]).to_numpy()
    assert ((made.found.low <= y) & (y <= made.found.high)).mean() > 0.8


def test_new_posts_are_embedded_and_kept(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "cache.h5", tmp_path / "cache.h5")
    before = (folder / "cache.h5").read_bytes()
    texts = ["a cat sleeps and purrs 400", "the stock market fell 401", None, "a cat sleeps and purrs 400"]
    table = pd.DataFrame({"id": list("abcd"), "text": texts})
    table.to_csv(tmp_path / "new.csv", index=False)
    new: dict[str, Any] = {"posts": tmp_path / "new.csv", "cache": tmp_path / "cache.h5"}
    thrown_away = ask(folder, **new, keep=False)
    assert (tmp_path / "cache.h5").read_bytes() == before
    made = ask(folder, **new)
    assert made.embedded == thrown_away.embedded == {"all-MiniLM-L6-v2": 2, "text_statistics": 2}
    again = ask(folder, **new)
    assert again.embedded == {}
    cat, market, nothing, cat_again = made.found.prediction
    assert cat == cat_again
    assert cat > 0.2 > market
    assert not np.isnan(nothing)
    for other in (thrown_away, again):
        np.testing.assert_array_equal(other.found.prediction, made.found.prediction)
    with open_cache(tmp_path / "cache.h5") as cache, open_cache(folder / "cache.h5") as original:
        for name, space in cache.spaces.items():
            assert space.rows == original.spaces[name].rows + 2
            assert space.info == original.spaces[name].info  # so that embed.extract still needs no model to know it
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["cache.h5", "new.csv"]


def test_a_run_needs_no_cache_of_its_own(folder: Path, tmp_path: Path) -> None:
    """What its encoders are it knows itself: a new cache gets the same vectors."""
    text = "a cat sleeps and purrs 1"
    pd.DataFrame({"text": [text]}).to_csv(tmp_path / "one.csv", index=False)
    from_table = ask(folder, posts=tmp_path / "one.csv", cache=tmp_path / "other.h5")
    from_flag = ask(folder, text=text, cache=folder / "cache.h5")
    assert from_table.found.prediction.tolist() == pytest.approx(from_flag.found.prediction.tolist(), rel=1e-6)


def test_one_post_with_a_picture(tmp_path: Path, folder: Path) -> None:
    """A run on pictures' statistics: a wide picture from the command line, a broken one, and none."""
    from PIL import Image

    rng = np.random.default_rng(1)
    view, wide = rng.integers(200, 900, 40), rng.random(40) < 0.5
    for i, each in enumerate(wide):
        Image.new("RGB", (200 + i if each else 60 + i, 100), (i, 0, 0)).save(tmp_path / f"{i}.png")
    columns = {"photo": [f"{i}.png" for i in range(40)], "view": view}
    columns["like"] = rng.binomial(view, np.where(wide, 0.4, 0.05))
    pd.DataFrame(columns).to_csv(tmp_path / "posts.csv", index=False)
    place: dict[str, Any] = {"posts": tmp_path / "posts.csv", "cache": tmp_path / "cache.h5"}
    extract(Extract(**place, backend="eager", device="cpu"))
    fit(Fit(**place, out=tmp_path / "runs", model=("ridge",), target="like", features=("image_statistics+image",)))
    Image.new("RGB", (300, 100), (0, 9, 0)).save(tmp_path / "new.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")

    seen = ask(tmp_path, image=tmp_path / "new.png", text="ignored by this run")
    assert seen.embedded == {"image_statistics": 1, "tf_efficientnet_lite0": 1}
    assert seen.found.prediction[0] > 0.25
    broken = ask(tmp_path, image=tmp_path / "broken.png")
    assert any("1 post without a vector (not an image)" in note for note in broken.notes)
    assert any("nothing that the run reads" in note for note in broken.notes)
    with pytest.raises(InputError, match=r"posts\.csv has no column of pictures .*--image-column"):
        ask(tmp_path, posts=folder / "posts.csv")


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_formats_agree_to_the_last_bit_and_ids_survive(folder: Path, tmp_path: Path, suffix: str) -> None:
    table = pd.read_csv(folder / "posts.csv").head(len(HOSTILE)).assign(id=HOSTILE)
    table.to_parquet(tmp_path / "posts.parquet", index=False)
    out = tmp_path / f"predictions{suffix}"
    made = ask(folder, posts=tmp_path / "posts.parquet", out=out)
    if suffix == ".csv":
        with open(out, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    elif suffix == ".jsonl":
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    else:
        rows = pd.read_parquet(out).to_dict("records")
    assert [row["id"] for row in rows] == HOSTILE
    assert [int(row["row"]) for row in rows] == list(range(len(HOSTILE)))
    for name in ("prediction", "low", "high", "raw"):
        np.testing.assert_array_equal([float(row[name]) for row in rows], getattr(made.found, name))
    assert "written to" in str(made)


def test_missing_intervals_are_missing_in_every_format(folder: Path, tmp_path: Path) -> None:
    for suffix in (".csv", ".parquet", ".jsonl"):
        ask(folder, "mean", posts=folder / "posts.csv", out=tmp_path / f"p{suffix}")
    frames = [pd.read_csv(tmp_path / "p.csv"), pd.read_parquet(tmp_path / "p.parquet")]
    frames.append(pd.read_json(tmp_path / "p.jsonl", lines=True))
    for frame in frames:
        assert frame["low"].isna().all()
        assert frame["prediction"].notna().all()


def test_trials_narrow_the_interval_where_they_are_known(folder: Path, tmp_path: Path) -> None:
    table = pd.read_csv(folder / "posts.csv").head(1)
    table = pd.concat([table] * 4).assign(id=list("abcd"), seen=[30, 100_000, None, 0])
    table.drop(columns="view").to_csv(tmp_path / "posts.csv", index=False)
    made = ask(folder, posts=tmp_path / "posts.csv", trials="seen")
    width = made.found.high - made.found.low
    assert width[0] > width[1]
    assert width[2] == width[3]
    without = ask(folder, posts=tmp_path / "posts.csv")
    assert (without.found.high - without.found.low == width[2]).all()
    table.assign(seen=[1, 2, "many", 4.5]).to_csv(tmp_path / "posts.csv", index=False)
    with pytest.raises(InputError, match="row 3: seen='many'; 2 rows like this"):
        ask(folder, posts=tmp_path / "posts.csv", trials="seen")


def test_the_command_says_all_in_one_line_of_json(folder: Path) -> None:
    name = run_of(folder, "lgbm").name
    done = command(folder, name, "posts.csv", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert len(told["predictions"]) == told["posts"] == N
    assert told["predictions"][3].keys() == {"id", "row", "prediction", "low", "high", "raw"}
    shown = command(folder, name, "posts.csv").stdout.splitlines()
    assert shown[0].split() == ["id", "prediction", "90", "%", "interval"]
    assert shown[11] == f"… and {N - 10} more: pass --out FILE for all"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"run": None}, "no run is named"),
        ({"posts": "none.csv"}, "none.csv"),
        ({"posts": "posts.csv", "out": "p.xlsx"}, r"'.xlsx': expected .csv, .parquet, .jsonl"),
        ({"posts": "posts.csv", "out": "folder.csv"}, "is a folder"),
        ({"posts": "posts.csv", "out": "posts.csv/p.csv"}, "--out .* cannot be written"),
        ({"posts": "posts.csv", "text": "a cat"}, "POSTS goes with a table, and --image or --text with one post"),
        ({"text": "a cat", "trials": "view"}, "--trials goes with a table"),
        ({"text": "a cat \udcff"}, "--text is not UTF-8"),
        ({"image": "none.png"}, "none.png' is no file"),
        ({"posts": "posts.csv", "trials": "views"}, "no column 'views' .*--trials"),
        ({"posts": "posts.csv", "weights": ("bert=posts.csv",)}, "unknown encoder 'bert'.*all-MiniLM-L6-v2"),
        ({"posts": "posts.csv", "cache": "posts.csv"}, "posts.csv"),
    ],
)
def test_bad_input_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], words: str
) -> None:
    (folder / "folder.csv").mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    paths = {name: Path(value) for name, value in options.items() if name in ("posts", "out", "image", "cache")}
    with pytest.raises(InputError, match=words):
        ask(folder, **{**options, **paths})


def test_bad_input_is_one_line_and_exit_code_2(folder: Path) -> None:
    done = command(folder, "rigde", "posts.csv")
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown run 'rigde'")
    assert done.stderr.count("\n") == 1


def changed(folder: Path, tmp_path: Path, change: Any) -> Path:
    """A copy of the ridge run whose manifest was edited."""
    copy = tmp_path / "edited"
    shutil.copytree(run_of(folder, "ridge"), copy)
    manifest = json.loads((copy / MANIFEST).read_text(encoding="utf-8"))
    change(manifest)
    (copy / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return copy


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(format=2), "format 2, this version reads 1"),
        (lambda m: m.pop("encoders"), "an earlier version wrote it"),
        (lambda m: m["encoders"].pop("text_statistics"), "is damaged .*text_statistics"),
        (lambda m: m["encoders"]["text_statistics"].update(fingerprint="0" * 64), "described as another"),
        (lambda m: m["encoders"]["text_statistics"].update(dim="ten"), "is damaged"),
        (lambda m: m["encoders"]["text_statistics"].update(dim=11), "differ in width"),
        (lambda m: m.update(encoders=[]), "an earlier version wrote it"),
        (lambda m: m.update(encoders=["x"]), "is damaged"),
        (lambda m: m.update(calibrator={"kind": "beta"}), "is damaged"),
        (lambda m: m.update(calibrator={"kind": "spline"}), "spline"),
        (lambda m: m["intervals"].pop("levels"), "is damaged"),
        (lambda m: m.pop("features"), "is damaged"),
    ],
)
def test_a_damaged_run_is_refused(folder: Path, tmp_path: Path, change: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load(changed(folder, tmp_path, change))


def test_a_cache_with_another_models_vectors_is_refused(folder: Path, tmp_path: Path) -> None:
    def other(manifest: dict[str, Any]) -> None:
        info = manifest["encoders"]["text_statistics"]
        info["fingerprint"] = manifest["fingerprints"]["text_statistics"] = "ab" * 32
        info["spec"]["text_cleaning"] = 99

    run = changed(folder, tmp_path, other)
    with pytest.raises(InputError, match=r"cache\.h5 holds 'text_statistics' made with text_cleaning"):
        ask(folder, run=run, posts=folder / "posts.csv")
    with pytest.raises(InputError, match="'text_statistics' is not described as this version does it"):
        ask(folder, run=run, text="a cat", cache=tmp_path / "none.h5")


def test_a_run_is_an_estimator(folder: Path) -> None:
    from sklearn.base import clone, is_regressor
    from sklearn.pipeline import make_pipeline
    from sklearn.utils.validation import check_is_fitted

    X, run = matrix(folder), run_of(folder, "ridge")
    regressor = load(str(run))
    check_is_fitted(regressor)
    assert is_regressor(regressor)
    assert clone(regressor) is regressor.fit(X, np.zeros(N)) is regressor
    assert regressor.get_params() == {"folder": run}
    assert regressor.n_features_in_ == X.shape[1] == 394
    assert regressor.blocks_ == {"all-MiniLM-L6-v2": slice(0, 384), "text_statistics": slice(384, 394)}
    expected = by_hand(load_run(run), X)
    np.testing.assert_array_equal(make_pipeline(regressor).predict(X.astype(np.float64)), expected)
    y = pd.read_csv(folder / "posts.csv").pipe(lambda table: table["like"] / table["view"])
    assert regressor.score(X, y) > 0.8
    with pytest.raises(ValueError, match=r"X has 393 features, but run 'ridge-bce-all' is expecting 394 .*MiniLM"):
        regressor.predict(X[:, 1:])
    with pytest.raises(ValueError, match="infinity"):
        regressor.predict(np.full((1, 394), np.inf))


def test_importing_the_package_is_light() -> None:
    code = "import regress, sys; assert regress.load; print({'numpy', 'sklearn', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
