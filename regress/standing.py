"""Which runs are really apart: each against the mean and against the leading run, by test and by size.

The test is Nadeau and Bengio's over the folds, adjusted by Holm. There are two questions, each with its own family:
which runs differ from the mean (as many tests as runs), and which differ from the leader, picked by its score, so
that every pair of runs has been looked at. Of fifteen runs one pair of 105 needs p < 0.0005, which five folds rarely
give and 4 × 5 do. The size is a cluster-robust interval over posts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.config import InputError
from regress.entry import Entry
from regress.inference import LEVEL, Difference, paired
from regress.pairs import corrected_t, holm, share_tested
from regress.runs import Predictions, leader

Array = NDArray[np.float64]
PValues = dict[tuple[int, int], float]  # by pairs of places, the lower first
READABLE = 30  # runs that are compared each with each: a matrix of more cannot be read
MEAN = -1  # stands for the training mean among the places of runs
ALPHA = 1 - LEVEL


@dataclass(frozen=True)
class Standing:
    """One run against the others; None where it is that other, or was fitted before fold losses were kept."""

    p_mean: float | None = None  # adjusted, that it differs from the training mean
    p_best: float | None = None  # that it differs from the leading run
    behind: Difference | None = None  # mean log loss less the leading run's; all of a comparison hold at 95 % together

    def to_json(self) -> dict[str, Any]:
        behind = self.behind and [self.behind.low, self.behind.mean, self.behind.high]
        return {"p_mean": self.p_mean, "p_best": self.p_best, "log_loss_behind": behind}


@dataclass(frozen=True)
class Pair:
    """Two runs of a comparison by their places, the better placed first."""

    first: int
    second: int
    log_loss: Difference  # mean of the first less the second's; below 0 the first is better; all hold at 95 % together
    p: float | None  # adjusted, that they differ; None where fold losses were not kept

    def to_json(self, entries: Sequence[Entry]) -> dict[str, Any]:
        names = {"first": entries[self.first].name, "second": entries[self.second].name}
        return names | {"log_loss": [self.log_loss.low, self.log_loss.mean, self.log_loss.high], "p": self.p}


def standings(entries: Sequence[Entry], predictions: Predictions, p: PValues | None = None) -> list[Standing]:
    """One for each run, in the order of the leaderboard; `p` is what `adjusted` gave, where it is known."""
    first, p = leader(entries), adjusted(entries) if p is None else p
    losses, level = predictions.losses, 1 - ALPHA / max(len(entries) - 1, 1)
    found = []
    for place in range(len(entries)):
        behind = None if place == first else paired(losses[place] - losses[first], predictions.clusters, level)
        found.append(Standing(p.get((MEAN, place)), p.get((min(place, first), max(place, first))), behind))
    return found


def all_pairs(entries: Sequence[Entry], predictions: Predictions, p: PValues) -> list[Pair]:
    """The first `READABLE` runs, each against each; `p` is what `adjusted` gave for all runs."""
    places = list(combinations(range(min(len(entries), READABLE)), 2))
    level = 1 - ALPHA / max(len(places), 1)
    losses, clusters = predictions.losses, predictions.clusters
    return [Pair(a, b, paired(losses[a] - losses[b], clusters, level), _p_of(p, entries, a, b)) for a, b in places]


def _p_of(p: PValues, entries: Sequence[Entry], a: int, b: int) -> float | None:
    """The p-value of two runs; that against the mean where one of them is it."""
    low, high = sorted((a, b))
    if entries[low].is_reference or entries[high].is_reference:
        return p.get((MEAN, high if entries[low].is_reference else low))
    return p.get((low, high))


def adjusted(entries: Sequence[Entry]) -> PValues:
    """Holm's p-values by pairs of places, the lower first: of runs with fold losses, and of each with the mean."""
    kept = {i: entry.fold_losses for i, entry in enumerate(entries) if entry.fold_losses and not entry.is_reference}
    if not kept:
        return {}
    repeats = min(len(losses.model) for losses in kept.values())  # the same seeds gave all runs the same partitions
    means = next(iter(kept.values())).mean[:repeats]
    if any(losses.mean.shape[1] != means.shape[1] for losses in kept.values()):
        raise InputError("these runs kept losses of different numbers of folds: fit them again")
    folds = {MEAN: means.ravel(), **{i: losses.model[:repeats].ravel() for i, losses in kept.items()}}
    share = share_tested(means.shape[1], forward=entries[0].ground.time is not None)
    found: PValues = {}
    for both in ([(MEAN, i) for i in kept], list(combinations(kept, 2))):
        adjusted_p = holm(np.array([corrected_t(folds[a] - folds[b], share).p for a, b in both]))
        found |= dict(zip(both, adjusted_p.tolist(), strict=True))
    return found
