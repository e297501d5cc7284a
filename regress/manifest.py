"""What a run says of itself: how it was made, what it depends on, how good it is; and its predictions as a table."""

import hashlib
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.config import as_json, canonical_json
from regress.choices import NOTHING
from regress.crossval import Outcome, OutOfFold
from regress.features import Features
from regress.foldfile import code_version
from regress.inference import bootstrap, verdict
from regress.intervals import post_intervals
from regress.metrics import cross_entropy, scores
from regress.trainer import Setup

if TYPE_CHECKING:
    import pandas as pd

    from regress.experiment import Experiment

PACKAGES = ("embed-regress", "numpy", "scikit-learn", "lightgbm", "torch", "timm", "transformers", "h5py")


def describe(experiment: "Experiment", setup: Setup, features: Features, outcome: Outcome) -> dict[str, Any]:
    """The manifest of a run, ready for JSON."""
    target, config, first = experiment.target, experiment.config, outcome.partitions[0]
    scored = first.folds.scored
    y, trials, clusters = target.y[scored], target.trials[scored], experiment.clusters[scored]
    p, mean = _scored(outcome.partitions, "prediction"), _scored(outcome.partitions, "mean")
    interval = bootstrap(y, p, mean, clusters, seed=config.seed)
    judged = verdict(y, p, mean, clusters, seed=config.seed, interval=interval)
    measured = scores(y, p, mean, trials).to_json()
    return {
        "name": name(setup, features),
        "key": experiment.key(setup, features),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "posts": {
            "path": experiment.posts.path.as_posix(),
            "sha256": experiment.posts_sha256,
            "n": len(experiment.posts),
        },
        "target": about(experiment),
        "cache": config.cache.as_posix(),
        "features": [] if setup.model == "mean" else features.names,
        "fingerprints": {block.name: block.fingerprint for block in features.blocks},
        "encoders": {block.name: block.info.to_json() for block in features.blocks if block.info},
        "model": setup.model,
        "settings": dict(setup.settings),
        "members": [member.text for member in setup.members],
        "tuned": {"folds": first.tuned, "final": outcome.tuned} if setup.tune else None,
        "loss": setup.loss.name,
        "oversample": setup.oversample.text,
        "rarity": setup.rarity,
        "calibration": setup.calibration,
        "folds": experiment.folding,
        "config": as_json(config),
        "comparable": comparable(experiment),
        "metrics": {**measured, "d2_low": interval.d2_low, "d2_high": interval.d2_high},
        "fold_losses": fold_losses(target.y, outcome.partitions),
        "intervals": None if setup.model == "mean" else post_intervals(y, p[0], trials),
        "verdict": {"name": judged.name, "why": judged.why},
        "calibrator": outcome.calibration.to_json() if outcome.calibration else None,
        "notes": outcome.notes,
        "seconds": {"features": experiment.reading, **outcome.seconds},
        "environment": environment(),
    }


def name(setup: Setup, features: Features) -> str:
    """ "lgbm:num_leaves=31-bce-all-smoter": what tells runs apart, in the order a reader asks for it."""
    parts = [setup.text] if setup.model == "mean" else [setup.text, setup.loss.name, features.name]
    rarity = f"@{setup.rarity}" if setup.rarity != "raw" else ""
    return "-".join(parts + ([] if setup.oversample == NOTHING else [setup.oversample.text + rarity]))


def about(experiment: "Experiment") -> dict[str, Any]:
    """The target and the posts kept."""
    target = experiment.target
    return {
        "name": target.name,
        "trials": target.trials_name,
        "min_trials": target.min_trials,
        "n": int(experiment.partitions[0].scored.sum()),
        "zeros": int((target.y[experiment.partitions[0].scored] == 0).sum()),
    }


def comparable(experiment: "Experiment") -> str:
    """SHA-256 of what runs must share to be compared: posts, target, folds."""
    return _sha256(
        {
            "posts": experiment.posts_sha256,
            "target": about(experiment),
            "folds": experiment.folding["digest"],
        }
    )


def run_key(experiment: "Experiment", setup: Setup, features: Features) -> str:
    """SHA-256 of all that a run depends on: a run of this key on disk is this run."""
    return _sha256(
        {
            "comparable": comparable(experiment),
            "ground": experiment.ground(features),
            "setup": setup.identity(),
            "members": [member.identity() for member in setup.members],
            "calibration": setup.calibration,
            "leakage": sorted(experiment.rivals),
            "code": code_version(),
        }
    )


def _sha256(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _scored(partitions: list[OutOfFold], what: str) -> NDArray[np.float64]:
    """float64 (repetitions, scored posts) of the predictions, or of the means."""
    return np.stack([getattr(each, what)[each.folds.scored] for each in partitions])


def fold_losses(y: NDArray[np.float64], partitions: list[OutOfFold]) -> dict[str, list[list[float]]]:
    """Mean log loss of each fold that is scored, of the model and of the training mean, by repetition."""
    found: dict[str, list[list[float]]] = {"model": [], "mean": []}
    for each in partitions:
        folds = each.folds
        tests = [rows for k in range(folds.n_folds) if folds.scored[rows := folds.test(k)].all()]
        for what, p in (("model", each.prediction), ("mean", each.mean)):
            found[what].append([float(cross_entropy(y[rows], p[rows]).mean()) for rows in tests])
    return found


def table(experiment: "Experiment", outcome: Outcome) -> "pd.DataFrame":
    """Out-of-fold predictions of the posts that are scored; further repetitions in columns of their own."""
    import pandas as pd

    target, first = experiment.target, outcome.partitions[0]
    scored = np.flatnonzero(first.folds.scored)
    ids = experiment.posts.ids()
    columns: dict[str, Any] = {
        "id": [ids[row] for row in target.rows[scored]],
        "row": target.rows[scored],
        "fold": first.folds.assignment[scored],
        "y": target.y[scored],
        "trials": target.trials[scored],
        "mean": first.mean[scored],
        "raw": first.raw[scored],
        "prediction": first.prediction[scored],
        "cluster": experiment.clusters[scored],
    }
    for r, each in enumerate(outcome.partitions[1:], start=1):
        columns |= {
            f"fold_{r}": each.folds.assignment[scored],
            f"mean_{r}": each.mean[scored],
            f"raw_{r}": each.raw[scored],
            f"prediction_{r}": each.prediction[scored],
        }
    return pd.DataFrame(columns)


def environment() -> dict[str, str]:
    """Versions that a reader needs to repeat a run. No names of hosts or users."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
