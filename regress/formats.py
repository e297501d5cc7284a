"""A comparison as CSV and as Markdown: what `--json` says, for a spreadsheet, for pandas and for a pull request.

CSV is two tables, each a rectangle with every number in full. The wide one, one row a run and a column a score, is what
a spreadsheet sorts; findings on two runs, on a bin or on an epoch have no place in it, and glued below it would be no
table that `pandas.read_csv` reads. So the tidy one is a flag of its own, one row a number: the part of the JSON and the
number of its item there, the run, the run it is against, what it is, the number of the bin, quarter or epoch, and the
number, or a text. In both a missing value is an empty cell; what is null in JSON has no row in the tidy one.

Markdown has the same numbers rounded, a table a part: 10 runs are about 33,000 characters, and a comment on GitHub
takes 65,536. Names come from run folders and are untrusted: what cannot be printed becomes U+FFFD, and neither a
spreadsheet nor a browser may take one for a formula or for markup.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from data.lines import printable
from regress.card import code
from regress.records import Record, records
from regress.tables import KEYED, OVERSAMPLING, RUNS, TABLES, Column, Table

Row = dict[str, Any]
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "'")  # a spreadsheet computes these, but for the last
BASELINES = ("nothing", "random")
TIDY = ("part", "item", "run", "against", "what", "place", "value", "text")
SCREEN = 15  # rows, above which a table is folded


def flat_rows(runs: Sequence[Row], findings: Mapping[int, Row]) -> list[Row]:
    """One row a run of what `--json` says of it, all with the same columns; None where there is no value.

    `findings` are those on oversampling, by the place of their run among `runs`.
    """
    return [_interval(run, "log_loss_behind") | _oversampling(findings.get(place)) for place, run in enumerate(runs)]


def _interval(values: Row, *names: str) -> Row:
    """[low, mean, high] becomes three columns, the mean under the name itself."""
    flat: Row = {}
    for name, value in values.items():
        if name in names:
            flat |= dict(zip((f"{name}_low", name, f"{name}_high"), value or [None] * 3, strict=True))
        else:
            flat[name] = value
    return flat


def _oversampling(found: Row | None) -> Row:
    """Findings of a run with a sampler: "oversampling_sera", "nothing_run", "nothing_sera_low" and so on."""
    flat: Row = {f"oversampling_{score}": found and found[score] for score in ("log_loss", "sera")}
    for name in BASELINES:
        against = (found and found[name]) or {"run": None, "log_loss": None, "sera": None}
        flat |= {f"{name}_{key}": value for key, value in _interval(against, "log_loss", "sera").items()}
    return flat


def as_csv(rows: Sequence[Row]) -> str:
    """RFC 4180 with LF and without the last one; texts in quotes, numbers as `repr` writes them."""
    return "\n".join([",".join(rows[0]), *(",".join(map(_cell, row.values())) for row in rows)])


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return '"' + no_formula(printable(value)).replace('"', '""') + '"'
    return "" if value is None else str(int(value)) if isinstance(value, int) else repr(float(value))


def no_formula(text: str) -> str:
    """A leading apostrophe where a spreadsheet would see a formula, or an apostrophe: dropping one gives the text."""
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def as_tidy_csv(told: Mapping[str, Any]) -> str:
    """One row a number or text of the JSON; what is null there has none."""
    rows = [
        ",".join(map(_cell, (r.part, r.item, r.run, r.against, r.what(name), r.place, *_sides(value))))
        for r in records(told)
        for name, value in r.values.items()
        if value is not None
    ]
    return "\n".join([",".join(TIDY), *rows])


def _sides(value: Any) -> tuple[Any, Any]:
    """A number on the left, a text on the right: a column of one type each."""
    return (None, _spaced(value)) if isinstance(value, str) else (value, None)


def _spaced(said: str) -> str:
    """Our own sentences have no-break spaces, which `printable` would take for something hostile."""
    return said.replace("\u00a0", " ")


def as_markdown(told: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """A titled table for each part that there is, and lists of what is said in sentences; `rows` are the flat ones.

    What is longer than a screen is folded on GitHub and GitLab, but for the runs themselves.
    """
    judged = [row | {"run": row["name"]} for row in rows if row["oversampling_log_loss"] is not None]
    parts = [_titled(RUNS, [row | {"run": row["name"]} for row in rows], fold=False)]
    parts += [_titled(OVERSAMPLING, judged, fold=False)] if judged else []
    found: dict[tuple[str, str], list[Row]] = {}  # by part and group
    for record in records(told):
        found.setdefault((record.part, record.group), []).extend(_table_rows(record))
    for table in TABLES:
        chosen = [row for row in found.get((table.part, table.group), []) if table.only <= row.items()]
        parts += [_titled(table, chosen)] if chosen else []
    said = [f"- {escaped(_spaced(sentence))}" for sentence in told["weaknesses"]]
    parts += [_section("What the leading run gets wrong", said)]
    parts += [_section("What to do next", [line for each in told["advice"] for line in _advised(each)])]
    return "\n\n".join(part for part in parts if part)


def _table_rows(record: Record) -> list[Row]:
    context = {**record.labels, "run": record.run, "against": record.against, "place": record.place}
    if (record.part, record.group) != KEYED:
        return [{**context, **record.values}]
    return [{**context, "key": key, "value": value} for key, value in record.values.items()]


def _titled(table: Table, rows: Sequence[Row], *, fold: bool = True) -> str:
    """A pipe table below its title: texts to the left, numbers to the right."""
    head = [*(title for title, _ in table.texts), *(column.title for column in table.columns)]
    rule = ["---"] * len(table.texts) + ["--:"] * len(table.columns)
    cells = [[*(_text(row.get(name)) for _, name in table.texts), *_numbers(row, table.columns)] for row in rows]
    lines = [f"| {' | '.join(line)} |" for line in (head, rule, *cells)]
    if fold and len(rows) > SCREEN:
        lines = [f"<details><summary>{len(rows)} rows</summary>", "", *lines, "", "</details>"]
    return _section(table.title, lines)


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"### {title}", "", *lines]) if lines else ""


def _advised(advice: Mapping[str, str]) -> list[str]:
    said = f"1. **{escaped(_spaced(advice['what']))}.** {escaped(_spaced(advice['why']))}"
    return [said, "", f"   {code(advice['command'])}", ""]


def _text(value: Any) -> str:
    return "–" if value is None else escaped(str(value))


def _numbers(row: Row, columns: Sequence[Column]) -> list[str]:
    """Cells such as "0.250" and "0.180 … 0.310"; a dash where a number is missing."""
    cells: list[tuple[Column, list[Any]]] = [(each, [row.get(name) for name in each.names]) for each in columns]
    return ["–" if None in values else " … ".join(map(column.shown, values)) for column, values in cells]


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no end of the cell or of the line."""
    plain = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", plain) or " "
