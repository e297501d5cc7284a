"""Command: predict the rates of new posts with a trained run, each with the interval that its rate will fall into.

Posts go through the run's own encoders. What the cache knows is looked up: 25,000 posts take 2.5 s on two cores, 1 s
of it for any number. A new post needs its encoders loaded: one text takes 6 s with MiniLM as PyTorch runs it, and
10 s where OpenVINO, which it has to be compiled for, made the run's vectors; the next 80 take no longer.
"""

import math
import sys
import tempfile
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.config import InputError, argument, main, option
from data.lines import cut, printable
from data.names import unknown
from data.posts import Posts, PostsOptions, open_posts
from embed.spaces import DEFAULT_CACHE
from regress.fit import DEFAULT_RUNS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embed.vectors import Embedding, Vectors
    from regress.estimator import Predicted, RunRegressor

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
        plain = {name: [None if math.isnan(value) else value for value in found] for name, found in numbers.items()}
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
        ids = [cut(printable(name), WIDEST) for name in self.ids[:SHOWN]]
        width = max(len("id"), *map(len, ids))
        lines = [f"{'id':{width}}  prediction  90 % interval"]
        found = self.found
        for name, p, low, high in zip(ids, found.prediction, found.low, found.high, strict=False):
            interval = "–" if math.isnan(low) else f"{low:.4f} … {high:.4f}"
            lines.append(f"{name:{width}}  {p:10.4f}  {interval}")
        more = len(self.ids) - len(ids)
        return [*lines, f"… and {more:,} more: pass --out FILE for all"] if more else lines


def _count(n: int) -> str:
    return "1 post" if n == 1 else f"{n:,} posts"


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
    with tempfile.TemporaryDirectory() as scratch:
        posts = open_posts(_one_post(config, Path(scratch)) if _is_one(config) else config)
        trials, notes = _trials(posts, config.trials, regressor.entry_.ground.trials)
        embedding = _embedding(config, regressor, Path(scratch))
        vectors, embedded = embedding.read(posts, regressor.encoders_, f"run {regressor.entry_.name!r}")
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


def _is_one(config: Predict) -> bool:
    return config.image is not None or config.text is not None


def _check_one(config: Predict) -> None:
    """Refuse what would be ignored beside one post."""
    others = [field.name for field in fields(PostsOptions)]
    others.append("trials")
    given = next((name for name in others if getattr(config, name) is not None), None)
    if _is_one(config) and given:
        flag = "POSTS" if given == "posts" else f"--{given.replace('_', '-')}"
        raise InputError(f"{flag} goes with a table, and --image or --text with one post: leave one of them out")


def _one_post(config: Predict, folder: Path) -> PostsOptions:
    """A table of one row, so that a post from the command line goes the way of all others."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        text = None if config.text is None else config.text.encode().decode()
        if config.image and not config.image.is_file():
            raise InputError(f"--image {str(config.image)!r} is no file: expected a picture")
        photo = config.image.read_bytes() if config.image else None
    except UnicodeEncodeError:
        raise InputError("--text is not UTF-8: expected text in the terminal's encoding, UTF-8") from None
    except OSError as why:
        raise InputError(f"--image {str(config.image)!r} cannot be read ({why.strerror}): check the file") from None
    path = folder / "post.parquet"
    pq.write_table(pa.table({"text": pa.array([text], pa.string()), "photo": pa.array([photo], pa.binary())}), path)
    return PostsOptions(posts=path)


def _embedding(config: Predict, regressor: "RunRegressor", scratch: Path) -> "Embedding":
    """One post's embeddings are thrown away: keeping one row would write the whole cache again."""
    from embed.again import is_writable
    from embed.requests import weights_files
    from embed.vectors import Embedding

    own = Path(str(regressor.entry_.run.manifest.get("cache") or DEFAULT_CACHE))
    cache = config.cache or (own if own.exists() else DEFAULT_CACHE)
    kept = config.keep and not _is_one(config) and is_writable(cache)
    files, names = weights_files(config.weights), [str(info.spec.get("name")) for info in regressor.encoders_]
    for name in files:
        if name not in names:
            raise InputError(f"--weights: {unknown(name, names, 'encoder')}")
    return Embedding(cache, cache if kept else scratch / "cache.h5", files)


def _trials(posts: Posts, named: str | None, usual: str) -> "tuple[NDArray[np.float64] | None, list[str]]":
    """float64 (n,) how often each post was seen, NaN where that is not known or not yet; None: of no post."""
    import numpy as np
    import pandas as pd

    if named:
        posts.require(named, "--trials")
    column = named or usual
    if column not in posts.columns:
        return None, []
    cells = posts.read(column)[column]
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = cells.notna().to_numpy() & ~(np.isfinite(numbers) & (numbers >= 0) & (np.floor(numbers) == numbers))
    if wrong.any():
        first, n = int(wrong.argmax()), int(wrong.sum())
        raise InputError(
            f"{posts.path}, row {first + 1}: {column}={str(cells.iloc[first])[:40]!r}; {n:,} rows like this: "
            "expected whole numbers, 0 or none where a post was not seen yet: fix them or pass another --trials"
        )
    trials = np.where(numbers > 0, numbers, np.nan)
    return trials, [f"intervals are for {int((numbers > 0).sum()):,} posts' own {column}"]


def _matrix(vectors: "list[Vectors]", n: int) -> "NDArray[np.float32]":
    """The run's blocks side by side, float32 (n, d)."""
    import numpy as np

    return np.concatenate([np.empty((n, 0), np.float32), *(each.values for each in vectors)], axis=1)


def _notes(posts: Posts, regressor: "RunRegressor", vectors: "list[Vectors]") -> list[str]:
    """What a user should know of the vectors and of the posts."""
    import numpy as np

    from data.files import sha256_file
    from regress.run import PREDICTIONS

    notes = [note for each in vectors for note in each.notes()]
    bare = np.all([np.isnan(each.values[:, 0]) for each in vectors], axis=0).sum() if vectors else 0
    notes += [f"{_count(int(bare))} with nothing that the run reads: predicted all the same"] if bare else []
    if sha256_file(posts.path) == regressor.entry_.ground.sha256:
        where = regressor.folder / PREDICTIONS
        notes.append(f"the run was fitted on these very posts: predictions of posts it did not see are in {where}")
    return notes


if __name__ == "__main__":
    sys.exit(main(Predict, run))
