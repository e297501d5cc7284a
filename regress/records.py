"""What `--json` says of a comparison, as flat records: the tidy CSV and the Markdown tables are made of them.

The JSON is walked as it comes and not by a list of its parts: a part, or a number, added to it is in the records
without a line here. What this knows are the names that stand for runs, and what lists of two and of three numbers mean.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

RUN = ("run", "name", "first", "to")  # the run that is spoken of; inside of another's findings, what it is against
AGAINST = ("second", "from")
BY_RUN = "runs"  # inside a part, its names are runs
SERIES = "series"
UNPREFIXED = ("", BY_RUN, SERIES)
LISTED = ("trained", "held")  # these are series even where they have three numbers
ENDS = {2: ("_before", "_after"), 3: ("_low", "", "_high")}  # how the numbers of a short list are called


@dataclass(frozen=True)
class Record:
    """What is said of one thing: of a run, of two runs, of a run in one bin."""

    part: str  # of the JSON
    item: int  # its number in the part, from 1
    run: str | None = None
    against: str | None = None
    group: str = ""  # "bins", "quarters", "nothing", …: what in the item it is about
    place: int | None = None  # number of the bin, quarter or epoch, from 1
    labels: Mapping[str, str] = field(default_factory=dict)  # the texts of what this is part of
    values: Mapping[str, Any] = field(default_factory=dict)  # numbers, texts and None

    def what(self, name: str) -> str:
        """How a value is called among all of the item: "nothing_log_loss_low"."""
        return name if self.group in UNPREFIXED else f"{self.group}_{name}"


def records(told: Mapping[str, Any]) -> Iterator[Record]:
    """Every number and text of the JSON, in its order."""
    for part, content in told.items():
        for item, entry in enumerate(content if isinstance(content, list) else [content], 1):
            yield from _walk(Record(part, item), entry if isinstance(entry, dict) else {part: entry})


def _walk(context: Record, entry: Mapping[str, Any]) -> Iterator[Record]:
    """The record of an entry itself, then those of what is nested in it."""
    context, rest = _named(context, entry)
    own: dict[str, Any] = {}
    series: dict[str, list[Any]] = {}
    nested: dict[str, Any] = {}
    for name, value in rest.items():
        if isinstance(value, dict) or (
            isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value)
        ):
            nested[name] = value
        elif not isinstance(value, list):
            own[name] = value
        elif name not in LISTED and len(value) in ENDS:
            own |= {f"{name}{end}": each for end, each in zip(ENDS[len(value)], value, strict=True)}
        else:
            series[name] = value
    if own:
        yield replace(context, values=own)
    texts = {name: value for name, value in own.items() if isinstance(value, str)}
    context = replace(context, labels={**context.labels, **texts})
    for place in range(max(map(len, series.values()), default=0)):
        values = {name: value[place] for name, value in series.items() if place < len(value)}
        yield replace(context, group=SERIES, place=place + 1, values=values)
    for name, value in nested.items():
        yield from _nested(context, name, value)


def _named(context: Record, entry: Mapping[str, Any]) -> tuple[Record, Mapping[str, Any]]:
    """With the runs that the entry names, and what else it says."""
    run, against = (next((name for name in names if name in entry), None) for names in (RUN, AGAINST))
    rest = {name: value for name, value in entry.items() if name not in (run, against)}
    if run is not None:
        inside = context.run is not None
        context = replace(context, against=entry[run]) if inside else replace(context, run=entry[run])
    return (replace(context, against=entry[against]) if against is not None else context), rest


def _nested(context: Record, name: str, value: Any) -> Iterator[Record]:
    if name == BY_RUN and isinstance(value, dict) and all(isinstance(each, (dict, list)) for each in value.values()):
        for run, entries in value.items():
            yield from _inside(replace(context, run=run, group=BY_RUN), entries)
    else:
        group = name if context.group in UNPREFIXED else f"{context.group}_{name}"
        yield from _inside(replace(context, group=group), value)


def _inside(context: Record, value: Any) -> Iterator[Record]:
    if isinstance(value, dict):
        yield from _walk(context, value)
    else:
        for place, entry in enumerate(value, 1):
            yield from _walk(replace(context, place=place), entry if isinstance(entry, dict) else {"value": entry})
