"""A comparison as one HTML file (`data.page`); 10 runs and 60 posts take about 1 MB."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data import page, svg
from data.svg import RateAxis
from regress import benefit, figures, matrix, panels, wording
from regress.analysis import Analysis
from regress.entry import Entry
from regress.gallery import KINDS, Content, Gallery, truth_interval
from regress.inference import COLLAPSED_SHARE, DRAWS, RANK_Z
from regress.metrics import EPSILON
from regress.panels import View
from regress.runs import Predictions, leader
from regress.standing import ALPHA, READABLE

TEMPLATES = Path(__file__).parent / "templates"
CLOSED = 120  # characters of a text shown before it is opened
LONGEST = 6000  # characters of a text in the report
FOLD_KINDS = ("random", "purged", "grouped", "time")  # from the laxest to the strictest


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


def render(analysis: Analysis, gallery: Gallery) -> str:
    """The report's HTML."""
    entries, predictions = analysis.entries, analysis.predictions
    rates = RateAxis.up_to(max(float(predictions.y.max()), float(predictions.p.max())))
    skills = panels.skill_axis(entries)
    views = panels.views(analysis, skills)
    context = {
        **_answer(analysis, views),
        **_figures(analysis, views, rates, skills),
        "found": analysis,
        "views": views,
        "findings": benefit.MEANINGS,
        "rates": rates,
        "rates_end": svg.percent(rates.top),
        "gallery": _gallery(entries, predictions, gallery),
        "kinds": KINDS,
        "chance": wording.chance,
        "alpha": ALPHA,
        "readable": READABLE,
        "note": gallery.contents.note,
        "epsilon": EPSILON,
        "rank_z": RANK_Z,
        "collapsed_share": COLLAPSED_SHARE,
        "draws": DRAWS,
        "commands": list(dict.fromkeys(wording.command(e.config) for e in entries)),
        "environments": _environments(views),
    }
    return page.render(TEMPLATES, "report.html", context, script="report.js")


def _answer(analysis: Analysis, views: Sequence[View]) -> dict[str, Any]:
    """What the first screen says."""
    entries, predictions = analysis.entries, analysis.predictions
    return {
        "ground": entries[0].ground,
        "average": float(predictions.y.mean()),
        "trials": [float(value) for value in np.quantile(predictions.trials, [0, 0.5, 1])],
        "headline": wording.headline(entries, analysis.standings),
        "tallies": wording.tallies(entries),
        "meanings": wording.MEANINGS,
        "first": views[leader(entries)],
        "truth_half": wording.middle_half(predictions.y),
    }


def _figures(analysis: Analysis, views: Sequence[View], rates: RateAxis, skills: figures.SkillAxis) -> dict[str, Any]:
    """What the sections draw; of what does not apply, nothing."""
    leakage = [(view, _by_kind(view.entry.leakage)) for view in views if len(view.entry.leakage) > 1]
    kinds = list(leakage[0][1]) if leakage else []
    leakage = [(view, found) for view, found in leakage if list(found) == kinds]
    return {
        "skill_axis": figures.skill_axis(skills),
        "spread": panels.spread(analysis, views, rates),
        "reliability": panels.reliability(analysis, views),
        "strata": panels.strata(analysis, views),
        "curves": panels.curves(analysis, views),
        "decomposition": panels.decomposition(analysis, views),
        "matrix": matrix.rows(analysis.pairs, len(analysis.entries)),
        "coverage": [(views[each.place], figures.coverage_row(each), each) for each in analysis.coverages],
        "coverage_axis": figures.coverage_axis(),
        "leakage": [(view, figures.gap(list(found.values()), skills), found) for view, found in leakage],
        "longest": max((view.entry.seconds for view in views), default=0.0),
    }


def _by_kind(scores: dict[str, float]) -> dict[str, float]:
    """Kinds of folds from the laxest to the strictest."""
    return {kind: scores[kind] for kind in (*FOLD_KINDS, *sorted(scores)) if kind in scores}


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


def _environments(views: Sequence[View]) -> list[tuple[dict[str, str], list[View]]]:
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
