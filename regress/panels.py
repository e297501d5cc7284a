"""Small multiples: a figure, or two, for each run, in the run's colour."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from data.page import visible
from data.svg import Histogram, RateAxis
from regress import figures, wording
from regress.analysis import Analysis
from regress.entry import Entry
from regress.standing import READABLE, Standing

COLOURS = 9  # in page.css; the mean is grey
CEILING = 0.6  # no distribution's scale goes beyond this share for the sake of one bar


@dataclass(frozen=True)
class View:
    """One run as the templates draw it."""

    entry: Entry
    standing: Standing
    place: int  # in the leaderboard, from 1
    colour: str  # name of a CSS variable
    badge: str  # CSS class of the verdict
    skill: Markup


@dataclass(frozen=True)
class Panel:
    """One run's figures of a section, and what is said below them."""

    view: View
    drawn: Sequence[Markup]
    said: str


def views(analysis: Analysis, skills: figures.SkillAxis) -> list[View]:
    """All runs, in the order of the leaderboard."""
    found, colour = [], 0
    for i, entry in enumerate(analysis.entries):
        colour += not entry.is_reference
        s = entry.scores
        found.append(
            View(
                entry=entry,
                standing=analysis.standings[i],
                place=i + 1,
                colour="mean" if entry.is_reference else f"c{(colour - 1) % COLOURS + 1}",
                badge=entry.verdict.lower().replace(" ", "-") if entry.verdict in wording.MEANINGS else "unknown",
                skill=figures.skill(s["d2"], s["d2_low"], s["d2_high"], skills),
            )
        )
    return found


def skill_axis(entries: Sequence[Entry]) -> figures.SkillAxis:
    """Wide enough for every run's interval."""
    scores = [entry.scores for entry in entries]
    ends = [(s["d2_low"], s["d2"], s["d2_high"]) for s in scores]
    known = [[value for value in three if value is not None] for three in ends]
    return figures.SkillAxis.of([(min(values), max(values)) for values in known if values])


def spread(analysis: Analysis, runs: Sequence[View], rates: RateAxis) -> list[Panel]:
    """Predictions against the truth: the joint distribution above the marginal ones."""
    predictions = analysis.predictions
    truth = Histogram.of(predictions.y, rates)
    bars = [Histogram.of(p, rates) for p in predictions.p[:READABLE]]
    ceiling = 1.1 * max(truth.highest, *(bar.highest for bar in bars if bar.highest <= CEILING), 0.05)
    panels = []
    for view, bar, p in zip(runs, bars, predictions.p, strict=False):
        half, name = wording.middle_half(p), visible(view.entry.name)
        joint = figures.density(predictions.y, p, rates, f"{name}: posts by prediction and true rate")
        label = f"{name}: half of the predictions lie from {half}"
        marginal = figures.distribution(truth, bar, rates, ceiling, label)
        panels.append(Panel(view, [joint, marginal], f"middle half {half}"))
    return panels


def reliability(analysis: Analysis, runs: Sequence[View]) -> list[Panel]:
    """Mean truth over mean prediction, before and after calibration; of the first runs."""
    y, moved = analysis.predictions.y, {each.place for each in analysis.recalibrations}
    after = [figures.reliability(y, p) for p in analysis.predictions.p[:READABLE]]
    before = [
        figures.reliability(y, raw) if place in moved else []
        for place, raw in enumerate(analysis.predictions.raw[:READABLE])
    ]
    plane = RateAxis.up_to(max(max(g.predicted, g.observed + g.margin) for groups in after for g in groups))
    return [
        Panel(
            view,
            [figures.calibration(new, plane, f"{visible(view.entry.name)}: mean truth over mean prediction", old)],
            f"{len(y) / len(new):,.0f} posts a dot",
        )
        for view, new, old in zip(runs, after, before, strict=False)
    ]


def strata(analysis: Analysis, runs: Sequence[View]) -> list[Panel]:
    """The gain on predicting the mean by bins of the rate and of the trials."""
    shown = [view for view in runs[:READABLE] if not view.entry.is_reference]
    errors = [e for way in analysis.strata for view in shown for e in way.errors[view.place - 1]]
    if not errors:
        return []
    axis = figures.GainAxis.of([(e.gain.mean, e.gain.mean) for e in errors])
    return [
        Panel(view, [figures.gains(analysis.strata, view.place - 1, axis, f"{visible(view.entry.name)}: {_WHAT}")], "")
        for view in shown
    ]


_WHAT = "log loss gained on predicting the mean, by rate and by trials"


def curves(analysis: Analysis, runs: Sequence[View]) -> list[Panel]:
    """Training curves of the heads."""
    panels = []
    for found in analysis.curves:
        view, epochs = runs[found.place], len(found.held)
        said = f"{found.loss}: epoch {found.best + 1} of {epochs} kept"
        panels.append(Panel(view, [figures.curve(found, f"{visible(view.entry.name)}, {visible(said)}")], said))
    return panels


def decomposition(analysis: Analysis, runs: Sequence[View]) -> Markup | None:
    """All runs whose two parts are known; None where none is, or no rate tells anything."""
    parts = [(view, view.entry.scores["miscalibration"], view.entry.scores["discrimination"]) for view in runs]
    points = [
        figures.Point(view.place, view.colour, visible(view.entry.name), bad, good)
        for view, bad, good in parts[:READABLE]
        if bad is not None and good is not None
    ]
    scale = analysis.uncertainty - analysis.floor
    return figures.plane(points, scale) if points and scale > 0 else None
