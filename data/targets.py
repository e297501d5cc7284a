"""Counts → rates: an activity's count divided by the trials, for the rows whose counts can be right.

All problems of a table are told in one line. A rate from few trials is mostly noise (of the demo posts 22 % have fewer
than 5), so `min_trials` leaves rows out instead of shrinking them towards the mean.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.config import InputError
from data.posts import Posts

if TYPE_CHECKING:
    import pandas as pd

TRIALS = "view"
ACTIVITIES = ("like", "comment", "hide", "expand", "open_photo", "open", "share_to_message")
FEWEST_POSTS = 20
LARGEST = 2**53  # count: float64 tells no whole number above it from the next


class NothingToLearn(InputError):  # noqa: N818 - an InputError like the others
    """All posts have one rate."""


Problem = tuple[NDArray[np.bool_], Callable[[int], str]]  # which rows, and what is wrong with one of them


@dataclass(frozen=True)
class Target:
    """Rates of the posts kept, in the table's order."""

    name: str  # "open_photo / view"
    rows: NDArray[np.int64]  # (m,) row of each kept post in the table, 0 for the first
    y: NDArray[np.float64]  # (m,) rates in [0, 1]
    trials: NDArray[np.float64]  # (m,) at least min_trials
    trials_name: str
    min_trials: int
    dropped: int  # rows left out because their counts cannot be right


def read_target(
    posts: Posts,
    target: str | None = None,
    trials: str | None = None,
    min_trials: int | None = None,
    drop_invalid: bool = False,
) -> Target:
    """Read the activity `target` and the `trials` it is divided by; None means as the table declares, else "view", 1.

    Rows with fewer trials than `min_trials` are left out. Row numbers in messages start at 1 below the header.

    Raises:
        InputError: a column is missing; counts are missing, not whole, negative or more than the trials (unless
            `drop_invalid`); fewer than 20 posts are left; or all rates are equal.
    """
    least = min_trials if min_trials is not None else posts.declared.min_trials or 1
    if least < 1:
        raise InputError(f"--min-trials {least}: expected 1 or more, a rate needs a trial")
    trials = trials or posts.declared.trials or TRIALS
    posts.require(trials, "--trials")
    target = target or posts.declared.target
    if target is None:
        raise InputError(_no_target(posts, trials))
    posts.require(target, "--target")

    table = posts.read(target, trials)
    invalid = _check(table, posts, target, trials, drop_invalid)
    seen = numbers(table[trials])
    rows = np.flatnonzero(~invalid & (seen >= least))
    if len(rows) < FEWEST_POSTS:
        raise InputError(
            f"{posts.path} has {len(rows)} posts with at least {least} {trials}, of {len(posts):,}: "
            f"expected {FEWEST_POSTS} or more: pass more posts or a lower --min-trials"
        )
    y = numbers(table[target])[rows] / seen[rows]
    name = f"{target} / {trials}"
    if np.ptp(y) == 0:
        raise NothingToLearn(f"{name} is {y[0]:g} for all {len(y):,} posts: nothing to learn: pass another --target")
    return Target(name, rows.astype(np.int64), y, seen[rows], trials, least, int(invalid.sum()))


def label_entropy(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """H(y) = −y ln y − (1−y) ln(1−y) in nats, float64 (n,): the least log loss that soft labels in [0, 1] allow."""
    from scipy.special import entr

    entropy: NDArray[np.float64] = entr(y) + entr(1 - y)
    return entropy


def _check(table: "pd.DataFrame", posts: Posts, target: str, trials: str, drop_invalid: bool) -> NDArray[np.bool_]:
    """bool (n,): the rows whose counts cannot be right; raises if there are any and they are not to be dropped."""
    problems = pair_problems(table, target, trials)
    found = [(rows, describe) for rows, describe in problems if rows.any()]
    if found and not drop_invalid:
        ids = posts.ids() if posts.id_column else None
        raise InputError(
            "; ".join(problem_line(*problem, ids) for problem in found) + ": fix them or pass --drop-invalid"
        )
    invalid: NDArray[np.bool_] = np.any([rows for rows, _ in problems], axis=0)
    return invalid


def pair_problems(table: "pd.DataFrame", target: str, trials: str) -> list[Problem]:
    """What can be wrong with the counts `target` of `trials`: with each alone, then with both."""
    problems = [problem for name in dict.fromkeys([trials, target]) for problem in count_problems(table[name], name)]
    counted, seen = numbers(table[target]), numbers(table[trials])
    fine = ~np.any([rows for rows, _ in problems], axis=0)
    excess = fine & (counted > seen)
    return [*problems, (excess, lambda i: f"{target}={counted[i]:.0f} exceeds {trials}={seen[i]:.0f}")]


def count_problems(column: "pd.Series[Any]", name: str) -> list[Problem]:
    """What can be wrong with counts alone; each row has at most one of these."""
    counts = numbers(column)
    missing = column.isna().to_numpy()
    whole = np.isfinite(counts) & (np.floor(counts) == counts)

    def shown(i: int) -> str:
        return f"{name}={str(column.iloc[i])[:40]!r}"

    return [
        (missing, lambda _: f"{name} is missing"),
        (~missing & ~whole, lambda i: f"{shown(i)} is not a whole number"),
        (whole & (counts > LARGEST), lambda i: f"{shown(i)} is larger than any count"),
        (whole & (counts < 0), lambda i: f"{name}={counts[i]:.0f} is negative"),
    ]


def problem_line(rows: NDArray[np.bool_], describe: Callable[[int], str], ids: list[str] | None) -> str:
    """ "row 812 (id '5512'): open_photo=40 exceeds view=31; 3 rows like this"; without ids, no id."""
    first, times = int(rows.argmax()), int(rows.sum())
    named = f" (id {ids[first]!r})" if ids else ""
    return f"row {first + 1}{named}: {describe(first)}; {times:,} {'row' if times == 1 else 'rows'} like this"


def numbers(column: "pd.Series[Any]") -> NDArray[np.float64]:
    """float64 (n,), NaN where a cell is no number."""
    import pandas as pd

    # by way of text, since a date would become nanoseconds
    plain = column if pd.api.types.is_numeric_dtype(column) else column.astype(str)
    return pd.to_numeric(plain, errors="coerce").to_numpy(np.float64)


def activities_of(posts: Posts, trials: str) -> tuple[list[str], bool]:
    """The columns that may count activities, and whether that is only guessed.

    What the table declares, else the usual names, else, guessed, columns whose first rows hold whole numbers.
    """
    known = [name for name in posts.declared.activities or ACTIVITIES if name in posts.columns]
    return (known, False) if known else (_whole_columns(posts, trials), True)


def _no_target(posts: Posts, trials: str) -> str:
    activities, _ = activities_of(posts, trials)
    if not activities:
        return f"no target, and {posts.path} has no column of counts beside {trials!r}: pass --target NAME"
    return f"no target: pass --target NAME, one of {', '.join(activities[:12])}"


def _whole_columns(posts: Posts, trials: str) -> list[str]:
    """Columns that hold whole numbers in the table's first rows."""
    first = posts.head()
    others = {posts.id_column, posts.text_column, posts.image_column, trials}
    return [
        name
        for name in posts.columns
        if name in first and name not in others and not np.any([bad for bad, _ in count_problems(first[name], name)])
    ]
