"""The pairs of a comparison as a square table: a row's log loss less a column's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from regress.inference import Difference
from regress.standing import ALPHA, READABLE, Pair

Side = Literal["better", "worse", "open"]


@dataclass(frozen=True)
class Cell:
    """The run of the row against that of the column; below 0 the row is better."""

    log_loss: Difference
    p: float | None
    side: Side  # of the row, where the folds tell the two apart, or the interval where no fold losses were kept


def rows(pairs: Sequence[Pair], runs: int) -> list[list[Cell | None]]:
    """(r, r) cells of the first `READABLE` runs, None on the diagonal; nothing for a single run."""
    size = min(runs, READABLE)
    table: list[list[Cell | None]] = [[None] * size for _ in range(size)]
    for pair in pairs:
        there = pair.log_loss
        back = Difference(-there.mean, -there.high, -there.low)
        table[pair.first][pair.second] = Cell(there, pair.p, _side(there, pair.p))
        table[pair.second][pair.first] = Cell(back, pair.p, _side(back, pair.p))
    return table if pairs else []


def _side(difference: Difference, p: float | None) -> Side:
    apart = p < ALPHA if p is not None else difference.low > 0 or difference.high < 0
    return "open" if not apart else "better" if difference.mean < 0 else "worse"
