"""The report of ten runs on 25,000 posts with a gallery of 60: seconds and bytes beside the aims.

    python tests/benchmarks/report.py [POSTS] [--profile]

Posts have the origin's shape (`simulated.py`) and a JPEG of about 20 kB each. Predictions lie between the mean and what
an oracle knows; the runs around them are written by what writes every run. Wall seconds of `regress.compare`, whose
gallery is read from the table, on the cores that there are.
"""

import cProfile
import io
import os
import pstats
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from simulated import Posts, keep, simulate

from regress import manifest
from regress.calibration import fit_calibration
from regress.compare import Compare
from regress.compare import run as compare
from regress.crossval import Outcome, OutOfFold
from regress.experiment import Experiment
from regress.fit import Fit
from regress.fitted import Fitted
from regress.folds import Folds
from regress.models import Training, model_class
from regress.prepare import prepare
from regress.run import save_run
from regress.trainer import Setup

Array = NDArray[np.float64]
SECONDS, MEGABYTES, GALLERY = 15, 3, 60
SKILL = {"mean": 0.0, "ridge": 0.6, "lgbm": 0.7, "mlp": 0.75}
KNOWN = {"image": 0.6, "text": 0.8, "all": 1.0}  # share of a model's skill that a feature set allows
LEVEL = {"random": 1.6, "smoter": 1.8}  # of the predictions, before they are calibrated


def pictures() -> Callable[[int], bytes]:
    """A JPEG for every content; what follows its end is no part of the picture, but of what is hashed."""
    rng = np.random.default_rng(0)
    drawn = [_jpeg(rng) for _ in range(64)]
    return lambda content: drawn[content % 64] + b"%d" % content


def _jpeg(rng: np.random.Generator) -> bytes:
    coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    picture = Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC)
    picture.save(file, "JPEG", quality=92)
    return file.getvalue()


def write_runs(folder: Path, posts: Posts) -> int:
    """Ten runs; how many there are."""
    rows, out = {"posts": folder / "posts.parquet", "target": "open_photo"}, folder / "runs"
    common = {**rows, "cache": folder / "cache.h5", "out": out, "folds": "5x2"}
    calls = [
        Fit(**common, model=("mean", "ridge", "lgbm"), features=("image", "text", "all")),
        Fit(**common, model=("mlp",), features=("all",)),
        Fit(**common, model=("ridge",), features=("text",), oversample=("random", "smoter")),
    ]
    made = 0
    for call in calls:
        (experiment,) = prepare(call)
        for features in experiment.features:
            for setup, each in experiment.grid.setups([features]):
                if setup.model == "mean" and features is not experiment.features[0]:
                    continue
                outcome = synthetic(experiment, setup, features.name, posts)
                described = manifest.describe(experiment, setup, each, outcome)
                table = manifest.table(experiment, outcome)
                save_run(out / f"run-{made}", described, table, outcome.fitted)
                made += 1
    return made


def synthetic(experiment: Experiment, setup: Setup, features: str, posts: Posts) -> Outcome:
    """Predictions as good as the setup is taken to be, calibrated out of fold as they would be."""
    skill = SKILL[setup.model] * KNOWN[features]
    rng = np.random.default_rng(sum(map(ord, setup.text + features + setup.oversample.text)))
    found = []
    for folds in experiment.partitions:
        mean = np.empty(len(posts.y))
        for k in range(folds.n_folds):
            mean[folds.test(k)] = posts.y[folds.train(k)].mean()
        level = LEVEL.get(setup.oversample.text, 1.0)
        noise = rng.lognormal(0, 0.3 if skill else 0.0, len(mean))
        raw = np.clip((skill * posts.oracle + (1 - skill) * mean) * noise * level, 1e-4, 1 - 1e-4)
        calibrated = _calibrated(raw, posts.y, folds) if setup.model != "mean" else raw
        found.append(OutOfFold(folds, raw, calibrated, mean, [], [], 12.0))
    calibration = fit_calibration("beta", found[0].raw, posts.y) if setup.model != "mean" else None
    seconds = {"folds": 24.0, "final": 3.0, "total": 27.0}
    return Outcome(found, calibration, _fitted(setup, posts), {}, [], seconds)


def _calibrated(raw: Array, y: Array, folds: Folds) -> Array:
    p = np.empty_like(raw)
    for k in range(folds.n_folds):
        test = folds.test(k)
        others = np.setdiff1d(np.arange(len(raw)), test)
        p[test] = fit_calibration("beta", raw[others], y[others]).apply(raw[test])
    return p


def _fitted(setup: Setup, posts: Posts) -> Fitted:
    """A model of that kind from a few rows: its files are read and checked, not used."""
    few = np.arange(400)
    held = few >= 320
    training = Training(posts.X[few], posts.y[few], np.ones(400), None, posts.blocks, held, posts.content[few])
    model = model_class(setup.model)(**setup.settings)
    model.fit(training, setup.loss, 0, model.shared(training.X, None) if model.sharing else None)
    return Fitted(model, None)


def main(n: int = 25_000, *, profile: bool = False) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, posts = Path(name), simulate(n, widths=(64, 64))
        keep(posts, folder, {"efficientnet_b0": "image", "bert-base": "text"}, pictures())
        runs = write_runs(folder, posts)
        out = folder / "report.html"
        print(f"{runs} runs × {n:,} posts, gallery of {GALLERY}, {len(os.sched_getaffinity(0))} cores")
        watch, start, used = cProfile.Profile(), time.perf_counter(), time.process_time()
        if profile:
            watch.enable()
        compare(Compare(runs=folder / "runs", out=out, gallery=GALLERY))
        watch.disable()
        print(f"{'seconds':12}{time.perf_counter() - start:8.1f}   aim: ≤ {SECONDS}")
        print(f"{'CPU-seconds':12}{time.process_time() - used:8.1f}")
        print(f"{'megabytes':12}{out.stat().st_size / 1e6:8.2f}   aim: ≤ {MEGABYTES}")
        if profile:
            pstats.Stats(watch).sort_stats("cumulative").print_stats(45)


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    main(*numbers, profile="--profile" in sys.argv)
