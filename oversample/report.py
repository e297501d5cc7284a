"""What a sampler did to the data, in figures and in plain words: `print(sampler.report_)`.

At fit time at most 500 rows of each kind are put aside, by a generator of their own, so that no output byte depends on
it; distances and the classifier (`oversample.compare`, 2 s at 768 columns) wait until the report is first read.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from oversample.compare import FEWEST, Look
from oversample.draw import Array, Draw, Floats, Mask, Rows
from oversample.weights import effective_sample_size

SAMPLE = 500  # rows of each kind that are looked at
VALUES = 2**21  # numbers of each kind: fewer rows where rows are very long
TELLTALE, FAR, DOUBLE = 0.9, 1.25, 0.1  # AUC, distance and duplicates that are worth a note


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was done and how it looks. None where a figure has no meaning, such as distances where no row is synthetic.

    Figures about features and the classifier are of synthetic rare rows and of the real rare rows that were drawn as
    parents, as often as they were drawn: how many rows each part of the target gets is the strategy's doing.
    """

    rows_in: int
    rows_out: int
    new_rows: int  # copies and synthetic ones
    synthetic_rows: int
    rare_share_before: float
    rare_share_after: float
    safe_share: float | None  # SMOGN: neighbours near enough to interpolate with
    duplicate_rate: float | None  # of the new rows: copies, and rows equal to another one
    norm_ratio: float | None  # mean norm of synthetic rows over that of their parents
    block_norm_ratios: dict[str, float]
    nearest_real: float | None  # distance to the nearest real rare row but its parents, over that of real rows
    auc: float | None  # of a classifier between real and synthetic rare rows; 0.5: it cannot tell
    effective_rows: float  # Kish's (Σ w)² / Σ w², w how much of the output an input row is
    effective_rare_rows: float  # the same of rare input rows
    notes: tuple[str, ...]

    def to_json(self) -> str:
        """All figures as a JSON object, floats in full."""
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        new = f"{self.new_rows:,} new, {self.synthetic_rows:,} synthetic"
        lines = [
            ("rows", f"{self.rows_in:,} → {self.rows_out:,} ({new})"),
            ("rare rows", f"{self.rare_share_before:.1%} → {self.rare_share_after:.1%}"),
            ("effective rows", f"{self.effective_rows:,.0f}, of rare rows {self.effective_rare_rows:,.0f}"),
            ("duplicates among new rows", _text(self.duplicate_rate, ".1%")),
            ("safe neighbours", _text(self.safe_share, ".1%")),
            ("norm / parents' norm", _text(self.norm_ratio, ".3f")),
            *((f"  {name}", f"{ratio:.3f}") for name, ratio in self.block_norm_ratios.items()),
            ("distance to real rows", _text(self.nearest_real, ".2f", " × theirs to one another")),
            ("classifier real / synthetic", _text(self.auc, ".2f", " AUC (0.5: cannot tell)")),
            *(("note", note) for note in self.notes),
        ]
        width = max(len(name) for name, _ in lines)
        return "\n".join(f"{name:{width}}  {value}" for name, value in lines)


