"""Fixtures of comparisons: a table of posts with pictures, and run folders with predictions of known quality."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from data.config import as_json
from data.files import sha256_file
from regress.fit import Fit
from regress.inference import bootstrap, verdict
from regress.metrics import scores

Array = NDArray[np.float64]
ENCODERS = ["tf_efficientnet_lite0", "all-MiniLM-L6-v2"]
WORDS = "кофе утро скидка новый город photo of a cat — see you tomorrow 😺 the best bread in town"
FOLDS = 5
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;{{ 7*7 }}\x1b[31m"


@dataclass
class World:
    """Simulated posts: a hidden rate each, counts drawn from it, a table on disk; and a writer of runs on them."""

    folder: Path
    n: int = 300
    seed: int = 0
    texts: dict[int, str] = field(default_factory=dict)  # row → text, in place of the drawn one
    pictures: dict[int, bytes | None] = field(default_factory=dict)  # row → bytes, likewise
    ids: dict[int, str] = field(default_factory=dict)
    added: dict[str, Any] = field(default_factory=dict)  # entries that every run's manifest gets besides

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.rate = self.random.beta(0.45, 4.0, self.n)
        self.trials = np.maximum(5, self.random.lognormal(3.5, 1.2, self.n)).astype(np.int64).astype(float)
        self.y = self.random.binomial(self.trials.astype(int), self.rate) / self.trials
        self.fold = self.random.integers(0, FOLDS, self.n)
        self.mean = np.array([self.y[self.fold != k].mean() for k in range(FOLDS)])[self.fold]
        self.path = self.folder / "posts.parquet"
        self.table().to_parquet(self.path, index=False)
        self.sha256 = sha256_file(self.path)

    def table(self) -> pd.DataFrame:
        rows = range(self.n)
        texts = [" ".join(self.random.choice(WORDS.split(), self.random.integers(2, 25))) for _ in rows]
        return pd.DataFrame(
            {
                "id": [self.ids.get(row, f"post-{row}") for row in rows],
                "photo": [self.pictures.get(row, picture(row)) for row in rows],
                "text": [self.texts.get(row, texts[row]) for row in rows],
                "view": self.trials.astype(int),
                "open_photo": np.rint(self.y * self.trials).astype(int),
            }
        )

    def like(self, skill: float, level: float = 1.0) -> Array:
        """Predictions between the mean (skill 0) and the hidden rate (1), times `level`."""
        noise = self.random.lognormal(0, 0.5 * (1 - skill), self.n)
        return np.clip((skill * self.rate + (1 - skill) * self.mean) * noise * level, 1e-4, 1 - 1e-4)

    def collapsed(self) -> Array:
        return self.mean + 1e-5 * self.random.standard_normal(self.n)

    def noise(self) -> Array:
        return self.random.permutation(self.like(0.5))

    def write(self, runs: Path, model: str, p: Array, folder_name: str | None = None, **changes: Any) -> Path:
        """A run folder as regress.run lays it out; `changes` replace entries of its manifest, or of dicts in it."""
        folder = runs / (folder_name or str(changes.get("name", model)))
        folder.mkdir(parents=True)
        self.predictions(p).to_parquet(folder / "predictions.parquet", index=False)
        (folder / "model.txt").write_text("tree\n", encoding="utf-8")
        manifest = self.manifest(model, p)
        for key, value in changes.items():
            nested = isinstance(value, dict) and isinstance(manifest.get(key), dict)
            manifest[key] = manifest[key] | value if nested else value
        if "comparable" not in changes:
            ground = [manifest["posts"]["sha256"], manifest["target"], manifest["folds"]["digest"]]
            manifest["comparable"] = hashlib.sha256(json.dumps(ground).encode()).hexdigest()
        manifest["files"] = {file.name: sha256_file(file) for file in sorted(folder.iterdir())}
        (folder / "run.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False), encoding="utf-8")
        return folder

    def predictions(self, p: Array) -> pd.DataFrame:
        rows = np.arange(self.n)
        ids = [self.ids.get(row, f"post-{row}") for row in range(self.n)]
        columns = {"y": self.y, "trials": self.trials, "mean": self.mean, "raw": p, "prediction": p, "cluster": rows}
        return pd.DataFrame({"id": ids, "row": rows, "fold": self.fold, **columns})

    def manifest(self, model: str, p: Array) -> dict[str, Any]:
        clusters = np.arange(self.n)
        interval = bootstrap(self.y, p, self.mean, clusters)
        judged = verdict(self.y, p, self.mean, clusters)
        metrics = scores(self.y, p, self.mean, self.trials).to_json()
        features = [] if model == "mean" else ENCODERS
        zeros = int((self.y == 0).sum())
        target = {"name": "open_photo / view", "trials": "view", "min_trials": 5, "n": self.n, "zeros": zeros}
        return {
            "format": 1,
            "name": model,
            "created": "2026-11-24T05:00:00+00:00",
            "posts": {"path": self.path.as_posix(), "sha256": self.sha256, "n": self.n},
            "target": target,
            "cache": "cache.h5",
            "features": features,
            "fingerprints": dict.fromkeys(features, "ab" * 32),
            "model": model,
            "loss": "bce",
            "oversample": "none",
            "calibration": "none" if model == "mean" else "beta",
            "folds": {"n": FOLDS, "seed": 0, "digest": "cd" * 32, "purged": 12, "group": None},
            "config": as_json(Fit(posts=self.path, model=("mean", "lgbm"), target="open_photo")),
            "comparable": "",
            "metrics": {**metrics, "d2_low": interval.d2_low, "d2_high": interval.d2_high},
            "verdict": {"name": judged.name, "why": judged.why},
            "calibrator": None if model == "mean" else {"a": 1.1, "b": 0.9, "c": -0.05},
            "seconds": {"folds": 1.25, "final": 0.5, "total": 3.25},
            "environment": {"python": "3.11.2", "numpy": "2.4.1"},
            **self.added,
        }


def picture(row: int) -> bytes:
    """A small PNG that is different for every row."""
    hues = np.random.default_rng(row).integers(40, 230, (2, 3))
    image = Image.new("RGB", (120 + row % 90, 160 - row % 70), tuple(hues[0].tolist()))
    ImageDraw.Draw(image).ellipse((20, 20, 100, 80), fill=tuple(hues[1].tolist()))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[..., World]:
    """Make posts; keyword arguments are those of `World`."""

    def make(**options: Any) -> World:
        return World(folder=tmp_path, **options)

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


def write_six(world: World, runs: Path) -> Path:
    """One run of each kind that a report must tell apart."""
    world.write(runs, "mean", world.mean)
    world.write(runs, "ridge", world.like(0.5), name="ridge-bce-image+text")
    world.write(runs, "lgbm", world.like(0.65), name="lgbm-bce-image+text")
    world.write(runs, "mlp", world.like(0.55, level=0.95), name="mlp-bce-image+text")
    world.write(runs, "mlp", world.collapsed(), name="mlp-mse-image")
    world.write(runs, "ridge", world.noise(), name="ridge-bce-statistics")
    return runs


@pytest.fixture
def six_runs(world: World) -> Path:
    return write_six(world, world.folder / "runs")


@pytest.fixture
def hostile() -> str:
    """Markup, a template expression and a control character."""
    return HOSTILE


@pytest.fixture
def odd(make_world: Callable[..., World]) -> World:
    """60 posts: the texts of rows 3 and 6 are hostile and long, row 4 has no picture, row 5 a broken one."""
    return make_world(n=60, texts={3: HOSTILE, 6: "long " * 3000}, pictures={4: None, 5: b"\xff\xd8\xff broken"})


@pytest.fixture
def write_run(odd: World) -> Callable[..., Path]:
    """`write_run(folder, predictions=None, model="ridge", **manifest changes)` → a run folder on the odd posts."""

    def write(folder: str, p: Any = None, model: str = "ridge", **changes: Any) -> Path:
        predictions = odd.like(0.8) if p is None else np.broadcast_to(np.float64(p), odd.n)
        return odd.write(odd.folder / "runs", model, predictions, folder, **changes)

    return write


@pytest.fixture
def three_runs(write_run: Callable[..., Path]) -> list[Path]:
    """The mean, a ridge at D² 0.25 called useful, and a head that predicts one number."""
    useful = {"name": "USEFUL", "why": "Its loss is below the mean's."}
    collapsed = {"name": "COLLAPSED", "why": "Its predictions hardly vary."}
    flat = {"d2": 0.0, "d2_low": 0.0, "d2_high": 0.0}
    known = {"d2": 0.25, "d2_trials": 0.27, "d2_low": 0.18, "d2_high": 0.31, "log_loss": 0.41, "log_loss_mean": 0.47}
    known |= {"log_loss_floor": 0.35, "mse": 0.012, "mae": 0.071, "sera": 1.5, "spearman": 0.52, "bias": 1.01}
    known |= {"miscalibration": 0.01, "discrimination": 0.04, "mae_rare": 0.3, "lift": 3.1}
    return [
        write_run("mean-1", 0.2, "mean", metrics=known | flat, verdict=collapsed),
        write_run("ridge-1", name="ridge-bce-a+b", features=["a", "b"], metrics=known, verdict=useful),
        write_run("mlp-1", 0.21, "mlp", name="mlp-bce-a", metrics=known | flat | {"d2": -0.01}, verdict=collapsed),
    ]
