"""A comparison as CSV and as Markdown: the numbers of the runs in `--json`, for a spreadsheet and for an issue.

CSV has every number in full and one row a run, its findings on oversampling among them; a missing value is an empty
cell. Markdown has them rounded as the terminal's table. Names come from run folders and are untrusted: what cannot be
printed becomes U+FFFD, and neither a spreadsheet nor a browser may take one for a formula or for markup.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.lines import printable

Row = dict[str, Any]
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "'")  # a spreadsheet computes these, but for the last
BASELINES = ("nothing", "random")


@dataclass(frozen=True)
class Column:
    """One column of a Markdown table: a number with so many digits, or an interval of two."""

    title: str
    names: tuple[str, ...]  # of the values in a flat row
    digits: int


COLUMNS = (
    Column("D²", ("d2",), 3),
    Column("95 % interval", ("d2_low", "d2_high"), 3),
    Column("by trials", ("d2_trials",), 3),
    Column("p mean", ("p_mean",), 3),
    Column("p best", ("p_best",), 3),
    Column("Spearman", ("spearman",), 2),
    Column("lift", ("lift",), 2),
    Column("bias", ("bias",), 2),
    Column("log loss", ("log_loss",), 4),
    Column("of the mean", ("log_loss_mean",), 4),
    Column("floor", ("log_loss_floor",), 4),
    Column("behind the best", ("log_loss_behind",), 4),
    Column("95 % interval", ("log_loss_behind_low", "log_loss_behind_high"), 4),
    Column("miscalibration", ("miscalibration",), 4),
    Column("discrimination", ("discrimination",), 4),
    Column("MSE", ("mse",), 4),
    Column("MAE", ("mae",), 4),
    Column("MAE of rare", ("mae_rare",), 3),
    Column("SERA", ("sera",), 2),
    Column("seconds", ("seconds",), 1),
)
CHANCES = ("p mean", "p best")


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
    return "" if value is None else repr(float(value))


def no_formula(text: str) -> str:
    """A leading apostrophe where a spreadsheet would see a formula, or an apostrophe: dropping one gives the text."""
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def as_markdown(rows: Sequence[Row]) -> str:
    """A table of all runs, and one of those with a sampler, as GitHub renders them."""
    texts = ("name", "features", "verdict")
    head = ["run", *texts[1:], *(column.title for column in COLUMNS)]
    lines = _table(head, [[*(escaped(row[name]) for name in texts), *_numbers(row, COLUMNS)] for row in rows])
    judged = [row for row in rows if row["oversampling_log_loss"] is not None]
    if judged:
        lines += ["", *_oversampling_table(judged)]
    return "\n".join(lines)


def _oversampling_table(judged: Sequence[Row]) -> list[str]:
    texts = ("name", "oversampling_log_loss", "oversampling_sera")
    columns: list[Column] = []
    for score, title, digits in (("log_loss", "log loss", 4), ("sera", "SERA a post", 6)):
        for name in BASELINES:
            field = f"{name}_{score}"
            columns += [Column(f"{title} − {name}’s", (field,), digits)]
            columns += [Column("95 % interval", (f"{field}_low", f"{field}_high"), digits)]
    head = ["run", "helps on all posts", "helps on rare posts", *(column.title for column in columns)]
    return _table(head, [[*(escaped(row[name]) for name in texts), *_numbers(row, columns)] for row in judged])


def _numbers(row: Row, columns: Sequence[Column]) -> list[str]:
    """Cells such as "0.250" and "0.180 … 0.310"; a dash where a number is missing."""
    cells = [[row[name] for name in column.names] for column in columns]
    return [
        "–" if None in values else " … ".join(_number(value, column) for value in values)
        for column, values in zip(columns, cells, strict=True)
    ]


def _number(value: float, column: Column) -> str:
    if column.title in CHANCES and value < 0.0005:
        return "&lt;0.001"
    return f"{round(value, column.digits) + 0.0:.{column.digits}f}"  # + 0.0: no "-0.000"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a pipe table: three columns of texts, then numbers, to the right."""
    rule = ["---"] * 3 + ["--:"] * (len(head) - 3)
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no end of the cell or of the line."""
    plain = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", plain) or " "
