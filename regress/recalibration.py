"""What calibration did to each run: bias and log loss of the predictions before and after."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from regress.entry import Entry
from regress.inference import Difference, paired
from regress.metrics import cross_entropy
from regress.runs import Predictions


@dataclass(frozen=True)
class Recalibration:
    """One run before and after; bias is the mean prediction over the mean rate."""

    place: int  # in the leaderboard
    bias: tuple[float, float]
    log_loss: tuple[float, float]
    change: Difference  # of the log loss, after less before; below 0 calibration helped; 95 %

    def to_json(self, entries: Sequence[Entry]) -> dict[str, Any]:
        change = [self.change.low, self.change.mean, self.change.high]
        both = {"bias": list(self.bias), "log_loss": list(self.log_loss)}
        return {"run": entries[self.place].name, **both, "change": change}


def recalibrations(predictions: Predictions) -> list[Recalibration]:
    """Of the runs whose predictions calibration moved, in the order of the leaderboard."""
    y, found = predictions.y, []
    for place, (raw, p) in enumerate(zip(predictions.raw, predictions.p, strict=True)):
        if np.array_equal(raw, p):
            continue
        before, after = cross_entropy(y, raw), cross_entropy(y, p)  # of one repetition, as the bias
        found.append(
            Recalibration(
                place=place,
                bias=(float(raw.mean() / y.mean()), float(p.mean() / y.mean())),
                log_loss=(float(before.mean()), float(after.mean())),
                change=paired(after - before, predictions.clusters),
            )
        )
    return found
