"""What a comparison says in words: which run is best, whether it is real, and how far it gets.

The first screen is these sentences and not a table, since a table of losses let five collapsed models pass as results
in the study this project grew out of.
"""

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.config import as_json
from data.page import fixed, percent
from regress.entry import Entry
from regress.fit import Fit
from regress.runs import leader
from regress.standing import ALPHA, Standing

MEANINGS = {
    "USEFUL": "orders posts better than chance, and its loss is below the mean’s beyond chance",
    "MISCALIBRATED": "orders posts better than chance, but its numbers do worse than the mean’s",
    "UNPROVEN": "orders posts better than chance; whether its numbers beat the mean’s, these posts cannot tell",
    "NO SIGNAL": "its predictions vary, but their order has nothing to do with the truth",
    "COLLAPSED": "predicts practically one number for every post",
}


@dataclass(frozen=True)
class Headline:
    """The answer: a title of one line, what it rests on, and what else must be known."""

    title: str
    lead: str
    notes: list[str]


@dataclass(frozen=True)
class Tally:
    """The runs of one verdict, best first, by their places in the leaderboard."""

    verdict: str
    meaning: str
    places: list[int]


def headline(entries: Sequence[Entry], standings: Sequence[Standing]) -> Headline:
    """Which run is best, and how far it gets, from the leaderboard in order."""
    best = entries[leader(entries)]
    if best.is_reference:
        return Headline("There is nothing to compare with the mean yet.", "Fit a model: python -m regress.fit.", [])
    if best.verdict != "USEFUL":
        lead = f"The nearest is {best.name} ({_d2(best)}): {best.why.rstrip('.')}."
        return Headline("No run is proven better than predicting the mean.", lead, [])
    lead = (
        f"It goes {_share(best.scores['d2'])} of the way from predicting the mean to the floor, "
        f"the labels’ own entropy ({_d2(best)})."
    )
    return Headline(f"{best.name} is really better than predicting the mean.", lead, _notes(best, entries, standings))


def _notes(best: Entry, entries: Sequence[Entry], standings: Sequence[Standing]) -> list[str]:
    notes = []
    if entries[0] is not best and not entries[0].is_reference:
        notes.append(f"{entries[0].name} has a higher D², but is {entries[0].verdict}: {entries[0].why.rstrip('.')}.")
    useful = [
        (entry, standing.p_best)
        for entry, standing in zip(entries, standings, strict=True)
        if entry.verdict == "USEFUL" and entry is not best and not entry.is_reference
    ]
    apart = [(entry, p) for entry, p in useful if p is not None and p >= ALPHA]
    if apart:
        whose, least = _counted([entry for entry, _ in apart]), min(p for _, p in apart)
        notes.append(f"Its folds do not tell it from {whose} (p\u00a0≥\u00a0{least:.2f}): their order is not settled.")
    low = best.scores["d2_low"]
    near = [entry for entry, p in useful if p is None and _reaches(entry.scores["d2_high"], low)]
    if near:
        notes.append(f"Its interval overlaps that of {_counted(near)}: their order is not settled.")
    return notes


def _counted(entries: Sequence[Entry]) -> str:
    return entries[0].name if len(entries) == 1 else f"{len(entries)} other useful runs"


def _reaches(high: float | None, low: float | None) -> bool:
    return high is not None and low is not None and high >= low


def tallies(entries: Sequence[Entry]) -> list[Tally]:
    """Verdicts from the best to the worst, with their runs; the mean itself is no finding and is left out."""
    found = dict.fromkeys([*MEANINGS, *(entry.verdict for entry in entries)])
    places = {v: [i for i, e in enumerate(entries) if e.verdict == v and not e.is_reference] for v in found}
    return [Tally(verdict, MEANINGS.get(verdict, ""), runs) for verdict, runs in places.items() if runs]


def _d2(entry: Entry) -> str:
    low, high = fixed(entry.scores["d2_low"], 3), fixed(entry.scores["d2_high"], 3)
    return f"D²\u00a0{fixed(entry.scores['d2'], 3)}, 95\u00a0% interval {low} to {high}"


def _share(d2: float | None) -> str:
    return "less than 1\u00a0%" if d2 is None or d2 < 0.01 else f"{100 * d2:.0f}\u00a0%"


def chance(p: float | None) -> str:
    """A p-value with three decimals; a dash where there is none."""
    return "–" if p is None else "<\u00a00.001" if p < 0.0005 else f"{p:.3f}"


def span(low: float, high: float) -> str:
    """An interval of rates: "3.1 to 12.0 %"."""
    return f"{percent(low)[:-2]} to {percent(high)}"


def middle_half(values: NDArray[np.float64]) -> str:
    """Where the middle half of the values lies: "3.1 to 12.0 %"."""
    low, high = np.quantile(values, [0.25, 0.75])
    return span(float(low), float(high))


def command(config: dict[str, Any]) -> str:
    """The command line that fitted a run, from the configuration kept in its run.json; defaults are left out."""
    default = as_json(Fit())
    words = ["python", "-m", "regress.fit"]
    for field in dataclasses.fields(Fit):
        value = config.get(field.name, default[field.name])
        if value == default[field.name] or value is None or field.name == "json":
            continue
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        words += [text] if field.metadata.get("positional") else [f"--{field.name.replace('_', '-')}"]
        words += [] if isinstance(value, bool) or field.metadata.get("positional") else [text]
    return shlex.join(words)
