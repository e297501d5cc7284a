"""A run as comparisons see it: what its manifest says, checked and typed.

A manifest is JSON that anyone may have edited: whatever is missing or of the wrong kind is one line that names the
file. What older versions did not write is None, so that their runs can still be compared.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.config import InputError, canonical_json
from regress.intervals import PostIntervals
from regress.run import MANIFEST, Run, load_run

SCORES = (
    *("d2", "d2_low", "d2_high", "d2_trials", "log_loss", "log_loss_mean", "log_loss_floor"),
    *("miscalibration", "discrimination", "mse", "mae", "mae_rare", "sera", "spearman", "lift", "bias"),
)
# scores that older runs do not have
LATER = dict.fromkeys(("sera", "d2_trials", "miscalibration", "discrimination", "mae_rare", "lift"))
# what a run is but for its features
SETUP = ("model", "settings", "members", "loss", "oversample", "rarity", "calibration")
REFERENCE = "mean"  # the model that predicts the training mean
SHOWN_DIGEST = 8


@dataclass(frozen=True, eq=False)
class FoldLosses:
    """Mean log loss (repetitions, folds) on the tested rows of each fold, of the model and of the training mean."""

    model: NDArray[np.float64]
    mean: NDArray[np.float64]


@dataclass(frozen=True)
class Ground:
    """What runs must share to be compared: the posts, the target and the folds."""

    path: str  # of the table of posts, as it was named when the run was fitted
    sha256: str
    posts: int  # rows of the table
    target: str  # "open_photo / view"
    trials: str
    min_trials: int
    n: int  # posts that were predicted
    zeros: int  # how many of them have a rate of 0
    folds: int
    seed: int
    group: str | None
    digest: str  # of the assignment of posts to folds
    purged: int  # training rows left out over all folds, since their picture or text is also in the test part
    repeats: int  # of the folds
    time: str | None  # the column that folds follow each other by

    def differences(self, other: "Ground") -> list[str]:
        """In words, what makes runs on these two grounds incomparable."""

        def told(what: str, *names: str) -> list[str]:
            mine, theirs = ([getattr(ground, name) for name in names] for ground in (self, other))
            return [] if mine == theirs else [f"{what} ({_joined(mine)} and {_joined(theirs)})"]

        return [
            *told("posts", "sha256"),
            *told("target", "target"),
            *told("trials", "trials"),
            *told("min-trials", "min_trials"),
            *told("posts kept", "n", "zeros"),
            *told("time", "time"),
            *told("folds", "folds", "seed", "group", "digest"),
        ]


@dataclass(frozen=True)
class Entry:
    """One run of a comparison: what was fitted and how well it did."""

    run: Run
    name: str
    model: str
    features: tuple[str, ...]
    loss: str
    oversample: str
    calibration: str
    calibrator: dict[str, float] | None
    scores: dict[str, float | None]  # SCORES; None where the score is not defined
    outside: int  # predictions outside (0, 1), clipped for the log loss
    verdict: str
    why: str
    seconds: float
    seconds_by: dict[str, float]  # of reading the features, not in `seconds`; of the folds, of the final fit
    created: str
    comparable: str
    config: dict[str, Any]  # flags of the command that fitted it
    fingerprints: dict[str, str]  # of the encoders
    modalities: dict[str, str]  # "image", "text" or "statistics" of each encoder, as far as it is known
    setup: str  # canonical JSON of all that was fitted, but the features
    environment: dict[str, str]  # versions of packages
    files: dict[str, str]  # SHA-256
    fold_losses: FoldLosses | None
    intervals: PostIntervals | None
    leakage: dict[str, float]  # D² by the kind of folds, where --leakage asked for them
    ground: Ground

    @property
    def is_reference(self) -> bool:
        return self.model == REFERENCE

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "model": self.model,
            "features": "+".join(self.features),
            "loss": self.loss,
            "oversample": self.oversample,
            **self.scores,
            "verdict": self.verdict,
            "seconds": self.seconds,
        }


def read_entry(folder: Path) -> Entry:
    """One run folder, its files verified.

    Raises:
        InputError: no run is there, or it is damaged.
    """
    run = load_run(folder)
    m = run.manifest
    try:
        metrics, calibrator = LATER | m["metrics"], m["calibrator"]
        return Entry(
            run=run,
            name=str(m["name"]),
            model=str(m["model"]),
            features=tuple(str(name) for name in m["features"]),
            loss=str(m["loss"]),
            oversample=str(m["oversample"]),
            calibration=str(m["calibration"]),
            calibrator=_calibrator(calibrator),
            scores={name: _number(metrics[name]) for name in SCORES},
            outside=int(metrics.get("outside") or 0),
            verdict=str(m["verdict"]["name"]),
            why=str(m["verdict"]["why"]),
            seconds=float(m["seconds"]["total"]),
            seconds_by=_numbers({name: m["seconds"].get(name) for name in ("features", "folds", "final")}),
            created=str(m["created"]),
            comparable=str(m["comparable"]),
            config=dict(m["config"]),
            fingerprints=_texts(m["fingerprints"]),
            modalities={str(name): _modality(info["spec"]) for name, info in (m.get("encoders") or {}).items()},
            setup=canonical_json({name: m.get(name) for name in SETUP} | {"tune": m["config"].get("tune")}),
            environment=_texts(m["environment"]),
            files=_texts(m["files"]),
            fold_losses=_fold_losses(m.get("fold_losses")),
            intervals=PostIntervals.from_json(m["intervals"]) if m.get("intervals") else None,
            leakage=_numbers({str(kind): found["d2"] for kind, found in (m.get("leakage") or {}).items()}),
            ground=_ground(m),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as why:
        raise InputError(f"{folder / MANIFEST} is damaged ({why!r}): fit again") from None


def _ground(m: dict[str, Any]) -> Ground:
    posts, target, folds = m["posts"], m["target"], m["folds"]
    return Ground(
        path=str(posts["path"]),
        sha256=str(posts["sha256"]),
        posts=int(posts["n"]),
        target=str(target["name"]),
        trials=str(target["trials"]),
        min_trials=int(target["min_trials"]),
        n=int(target["n"]),
        zeros=int(target["zeros"]),
        folds=int(folds["n"]),
        seed=int(folds["seed"]),
        group=None if folds["group"] is None else str(folds["group"]),
        digest=str(folds["digest"]),
        purged=int(folds["purged"]),
        repeats=int(folds.get("repeats", 1)),
        time=None if folds.get("time") is None else str(folds["time"]),
    )


def _fold_losses(value: dict[str, Any] | None) -> FoldLosses | None:
    """Raises `ValueError` unless both are finite numbers of one shape."""
    if value is None:
        return None
    model, mean = (np.array(value[name], dtype=np.float64) for name in ("model", "mean"))
    if model.ndim != 2 or model.shape != mean.shape or not np.isfinite([model, mean]).all():
        raise ValueError("fold_losses are not finite numbers by repetition and fold")
    return FoldLosses(model, mean)


def _calibrator(values: dict[str, Any] | None) -> dict[str, float] | None:
    """The numbers of a calibration; of isotonic steps, how many there are."""
    if values is None:
        return None
    if values.get("kind") == "isotonic":
        return {"steps": float(len(values["p"]))}
    return {str(name): float(value) for name, value in values.items() if name != "kind"}


def _modality(spec: dict[str, Any]) -> str:
    """What an encoder reads; statistics of pictures or texts are a modality of their own."""
    return "statistics" if spec.get("family") == "statistics" else str(spec["kind"])


def _texts(value: dict[str, Any]) -> dict[str, str]:
    return {str(name): str(text) for name, text in value.items()}


def _number(value: Any) -> float | None:
    """A finite number, or None for what JSON cannot say."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return float(value) if math.isfinite(value) else None


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    """Those that are known."""
    found = {name: _number(value) for name, value in values.items()}
    return {name: value for name, value in found.items() if value is not None}


def _joined(values: list[Any]) -> str:
    shown = [value[:SHOWN_DIGEST] + "…" if isinstance(value, str) and len(value) == 64 else value for value in values]
    return "/".join("none" if value is None else str(value) for value in shown)
