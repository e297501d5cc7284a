"""Command: predict the rates of new posts with a trained run, each with the interval that its rate will fall into.

Posts go through the run's own encoders. What the cache knows is read in milliseconds; of the rest, most of the time
is loading the encoders: a text from the command line takes MARK s on two cores, of which MARK are imports.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.config import InputError, argument, main, option
from data.posts import Posts, PostsOptions, open_posts
from embed.spaces import DEFAULT_CACHE
from regress.fit import DEFAULT_RUNS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from regress.estimator import Predicted, RunRegressor
    from regress.vectors import Embedding, Vectors

SHOWN = 10  # posts on the screen
WIDEST = 40  # characters of an id there


@dataclass(frozen=True, kw_only=True)
class RunArgument:
    """A positional argument that comes before the posts."""

    run: Path | None = argument("folder of a run, or its name below --runs", metavar="RUN")


@dataclass(frozen=True, kw_only=True)
class Predict(PostsOptions, RunArgument):
    """Predict the rates of new posts with a trained run, each with a 90 % interval."""

    image: Path | None = option("one post, in place of a table: its picture", metavar="FILE")
    text: str | None = option("one post, in place of a table: its text", metavar="TEXT")
    out: Path | None = option("where predictions are written: .csv, .parquet or .jsonl", metavar="FILE")
    trials: str | None = option(
        "column of how often each post was seen, for its interval (default: the run's, if the table has it)",
        metavar="COLUMN",
    )
    cache: Path | None = option("where the embeddings are kept (default: the run's cache)", metavar="FILE")
    keep: bool = option("keep the embeddings of new posts of a table in the cache", True)
    weights: tuple[str, ...] = option(
        "weights of an encoder that had them from a file or, for a text, a model folder", (), metavar="NAME=FILE"
    )
    runs: Path = option("folder that runs are looked for in", DEFAULT_RUNS, metavar="FOLDER")
    json: bool = option("print one JSON object at the end instead of the table", False)


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of all posts of a table, in its order."""

    run: str
    target: str
    ids: list[str]
    found: "Predicted"
    embedded: dict[str, int]  # distinct contents, by encoder
    notes: list[str]
    out: Path | None
    seconds: float

    def columns(self) -> dict[str, list[Any]]:
        """One list a column; None where the run has no intervals. `row` is 0 for the first, as in a run's folder."""
        numbers = {name: getattr(self.found, name).tolist() for name in ("prediction", "low", "high", "raw")}
        plain = {name: [None if value != value else value for value in found] for name, found in numbers.items()}
        return {"id": self.ids, "row": list(range(len(self.ids))), **plain}

    def to_json(self) -> dict[str, Any]:
        """With the predictions themselves where no file was asked for."""
        head = {"run": self.run, "target": self.target, "posts": len(self.ids), "embedded": self.embedded}
        tail: dict[str, Any] = {"notes": self.notes, "seconds": round(self.seconds, 3)}
        if self.out:
            return {**head, "out": self.out.as_posix(), **tail}
        columns = self.columns()
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return {**head, "predictions": rows, **tail}

    def __str__(self) -> str:
        lines = [] if self.out else self._table()
        new = ", ".join(f"{n:,} with {name}" for name, n in self.embedded.items())
        done = f"{_count(len(self.ids))} predicted by {self.run} ({self.target}) in {self.seconds:.1f} s"
        lines += [*(f"note: {note}" for note in self.notes), done + (f"; newly embedded: {new}" if new else "")]
        return "\n".join([*lines, f"written to {self.out}"] if self.out else lines)

    def _table(self) -> list[str]:
        ids = [_printable(name) for name in self.ids[:SHOWN]]
        width = max(len("id"), *map(len, ids))
        lines = [f"{'id':{width}}  prediction  90 % interval"]
        found = self.found
        for name, p, low, high in zip(ids, found.prediction, found.low, found.high, strict=False):
            interval = "–" if low != low else f"{low:.4f} … {high:.4f}"
            lines.append(f"{name:{width}}  {p:10.4f}  {interval}")
        more = len(self.ids) - len(ids)
        return [*lines, f"… and {_count(more)} more: pass --out FILE for all"] if more else lines


def _count(n: int) -> str:
    return "1 post" if n == 1 else f"{n:,} posts"


def _printable(name: str) -> str:
    plain = "".join(c if c.isprintable() else "�" for c in name)
    return plain if len(plain) <= WIDEST else plain[: WIDEST - 1] + "…"


def run(config: Predict) -> Predictions:
    """Predict every post of a table, or one.

    Raises:
        InputError: the run is damaged, the posts or the cache do not fit it, or the file cannot be written.
    """
    from regress import load
    from regress.output import check_out, write
    from regress.runs import find_run

    start = time.perf_counter()
    if config.run is None:
        raise InputError("no run is named: expected the folder of one, or its name below --runs: see regress.compare")
    if config.out:
        check_out(config.out)
    _check_one(config)
    regressor = load(find_run(config.run, config.runs))
    with tempfile.TemporaryDirectory() as scratch, _one_table(config, Path(scratch)) as options:
        posts = open_posts(options)
        trials, notes = _trials(posts, config.trials, regressor.entry_.ground.trials)
        embedding = _embedding(config, regressor, Path(scratch))
        vectors, embedded = embedding.read(posts, regressor.encoders_, regressor.entry_.name)
        found = regressor.predict_interval(_matrix(vectors, len(posts)), trials)
        notes = [*_notes(posts, regressor, vectors), *notes]
        ids = posts.ids()
    made = Predictions(
        run=regressor.entry_.name,
        target=regressor.entry_.ground.target,
        ids=ids,
        found=found,
        embedded=embedded,
        notes=notes,
        out=config.out,
        seconds=time.perf_counter() - start,
    )
    if config.out:
        write(config.out, made.columns())
    return made
