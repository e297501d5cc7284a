"""Read the runs that are compared: find them, refuse what cannot be compared, line up their predictions.

Two runs say something about each other only when the same posts were predicted from the same folds; everything else
is an error that names the difference, since a table of unlike runs looks just as convincing.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.config import InputError
from data.names import unknown
from regress.run import MANIFEST, Run, load_run

if TYPE_CHECKING:
    import pandas as pd

SCORES = (
    *("d2", "d2_low", "d2_high", "log_loss", "log_loss_mean", "log_loss_floor"),
    *("mse", "mae", "sera", "spearman", "bias"),
)
REFERENCE = "mean"  # the model that predicts the training mean
SHOWN_DIGEST = 8
COLUMNS = {  # of predictions.parquet, beside the ids
    "row": np.int64,
    "y": np.float64,
    "trials": np.float64,
    "mean": np.float64,
    "prediction": np.float64,
    "cluster": np.int64,
}


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
    created: str
    comparable: str
    config: dict[str, Any]  # flags of the command that fitted it
    fingerprints: dict[str, str]  # of the encoders
    environment: dict[str, str]  # versions of packages
    files: dict[str, str]  # SHA-256
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


@dataclass(frozen=True)
class Predictions:
    """Out-of-fold predictions of all runs of a comparison, post by post."""

    ids: list[str]
    rows: NDArray[np.int64]  # (n,) row in the table of posts, 0 for the first
    y: NDArray[np.float64]  # (n,) rates
    trials: NDArray[np.float64]  # (n,)
    mean: NDArray[np.float64]  # (n,) the training mean of each post's fold
    clusters: NDArray[np.int64]  # (n,) posts that share a picture, a text or a group
    p: NDArray[np.float64]  # (runs, n), in the order of the entries


def choose(named: Sequence[Path], runs: Path) -> tuple[list[Entry], list[Entry]]:
    """The runs to compare, best D² first, and those left out because they are on other posts, targets or folds.

    Named runs are all compared. Of all runs below `runs` it is those comparable with the one created last.

    Raises:
        InputError: there are no runs, one is damaged, or the named ones cannot be compared.
    """
    folders = dict.fromkeys(_find(name, runs) for name in named) if named else _folders(runs)
    if not folders:
        raise InputError(f"no runs in {str(runs)!r}: run python -m regress.fit --model lgbm first")
    entries = [read_entry(folder) for folder in folders]
    first = entries[0] if named else max(entries, key=lambda entry: (entry.created, entry.run.folder.name))
    others = [entry for entry in entries if entry.comparable != first.comparable]
    if named and others:
        raise InputError(_incomparable(first, others[0]))
    return _ordered([entry for entry in entries if entry.comparable == first.comparable]), others


def read_entry(folder: Path) -> Entry:
    """One run folder, its files verified.

    Raises:
        InputError: no run is there, or it is damaged.
    """
    run = load_run(folder)
    m = run.manifest
    try:
        metrics, calibrator = {"sera": None, **m["metrics"]}, m["calibrator"]  # older runs have no SERA
        return Entry(
            run=run,
            name=str(m["name"]),
            model=str(m["model"]),
            features=tuple(str(name) for name in m["features"]),
            loss=str(m["loss"]),
            oversample=str(m["oversample"]),
            calibration=str(m["calibration"]),
            calibrator=calibrator and {str(name): float(value) for name, value in calibrator.items()},
            scores={name: _number(metrics[name]) for name in SCORES},
            outside=int(metrics.get("outside") or 0),
            verdict=str(m["verdict"]["name"]),
            why=str(m["verdict"]["why"]),
            seconds=float(m["seconds"]["total"]),
            created=str(m["created"]),
            comparable=str(m["comparable"]),
            config=dict(m["config"]),
            fingerprints=_texts(m["fingerprints"]),
            environment=_texts(m["environment"]),
            files=_texts(m["files"]),
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
    )


def _texts(value: dict[str, Any]) -> dict[str, str]:
    return {str(name): str(text) for name, text in value.items()}


def _number(value: Any) -> float | None:
    """A finite number, or None for what JSON cannot say."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return float(value) if math.isfinite(value) else None


