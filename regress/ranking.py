"""The fits of a study as a table, best D² first, with the origin's figures beside those that redo one of its models.

The column that the origin went by, its swapped log loss, stands in the table too: a line below says which run it would
have called best, and what that run is worth.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from data.lines import aligned
from regress.origin import Published, counterpart, swapped_log_loss
from regress.run import Run

WIDTH = 160
HEAD = (
    *("run", "D²", "95 % interval", "log loss", "swapped", "MSE", "MAE", "bias", "verdict", "seconds"),
    "origin: MSE MAE swapped",
)


@dataclass(frozen=True)
class Row:
    """One fit. Log losses in nats; `swapped_log_loss` is the origin's, truth and prediction in each other's place."""

    name: str
    folder: str
    target: str
    model: str
    features: str
    loss: str
    oversample: str
    calibration: str
    d2: float
    d2_low: float
    d2_high: float
    log_loss: float
    swapped_log_loss: float
    mse: float
    mae: float
    bias: float
    verdict: str
    seconds: float
    origin: Published | None

    @classmethod
    def of(cls, run: Run) -> "Row":
        """Read from the run's manifest; the swapped log loss is computed from its predictions, as the models gave them.

        The origin calibrated nothing, so its figure is that of raw predictions.
        """
        m = run.manifest
        table, metrics = run.predictions(), m["metrics"]
        redone = counterpart(m["features"], m["loss"]) if m["oversample"] == "none" else None
        return cls(
            name=run.name,
            folder=run.folder.as_posix(),
            target=m["target"]["name"],
            features="+".join(m["features"]),
            **{name: m[name] for name in ("model", "loss", "oversample", "calibration")},
            **{name: metrics[name] for name in ("d2", "d2_low", "d2_high", "log_loss", "mse", "mae", "bias")},
            swapped_log_loss=swapped_log_loss(table["y"].to_numpy(), table["raw"].to_numpy()),
            verdict=m["verdict"]["name"],
            seconds=m["seconds"]["total"],
            origin=redone,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def flat(self) -> dict[str, Any]:
        """One line of a CSV file: the origin's figures as columns of their own."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "origin"}
        theirs = {f"origin_{field.name}": getattr(self.origin, field.name, "") for field in fields(Published)}
        return own | theirs

    def cells(self) -> list[str]:
        o = self.origin
        theirs = f"{o.mse:.4f} {o.mae:.4f} {o.swapped:.4f}" if o else ""
        return [
            self.name,
            f"{self.d2:.3f}",
            f"{self.d2_low:.3f} … {self.d2_high:.3f}",
            f"{self.log_loss:.4f}",
            f"{self.swapped_log_loss:.4f}",
            f"{self.mse:.5f}",
            f"{self.mae:.4f}",
            f"{self.bias:.2f}",
            self.verdict,
            f"{self.seconds:.1f}",
            theirs,
        ]


def ranked(runs: Iterable[Run]) -> list[Row]:
    """One row for each run, best D² first."""
    return sorted(map(Row.of, runs), key=lambda row: (-row.d2, row.name))


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of at most 160 columns; long names are cut in the middle, where their encoders are."""
    return aligned(HEAD, [row.cells() for row in rows], WIDTH)


def swapped_best(rows: Sequence[Row]) -> str:
    """Which run the swapped log loss would have called best, in one line."""
    best = min(rows, key=lambda row: row.swapped_log_loss)
    told = f"the swapped log loss would have called {best.name} best: D² {best.d2:.3f}, {best.verdict}"
    return told if best is rows[0] else f"{told}; the best D² is {rows[0].d2:.3f}"


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """All columns of all rows, in place of an older file at once."""
    from data.files import atomic_write

    with atomic_write(path, "w") as file:
        writer = csv.DictWriter(file, list(rows[0].flat()), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row.flat() for row in rows)
