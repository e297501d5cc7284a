"""Training curves that heads keep: the loss of each epoch on the rows trained on, and on those held out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from data.config import InputError
from regress.entry import Entry

FILE, NAME = "model.safetensors", "history"


@dataclass(frozen=True)
class Curve:
    """The final fit of one head, on all posts."""

    place: int  # in the leaderboard
    trained: list[float]  # by epoch, the loss that was minimised
    held: list[float]  # of the rows that early stopping watches
    loss: str

    @property
    def best(self) -> int:
        """The epoch whose weights were kept, from 0."""
        return int(np.argmin(self.held))

    def to_json(self, entries: Sequence[Entry]) -> dict[str, Any]:
        losses = {"loss": self.loss, "trained": self.trained, "held": self.held}
        return {"run": entries[self.place].name, **losses, "best_epoch": self.best + 1}


def curves(entries: Sequence[Entry], most: int) -> list[Curve]:
    """Of the first `most` runs that keep a history of two epochs or more.

    Raises:
        InputError: a history is no finite numbers.
    """
    found: list[Curve] = []
    for place, entry in enumerate(entries):
        if len(found) == most:
            break
        path = entry.run.folder / FILE
        history = _history(path) if FILE in entry.files else None
        if history is not None and len(history) > 1:
            found.append(Curve(place, history[:, 0].tolist(), history[:, 1].tolist(), entry.loss))
    return found


def _history(path: Path) -> NDArray[np.float64] | None:
    try:
        with safe_open(path, framework="numpy") as file:
            if NAME not in file.keys():  # noqa: SIM118 - not a dict
                return None
            history = np.asarray(file.get_tensor(NAME), dtype=np.float64)
    except (OSError, SafetensorError, ValueError, TypeError) as why:
        raise InputError(f"{path}: its training curve cannot be read ({why}): fit again") from None
    if history.ndim != 2 or history.shape[1] != 2 or not np.isfinite(history).all():
        raise InputError(f"{path}: its training curve is no two finite losses by epoch: fit again")
    return history
