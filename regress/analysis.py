"""All that a comparison finds out, computed once: the report, the table and the JSON read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.targets import label_entropy
from regress.ablation import Ablation, ablations
from regress.advice import Advice, advise
from regress.benefit import Benefit, benefits
from regress.coverage import Coverage, coverages
from regress.curves import Curve, curves
from regress.entry import Entry
from regress.metrics import cross_entropy
from regress.recalibration import Recalibration, recalibrations
from regress.runs import Predictions
from regress.standing import READABLE, Pair, Standing, adjusted, all_pairs, standings
from regress.strata import Strata, strata
from regress.weakness import weaknesses


@dataclass(frozen=True)
class Analysis:
    """The runs, best D² first, and every finding about them."""

    entries: Sequence[Entry]
    predictions: Predictions
    standings: list[Standing]
    pairs: list[Pair]
    benefits: list[Benefit]  # of the runs with a sampler or weights
    ablations: list[Ablation]
    strata: list[Strata]
    coverages: list[Coverage]
    recalibrations: list[Recalibration]
    curves: list[Curve]
    uncertainty: float  # log loss of predicting the mean rate, nats
    floor: float  # that of the rates themselves
    weaknesses: list[str]  # of the leading run, in sentences
    advice: list[Advice]

    @classmethod
    def of(cls, entries: Sequence[Entry], predictions: Predictions) -> "Analysis":
        """Everything, for runs on the same posts in the order of the leaderboard.

        Raises:
            InputError: what a run kept cannot be used.
        """
        y, p = predictions.y, adjusted(entries)
        standing, found = standings(entries, predictions, p), strata(predictions)
        judged, ablated = benefits(entries, predictions), ablations(entries, predictions)
        return cls(
            entries=entries,
            predictions=predictions,
            standings=standing,
            pairs=all_pairs(entries, predictions, p),
            benefits=judged,
            ablations=ablated,
            strata=found,
            coverages=coverages(entries, predictions, READABLE),
            recalibrations=recalibrations(predictions),
            curves=curves(entries, READABLE),
            uncertainty=float(cross_entropy(y, np.full_like(y, y.mean())).mean()),
            floor=float(label_entropy(y).mean()),
            weaknesses=weaknesses(entries, predictions, found),
            advice=advise(entries, predictions, standing, judged, ablated),
        )

    def to_json(self) -> dict[str, Any]:
        """Runs by name; differences and intervals are [low, mean, high], log losses in nats."""
        entries = self.entries
        both = zip(entries, self.standings, strict=True)
        return {
            "runs": [entry.to_json() | standing.to_json() for entry, standing in both],
            "oversampling": [each.to_json(entries) for each in self.benefits],
            "pairs": [each.to_json(entries) for each in self.pairs],
            "decomposition": {"uncertainty": self.uncertainty, "floor": self.floor},
            "modalities": [each.to_json(entries) for each in self.ablations],
            "strata": [each.to_json(entries) for each in self.strata],
            "intervals": [each.to_json(entries) for each in self.coverages],
            "calibration": [each.to_json(entries) for each in self.recalibrations],
            "leakage": [{"run": entry.name, "d2": entry.leakage} for entry in entries if entry.leakage],
            "curves": [each.to_json(entries) for each in self.curves],
            "weaknesses": self.weaknesses,
            "advice": [each.to_json() for each in self.advice],
        }
