"""All conversions of a table: each activity's count over the trials, for the posts whose counts can be right."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data.config import InputError
from data.lines import printable
from data.posts import Posts
from data.targets import TRIALS, activities_of, count_problems, numbers, pair_problems, problem_line

MOST = 16  # conversions on one page


@dataclass(frozen=True)
class Rates:
    """Rates of all posts; NaN where there is none, because counts cannot be right or nobody saw the post."""

    trials_name: str
    least: int  # trials from which a post is used
    trials: NDArray[np.float64]  # (n,), NaN where they cannot be right
    y: dict[str, NDArray[np.float64]]  # activity → (n,)
    invalid: dict[str, int]  # activity → posts whose counts cannot be right
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    whole: bool = False  # the activities add up to the trials in every post

    @property
    def enough(self) -> NDArray[np.bool_]:
        """(n,) posts with enough trials."""
        return np.nan_to_num(self.trials) >= self.least


def read_rates(posts: Posts, activities: tuple[str, ...], trials: str | None, min_trials: int | None) -> Rates | str:
    """Read all counts, or say why the table has none.

    Counts that cannot be right are told as `regress.fit` tells them, and left out.

    Raises:
        InputError: a column that was named is missing, or `min_trials` is below 1.
    """
    least = min_trials if min_trials is not None else posts.declared.min_trials or 1
    if least < 1:
        raise InputError(f"--min-trials {least}: expected 1 or more, a rate needs a trial")
    for name in activities:
        posts.require(name, "--activities")
    seen = trials or posts.declared.trials or TRIALS
    if trials is None and seen not in posts.columns:
        return f"no rates, since there is no column {seen!r} of trials: name it with --trials NAME"
    posts.require(seen, "--trials")
    names, guessed = (list(activities), False) if activities else activities_of(posts, seen)
    names = [name for name in names if name != seen]
    if not names:
        return f"no rates, since there is no column of counts beside {seen!r}: name some with --activities NAME,…"
    notes = [f"the first {MOST} of {len(names)} columns of counts: --activities NAME,… picks"] * (len(names) > MOST)
    return _rates(posts, names[:MOST], seen, least, guessed, notes)


def _rates(posts: Posts, names: list[str], seen: str, least: int, guessed: bool, notes: list[str]) -> Rates:
    table = posts.read(seen, *names)
    ids = posts.ids() if posts.id_column else None
    wrong = count_problems(table[seen], seen)
    problems = [problem_line(*problem, ids) for problem in wrong if problem[0].any()]
    bad = np.any([rows for rows, _ in wrong], axis=0)
    trials = np.where(bad, np.nan, numbers(table[seen]))
    y, invalid, counts = {}, {}, np.zeros(len(table))
    for name in names:
        found = pair_problems(table, name, seen)
        faulty = np.any([rows for rows, _ in found], axis=0)
        if guessed and faulty.mean() > 0.5:
            notes.append(f"{name!r} is no activity: most of its counts cannot be right")
            continue
        new = [problem for problem in found if (problem[0] & ~bad).any()]
        problems += [problem_line(rows & ~bad, describe, ids) for rows, describe in new]
        counted = np.where(faulty, np.nan, numbers(table[name]))
        with np.errstate(divide="ignore", invalid="ignore"):
            y[name] = np.where(trials > 0, counted / trials, np.nan)
        invalid[name] = int(faulty.sum())
        counts += counted
    known = np.isfinite(counts)
    whole = len(y) > 1 and bool(known.any()) and bool(np.all(counts[known] == trials[known]))
    return Rates(seen, least, trials, y, invalid, [printable(line) for line in problems], notes, whole)
