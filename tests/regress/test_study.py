"""`regress.study` as a user runs it: the origin's grid and TOML files, on real caches of small tables."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.config import InputError
from embed.content import content_key
from embed.spaces import SpaceInfo
from embed.writer import CacheWriter
from regress.fit import Fit
from regress.grid import MODELS, OVERSAMPLE, origin_grid, read_grid
from regress.origin import LOSSES, PUBLISHED

N = 80
ENCODERS = {"tf_efficientnet_b0": "image", "convnext_tiny": "image", "all-MiniLM-L6-v2": "text"}


def cache_of(path: Path, encoders: dict[str, str], signal: np.ndarray) -> Path:
    """A cache of six columns for each encoder, two of which tell of the rate."""
    rng = np.random.default_rng(0)
    with CacheWriter(path) as writer:
        for name, kind in encoders.items():
            spec = {"kind": kind, "family": "timm" if kind == "image" else "transformers", "weights": "ab" * 32}
            writer.open(SpaceInfo(name, content_key(name).hex(), "", spec, 6, "float32", {}))
            keys = [content_key(f"text {i}" if kind == "text" else b"picture %d" % i) for i in range(len(signal))]
            rows = rng.normal(size=(len(signal), 6)) + np.outer(signal, [1, -1, 0, 0, 0, 0])
            writer.append(name, keys, rows.astype(np.float32))
        writer.checkpoint()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """posts.parquet and the cache.h5 of three encoders."""
    place, rng = tmp_path_factory.mktemp("study"), np.random.default_rng(1)
    signal, view = rng.normal(size=N), rng.integers(100, 900, N)
    clicks = rng.binomial(view, 1 / (1 + np.exp(3 - signal)))
    columns = {"photo": [b"picture %d" % i for i in range(N)], "text": [f"text {i}" for i in range(N)]}
    pd.DataFrame({**columns, "view": view, "open_photo": clicks}).to_parquet(place / "posts.parquet", index=False)
    cache_of(place / "cache.h5", ENCODERS, signal)
    return place


def study(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "regress.study", *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


def grid_file(folder: Path, text: str) -> Path:
    path = folder / "grid.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_origin_study_is_ranked_beside_the_origins_figures(folder: Path) -> None:
    flags = ["--posts", "posts.parquet", "--target", "open_photo", "--out", "origin", "--folds", "2"]
    done = study(folder, *flags, "--model", "ridge", "--oversample", "none,dense-weights", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    runs, redone = found["runs"], [run["origin"]["name"] for run in found["runs"] if run["origin"]]
    assert len(runs) == 3 * len(LOSSES) * 2
    assert sorted(redone) == sorted(PUBLISHED)
    assert [run["d2"] for run in runs] == sorted((run["d2"] for run in runs), reverse=True)
    assert "all-MiniLM-L6-v2 stands for the origin’s bert-base-multilingual-cased" in found["notes"]
    with open(folder / "origin" / "study.csv", encoding="utf-8", newline="") as file:
        kept = list(csv.DictReader(file))
    assert [row["name"] for row in kept] == [run["name"] for run in runs]
    assert {row["origin_name"]: row["origin_mse"] for row in kept}["effnet_MSE"] == "0.002889"


def test_a_study_that_is_run_again_fits_nothing(folder: Path) -> None:
    grid_file(
        folder,
        """
        posts = "posts.parquet"
        target = "open_photo"
        folds = 2
        out = "twice"
        [[fits]]
        features = ["image", "convnext_tiny+all-MiniLM-L6-v2"]
        model = "mean,ridge"
        [[fits]]
        features = ["text"]
        model = ["ridge"]
        loss = ["mse"]
        """,
    )
    first, again = (study(folder, "grid.toml") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert "4 fits in " in first.stdout
    assert ", 0 were there already" in first.stdout
    assert again.stdout.splitlines()[:-1] == first.stdout.splitlines()[:-1]
    assert "\n0 fits in " in again.stdout
    assert ", 4 were there already" in again.stdout


def test_the_table_tells_which_run_the_swapped_log_loss_would_have_called_best(folder: Path) -> None:
    done = study(
        folder, "--posts", "posts.parquet", "--target", "open_photo", "--model", "mean,ridge", "--loss", "bce",
        "--oversample", "none", "--out", "swapped",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    head, *rows = [line for line in done.stdout.splitlines() if not line.startswith("note: ")]
    assert head.split()[0] == "run"
    assert "swapped" in head
    assert sum(line.startswith("ridge-bce-") for line in rows) == 3
    assert sum("USEFUL" in line for line in rows) >= 1
    assert rows[-2].startswith("the swapped log loss would have called ")
    assert "D² " in rows[-2]
    assert "note: the origin’s figures are of its own 23,527 posts" in done.stdout


def test_the_grid_without_a_file_is_the_origins(folder: Path) -> None:
    (fits,), notes = origin_grid({"cache": folder / "cache.h5", "target": "open_photo"})
    assert fits.features == ("tf_efficientnet_b0", "convnext_tiny", "convnext_tiny+all-MiniLM-L6-v2")
    assert fits.model == ("mean", *MODELS)
    assert fits.loss == ("mse", "bce", "wbce:2", "wbce:3", "wbce:4")
    assert fits.oversample == OVERSAMPLE
    assert fits.target == "open_photo"
    assert 1 + len(fits.features) * len(MODELS) * len(fits.loss) * len(OVERSAMPLE) == 181
    assert notes == ["all-MiniLM-L6-v2 stands for the origin’s bert-base-multilingual-cased"]


@pytest.mark.parametrize(
    ("encoders", "features", "words"),
    [
        (
            {"efficientnet_lite0": "image", "all-MiniLM-L6-v2": "text"},
            ("efficientnet_lite0", "efficientnet_lite0+all-MiniLM-L6-v2"),
            ["no ConvNeXt in the cache: its fits are left out", "efficientnet_lite0 stands for", "ConvNeXt + BERT"],
        ),
        ({"convnext_tiny": "image"}, ("convnext_tiny",), ["no EfficientNet", "no BERT"]),
        (
            {"rubert-tiny2": "text", "bert-base-multilingual-cased": "text", "dinov2": "image"},
            ("bert-base-multilingual-cased",),
            ["no EfficientNet", "no ConvNeXt", "bert-base-multilingual-cased alone"],
        ),
    ],
)
def test_encoders_that_are_not_there_are_told(
    tmp_path: Path, encoders: dict[str, str], features: tuple[str, ...], words: list[str]
) -> None:
    cache = cache_of(tmp_path / "cache.h5", encoders, np.zeros(3))
    (fits,), notes = origin_grid({"cache": cache})
    assert fits.features == features
    for word in words:
        assert any(word in note for note in notes)


def test_a_cache_without_such_encoders_is_refused(tmp_path: Path) -> None:
    cache = cache_of(tmp_path / "cache.h5", {"dinov2": "image"}, np.zeros(3))
    with pytest.raises(InputError, match=r"holds no EfficientNet or ConvNeXt or BERT \(found dinov2\)"):
        origin_grid({"cache": cache})


def test_a_file_is_read_as_flags(tmp_path: Path) -> None:
    path = grid_file(
        tmp_path,
        """
        posts = "there.csv"
        min-trials = 5
        seed = 3
        drop_invalid = true
        loss = "mse"
        [[fits]]
        features = ["a+b", "c"]
        oversample = ["none", "smoter:k_neighbors=3,threshold=0.7"]
        [[fits]]
        features = "a,c"
        loss = ["bce", "wbce:3"]
        calibration = "none"
        """,
    )
    first, second = read_grid(path, {"seed": 4})
    assert (first.posts, first.min_trials, first.seed, first.drop_invalid) == (Path("there.csv"), 5, 4, True)
    assert (first.features, first.loss, first.model) == (("a+b", "c"), ("mse",), Fit().model)
    assert first.oversample == ("none", "smoter:k_neighbors=3", "threshold=0.7")  # joined again, as from the flag
    assert (second.features, second.loss, second.calibration) == (("a", "c"), ("bce", "wbce:3"), "none")
    assert second.posts == first.posts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("posts = 'p.csv'", ["no [[fits]]"]),
        ("fits = 3", ["no [[fits]]"]),
        ("[[fits]\nmodel = 'ridge'", ["cannot be read", "line 1"]),
        ("targt = 'x'\n[[fits]]", ["unknown key 'targt'", "did you mean 'target'?"]),
        ("[[fits]]\nmodels = ['ridge']", ["did you mean 'model'?"]),
        ("[[fits]]\ntarget = 'like'", ["target holds for all fits", "above the first [[fits]]"]),
        ("[[fits]]\nmodel = 3", ["model = 3", "list of texts"]),
        ("[[fits]]\nmodel = []", ["model = []", "list of texts"]),
        ("[[fits]]\nloss = ['mse', 2]", ["loss = ['mse', 2]", "list of texts"]),
        ("seed = '3'\n[[fits]]", ["seed = '3'", "a whole number"]),
        ("seed = true\n[[fits]]", ["seed = True", "a whole number"]),
        ("drop_invalid = 1\n[[fits]]", ["drop_invalid = 1", "true or false"]),
        ("cache = 1\n[[fits]]", ["cache = 1", "the text of a path"]),
        ("calibration = 'isotone'\n[[fits]]", ["calibration = 'isotone'", "beta"]),
        ("json = true\n[[fits]]", ["unknown key 'json'"]),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, words: list[str]) -> None:
    path = grid_file(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_grid(path, {})
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.toml"], ["none.toml cannot be read", "No such file"]),
        (["--cache", "none.h5"], ["none.h5"]),
        (["--posts", "posts.parquet", "--target", "likes"], ["likes"]),
        (["--posts", "posts.parquet", "--target", "open_photo", "--model", "rigde"], ["did you mean 'ridge'?"]),
        (["small.toml", "--model", "ridge"], ["--model narrows the origin study", "small.toml"]),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder: Path, arguments: list[str], words: list[str]) -> None:
    done = study(folder, *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr
