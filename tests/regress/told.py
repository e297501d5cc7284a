"""What a comparison told, read back: the numbers of its JSON, walked as it comes, and those of its Markdown tables."""

import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from data.lines import printable

DIFFERENCE = ["log_loss", "log_loss_low … log_loss_high"]
# what the columns of numbers are in JSON, by the title of their table
COLUMNS = {
    "Runs": [
        *("d2", "d2_low … d2_high", "d2_trials", "p_mean", "p_best", "spearman", "lift", "bias", "log_loss"),
        *("log_loss_mean", "log_loss_floor", "log_loss_behind", "log_loss_behind_low … log_loss_behind_high"),
        *("miscalibration", "discrimination", "mse", "mae", "mae_rare", "sera", "seconds"),
    ],
    "Does oversampling help?": [*DIFFERENCE, *DIFFERENCE, *["sera", "sera_low … sera_high"] * 2],
    "Every run against every run": [*DIFFERENCE, "p"],
    "Log loss, nats": ["uncertainty", "floor"],
    "Feature sets": [],
    "Which modality helps?": ["d2", "d2_low … d2_high"],
    "Bins of the true rate": ["low", "high", "posts", "truth"],
    "Bins of the trials": ["low", "high", "posts", "truth"],
    "Where are the errors?": ["predicted", "excess", "share", "gain", "gain_low … gain_high"],
    "Do the 90 % intervals hold?": ["covered", "width"],
    "Intervals by quarters of the prediction": [
        *("low", "high", "posts", "covered", "covered_low … covered_high", "width"),
    ],
    "Calibration before and after": [
        *("bias_before", "bias_after", "log_loss_before", "log_loss_after", "change", "change_low … change_high"),
    ],
    "How far do lax folds flatter?": ["d2"],
    "Training of the heads": ["best_epoch"],
    "Loss by epoch": ["trained", "held"],
}
PARTS = {  # of the JSON, by the title of a table
    "Runs": "runs",
    "Does oversampling help?": "oversampling",
    "Every run against every run": "pairs",
    "Log loss, nats": "decomposition",
    "Feature sets": "modalities",
    "Which modality helps?": "modalities",
    **dict.fromkeys(("Bins of the true rate", "Bins of the trials", "Where are the errors?"), "strata"),
    **dict.fromkeys(("Do the 90 % intervals hold?", "Intervals by quarters of the prediction"), "intervals"),
    "Calibration before and after": "calibration",
    "How far do lax folds flatter?": "leakage",
    **dict.fromkeys(("Training of the heads", "Loss by epoch"), "curves"),
}
PLACES = ("bin", "quarter", "epoch")


@dataclass(frozen=True)
class Leaf:
    """A number of the JSON: where it is, what it is, and all texts beside it and above it."""

    part: str
    item: int
    name: str
    places: tuple[int, ...]  # from 1
    texts: frozenset[str]
    value: float


@dataclass(frozen=True)
class Cell:
    """A number of a Markdown table, and the texts of its row."""

    part: str
    name: str
    texts: frozenset[str]
    places: frozenset[int]
    shown: str

    def is_rounded(self, value: float) -> bool:
        if self.shown == "<0.001":
            return value < 0.0005
        scale = 100 if self.shown.endswith("%") else 1
        number = self.shown.removesuffix("%").strip()
        digits = len(number.partition(".")[2])
        return abs(float(number) - scale * value) <= 0.5 * 10.0**-digits + 1e-9


def leaves(told: dict[str, Any]) -> list[Leaf]:
    found: list[Leaf] = []

    def walk(value: Any, path: tuple[str | int, ...], texts: frozenset[str]) -> None:
        if isinstance(value, dict):
            beside = texts | {printable(each) for each in value.values() if isinstance(each, str)}
            for key, each in value.items():
                walk(each, (*path, key), beside | {printable(key)})
        elif isinstance(value, list):
            ends = {2: ("_before", "_after"), 3: ("_low", "", "_high")}.get(len(value))
            if ends and isinstance(value[0], float) and path[-1] not in ("trained", "held"):
                for end, each in zip(ends, value, strict=True):
                    walk(each, (*path[:-1], f"{path[-1]}{end}"), texts)
            else:
                for place, each in enumerate(value, 1):
                    walk(each, (*path, place), texts)
        elif isinstance(value, (int, float)):
            names = [each for each in path if isinstance(each, str)]
            name = "d2" if path[0] == "leakage" else names[-1]
            places = [each for each in path[1:] if isinstance(each, int)]
            inside = places if path[0] == "decomposition" else places[1:]
            found.append(Leaf(str(path[0]), (places or [1])[0], name, tuple(inside), texts, value))

    walk(told, (), frozenset())
    return found


def tables(text: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Titles, and cells with their escapes undone; of lists, none."""
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        title, *lines = part.splitlines()
        cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("| ")]
        assert len({len(line) for line in cells}) <= 1
        if cells:
            yield title, [[re.sub(r"\\(.)", r"\1", html.unescape(cell.strip())) for cell in line] for line in cells]


def cells(text: str) -> Iterator[Cell]:
    for title, (head, rule, *rows) in tables(text):
        names, first = COLUMNS[title], rule.count("---")
        assert len(head) == first + len(names)
        for row in rows:
            about = dict(zip(head[:first], row, strict=False))
            places = frozenset(int(about.pop(name)) for name in PLACES if name in about)
            for name, cell in zip(names, row[first:], strict=True):
                pairs = zip(re.split(" … ", name), re.split(" … ", cell), strict=cell != "–")
                for each, shown in pairs:
                    if shown != "–":
                        yield Cell(PARTS[title], each, frozenset(about.values()), places, shown)


def unmatched(numbers: Sequence[Any], found: Sequence[Any], fits: Callable[[Any, Any], bool]) -> list[Any]:
    """Those of `numbers` that are in no largest matching, where each is matched with one of `found` at most."""
    graph = csr_array(np.array([[fits(a, b) for b in found] for a in numbers]).reshape(len(numbers), len(found)))
    return [numbers[i] for i in np.flatnonzero(maximum_bipartite_matching(graph, perm_type="column") < 0)]


def by(key: Callable[[Any], Any], values: Sequence[Any]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for value in values:
        found.setdefault(key(value), []).append(value)
    return found


def spaced(text: str) -> str:
    """As it is printed: the no-break spaces of our own sentences are spaces."""
    return printable(text.replace("\u00a0", " "))


def strings(value: Any) -> set[str]:
    """All texts of the JSON, and the names that are data."""
    if isinstance(value, dict):
        return set().union(*map(strings, value.values()))
    if isinstance(value, list):
        return set().union(*map(strings, value))
    return {spaced(value)} if isinstance(value, str) else set()