class Evidence:
    """What a report is made from: row numbers of the whole draw, and the features of a bounded sample.

    The rare rows fall into two halves at random. Rows whose parents are of one half are taken first, so that a
    classifier trained on one half has seen neither parents, children nor siblings of the other.
    """

    def __init__(self, X: Floats, draw: Draw, kept: int, rare: Mask, columns: Mapping[str, Rows]) -> None:
        rng = np.random.default_rng(0)
        self.draw, self.kept, self.rare, self.columns = draw, kept, rare, columns
        self.half = rng.permutation(len(rare)) % 2
        made = np.flatnonzero(draw.made & rare[draw.first])
        count = min(SAMPLE, max(VALUES // X.shape[1], 2 * FEWEST))
        shuffled = rng.permutation(made)
        split = self.half[draw.first[shuffled]] != self.half[draw.second[shuffled]]
        self.places = np.sort(shuffled[np.argsort(split, kind="stable")[:count]])
        chosen = draw.take(rng.choice(made, count) if len(made) else made)
        parents = np.where(rng.random(len(chosen.first)) < chosen.share, chosen.second, chosen.first)
        self.real, self.times = np.unique(parents, return_counts=True)
        self.known = np.unique(np.concatenate([self.real, draw.first[self.places], draw.second[self.places]]))
        self.features = np.asarray(X[self.known])
        self.new = np.empty((len(self.places), X.shape[1]), X.dtype)
        self.seen = 0
        self._report: Report | None = None

    def keep(self, block: slice, rows: Floats) -> None:
        """Put aside what is asked for of a block of output rows; blocks come in their order."""
        start, stop = np.searchsorted(self.places, [block.start, block.stop])
        self.new[start:stop] = rows[self.places[start:stop] - block.start]
        self.seen = int(stop)

    def report(self, notes: list[str], safe_share: float | None) -> Report:
        """The report, made once."""
        if self._report is None:
            self._report = self._make(notes, safe_share)
        return self._report

    def _make(self, notes: list[str], safe_share: float | None) -> Report:
        draw, n, look = self.draw, len(self.rare), Look(self)
        weight = np.zeros(n)
        np.add.at(weight, draw.first, 1 - draw.share)
        np.add.at(weight, draw.second, draw.share)
        ratios = {name: look.norm_ratio(columns) for name, columns in self.columns.items()}
        report = Report(
            rows_in=n,
            rows_out=len(draw.first),
            new_rows=len(draw.first) - self.kept,
            synthetic_rows=int(draw.made.sum()),
            rare_share_before=float(self.rare.mean()),
            rare_share_after=float(self.rare[draw.first].mean()),
            safe_share=None if safe_share is None or np.isnan(safe_share) else float(safe_share),
            duplicate_rate=self._duplicates(look),
            norm_ratio=look.norm_ratio(slice(None)),
            block_norm_ratios={name: ratio for name, ratio in ratios.items() if ratio is not None},
            nearest_real=look.nearest_real(),
            auc=look.auc(),
            effective_rows=_effective(weight),
            effective_rare_rows=_effective(weight[self.rare]),
            notes=tuple(notes),
        )
        return replace(report, notes=(*notes, *_notes(report, look, self.columns)))

    def _duplicates(self, look: Look) -> float | None:
        made = self.draw.made[self.kept :]
        return float(1 - made.mean() * (1 - look.coinciding())) if len(made) else None


def _effective(weight: Array) -> float:
    """Kish's effective sample size, 0 of nothing."""
    return effective_sample_size(weight) if weight.any() else 0.0


def _notes(report: Report, look: Look, columns: Mapping[str, Rows]) -> list[str]:
    """What is worth a warning; what the sampler itself warned about is said already."""
    notes = []
    if report.new_rows and not report.synthetic_rows:
        notes.append("every new row is a copy")
    elif (report.duplicate_rate or 0) > DOUBLE:
        notes.append(f"{report.duplicate_rate:.0%} of the new rows equal another row")
    for name, block in columns.items() or [("", slice(None))]:
        if look.shortened(block):
            what = f"synthetic rows are {1 - (look.norm_ratio(block) or 0):.0%} shorter than real ones"
            notes.append(f"{what}{f' in block {name!r}' if name else ''}: pass renormalize=True")
    if (report.nearest_real or 0) > FAR:
        notes.append(f"synthetic rows are {report.nearest_real:.1f} × as far from real rows as those are apart")
    if (report.auc or 0) > TELLTALE:
        notes.append(f"a classifier tells synthetic from real rows with AUC {report.auc:.2f}")
    return notes


def _text(value: float | None, form: str, words: str = "") -> str:
    return "–" if value is None else f"{value:{form}}{words}"
