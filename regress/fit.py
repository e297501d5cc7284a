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
        "mean, ridge, rff, knn, lgbm, hurdle, hgb, linear, mlp, gated; several: a,b",
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
    target: str | None = option("the activity whose rate is predicted", metavar="ACTIVITY")
    trials: str | None = option("the column the activity is divided by (default: view)", metavar="COLUMN")
    min_trials: int | None = option("leave out posts seen less often than this (default: 1)", metavar="N")
    loss: tuple[str, ...] = option("mse, bce, wbce:ALPHA; several: a,b", ("bce",), metavar="NAME", commas=True)
    oversample: tuple[str, ...] = option(OVERSAMPLE, ("none",), metavar="NAME[:KEY=VALUE,…]", commas=True)
    calibration: Literal["beta", "none"] = option("how predictions are calibrated, out of fold", "beta")
    group: str | None = option("posts that share this column's value are never split over folds", metavar="COLUMN")
    folds: int = option("number of folds", 5, metavar="N")
    seed: int = option("seed of the folds, the samplers and the models", 0, metavar="N")
    drop_invalid: bool = option("leave out rows whose counts cannot be right, instead of stopping", False)
    cache: Path = option("where the embeddings are kept", DEFAULT_CACHE, metavar="FILE")
    out: Path = option("folder that the runs are written to", DEFAULT_RUNS, metavar="FOLDER")
    json: bool = option("print one JSON object at the end instead of the table", False)


@dataclass(frozen=True)
class FittedRuns:
    """The runs of one call, in the order they were fitted."""

    runs: "list[Run]"
    notes: list[str]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        rows = [
            {
                "name": run.name,
                "folder": run.folder.as_posix(),
                "verdict": run.manifest["verdict"]["name"],
                **run.manifest["metrics"],
            }
            for run in self.runs
        ]
        return {"runs": rows, "notes": self.notes, "seconds": round(self.seconds, 3)}

    def __str__(self) -> str:
        width = max(len(run.name) for run in self.runs)
        lines = [
            *(f"note: {note}" for note in self.notes),
            f"{'run':{width}}  {'D²':>6}  {'95 % interval':>15}  verdict",
        ]
        for run in self.runs:
            m = run.manifest["metrics"]
            interval = f"{m['d2_low']:.3f} … {m['d2_high']:.3f}"
            lines.append(f"{run.name:{width}}  {m['d2']:6.3f}  {interval:>15}  {run.manifest['verdict']['name']}")
        folder, what = self.runs[0].folder.parent, "1 run" if len(self.runs) == 1 else f"{len(self.runs)} runs"
        return "\n".join([*lines, f"{what} in {self.seconds:.1f} s, kept in {folder}: see python -m regress.compare"])


def run(config: Fit) -> FittedRuns:
    """Fit every combination of model, loss, sampler and feature set.

    Raises:
        InputError: a name is unknown, the table's counts cannot be right, or the cache lacks these posts.
    """
    from regress.experiment import prepare

    start = time.perf_counter()
    experiment = prepare(config)
    runs = [experiment.fit(setup, features) for setup, features in experiment.setups()]
    return FittedRuns(runs, [*experiment.notes, *_sampler_notes(runs)], time.perf_counter() - start)


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
