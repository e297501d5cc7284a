"""A comparison as one HTML file (`data.page`); 10 runs and 60 posts take about 1 MB."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from data import page, svg
from data.svg import Histogram, RateAxis
from regress import benefit, figures, wording
from regress.benefit import Benefit
from regress.entry import Entry
from regress.gallery import KINDS, Content, Gallery, truth_interval
from regress.inference import COLLAPSED_SHARE, DRAWS, RANK_Z
from regress.metrics import EPSILON
from regress.runs import Predictions, leader
from regress.standing import Standing

TEMPLATES = Path(__file__).parent / "templates"
COLOURS = 9  # in report.css; the mean is grey
CLOSED = 120  # characters of a text shown before it is opened
LONGEST = 6000  # characters of a text in the report
CEILING = 0.6  # no distribution's scale goes beyond this share for the sake of one bar


@dataclass(frozen=True)
class View:
    """One run as the template draws it."""

    entry: Entry
    standing: Standing
    place: int  # in the leaderboard, from 1
    colour: str  # name of a CSS variable
    badge: str  # CSS class of the verdict
    skill: Markup
    distribution: Markup
    half: str
    calibration: Markup
    groups: int


@dataclass(frozen=True)
class Card:
    """One post of the gallery as the template draws it."""

    id: str
    row: int  # in the table, from 1
    content: Content
    opening: str  # the start of a long text, or ""
    text: str
    left_out: int  # characters of the text that are not in the report
    count: int
    trials: int
    truth: float
    low: float  # the rate behind the truth, by its trials
    high: float
    span: str  # the interval of the leading run for a post with so many trials, or ""
    predictions: list[float]


def render(
    entries: Sequence[Entry],
    predictions: Predictions,
    standings: Sequence[Standing],
    judged: Sequence[Benefit],
    gallery: Gallery,
) -> str:
    """The report's HTML."""
    top = max(float(predictions.y.max()), float(predictions.p.max()))
    rates = RateAxis.up_to(top)
    skills = _skill_axis(entries)
    ground = entries[0].ground
    views = _views(entries, predictions, standings, rates, skills)
    context = {
        "ground": ground,
        "average": float(predictions.y.mean()),
        "trials": [float(value) for value in np.quantile(predictions.trials, [0, 0.5, 1])],
        "headline": wording.headline(entries, standings),
        "tallies": wording.tallies(entries),
        "meanings": wording.MEANINGS,
        "views": views,
        "first": views[leader(entries)],
        "benefits": judged,
        "findings": benefit.MEANINGS,
        "skill_axis": figures.skill_axis(skills),
        "truth_half": wording.middle_half(predictions.y),
        "rates": rates,
        "rates_end": svg.percent(rates.top),
        "gallery": _gallery(entries, predictions, gallery),
        "kinds": KINDS,
        "chance": wording.chance,
        "note": gallery.contents.note,
        "epsilon": EPSILON,
        "rank_z": RANK_Z,
        "collapsed_share": COLLAPSED_SHARE,
        "draws": DRAWS,
        "commands": list(dict.fromkeys(wording.command(e.config) for e in entries)),
        "environments": _environments(views),
    }
    return page.render(TEMPLATES, "report.html", context, script="report.js")


def _skill_axis(entries: Sequence[Entry]) -> figures.SkillAxis:
    scores = [entry.scores for entry in entries]
    ends = [(s["d2_low"], s["d2"], s["d2_high"]) for s in scores]
    known = [[value for value in three if value is not None] for three in ends]
    return figures.SkillAxis.of([(min(values), max(values)) for values in known if values])


def _views(
    entries: Sequence[Entry],
    predictions: Predictions,
    standings: Sequence[Standing],
    rates: RateAxis,
    skills: figures.SkillAxis,
) -> list[View]:
    truth = Histogram.of(predictions.y, rates)
    bars = [Histogram.of(p, rates) for p in predictions.p]
    ceiling = 1.1 * max(truth.highest, *(bar.highest for bar in bars if bar.highest <= CEILING), 0.05)
    groups = [figures.reliability(predictions.y, p) for p in predictions.p]
    plane = RateAxis.up_to(max(max(g.predicted, g.observed + g.margin) for each in groups for g in each))
    views, colour = [], 0
    for i, entry in enumerate(entries):
        colour += not entry.is_reference
        half = wording.middle_half(predictions.p[i])
        name, s = page.visible(entry.name), entry.scores
        spread = f"{name}: half of the predictions lie from {half}"
        views.append(
            View(
                entry=entry,
                standing=standings[i],
                place=i + 1,
                colour="mean" if entry.is_reference else f"c{(colour - 1) % COLOURS + 1}",
                badge=entry.verdict.lower().replace(" ", "-") if entry.verdict in wording.MEANINGS else "unknown",
                skill=figures.skill(s["d2"], s["d2_low"], s["d2_high"], skills),
                distribution=figures.distribution(truth, bars[i], rates, ceiling, spread),
                half=half,
                calibration=figures.calibration(groups[i], plane, f"{name}: mean truth over mean prediction"),
                groups=len(groups[i]),
            )
        )
    return views


def _gallery(entries: Sequence[Entry], predictions: Predictions, gallery: Gallery) -> dict[str, list[Card]]:
    """Cards by kind, in the order of `KINDS`."""
    first = leader(entries)
    intervals, picked = entries[first].intervals, np.array([pick.index for pick in gallery.picks], dtype=np.int64)
    spans: list[str] = [""] * len(picked)
    if intervals is not None and len(picked):
        ends = intervals(predictions.p[first, picked], predictions.trials[picked])
        spans = [wording.span(float(low), float(high)) for low, high in zip(*ends, strict=True)]
    cards: dict[str, list[Card]] = {}
    for pick, span in zip(gallery.picks, spans, strict=True):
        content = gallery.contents.posts.get(pick.index, Content(None, None, ""))
        cards.setdefault(pick.kind, []).append(_card(predictions, pick.index, content, span))
    return cards


def _card(predictions: Predictions, i: int, content: Content, span: str) -> Card:
    text = content.text or ""
    trials, truth = float(predictions.trials[i]), float(predictions.y[i])
    low, high = truth_interval(predictions.y[[i]], predictions.trials[[i]])
    return Card(
        id=predictions.ids[i],
        row=int(predictions.rows[i]) + 1,
        content=content,
        opening=text[:CLOSED] if len(text) > CLOSED else "",
        text=text[:LONGEST],
        left_out=max(len(text) - LONGEST, 0),
        count=round(truth * trials),
        trials=round(trials),
        truth=truth,
        low=float(low[0]),
        high=float(high[0]),
        span=span,
        predictions=[float(p) for p in predictions.p[:, i]],
    )


def _environments(views: list[View]) -> list[tuple[dict[str, str], list[View]]]:
    """Versions of the packages, and the runs made with them."""
    found: list[tuple[dict[str, str], list[View]]] = []
    for view in views:
        versions = {str(name): str(version) for name, version in view.entry.environment.items()}
        same = next((runs for known, runs in found if known == versions), None)
        if same is None:
            found.append((versions, [view]))
        else:
            same.append(view)
    return found
