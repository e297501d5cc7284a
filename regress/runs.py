"""Choose the runs that are compared: find them, refuse what cannot be compared, line up their predictions.

Two runs say something about each other only when the same posts were predicted from the same folds; everything else
is an error that names the difference, since a table of unlike runs looks just as convincing.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.config import InputError
from data.names import unknown
from regress.entry import Entry, read_entry
from regress.metrics import cross_entropy
from regress.run import MANIFEST

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {  # of predictions.parquet, beside the ids
    "row": np.int64,
    "y": np.float64,
    "trials": np.float64,
    "mean": np.float64,
    "prediction": np.float64,
    "cluster": np.int64,
}
RAW = "raw"


@dataclass(frozen=True)
class Predictions:
    """Out-of-fold predictions of all runs of a comparison, post by post."""

    ids: list[str]
    rows: NDArray[np.int64]  # (n,) row in the table of posts, 0 for the first
    y: NDArray[np.float64]  # (n,) rates
    trials: NDArray[np.float64]  # (n,)
    mean: NDArray[np.float64]  # (n,) the training mean of each post's fold
    clusters: NDArray[np.int64]  # (n,) from 0: posts that share a picture, a text or a group
    p: NDArray[np.float64]  # (runs, n), in the order of the entries
    raw: NDArray[np.float64]  # (runs, n) before calibration; p itself where a run kept no others
    repeated: tuple[NDArray[np.float64], ...] = ()  # as p, of further repetitions of the folds

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """(runs, n) log loss of each post, nats, the mean over the repetitions, as a run's scores are."""
        return np.asarray(np.mean([cross_entropy(self.y, p) for p in (self.p, *self.repeated)], axis=0))

    @cached_property
    def squared(self) -> NDArray[np.float64]:
        """(runs, n) squared error of each post, likewise."""
        return np.asarray(np.mean([(p - self.y) ** 2 for p in (self.p, *self.repeated)], axis=0))


def choose(named: Sequence[Path], runs: Path, target: str | None = None) -> tuple[list[Entry], list[Entry]]:
    """The runs to compare, best D² first, and those left out because they are on other posts, targets or folds.

    Named runs are all compared. Of all runs below `runs` it is those comparable with the one asked for last, or the one
    asked for last that predicts `target`, an activity ("open_photo") or a rate ("open_photo / view").

    Raises:
        InputError: there are no runs, one is damaged, or the named ones cannot be compared.
    """
    folders = dict.fromkeys(find_run(name, runs) for name in named) if named else _folders(runs)
    if not folders:
        raise InputError(f"no runs in {str(runs)!r}: run python -m regress.fit --model lgbm first")
    entries = [read_entry(folder) for folder in folders]
    wanted = [entry for entry in entries if target is None or target in _names(entry)]
    if not wanted:
        raise InputError(unknown(target or "", sorted({_names(entry)[0] for entry in entries}), "target"))
    first = wanted[0] if named else max(wanted, key=_asked_for)
    others = [entry for entry in entries if entry.comparable != first.comparable]
    if named and others:
        raise InputError(_incomparable(first, others[0]))
    return _ordered([entry for entry in entries if entry.comparable == first.comparable]), others


def _names(entry: Entry) -> tuple[str, str]:
    """How the target may be called: by its activity, or in full."""
    return entry.ground.target.partition(" / ")[0], entry.ground.target


def _folders(runs: Path) -> dict[Path, None]:
    """Folders below `runs`, but hidden ones: those are still being written."""
    if not runs.is_dir():
        return {}
    return dict.fromkeys(path for path in sorted(runs.iterdir()) if path.is_dir() and not path.name.startswith("."))


def find_run(name: Path, runs: Path) -> Path:
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


def _asked_for(entry: Entry) -> tuple[int, str, str]:
    """When a run was last fitted, or found there by a call that asked for it."""
    return (entry.run.folder / MANIFEST).stat().st_mtime_ns, entry.created, entry.run.folder.name


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
        clusters=np.unique(first["cluster"].to_numpy(), return_inverse=True)[1].astype(np.int64),
        p=np.stack([table["prediction"].to_numpy() for table in tables]),
        raw=np.stack([table[RAW].to_numpy() for table in tables]),
        repeated=tuple(
            np.stack([table[name].to_numpy() for table in tables])
            for name in (f"prediction_{r}" for r in range(1, entries[0].ground.repeats))
            if all(name in table for table in tables)
        ),
    )


def _table(entry: Entry) -> "pd.DataFrame":
    """Predictions with the types they must have, every number finite."""
    try:
        table = entry.run.predictions()
        if RAW not in table and "prediction" in table:
            table[RAW] = table["prediction"]
        repeated = [str(name) for name in table if str(name).startswith("prediction_")]
        kinds: dict[str, Any] = {**COLUMNS, **dict.fromkeys([RAW, *repeated], np.float64)}
        table = table.astype(kinds)
        finite = bool(np.isfinite(table[list(kinds)].to_numpy()).all()) and len(table) > 0
    except (KeyError, ValueError, TypeError, OSError) as why:
        raise InputError(f"{entry.run.folder}: its predictions cannot be read ({_line(why)}): fit again") from None
    if not finite or "id" not in table:
        raise InputError(f"{entry.run.folder}: its predictions lack ids or numbers: fit again")
    return table


def _line(why: Exception) -> str:
    return " ".join(str(why).split())[:200]
