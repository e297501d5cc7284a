"""Command: explore a table of posts before anything is embedded or fitted, on one self-contained HTML page.

Every conversion and the ceiling that luck sets on it, trials, copies, pictures by their headers and texts by their
lengths. Nothing is decoded: 25,000 posts with 2.9 GB of pictures as bytes in Parquet take 13 s of CPU and 0.5 GB of
memory, 3 s more with languages; half of it is reading the table, a fifth the ceilings of seven rates.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.config import InputError, main, option
from data.posts import PostsOptions

if TYPE_CHECKING:
    from data.exploration.report import Exploration


@dataclass(frozen=True, kw_only=True)
class Explore(PostsOptions):
    """Explore posts: rates and how far they can be learned at most, trials, copies, pictures and texts."""

    activities: tuple[str, ...] = option(
        "columns of counts (default: as the table declares, VK's seven, or all whole numbers)",
        (),
        metavar="NAME",
        commas=True,
    )
    trials: str | None = option("the column that activities are divided by (default: view)", metavar="COLUMN")
    min_trials: int | None = option("leave out posts seen less often than this (default: 1)", metavar="N")
    tokenizer: Path | None = option("count tokens exactly, by a model's tokenizer.json", metavar="FILE")
    languages: bool = option("name the language of each text (extra: languages)", False)
    out: Path = option("where the page is written", Path("explore.html"), metavar="FILE")
    json: bool = option("print one JSON object instead of the summary", False)


@dataclass(frozen=True)
class Explored:
    """What was found, and where the page is."""

    found: "Exploration"
    out: Path
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {**self.found.to_json(), "page": self.out.as_posix(), "seconds": round(self.seconds, 3)}

    def __str__(self) -> str:
        return f"{self.found.text()}\npage: {self.out}"


def run(config: Explore) -> Explored:
    """Read the table and write the page.

    Raises:
        InputError: the table, a named column or the tokenizer cannot be read, or the page cannot be written.
    """
    from data.exploration.report import render
    from data.files import atomic_write

    start = time.perf_counter()
    if config.out.is_dir():
        raise InputError(f"--out {str(config.out)!r} is a folder: name a file, such as explore.html")
    found = explore(config)
    try:
        with atomic_write(config.out, "w") as file:
            file.write(render(found))
    except OSError as why:
        raise InputError(f"--out {str(config.out)!r} cannot be written ({why.strerror}): name another file") from None
    return Explored(found, config.out, time.perf_counter() - start)


def explore(config: Explore) -> "Exploration":
    """All that is told of the table.

    Raises:
        InputError: as `run`.
    """
    from data.exploration import summary
    from data.exploration.advice import judge, recommend
    from data.exploration.contents import read_contents
    from data.exploration.rates import read_rates
    from data.exploration.report import Exploration
    from data.exploration.texts import detector, tokenizer
    from data.posts import open_posts

    count = tokenizer(config.tokenizer) if config.tokenizer else None
    name = detector() if config.languages else None
    posts = open_posts(config)
    rates = read_rates(posts, config.activities, config.trials, config.min_trials)
    pictures, texts = read_contents(posts, count, name)
    known = None if isinstance(rates, str) else rates
    conversions, rungs = summary.summarise_rates(known) if known else ([], [])
    judged = [judge(each.name, each.posts, each.zeros, _varies(each.spread), each.ceiling) for each in conversions]
    return Exploration(
        path=posts.path,
        posts=len(posts),
        columns=len(posts.columns),
        notes=[rates] if isinstance(rates, str) else rates.notes,
        problems=known.problems if known else [],
        trials=summary.summarise_trials(known) if known else None,
        conversions=conversions,
        judged=judged,
        recommended=recommend(judged),
        declared=posts.declared.target,
        rungs=rungs,
        correlations=summary.correlate(known) if known and known.y else None,
        whole=known.whole if known else False,
        pictures=summary.summarise_pictures(posts, pictures),
        texts=summary.summarise_texts(posts, texts),
        sharing=summary.shared_posts(pictures, texts),
    )


def _varies(spread: Any) -> bool:
    return spread is not None and spread.lowest < spread.highest


if __name__ == "__main__":
    sys.exit(main(Explore, run))
