"""Regressors on cached features beside what they replace: ratios of one run, and the aims of the design.

    python tests/benchmarks/regression.py [POSTS] [SECTION …]

Sections, all without arguments: folds, boosting, ridge, stack, study. The posts are those of `simulated.py`, 25,000 ×
1,536 unless told otherwise (the study: 94 % as many, as the origin had 23,527). CPU-seconds of one thread, but for the
study, whose wall seconds are those of a user on this machine.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import torch
from simulated import Posts, keep, simulate
from sklearn.linear_model import RidgeCV
from threadpoolctl import threadpool_limits

from regress import linear
from regress.fit import Fit
from regress.fit import run as fit
from regress.folds import make_folds
from regress.losses import Loss
from regress.metrics import d2
from regress.models import Training, model_class
from regress.study import Study
from regress.study import run as study

FOLDS = 5
DEFAULTS: dict[str, Any] = {"objective": "cross_entropy", "num_threads": 1, "verbosity": -1}
STUDY = {"efficientnet_b0": "image", "convnext_tiny": "image", "bert-base-multilingual-cased": "text"}
LOSSES = ("mse", "bce", "wbce:2", "wbce:3", "wbce:4")
PATH = 16  # penalties
BCE, MSE = Loss.parse("bce"), Loss.parse("mse")


def cpu_seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def partition(posts: Posts) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows of five folds, reposts purged from training."""
    (folds,) = make_folds(posts.y, None, posts.content[:, None], n_folds=FOLDS)
    return [(folds.train(k), folds.test(k)) for k in range(FOLDS)]


def told(what: str, value: str, aim: str) -> None:
    print(f"    {what:58}{value:>14}   {aim}", flush=True)


def bench_folds(posts: Posts) -> None:
    """The Datasets of five folds: subsets of one binning, or each binned anew."""
    shared_seconds, shared = cpu_seconds(lambda: model_class("lgbm")().shared(posts.X, None))
    parts = [train for train, _ in partition(posts)]
    subsets, _ = cpu_seconds(lambda: [shared.subset(rows).construct() for rows in parts])
    fresh, _ = cpu_seconds(
        lambda: [
            lightgbm.Dataset(posts.X[rows], posts.y[rows], params={"num_threads": 1, "verbosity": -1}).construct()
            for rows in parts
        ]
    )
    told("five fresh binnings with LightGBM's defaults, CPU-s", f"{fresh:.2f}", "")
    told("the one shared binning, CPU-s", f"{shared_seconds:.2f}", "")
    told("five subsets of it, CPU-s", f"{subsets:.3f}", "")
    told("fresh binnings / subsets", f"{fresh / subsets:.0f} ×", "aim: ≥ 100 ×")
    told("fresh binnings / (binning + subsets)", f"{fresh / (shared_seconds + subsets):.1f} ×", "")


def training(posts: Posts, rows: np.ndarray, *, held: float) -> Training:
    """The training part of a fold, with a share of the contents held out for early stopping."""
    watched = np.random.default_rng(0).random(len(posts.y)) < held
    where = watched[posts.content[rows]]
    ones = np.ones(len(rows))
    return Training(posts.X[rows], posts.y[rows], ones, rows, posts.blocks, where, posts.content[rows])


def score(posts: Posts, parts: list[tuple[np.ndarray, np.ndarray]], p: np.ndarray) -> float:
    mean = np.empty(len(posts.y))
    for train, test in parts:
        mean[test] = posts.y[train].mean()
    return d2(posts.y, p, mean)


def bench_boosting(posts: Posts) -> None:
    """Five folds of `lgbm`, binning included, and of LightGBM as it comes: 100 trees, each fold binned anew."""
    parts = partition(posts)

    def ours() -> np.ndarray:
        p = np.empty(len(posts.y))
        shared = model_class("lgbm")().shared(posts.X, None)
        for train, test in parts:
            model = model_class("lgbm")()
            model.fit(training(posts, train, held=0.15), BCE, 0, shared)
            p[test] = model.predict(posts.X[test])
        return p

    def theirs() -> np.ndarray:
        p = np.empty(len(posts.y))
        for train, test in parts:
            data = lightgbm.Dataset(posts.X[train], posts.y[train], params=dict(DEFAULTS))
            p[test] = lightgbm.train(dict(DEFAULTS), data, num_boost_round=100).predict(posts.X[test], num_threads=1)
        return p

    (seconds, p), (default, q) = cpu_seconds(ours), cpu_seconds(theirs)
    gain = score(posts, parts, p) - score(posts, parts, q)
    told("LightGBM's defaults, five folds, CPU-s", f"{default:.1f}", f"D² {score(posts, parts, q):.3f}")
    told("lgbm, five folds and their one binning, CPU-s", f"{seconds:.1f}", f"D² {score(posts, parts, p):.3f}")
    told("defaults / lgbm, CPU", f"{default / seconds:.1f} ×", "aim: ≥ 10 ×")
    told("D² gained", f"{gain:+.3f}", "aim: ≥ -0.005")


