"""Command: fit a whole grid on cached embeddings; with no file, the study this project grew out of.

That study trained 14 networks for a week. Here each fit is one of `regress.fit`, kept as a run, and a fit that is kept
already is not made again: a study that was stopped goes on where it was.
"""

import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from data.config import InputError, argument, main, option
from data.posts import PostsOptions
from regress.fit import DEFAULT_RUNS

if TYPE_CHECKING:
    from regress.ranking import Row

CSV = "study.csv"
AXES = ("model", "loss", "oversample")


@dataclass(frozen=True, kw_only=True)
class Study(PostsOptions):
    """Fit a grid of models: the origin study's on the encoders in the cache, or what a TOML file describes."""

    study: Path | None = argument(
        "TOML: flags of regress.fit, and [[fits]] of features, model, loss, oversample (default: the origin study)",
        metavar="STUDY.toml",
    )
    posts: Path | None = option("table of posts: .csv, .tsv or .parquet (default: the demo posts)", metavar="POSTS")
    target: str | None = option("the activity whose rate is predicted", metavar="ACTIVITY")
    trials: str | None = option("the column the activity is divided by (default: view)", metavar="COLUMN")
    min_trials: int | None = option("leave out posts seen less often than this (default: 1)", metavar="N")
    model: tuple[str, ...] = option(
        "models of the origin study (default: linear, mlp, lgbm, and mean once)", (), metavar="NAME", commas=True
    )
    loss: tuple[str, ...] = option(
        "losses of the origin study (default: mse, bce, wbce:2, wbce:3, wbce:4)", (), metavar="NAME", commas=True
    )
    oversample: tuple[str, ...] = option(
        "oversampling of the origin study (default: none, random, smoter, dense-weights)",
        (),
        metavar="NAME[:KEY=VALUE,…]",
        commas=True,
    )
    group: str | None = option("posts that share this column's value are never split over folds", metavar="COLUMN")
    folds: str | None = option("number of folds, and of repetitions: 5, or 5x2 (default: 5)", metavar="N[xR]")
    seed: int | None = option("seed of the folds, the samplers and the models (default: 0)", metavar="N")
    drop_invalid: bool = option("leave out rows whose counts cannot be right, instead of stopping", False)
    refit: bool = option("fit again what is kept already", False)
    cache: Path | None = option("where the embeddings are kept (default: cache.h5)", metavar="FILE")
    out: Path | None = option(f"folder that the runs are written to (default: {DEFAULT_RUNS})", metavar="FOLDER")
    log: Literal["mlflow"] | None = option("log each run there too (extra: mlflow)")
    json: bool = option("print one JSON object at the end instead of the table", False)

    def given(self) -> dict[str, Any]:
        """The flags of `regress.fit` that were given."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        own = ("study", "json")
        return {name: value for name, value in values.items() if name not in own and value not in (None, (), False)}


@dataclass(frozen=True)
class Studied:
    """All fits of a study, best D² first, and where they are kept."""

    rows: "list[Row]"
    fitted: int
    skipped: int  # fits that an earlier call had made
    notes: list[str]
    seconds: float
    csv: Path

    def to_json(self) -> dict[str, Any]:
        counts = {"fitted": self.fitted, "skipped": self.skipped, "seconds": round(self.seconds, 3)}
        return {"runs": [row.to_json() for row in self.rows], "notes": self.notes, **counts}

    def __str__(self) -> str:
        from regress.origin import POSTS
        from regress.ranking import swapped_best, table

        notes = [*self.notes, *([POSTS] if any(row.origin for row in self.rows) else [])]
        done = f"{self.fitted} fits in {self.seconds:.1f} s, {self.skipped} were there already"
        return "\n".join(
            [
                *(f"note: {note}" for note in notes),
                *table(self.rows),
                swapped_best(self.rows),
                f"{done}; table: {self.csv}; report: python -m regress.compare --runs {self.csv.parent}",
            ]
        )


def run(config: Study) -> Studied:
    """Make every fit of the grid that is not kept yet.

    Raises:
        InputError: the TOML file is wrong, or what `regress.fit` refuses.
    """
    from regress.fit import run as fit
    from regress.grid import origin_grid, read_grid
    from regress.ranking import ranked, write_csv

    start = time.perf_counter()
    given = config.given()
    if config.study is None:
        grid, notes = origin_grid(given)
    elif narrowed := [name for name in AXES if name in given]:
        raise InputError(f"--{narrowed[0]} narrows the origin study: write {narrowed[0]} into {config.study} instead")
    else:
        grid, notes = read_grid(config.study, given), []
    made = [fit(fits) for fits in grid]  # one after the other: each says on the terminal how far it is
    notes += dict.fromkeys(note for each in made for note in each.notes)
    rows = ranked({run.folder: run for each in made for run in each.runs}.values())
    path = grid[0].out / CSV
    write_csv(rows, path)
    skipped = sum(each.skipped for each in made)
    fitted = sum(len(each.runs) for each in made) - skipped
    return Studied(rows, fitted, skipped, notes, time.perf_counter() - start, path)


if __name__ == "__main__":
    sys.exit(main(Study, run))
