"""Command: train models on cached embeddings, out of fold, and keep each as a run.

All models, losses, samplers and feature sets of one call share the posts and the folds, so that their runs can be
compared post by post. 751 posts × 1,700 features × 4 models take seconds, 25,000 a few minutes.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from data.config import main, option
from data.posts import PostsOptions
from data.progress import bar
from embed.extract import DEFAULT_CACHE

if TYPE_CHECKING:
    from regress.run import Run

DEFAULT_RUNS = Path("runs")
OVERSAMPLE = (
    "rare rates made more frequent in the training part: none, random, undersample, smoter, smogn, noise, wercs, "
    "gsmote, adasyn, cmixup, ratio, vae; or weighted: exp-weights, dense-weights, lds-weights, ratio-weights; "
    "with settings: smoter:k_neighbors=10,neighbors_by=image or dense-weights:ess=0.5; several: a,b"
)


@dataclass(frozen=True, kw_only=True)
class Fit(PostsOptions):
    """Train models on cached embeddings and keep their out-of-fold predictions as runs."""

    model: tuple[str, ...] = option(
        "mean, ridge, binridge, rff, knn, lgbm, lgbm-residual, hurdle, hgb, xgboost, catboost, linear, mlp, gated, "
        "attention, stack; several: a,b",
        ("lgbm",),
        metavar="NAME",
        commas=True,
    )
    features: tuple[str, ...] = option(
        "encoders whose vectors are put side by side, A+B; also image, text, statistics, all (the default: all)",
        (),
        metavar="A+B",
        commas=True,
    )
    target: str | None = option("the activity whose rate is predicted; all: each of the seven", metavar="ACTIVITY")
    trials: str | None = option("the column the activity is divided by (default: view)", metavar="COLUMN")
    min_trials: int | None = option("leave out posts seen less often than this (default: 1)", metavar="N")
    loss: tuple[str, ...] = option(
        "mse, bce, wbce:ALPHA, binomial, focal:GAMMA, bmse; several: a,b", ("bce",), metavar="NAME", commas=True
    )
    oversample: tuple[str, ...] = option(OVERSAMPLE, ("none",), metavar="NAME[:KEY=VALUE,…]", commas=True)
    set: tuple[str, ...] = option(
        "a model's settings: key=value for every model that knows the key, or lgbm.num_leaves=31",
        (),
        metavar="KEY=VALUE",
        commas=True,
    )
    tune: int = option("let each model try this many settings on inner folds (extra: tune)", 0, metavar="N")
    rarity: Literal["raw", "shrunken"] = option(
        "rates by which --oversample finds rare posts: as they are, or drawn to the mean by their trials", "raw"
    )
    calibration: Literal["beta", "isotonic", "none"] = option("how predictions are calibrated, out of fold", "beta")
    group: str | None = option("posts that share this column's value are never split over folds", metavar="COLUMN")
    time: str | None = option("train on earlier posts, test on later ones, by this column", metavar="COLUMN")
    leakage: bool = option("score each run on random, grouped and time folds too, side by side", False)
    folds: str = option("number of folds, and of repetitions: 5, or 5x2", "5", metavar="N[xR]")
    seed: int = option("seed of the folds, the samplers and the models", 0, metavar="N")
    drop_invalid: bool = option("leave out rows whose counts cannot be right, instead of stopping", False)
    cache: Path = option("where the embeddings are kept", DEFAULT_CACHE, metavar="FILE")
    refit: bool = option("fit again what is kept already", False)
    out: Path = option("folder that the runs are written to", DEFAULT_RUNS, metavar="FOLDER")
    log: Literal["mlflow"] | None = option("log each run there too (extra: mlflow)")
    json: bool = option("print one JSON object at the end instead of the table", False)


@dataclass(frozen=True)
class FittedRuns:
    """The runs of one call, in the order they were fitted."""

    runs: "list[Run]"
    notes: list[str]
    seconds: float
    skipped: int = 0  # runs that were there already

    def to_json(self) -> dict[str, Any]:
        rows = [
            {
                "name": run.name,
                "folder": run.folder.as_posix(),
                "target": run.manifest["target"]["name"],
                "verdict": run.manifest["verdict"]["name"],
                **run.manifest["metrics"],
                "leakage": run.manifest.get("leakage"),
            }
            for run in self.runs
        ]
        return {"runs": rows, "notes": self.notes, "skipped": self.skipped, "seconds": round(self.seconds, 3)}

    def __str__(self) -> str:
        several = len({run.manifest["target"]["name"] for run in self.runs}) > 1
        names = [f"{run.manifest['target']['name']}: {run.name}" if several else run.name for run in self.runs]
        width = max(map(len, names))
        lines = [
            *(f"note: {note}" for note in self.notes),
            f"{'run':{width}}  {'D²':>6}  {'95 % interval':>15}  {'by trials':>9}  verdict",
        ]
        for name, run in zip(names, self.runs, strict=True):
            m = run.manifest["metrics"]
            interval = f"{m['d2_low']:.3f} … {m['d2_high']:.3f}"
            verdict = run.manifest["verdict"]["name"]
            lines.append(f"{name:{width}}  {m['d2']:6.3f}  {interval:>15}  {m['d2_trials']:9.3f}  {verdict}")
        folder, what = self.runs[0].folder.parent, "1 run" if len(self.runs) == 1 else f"{len(self.runs)} runs"
        there = f", {self.skipped} of them there already" if self.skipped else ""
        done = f"{what} in {self.seconds:.1f} s{there}, kept in {folder}: see python -m regress.compare"
        return "\n".join([*lines, *_leakage_lines(names, self.runs), done])


def _leakage_lines(names: list[str], runs: "list[Run]") -> list[str]:
    """D² on other folds side by side, and how far the random ones flatter."""
    rows = [(name, found) for name, run in zip(names, runs, strict=True) if (found := run.manifest.get("leakage"))]
    if not rows:
        return []
    kinds, width = list(rows[0][1]), max(len(name) for name, _ in rows)
    kinds.sort(key=["random", "purged", "grouped", "time"].index)
    lines = [f"{'D² on folds':{width}}" + "".join(f"  {kind:>8}" for kind in kinds) + f"  {'gap':>8}"]
    for name, found in rows:
        scores = [found[kind]["d2"] for kind in kinds]
        lines.append(f"{name:{width}}" + "".join(f"  {d2:8.3f}" for d2 in [*scores, scores[0] - scores[-1]]))
    return lines


def run(config: Fit) -> FittedRuns:
    """Fit every combination of model, loss, sampler and feature set.

    Raises:
        InputError: a name is unknown, the table's counts cannot be right, the cache lacks these posts, or the log
            cannot be written.
    """
    from regress.log import MlflowLog
    from regress.prepare import prepare

    start = time.perf_counter()
    log = MlflowLog.open() if config.log else None
    experiments = prepare(config)
    work = [(each, *pair) for each in experiments for pair in each.grid.setups(each.features)]
    runs, skipped = [], 0
    with bar(sum(each.fits(setup) for each, setup, _ in work), "fitting", "fits") as shown:
        for experiment, setup, features in work:
            made, was_there = experiment.fit(setup, features, shown.update)
            if was_there:
                shown.skip(experiment.fits(setup))
            if log is not None:
                log.add(made)
            runs.append(made)
            skipped += was_there
    notes = [note for each in experiments for note in each.notes]
    return FittedRuns(runs, [*notes, *_sampler_notes(runs)], time.perf_counter() - start, skipped)


def _sampler_notes(runs: "list[Run]") -> list[str]:
    """What samplers said, each note once for all models; every run keeps its own."""
    from regress.sampling import wording

    told: dict[tuple[str, str], str] = {}
    for run in runs:
        for note in run.manifest["notes"]:
            choice = run.manifest["oversample"]
            told.setdefault((choice, wording(note)), f"{choice}: {note}")
    return list(told.values())


if __name__ == "__main__":
    sys.exit(main(Fit, run))