def bench_ridge(posts: Posts) -> None:
    """Leave-one-out over the same penalties on the same matrix: ours, and scikit-learn's RidgeCV.

    Ours minimises mean squared error + λ‖θ‖², RidgeCV the sum + α‖θ‖²: α = n λ.
    """
    X = (posts.X - posts.X.mean(axis=0)) / posts.X.std(axis=0)
    rows = np.arange(len(X))
    part = Training(X, posts.y, np.ones(len(X)), rows, posts.blocks, np.zeros(len(X), bool), None)
    projecting, (_, Z) = cpu_seconds(lambda: linear.Projection.fit(part))
    # scaled as the projection scales, to a total variance of 1, so that the path's penalties are of the right size
    whole = np.asarray(X, dtype=np.float64) / np.sqrt(X.shape[1])
    penalties = np.geomspace(1e-1, 1e-6, PATH)  # the default's range, twice as fine
    alphas = len(X) * penalties
    for what, matrix in ((f"{X.shape[1]:,} columns", whole), (f"{Z.shape[1]} components", Z)):
        seconds, penalty = cpu_seconds(lambda matrix=matrix: linear.choose_penalty(matrix, part, MSE, penalties))
        theirs, cv = cpu_seconds(lambda matrix=matrix: RidgeCV(alphas).fit(matrix, posts.y))
        if matrix is whole:
            on_whole = theirs
        same = "same λ" if np.isclose(cv.alpha_ / len(X), penalty) else f"λ {penalty:g} and {cv.alpha_ / len(X):g}"
        told(f"{what}: path of {len(alphas)} λ, CPU-s", f"{seconds:.2f}", f"{same}: {penalty:.3g}")
        told(f"{what}: RidgeCV, CPU-s", f"{theirs:.2f}", "")
        told(f"{what}: RidgeCV / path", f"{theirs / seconds:.1f} ×", "aim: ≥ 10 ×, same λ")
    told("RidgeCV on all columns / (projection + path), CPU", f"{on_whole / (projecting + seconds):.1f} ×", "")


def bench_stack(posts: Posts) -> None:
    """`regress.fit --model stack` as a user runs it: five folds of each member, and their fits on all posts."""
    with tempfile.TemporaryDirectory() as name:
        table, cache = keep(posts, Path(name), {"image": "image", "text": "text"})
        config = Fit(posts=table, cache=cache, target="open_photo", model=("stack",), out=Path(name) / "runs")
        seconds, made = cpu_seconds(lambda: fit(config))
        run = made.runs[0]
        mean = run.predictions()["mean"].to_numpy()
    oracle = d2(posts.y, posts.oracle, mean)
    reached = run.manifest["metrics"]["d2"]
    told("oracle", "", f"D² {oracle:.3f}")
    told(run.name, "", f"D² {reached:.3f}")
    told("share of the oracle's D²", f"{reached / oracle:.1%}", "aim: ≥ 90 %")
    told("five folds and the fits on all posts, CPU-s", f"{seconds:.1f}", "aim: ≤ 60")
    told("of these a fold, CPU-s", f"{seconds / (FOLDS + 1):.1f}", "")


def bench_study(posts: Posts) -> None:
    """Fourteen fits of the origin's kind for each of the study's models, from the cache to the table."""
    del posts
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, cache = keep(simulate(int(0.94 * SIZE), (1280, 768, 768)), folder, STUDY)
        for model in ("lgbm", "linear", "mlp"):
            grid = folder / f"{model}.toml"
            grid.write_text(
                f'model = "{model}"\n[[fits]]\nfeatures = ["efficientnet_b0", "convnext_tiny"]\nloss = {list(LOSSES)}\n'
                f'[[fits]]\nfeatures = "convnext_tiny+bert-base-multilingual-cased"\nloss = {list(LOSSES[1:])}\n',
                encoding="utf-8",
            )
            config = Study(study=grid, posts=table, cache=cache, target="open_photo", out=folder / "runs")
            seconds, made = cpu_seconds(lambda config=config: study(config))
            told(f"{made.fitted} fits of {model}, five folds each, wall s", f"{made.seconds:.0f}", "aim: < 180")
            told(f"{made.fitted} fits of {model}, CPU-s", f"{seconds:.0f}", f"best D² {made.rows[0].d2:.3f}")


SECTIONS = {
    "folds": bench_folds,
    "boosting": bench_boosting,
    "ridge": bench_ridge,
    "stack": bench_stack,
    "study": bench_study,
}
SIZE = 25_000


def main(n: int, sections: list[str]) -> None:
    posts = simulate(n)
    print(f"{n:,} posts × {posts.X.shape[1]:,}, oracle D² {posts.statistics()['D² of the oracle']:.3f}")
    torch.set_num_threads(1)
    for name in sections or SECTIONS:
        print(name)
        if name == "study":
            SECTIONS[name](posts)
        else:
            with threadpool_limits(1):
                SECTIONS[name](posts)


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    SIZE = numbers[0] if numbers else SIZE
    main(SIZE, [word for word in sys.argv[1:] if not word.isdigit()])
