"""The page and the text of an exploration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from data import page
from data.exploration.advice import FINDINGS, RULE, Judged
from data.exploration.ceiling import LEAST
from data.exploration.copies import Copies
from data.exploration.summary import (
    Conversion,
    Correlations,
    PictureSummary,
    Rung,
    Spread,
    TextSummary,
    Trials,
    plain,
)
from data.exploration.texts import LIMIT
from data.figures import histogram, interval
from data.lines import aligned, printable
from data.page import fixed, percent
from data.svg import number
from data.svg import percent as tick

WIDTH = 120
HEAD = ("target", "posts", "zeros", "mean", "R² at most", "95 % interval", "D² at most", "finding")
LISTED = 8  # alphabets, languages, formats


@dataclass(frozen=True)
class Exploration:
    """All that is told of a table."""

    path: Path
    posts: int
    columns: int
    notes: list[str]
    problems: list[str]
    trials: Trials | None
    conversions: list[Conversion]
    judged: list[Judged]
    recommended: Judged | None
    declared: str | None  # the activity that the table itself names as its target
    rungs: list[Rung]
    correlations: Correlations | None
    whole: bool
    pictures: PictureSummary
    texts: TextSummary
    sharing: int

    def to_json(self) -> dict[str, Any]:
        """All numbers of the page, and those its figures are drawn from."""
        names = ("posts", "columns", "notes", "problems", "trials", "rungs", "correlations", "pictures", "texts")
        findings = {each.name: each.finding for each in self.judged}
        targets = [plain(each) | {"finding": findings[each.name]} for each in self.conversions]
        return {
            "table": self.path.as_posix(),
            **{name: plain(getattr(self, name)) for name in names},
            "targets": targets,
            "recommended": None if self.recommended is None else self.recommended.name,
            "advice": self.advice,
            "posts_sharing": self.sharing,
        }

    @property
    def headline(self) -> str:
        """What to predict, and how well at most."""
        best = self.recommended
        if best is not None and best.ceiling.r2 is not None:
            return f"{best.name} could be learned, at most to R² {fixed(best.ceiling.r2.value, 2)}"
        return "No target here is worth trying" if self.judged else f"{self.posts:,} posts without rates"

    @property
    def advice(self) -> str:
        """The reasons; how much pictures and texts tell is not among them."""
        if not self.judged:
            return "There is nothing to predict: no trials with counts of what followed them."
        if self.recommended is None:
            return "; ".join(f"{each.name}: {FINDINGS[each.finding]}" for each in self.judged) + "."
        said = (
            f"Knowing every post's true rate would give {self.recommended.reach}; the rest is luck. "
            f"{self.recommended.share}. How much pictures and texts tell of it, only a fit shows."
        )
        both = zip(self.conversions, self.judged, strict=True)
        other = next((judged for each, judged in both if each.activity == self.declared), self.recommended)
        if other is not self.recommended:
            most = f"at most {other.reach}, {other.share}" if other.ceiling.r2 else other.reach
            said += f" The table itself names {other.name} ({other.finding}): {most}."
        return said

    def text(self) -> str:
        rows = [_row(conversion, judged) for conversion, judged in zip(self.conversions, self.judged, strict=True)]
        lines = [f"{self.posts:,} posts in {self.path}, {self.columns} columns"]
        lines += [f"note: {note}" for note in self.notes] + [f"left out: {problem}" for problem in self.problems]
        lines += [_trials_line(self.trials)] if self.trials else []
        lines += aligned(HEAD, rows, WIDTH) if rows else []
        lines += [_pictures_line(self.pictures), _texts_line(self.texts)]
        if self.sharing:
            lines.append(f"copies: {self.sharing:,} posts share a picture or a text; they leak, folds purge them")
        lines.append(f"advice: {self.headline}. {self.advice}")
        return "\n".join(printable(line.replace("\u00a0", " ")) for line in lines)


def _row(each: Conversion, judged: Judged) -> list[str]:
    r2, d2 = each.ceiling.r2, each.ceiling.d2
    zeros = percent(each.zeros / each.posts) if each.posts else "–"
    low_high = f"{fixed(r2.low, 3)} … {fixed(r2.high, 3)}" if r2 else ""
    most = [fixed(r2.value if r2 else None, 3), low_high, fixed(d2.value if d2 else None, 3)]
    mean = "–" if each.mean is None else percent(each.mean)
    cells = [each.name, f"{each.posts:,}", zeros, mean, *most, judged.finding]
    return [cell.replace("\u00a0", " ") for cell in cells]


def _trials_line(trials: Trials) -> str:
    middle = f", median {trials.spread.median:,.0f}" if trials.spread else ""
    return (
        f"{trials.name}: {trials.enough:,} posts with {trials.least} or more{middle}; {trials.below:,} below, "
        f"{trials.zeros:,} zero, {trials.unknown:,} unknown"
    )


def _pictures_line(pictures: PictureSummary) -> str:
    if pictures.column is None:
        return "pictures: no column of pictures: name it with --image-column NAME"
    width, height = pictures.width, pictures.height
    size = f", median {width.median:.0f} × {height.median:.0f} pixels" if width and height else ""
    return (
        f"pictures: {pictures.there:,} read{size}; {pictures.missing:,} missing, {pictures.unreadable:,} unreadable, "
        f"{_copied(pictures.copies)}"
    )


def _texts_line(texts: TextSummary) -> str:
    if texts.column is None:
        return "texts: no column of texts: name it with --text-column NAME"
    length = f", median {texts.characters.median:,.0f} characters" if texts.characters else ""
    over = ", ".join(f"{each.over:,} {each.vocabulary}" for each in texts.tokens)
    how = "counted" if texts.tokens[0].vocabulary == "exact" else "estimated"
    return (
        f"texts: {texts.there:,}{length}; {texts.missing:,} missing, over {LIMIT} tokens ({how}): {over}; "
        f"{_copied(texts.copies)}"
    )


def _copied(copies: Copies) -> str:
    return f"{copies.posts:,} copies in {copies.clusters:,} {'cluster' if copies.clusters == 1 else 'clusters'}"


def render(found: Exploration) -> str:
    """The HTML page."""
    charts = {
        "trials": _chart(found.trials.spread if found.trials else None, "posts by their trials", number),
        "aspect": _chart(found.pictures.aspect, "pictures by width over height", number),
        "width": _chart(found.pictures.width, "pictures by width", number),
        "height": _chart(found.pictures.height, "pictures by height", number),
        "nbytes": _chart(found.pictures.nbytes, "pictures by bytes", number),
        "characters": _chart(found.texts.characters, "texts by characters", number),
    }
    limit = (float(LIMIT), f"{LIMIT}")
    context = {
        "found": found,
        "charts": charts,
        "targets": [
            (each, judged, _whisker(each), _chart(each.spread, f"posts by {each.name}", tick))
            for each, judged in zip(found.conversions, found.judged, strict=True)
        ],
        "tokens": [(each, _chart(each.spread, "texts by tokens", number, limit)) for each in found.texts.tokens],
        "limit": LIMIT,
        "findings": FINDINGS,
        "rule": RULE,
        "least": LEAST,
        "listed": LISTED,
        "number": number,
    }
    return page.render(page.TEMPLATES, "explore.html", context)


def _whisker(each: Conversion) -> Markup | None:
    r2 = each.ceiling.r2
    return None if r2 is None else interval(r2.value, r2.low, r2.high)


def _chart(spread: Spread | None, label: str, write: Any, mark: tuple[float, str] | None = None) -> Markup | None:
    if spread is None:
        return None
    return histogram(spread.chart.bars, spread.chart.axis, label, write, mark)
