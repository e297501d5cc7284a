"""Which modality helps? Each feature set of a model against the next smaller ones among the runs.

Two runs are compared where they differ by their features alone, one has all that the other has, and no third lies in
between. What is asked is the gain of D² by what was added, post by post; on the demo's posts pictures on top of texts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal

from data.page import fixed
from data.targets import label_entropy
from regress.entry import Entry
from regress.inference import LEVEL, Difference, paired
from regress.metrics import cross_entropy
from regress.runs import Predictions

MARGIN = 0.01  # of D²: a gain whose whole interval is smaller is none
WORDS = {"image": "pictures", "text": "texts", "statistics": "statistics"}
Finding = Literal["helps", "hurts", "adds nothing", "unproven"]


@dataclass(frozen=True)
class Addition:
    """The gain of D² by a modality, or by encoders, on top of others; the intervals of a report hold together."""

    small: int  # places in the leaderboard
    large: int
    added: str  # "pictures"
    to: str  # "texts"
    gain: Difference  # of D², above 0 what was added helps
    finding: Finding

    def __str__(self) -> str:
        """One sentence, only as strong as the interval."""
        mean, low, high = (_signed(value) for value in (self.gain.mean, self.gain.low, self.gain.high))
        span = f"(D² {mean}, {low} to {high})"
        added = f"{self.added[0].upper()}{self.added[1:]}"
        return {
            "helps": f"{added} add to {self.to} {span}.",
            "hurts": f"{added} on top of {self.to} make it worse {span}.",
            "adds nothing": f"{added} add nothing that {self.to} do not say {span}.",
            "unproven": f"Whether {self.added} add to {self.to}, these posts cannot tell {span}.",
        }[self.finding]


@dataclass(frozen=True)
class Ablation:
    """Runs that differ by their features alone, best first, and what each addition gains."""

    model: str
    sets: list[tuple[int, str]]  # place in the leaderboard, "pictures + texts"
    additions: list[Addition]

    def to_json(self, entries: Sequence[Entry]) -> dict[str, Any]:
        sets = [{"run": entries[place].name, "features": label} for place, label in self.sets]
        additions = [
            {
                "from": entries[each.small].name,
                "to": entries[each.large].name,
                "added": each.added,
                "d2": [each.gain.low, each.gain.mean, each.gain.high],
                "finding": each.finding,
            }
            for each in self.additions
        ]
        return {"model": self.model, "sets": sets, "additions": additions}


def ablations(entries: Sequence[Entry], predictions: Predictions) -> list[Ablation]:
    """One for each setup that was fitted on several feature sets, in the order of the best run of each."""
    known = {name: kind for entry in entries for name, kind in entry.modalities.items()}
    groups: dict[str, dict[frozenset[str], int]] = {}
    for place, entry in enumerate(entries):
        if not entry.is_reference:
            groups.setdefault(entry.setup, {}).setdefault(frozenset(entry.features), place)
    steps = {setup: _steps(sets) for setup, sets in groups.items()}
    level = 1 - (1 - LEVEL) / max(sum(map(len, steps.values())), 1)
    scale = float((cross_entropy(predictions.y, predictions.mean) - label_entropy(predictions.y)).mean())
    found = []
    for setup, sets in groups.items():
        if not steps[setup] or scale <= 0:
            continue
        additions = []
        for small, large in steps[setup]:
            a, b = sets[small], sets[large]
            gain = paired((predictions.losses[a] - predictions.losses[b]) / scale, predictions.clusters, level)
            added, to = _labels(small, large, known)
            additions.append(Addition(a, b, added, to, gain, _finding(gain)))
        places = [(place, _joined(features, known)) for features, place in sets.items()]
        found.append(Ablation(_model(entries[places[0][0]]), places, additions))
    return found


def _signed(value: float) -> str:
    return f"{'+' if round(value, 3) > 0 else ''}{fixed(value, 3)}"


def _steps(sets: Iterable[frozenset[str]]) -> list[tuple[frozenset[str], frozenset[str]]]:
    """Pairs of sets, the second the larger, with none of the sets in between."""
    every = list(sets)
    inside = [(a, b) for a, b in permutations(every, 2) if a < b]
    return [(a, b) for a, b in inside if not any(a < c < b for c in every)]


def _labels(small: frozenset[str], large: frozenset[str], known: dict[str, str]) -> tuple[str, str]:
    """What was added to what: by modality, or by encoder where the smaller set has one of that modality."""
    added = large - small
    if {known.get(name) for name in added} & {known.get(name) for name in small}:
        return " + ".join(sorted(added)), " + ".join(sorted(small))
    return _joined(added, known), _joined(small, known)


def _joined(features: frozenset[str], known: dict[str, str]) -> str:
    """ "pictures + texts + statistics", each once; an encoder of unknown modality by its name."""
    kinds = {known.get(name, name) for name in features}
    order = [*(kind for kind in WORDS if kind in kinds), *sorted(kinds - WORDS.keys())]
    return " + ".join(WORDS.get(kind, kind) for kind in order)


def _model(entry: Entry) -> str:
    sampler = "" if entry.oversample == "none" else f", {entry.oversample}"
    return f"{entry.model}, {entry.loss}{sampler}"


def _finding(gain: Difference) -> Finding:
    if gain.low > 0:
        return "helps"
    if gain.high < 0:
        return "hurts"
    return "adds nothing" if gain.low > -MARGIN and gain.high < MARGIN else "unproven"
