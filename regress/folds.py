"""Folds: stratified on the target, whole groups, and no content on both sides of a border; or forward in time.

Random folds flatter: a kNN scored 0.256 on them and 0.034 by author. Where several posts share a picture or a text,
their training copies are purged from each fold that tests one of them (grouping them would chain 97 % into one).
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.config import InputError

Rows = NDArray[np.int64]
STRATA = 18
TOP = 0.01  # the rarest 1 % is a stratum of its own: its share per fold then varies by 0.05 instead of 0.28
COMMON = 0.1  # of the posts, and no fewer than ten: what more of them share is a habit, a stock caption say, no copy
LEAST = 0.1  # of the rows that a fold might train on must be left after purging


@dataclass(frozen=True)
class Folds:
    """One partition: which fold tests each row, and which training rows each fold must not see."""

    n_folds: int
    assignment: Rows  # (n,) 0 … n_folds − 1; −1 is never tested
    contents: Rows  # (n, c) equal ids in a column are equal contents, −1 is none
    forward: bool = False  # folds follow each other in time: each trains on what came before it alone

    def test(self, k: int) -> Rows:
        """Row numbers that fold k tests."""
        return np.flatnonzero(self.assignment == k)

    def train(self, k: int) -> Rows:
        """Row numbers that fold k trains on: the others (forward: earlier ones), less copies of what it tests."""
        return np.flatnonzero(self._trainable(k) & ~self._shares(self.assignment == k))

    def calibrating(self, k: int) -> Rows:
        """Row numbers whose out-of-fold predictions calibrate those of fold k; none for the first forward one."""
        return np.flatnonzero(self._trainable(k) & (self.assignment >= 0))

    @property
    def scored(self) -> NDArray[np.bool_]:
        """bool (n,): rows whose predictions count; those of the first forward fold only calibrate."""
        return self.assignment >= int(self.forward)

    def _trainable(self, k: int) -> NDArray[np.bool_]:
        return self.assignment < k if self.forward else self.assignment != k

    def _shares(self, tested: NDArray[np.bool_]) -> NDArray[np.bool_]:
        shares = np.zeros(len(tested), bool)
        for column in self.contents.T:
            shares |= (column >= 0) & np.isin(column, column[tested])
        return shares

    @property
    def purged(self) -> int:
        """Training rows dropped, summed over the folds."""
        return sum(int(self._trainable(k).sum()) - len(self.train(k)) for k in range(self.n_folds))

    @property
    def digest(self) -> str:
        """SHA-256 of who tests whom and who is purged: equal for runs that can be compared post by post."""
        parts = [np.int64(self.n_folds), self.assignment, *(self.train(k) for k in range(self.n_folds))]
        return hashlib.sha256(b"".join(np.asarray(part, dtype="<i8").tobytes() for part in parts)).hexdigest()


def parse_folds(text: str) -> tuple[int, int]:
    """Folds and repetitions: "5" is (5, 1), "5x2" is (5, 2).

    Raises:
        InputError: the text is neither, or there is no repetition at all.
    """
    found = re.fullmatch(r"(\d{1,9})(?:x([1-9]\d{0,5}))?", text, re.ASCII)
    if found is None:
        raise InputError(f"--folds {text!r}: expected a number, or folds x repetitions such as 5x2")
    return int(found[1]), int(found[2] or 1)


def without_common(contents: Rows) -> tuple[Rows, int]:
    """Contents (n, c) with those that more than a tenth of the posts share taken for none, and how many they are.

    Purging them would leave nothing to learn such posts from, although new posts will have the same caption; and one
    cluster of a tenth of the posts, or a mean of the others alone, says little of the rest.
    """
    rare, found = contents.copy(), 0
    for column in rare.T:
        ids, counts = np.unique(column[column >= 0], return_counts=True)
        common = ids[counts > max(COMMON * len(column), 10)]
        column[np.isin(column, common)] = -1
        found += len(common)
    return rare, found


def make_folds(
    y: NDArray[np.float64],
    groups: Rows | None,
    contents: Rows,
    *,
    n_folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
) -> tuple[Folds, ...]:
    """Draw `repeats` partitions for targets y (n,), groups (n,) or None, contents (n, c); the r-th by seed + r.

    Raises:
        InputError: too few folds, groups or rows, or nothing is left to train on.
    """
    if not 2 <= n_folds <= len(y) // 2:
        raise InputError(f"--folds {n_folds} does not fit {len(y)} posts: name a number from 2 to {len(y) // 2}")
    if groups is not None and len(np.unique(groups)) < n_folds:
        raise InputError(
            f"{len(np.unique(groups))} groups cannot fill {n_folds} folds: name fewer --folds or another --group"
        )
    labels, drawn = strata(y, n_folds), []
    for repeat in range(repeats):
        assignment = np.full(len(y), -1, dtype=np.int64)
        splitter = _splitter(groups, n_folds, seed + repeat)
        for k, (_, test) in enumerate(splitter.split(np.zeros(len(y)), labels, groups)):
            assignment[test] = k
        drawn.append(_checked(Folds(n_folds, assignment, contents), y))
    return tuple(drawn)


def time_folds(y: NDArray[np.float64], times: NDArray[np.float64], contents: Rows, *, n_folds: int = 5) -> Folds:
    """Forward chaining over times (n,): each fold is tested by a model of all that came before it.

    The times are cut into n_folds + 2 blocks of about equally many posts, equal times never parted. The first is only
    trained on; the second, fold 0, is tested for the sake of calibration alone; folds 1 … n_folds are scored.

    Raises:
        InputError: a post has no time, the times or posts are too few, or nothing is left to train on.
    """
    if missing := int((~np.isfinite(times)).sum()):
        raise InputError(f"{missing} of {len(times)} posts have no time: fill them in, or leave these posts out")
    if not 1 <= n_folds <= len(y) // 2 - 2:
        most = len(y) // 2 - 2
        raise InputError(f"--folds {n_folds} by time does not fit {len(y)} posts: name a number from 1 to {most}")
    values, place, counts = np.unique(times, return_inverse=True, return_counts=True)
    blocks = n_folds + 2
    if len(values) < blocks:
        raise InputError(f"{len(values)} different times cannot be cut into {blocks} blocks: name fewer --folds")
    block = np.searchsorted(_cuts(np.cumsum(counts), blocks), place, side="right")
    return _checked(Folds(n_folds + 1, block.astype(np.int64) - 1, contents, forward=True), y)


def _cuts(ends: Rows, blocks: int) -> list[int]:
    """Places in `ends` (rows up to each distinct time) that blocks 1, 2, … begin at, of about equally many rows."""
    cuts: list[int] = []
    for i in range(1, blocks):
        first, last = (cuts[-1] + 1 if cuts else 1), len(ends) - (blocks - i)  # each block has a time of its own
        before = ends[first - 1 : last]  # rows before a cut at `first` … `last`
        cuts.append(first + int(np.abs(before - ends[-1] * i / blocks).argmin()))
    return cuts


def _checked(folds: Folds, y: NDArray[np.float64]) -> Folds:
    """The folds, if each has something to learn from."""
    for k in range(folds.n_folds):
        train = folds.train(k)
        might = (folds.assignment < k).sum() if folds.forward else len(y)
        if len(train) < might * LEAST or np.ptp(y[train]) == 0:
            raise InputError(
                f"fold {k} has {len(train)} of {len(y)} posts to train on, or all of one rate: "
                "most posts share one picture or text"
            )
    return folds


def _splitter(groups: Rows | None, n_folds: int, seed: int) -> Any:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    return kind(n_folds, shuffle=True, random_state=seed)


def strata(y: NDArray[np.float64], n_folds: int) -> Rows:
    """int64 (n,): zeros, quantile bins of the rest, the top 1 %; a bin of fewer rows than folds joins its neighbour."""
    positive = y[y > 0]
    edges = np.quantile(positive, [*np.linspace(0, 1 - TOP, STRATA - 1)[1:-1], 1 - TOP]) if len(positive) else []
    labels = np.where(y > 0, 1 + np.searchsorted(np.unique(edges), y, side="left"), 0)
    merged, count, current = np.zeros_like(labels), 0, 0
    for value, size in zip(*np.unique(labels, return_counts=True), strict=True):
        merged[labels == value] = current
        count += size
        if count >= n_folds:
            current, count = current + 1, 0
    if count and current:  # what is left over at the top is too small: join it to the last full bin
        merged[merged == current] = current - 1
    return merged.astype(np.int64)
