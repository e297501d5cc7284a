"""Does oversampling help? Each run with a sampler against its like with nothing, and with repeated rows.

A sampler helps only where it beats both, beyond chance: nothing and recalibrated is what it has to be worth, and rare
rows merely repeated are what its cleverness has to be worth. On ten sets SMOTER's squared error was 1.036 of nothing's
and its SERA 0.89, repeated rows' 1.025 and 0.85: it did neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regress.entry import Entry
from regress.inference import LEVEL, Difference, paired
from regress.metrics import rarity
from regress.runs import Predictions

Array = NDArray[np.float64]
NOTHING, RANDOM = "none", "random"
Finding = Literal["helps", "no more than random", "hurts", "unproven", "no baseline"]
MEANINGS: dict[Finding, str] = {
    "helps": "better than nothing and than repeated rows, beyond chance",
    "no more than random": "better than nothing beyond chance, but not than rare rows merely repeated",
    "hurts": "worse than nothing, beyond chance",
    "unproven": "no difference to nothing beyond chance",
    "no baseline": "the same model with none or with random is not among the runs",
}


@dataclass(frozen=True)
class Against:
    """Differences of a run to a baseline, mean over posts; below 0 the run is better."""

    place: int  # of the baseline in the leaderboard
    log_loss: Difference  # all posts count alike
    sera: Difference  # squared errors, each post by its rarity


@dataclass(frozen=True)
class Benefit:
    """Whether the sampler, or the weights, of one run help."""

    place: int  # in the leaderboard
    nothing: Against | None
    random: Against | None  # None also for `random` itself
    everywhere: Finding  # by log loss
    rare: Finding  # by SERA

    def to_json(self, entries: Sequence[Entry]) -> dict[str, Any]:
        found: dict[str, Any] = {"run": entries[self.place].name, "log_loss": self.everywhere, "sera": self.rare}
        for name, against in (("nothing", self.nothing), ("random", self.random)):
            found[name] = against and {
                "run": entries[against.place].name,
                "log_loss": [against.log_loss.low, against.log_loss.mean, against.log_loss.high],
                "sera": [against.sera.low, against.sera.mean, against.sera.high],
            }
        return found


def benefits(entries: Sequence[Entry], predictions: Predictions) -> list[Benefit]:
    """One for each run with a sampler or weights, in the order of the leaderboard.

    The more of them, the likelier one is best by luck: their intervals hold together at 95 % (Bonferroni).
    """
    judged = [place for place, entry in enumerate(entries) if _sampler(entry) != NOTHING]
    level = 1 - (1 - LEVEL) / max(len(judged), 1)
    phi = rarity(predictions.y)

    def against(place: int, baseline: int | None) -> Against | None:
        if baseline is None:
            return None
        entropy = predictions.losses[place] - predictions.losses[baseline]
        squared = phi * (predictions.squared[place] - predictions.squared[baseline])
        clusters = predictions.clusters
        return Against(baseline, paired(entropy, clusters, level), paired(squared, clusters, level))

    found = []
    for place in judged:
        nothing, random = (against(place, _baseline(entries, place, name)) for name in (NOTHING, RANDOM))
        alone = _sampler(entries[place]) == RANDOM
        pair = [nothing] if alone else [nothing, random]
        everywhere = _finding([None if each is None else each.log_loss for each in pair])
        rare = _finding([None if each is None else each.sera for each in pair])
        found.append(Benefit(place, nothing, None if alone else random, everywhere, rare))
    return found


def _sampler(entry: Entry) -> str:
    return entry.oversample.partition(":")[0]


def _baseline(entries: Sequence[Entry], place: int, sampler: str) -> int | None:
    """The best run that differs by its sampler alone; recalibrated, whether or not the run at `place` is."""

    def like(entry: Entry) -> tuple[Any, ...]:
        return entry.model, entry.features, entry.loss, sorted(entry.fingerprints.items())

    wanted = like(entries[place])
    found = (
        i
        for i, entry in enumerate(entries)
        if _sampler(entry) == sampler and entry.calibration != "none" and like(entry) == wanted
    )
    return next(found, None)


def _finding(differences: Sequence[Difference | None]) -> Finding:
    """From the differences to nothing and, unless it is `random` that is judged, to random."""
    nothing = differences[0]
    known = [difference for difference in differences if difference is not None]
    if nothing is not None and nothing.low > 0:
        return "hurts"
    if nothing is None or len(known) < len(differences):
        return "no baseline"
    if nothing.high >= 0:
        return "unproven"
    return "helps" if all(difference.high < 0 for difference in known) else "no more than random"