def _joined(values: list[Any]) -> str:
    shown = [value[:SHOWN_DIGEST] + "…" if isinstance(value, str) and len(value) == 64 else value for value in values]
    return "/".join("none" if value is None else str(value) for value in shown)


def _folders(runs: Path) -> dict[Path, None]:
    """Folders below `runs`, but hidden ones: those are still being written."""
    if not runs.is_dir():
        return {}
    return dict.fromkeys(path for path in sorted(runs.iterdir()) if path.is_dir() and not path.name.startswith("."))


def _find(name: Path, runs: Path) -> Path:
    """The folder of a named run: a path, or the name of a folder below `runs`."""
    if name.exists():
        return Path(*name.parts)
    if (runs / name).is_dir():
        return runs / name
    raise InputError(unknown(str(name), [folder.name for folder in _folders(runs)], "run"))


def _incomparable(first: Entry, other: Entry) -> str:
    what = first.ground.differences(other.ground) or ["what was compared with (their digests differ)"]
    return (
        f"runs {first.run.folder.name!r} and {other.run.folder.name!r} cannot be compared: they differ in "
        f"{', '.join(what)}: name runs of the same posts, target and folds"
    )


def _ordered(entries: list[Entry]) -> list[Entry]:
    """Best D² first; where two runs have one name, they go by their folders' names."""
    times = Counter(entry.name for entry in entries)
    named = [replace(entry, name=entry.run.folder.name) if times[entry.name] > 1 else entry for entry in entries]

    def rank(entry: Entry) -> tuple[bool, float, str]:
        d2 = entry.scores["d2"]
        return d2 is None, -(d2 or 0.0), entry.name

    return sorted(named, key=rank)


def leader(entries: Sequence[Entry]) -> int:
    """The run a comparison is about: the best useful one, else the best that is not the mean, else the first."""
    models = [i for i, entry in enumerate(entries) if not entry.is_reference]
    useful = [i for i in models if entries[i].verdict == "USEFUL"]
    return next(iter([*useful, *models]), 0)


def read_predictions(entries: Sequence[Entry]) -> Predictions:
    """Line up the runs' predictions.

    Raises:
        InputError: a file cannot be read, or the runs' posts differ although they claim the same ground.
    """
    tables = [_table(entry) for entry in entries]
    first = tables[0]
    for entry, table in zip(entries, tables, strict=True):
        if not all(np.array_equal(table[name], first[name]) for name in ("row", "y", "trials")):
            raise InputError(f"{entry.run.folder} and {entries[0].run.folder} hold different posts: fit both again")
    return Predictions(
        ids=[str(name) for name in first["id"]],
        rows=first["row"].to_numpy(),
        y=first["y"].to_numpy(),
        trials=first["trials"].to_numpy(),
        mean=first["mean"].to_numpy(),
        clusters=first["cluster"].to_numpy(),
        p=np.stack([table["prediction"].to_numpy() for table in tables]),
    )


def _table(entry: Entry) -> "pd.DataFrame":
    """Predictions with the types they must have, every number finite."""
    try:
        table = entry.run.predictions().astype(COLUMNS)
        finite = bool(np.isfinite(table[list(COLUMNS)].to_numpy()).all()) and len(table) > 0
    except (KeyError, ValueError, TypeError, OSError) as why:
        raise InputError(f"{entry.run.folder}: its predictions cannot be read ({_line(why)}): fit again") from None
    if not finite or "id" not in table:
        raise InputError(f"{entry.run.folder}: its predictions lack ids or numbers: fit again")
    return table


def _line(why: Exception) -> str:
    return " ".join(str(why).split())[:200]
