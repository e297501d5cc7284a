"""Folds: stratified on the target, whole groups, and no content on both sides of a border.

Random folds flatter: a kNN scored 0.256 on them and 0.034 by author. Where several posts share a picture or a text,
their training copies are purged from each fold that tests one of them (grouping them would chain 97 % into one).
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.config import InputError

Rows = NDArray[np.int64]
STRATA = 18
TOP = 0.01  # the rarest 1 % is a stratum of its own: its share per fold then varies by 0.05 instead of 0.28


@dataclass(frozen=True)
class Folds:
    """Which fold tests each row, and which training rows each fold must not see."""

    n_folds: int
    assignment: Rows  # (n,) 0 … n_folds − 1
    contents: Rows  # (n, c) equal ids in a column are equal contents, −1 is none

    def test(self, k: int) -> Rows:
        """Row numbers that fold k tests."""
        return np.flatnonzero(self.assignment == k)

    def train(self, k: int) -> Rows:
        """Row numbers that fold k trains on: the others, less those that share a content with a test row."""
        tested = self.assignment == k
        return np.flatnonzero(~tested & ~self._shares(tested))

    def _shares(self, tested: NDArray[np.bool_]) -> NDArray[np.bool_]:
        shares = np.zeros(len(tested), bool)
        for column in self.contents.T:
            shares |= (column >= 0) & np.isin(column, column[tested])
        return shares

    @property
    def purged(self) -> int:
        """Training rows dropped, summed over the folds."""
        n = len(self.assignment)
        return sum(n - len(self.test(k)) - len(self.train(k)) for k in range(self.n_folds))

    @property
    def digest(self) -> str:
        """SHA-256 of who tests whom and who is purged: equal for runs that can be compared post by post."""
        parts = [np.int64(self.n_folds), self.assignment, *(self.train(k) for k in range(self.n_folds))]
        return hashlib.sha256(b"".join(np.asarray(part, dtype="<i8").tobytes() for part in parts)).hexdigest()


def make_folds(
    y: NDArray[np.float64], groups: Rows | None, contents: Rows, *, n_folds: int = 5, seed: int = 0
) -> Folds:
    """Draw folds for targets y (n,), groups (n,) or None, contents (n, c).

    Raises:
        InputError: too few folds, groups or rows, or nothing is left to train on.
    """
    if not 2 <= n_folds <= len(y) // 2:
        raise InputError(f"--folds {n_folds} does not fit {len(y)} posts: name a number from 2 to {len(y) // 2}")
    if groups is not None and len(np.unique(groups)) < n_folds:
        raise InputError(
            f"{len(np.unique(groups))} groups cannot fill {n_folds} folds: name fewer --folds or another --group"
        )
    assignment = np.full(len(y), -1, dtype=np.int64)
    labels = strata(y, n_folds)
    for k, (_, test) in enumerate(_splitter(groups, n_folds, seed).split(np.zeros(len(y)), labels, groups)):
        assignment[test] = k
    folds = Folds(n_folds, assignment, contents)
    for k in range(n_folds):
        if len(folds.train(k)) < len(y) * 0.1 or np.ptp(y[folds.train(k)]) == 0:
            raise InputError(
                f"fold {k} has {len(folds.train(k))} of {len(y)} posts to train on, or all of one rate: "
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
