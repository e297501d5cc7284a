"""Command: compare runs on the same posts, in a table, as JSON, CSV or Markdown, and in a one-file HTML report.

The scores were computed when the runs were fitted, so ten runs of 25,000 posts are compared in seconds; most of that
is reading the gallery's pictures.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from data.config import InputError, argument, main, option
from data.lines import aligned, cut, printable
from data.progress import note
from regress.fit import DEFAULT_RUNS

if TYPE_CHECKING:
    from regress.analysis import Analysis
    from regress.entry import Entry
    from regress.standing import Standing

Form = Literal["table", "csv", "csv_all", "markdown"]
FORMS: tuple[Form, ...] = ("csv", "csv_all", "markdown")  # the flags
WIDTH = 120  # columns of the table
HEAD = (
    *("run", "D²", "95 % interval", "by trials", "log loss", "SERA", "Spearman", "bias", "p mean", "p best"),
    *("verdict", "seconds"),
)


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Compare runs on the same posts: which one is best, and is it really better than predicting the mean."""

    run: tuple[Path, ...] = argument("folders of runs (default: all comparable with the last run)", (), metavar="RUN")
    runs: Path = option("folder that runs are looked for in", DEFAULT_RUNS, metavar="FOLDER")
    target: str | None = option("compare the runs that predict this (default: as the last run)", metavar="ACTIVITY")
    out: Path = option("where the report is written", Path("report.html"), metavar="FILE")
    gallery: int = option("number of posts shown in the report", 60, metavar="N")
    json: bool = option("print one JSON object instead of the table", False)
    csv: bool = option("print the numbers of the runs as CSV, in full, one row a run", False)
    csv_all: bool = option("print all that --json says as CSV, one row a number", False)
    markdown: bool = option("print all that --json says as Markdown tables, rounded", False)


@dataclass(frozen=True)
class Comparison:
    """The runs, best D² first, and where their report is."""

    analysis: "Analysis"
    out: Path
    form: Form = "table"  # what `str` gives

    def to_json(self) -> dict[str, Any]:
        return self.analysis.to_json()

    def __str__(self) -> str:
        from regress.formats import as_csv, as_markdown, as_tidy_csv, flat_rows

        if self.form == "table":
            return self._table()
        told = self.to_json()
        if self.form == "csv_all":
            return as_tidy_csv(told)
        places = [benefit.place for benefit in self.analysis.benefits]
        rows = flat_rows(told["runs"], dict(zip(places, told["oversampling"], strict=True)))
        return as_csv(rows) if self.form == "csv" else as_markdown(told, rows)

    def _table(self) -> str:
        entries, standings = self.analysis.entries, self.analysis.standings
        best = entries[0].scores
        mean = ["predicting the mean", "0.000", "", "0.000", _fixed(best["log_loss_mean"], 4)]
        floor = ["floor: label entropy", "1.000", "", "1.000", _fixed(best["log_loss_floor"], 4)]
        rows = [_row(entry, standing) for entry, standing in zip(entries, standings, strict=True)]
        rows += [[*row, *[""] * (len(HEAD) - len(row))] for row in (mean, floor)]
        return "\n".join([*aligned(HEAD, rows, WIDTH), *self._oversampling(), f"report: {self.out}"])

    def _oversampling(self) -> list[str]:
        """A line on all posts and one on rare ones: how many runs each finding has, and those that help."""
        benefits = self.analysis.benefits
        names = [self.analysis.entries[benefit.place].name for benefit in benefits]
        return [
            _told(f"oversampling on {what}: ", [getattr(benefit, which) for benefit in benefits], names)
            for which, what in (("everywhere", "all posts (log loss)"), ("rare", "rare posts (SERA)"))
            if names
        ]


def _told(line: str, findings: list[str], names: list[str]) -> str:
    """ "… unproven 2, helps 1: ridge-bce-all-smoter", in at most 120 columns."""
    from regress.benefit import MEANINGS

    counts = [(what, findings.count(what)) for what in reversed(MEANINGS)]
    line += ", ".join(f"{what} {n}" for what, n in counts if n)
    helping = ", ".join(printable(name) for name, what in zip(names, findings, strict=True) if what == "helps")
    return f"{line}: {cut(helping, max(WIDTH - len(line) - 2, 12))}" if helping else line


def _row(entry: "Entry", standing: "Standing") -> list[str]:
    s, chances = entry.scores, [_chance(p) for p in (standing.p_mean, standing.p_best)]
    interval = f"{_fixed(s['d2_low'], 3)} … {_fixed(s['d2_high'], 3)}"
    numbers = [_fixed(s["d2_trials"], 3), _fixed(s["log_loss"], 4)]
    numbers += [_fixed(s["sera"], 2), _fixed(s["spearman"], 2), _fixed(s["bias"], 2)]
    return [entry.name, _fixed(s["d2"], 3), interval, *numbers, *chances, entry.verdict, f"{entry.seconds:.1f}"]


def _fixed(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no "-0.000"


def _chance(p: float | None) -> str:
    return "" if p is None else "<0.001" if p < 0.0005 else f"{p:.3f}"


def run(config: Compare) -> Comparison:
    """Read the runs, write the report.

    Raises:
        InputError: there are no runs, one is damaged, they cannot be compared, or the report cannot be written.
    """
    from data.files import atomic_write
    from regress.analysis import Analysis
    from regress.gallery import Gallery, choose_posts, read_contents
    from regress.report import render
    from regress.runs import choose, read_predictions

    form = _form(config)
    if config.gallery < 0:
        raise InputError(f"--gallery {config.gallery}: expected 0 or more, the number of posts to show")
    if config.out.is_dir():
        raise InputError(f"--out {str(config.out)!r} is a folder: name a file, such as report.html")
    entries, others = choose(config.run, config.runs, config.target)
    if others:
        note(_left_out(entries[0], others))
    predictions = read_predictions(entries)
    picks = choose_posts(entries, predictions, config.gallery)
    analysis = Analysis.of(entries, predictions)
    html = render(analysis, Gallery(picks, read_contents(entries[0], predictions, picks)))
    try:
        with atomic_write(config.out, "w") as file:
            file.write(html)
    except OSError as why:
        raise InputError(f"--out {str(config.out)!r} cannot be written ({why.strerror}): name another file") from None
    return Comparison(analysis, config.out, form)


def _form(config: Compare) -> Form:
    chosen = [form for form in FORMS if getattr(config, form)]
    asked = [f"--{name.replace('_', '-')}" for name in (*["json"] * config.json, *chosen)]
    if len(asked) > 1:
        raise InputError(f"{' and '.join(asked)}: expected one of them, each is printed instead of the table")
    return chosen[0] if chosen else "table"


def _left_out(first: "Entry", others: "list[Entry]") -> str:
    """A note on runs that cannot be compared with the first, and on the targets that could be asked for."""
    count = "1 run" if len(others) == 1 else f"{len(others)} runs"
    targets = sorted({entry.ground.target for entry in others} - {first.ground.target})
    more = f", or --target NAME ({printable(', '.join(targets))})" if targets else ""
    return f"{count} on other posts, targets or folds left out: name runs to compare those{more}"


if __name__ == "__main__":
    sys.exit(main(Compare, run))
