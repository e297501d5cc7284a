"""What to do next: at most three commands, each from a finding among these runs that says it is worth its time.

A rule is a function that looks at the findings and returns advice, or None where its evidence is not there. They are
asked in order of what is lost by not doing it: first whether anything was found at all, last what may be gained.
"""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from data.page import percent
from regress.ablation import Ablation
from regress.benefit import NOTHING, RANDOM, Benefit
from regress.entry import Entry
from regress.inference import paired
from regress.metrics import cross_entropy
from regress.runs import Predictions, leader
from regress.stack import logits
from regress.standing import ALPHA, Standing
from regress.wording import command

MOST = 3
ENOUGH_REPEATS = 4  # of the folds; more of them hardly make a test finer
RIVALS = 2  # that the leading run is compared with again
LUCK = 0.5  # share of the rates' variance that chance makes, from which on rarely seen posts are mostly noise
OFF = 0.05  # bias that is worth a calibration
ALIKE = 0.95  # correlation of logits above which two models have nothing to tell each other
FASTER = 5  # times, from which on a model that is nearly as good is worth taking for its speed
NEARLY = 0.1  # of the leading run's gain on predicting the mean: what a faster one may lose of it, at most
SIMPLE = ("ridge", "lgbm")  # a linear and a tree model: between them they miss little


@dataclass(frozen=True)
class Advice:
    """A thing to do, the finding that it follows from, and the command that does it."""

    rule: str
    what: str
    why: str
    command: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Findings:
    """What the rules look at."""

    entries: Sequence[Entry]
    predictions: Predictions
    standings: Sequence[Standing]
    benefits: Sequence[Benefit]
    ablations: Sequence[Ablation]

    @property
    def first(self) -> int:
        return leader(self.entries)

    @property
    def best(self) -> Entry:
        return self.entries[self.first]

    @property
    def unsettled(self) -> list[int]:
        """Useful runs that the folds do not tell from the leading one, by their places."""
        return [
            place
            for place, (entry, standing) in enumerate(zip(self.entries, self.standings, strict=True))
            if place != self.first
            and entry.verdict == "USEFUL"
            and not entry.is_reference
            and standing.p_best is not None
            and standing.p_best >= ALPHA
        ]


def advise(
    entries: Sequence[Entry],
    predictions: Predictions,
    standings: Sequence[Standing],
    benefits: Sequence[Benefit],
    ablations: Sequence[Ablation],
) -> list[Advice]:
    """The first `MOST` that apply."""
    findings = Findings(entries, predictions, standings, benefits, ablations)
    found = (rule(findings) for rule in RULES)
    return [advice for advice in found if advice is not None][:MOST]


def fit_something(f: Findings) -> Advice | None:
    """Only the mean is there, or nothing orders posts better than chance and a simple model was not tried."""
    models = {entry.model for entry in f.entries}
    untried = [model for model in SIMPLE if model not in models]
    config = f.best.config | {"model": untried, "features": [], "loss": ["bce"], "oversample": [NOTHING], "set": []}
    if f.best.is_reference:
        why = "Only the mean is among these runs."
    elif f.best.verdict in ("NO SIGNAL", "COLLAPSED") and untried:
        why = f"No run orders posts better than chance, and {' and '.join(untried)} on all features were not tried."
    else:
        return None
    return Advice("fit", "Fit a simple model", why, command(config))


def calibrate(f: Findings) -> Advice | None:
    """The leading run was not calibrated, and its level is off."""
    bias = f.best.scores["bias"]
    if f.best.is_reference or f.best.calibration != "none" or bias is None or abs(bias - 1) < OFF:
        return None
    why = f"{f.best.name} was not calibrated; its mean prediction is {bias:.2f} times the mean rate."
    return Advice("calibrate", "Calibrate", why, command(own_config(f.best) | {"calibration": "beta"}))


def drop_the_sampler(f: Findings) -> Advice | None:
    """The leading run oversamples, which is not shown to help."""
    own = next((each for each in f.benefits if each.place == f.first), None)
    if own is None or own.everywhere == "helps":
        return None
    if own.everywhere == "no baseline":
        wanted, what = [NOTHING, RANDOM], "Fit it without the sampler too"
        why = f"{f.best.name} leads, but the same model with nothing or with random is not among the runs."
    else:
        wanted, what = [NOTHING], "Leave the sampler out"
        why = f"{f.best.oversample} on all posts: {own.everywhere}, against the same model recalibrated."
    return Advice("sampler", what, why, command(own_config(f.best) | {"oversample": wanted}))


def settle(f: Findings) -> Advice | None:
    """Runs that the folds do not tell apart, or a leading run that is not proven, and few repetitions of the folds."""
    ground, repeats = f.best.ground, max(f.best.ground.repeats, 1)
    if f.best.is_reference or ground.time is not None or repeats >= ENOUGH_REPEATS:
        return None
    rivals = f.unsettled
    if rivals:
        who = f.entries[rivals[0]].name if len(rivals) == 1 else f"{len(rivals)} other useful runs"
        more = f"; with the nearest {RIVALS} alone fewer pairs are tested" if len(rivals) > RIVALS else ""
        why = f"{ground.folds} × {repeats} folds do not tell {f.best.name} from {who}{more}."
    elif f.best.verdict == "UNPROVEN":
        why = f"{ground.folds} × {repeats} folds do not prove {f.best.name} better than the mean."
    else:
        return None
    involved = [f.best, *(f.entries[place] for place in rivals[:RIVALS])]
    folds = f"{ground.folds}x{ENOUGH_REPEATS}"
    return Advice("folds", "Repeat the folds", why, command(_together(involved) | {"folds": folds}))


def drop_a_modality(f: Findings) -> Advice | None:
    """Something in the leading run's features adds nothing, or makes it worse, beyond chance."""
    additions = [each for ablation in f.ablations for each in ablation.additions if each.large == f.first]
    idle = next((each for each in additions if each.finding in ("adds nothing", "hurts")), None)
    if idle is None:
        return None
    smaller = f.entries[idle.small]
    return Advice("modality", f"Leave out {idle.added}", str(idle), command(own_config(smaller)))


def add_a_modality(f: Findings) -> Advice | None:
    """All runs read one and the same modality."""
    known = {
        kind for e in f.entries for name in e.features for kind in [e.modalities.get(name)] if kind != "statistics"
    }
    if f.best.is_reference or len(known) != 1 or None in known:
        return None
    why = f"All runs read {'pictures' if known == {'image'} else 'texts'} alone."
    return Advice("features", "Try all features", why, command(own_config(f.best) | {"features": []}))


def ask_for_trials(f: Findings) -> Advice | None:
    """Chance in the counts makes most of what the rates vary by."""
    y, p, trials = f.predictions.y, f.predictions.p[f.first], f.predictions.trials
    share = min(float(np.mean(p * (1 - p) / trials)) / max(float(y.var()), np.finfo(float).tiny), 1.0)
    middle = int(np.median(trials))
    if share < LUCK or middle <= f.best.ground.min_trials:
        return None
    what = f"Ask for more {f.best.ground.trials}"
    why = (
        f"Chance in the counts makes {percent(share)} of the rates’ variance; half of the posts have fewer than "
        f"{middle:,} {f.best.ground.trials}."
    )
    return Advice("trials", what, why, command(own_config(f.best) | {"min_trials": middle}))


def stack(f: Findings) -> Advice | None:
    """Two models on the leading run's features are useful and err differently, and no stack was tried."""
    if f.best.verdict != "USEFUL" or any(entry.model == "stack" for entry in f.entries):
        return None
    scores = logits(f.predictions.p)
    for place, entry in enumerate(f.entries):
        like = (entry.features, entry.loss, entry.oversample) == (f.best.features, f.best.loss, f.best.oversample)
        if not like or entry.verdict != "USEFUL" or entry.model == f.best.model:
            continue
        alike = float(np.corrcoef(scores[f.first], scores[place])[0, 1])
        if alike < ALIKE:
            members = [f.best.model, entry.model]
            config = own_config(f.best)
            config |= {"model": [*members, "stack"], "set": [*config["set"], f"stack.members={'+'.join(members)}"]}
            why = f"{f.best.name} and {entry.name} are both useful, and their logits correlate at {alike:.2f} only."
            return Advice("stack", "Stack them", why, command(config))
    return None


def take_the_faster(f: Findings) -> Advice | None:
    """A run that is shown to be nearly as good as the leading one is fitted in a fraction of its time.

    That folds do not tell two runs apart shows nothing: with few posts they tell hardly any apart.
    """
    losses, clusters = f.predictions.losses, f.predictions.clusters
    gain = float((cross_entropy(f.predictions.y, f.predictions.mean) - losses[f.first]).mean())
    quick = [
        place
        for place in f.unsettled
        if 0 < f.entries[place].seconds * FASTER <= f.best.seconds
        and paired(losses[place] - losses[f.first], clusters).high <= NEARLY * gain
    ]
    if not quick:
        return None
    other = f.entries[min(quick, key=lambda place: f.entries[place].seconds)]
    why = (
        f"{other.name} loses at most {percent(NEARLY)} of what {f.best.name} gains on the mean (95\u00a0% interval), "
        f"and is fitted {f.best.seconds / other.seconds:.0f} times as fast."
    )
    words = ["python", "-m", "regress.predict", other.run.folder.as_posix(), "POSTS"]
    return Advice("speed", "Or take the faster one", why, shlex.join(words))


RULES: tuple[Callable[[Findings], Advice | None], ...] = (
    *(fit_something, calibrate, drop_the_sampler, settle, drop_a_modality),
    *(add_a_modality, ask_for_trials, stack, take_the_faster),
)


def own_config(entry: Entry) -> dict[str, Any]:
    """The flags that fit one run alone, where its command fitted several."""
    own = {"model": [entry.model], "features": _expressions(entry), "loss": [entry.loss]}
    return entry.config | own | {"oversample": [entry.oversample], "set": _settings(entry)}


def _together(entries: Sequence[Entry]) -> dict[str, Any]:
    """The flags that fit these runs, and the combinations between them, in one call."""
    found = own_config(entries[0])
    for entry in entries[1:]:
        for name, values in own_config(entry).items():
            if name in ("model", "features", "loss", "oversample", "set"):
                found[name] = list(dict.fromkeys([*found[name], *values]))
    return found


def _expressions(entry: Entry) -> list[str]:
    """What --features called the run's encoders: the run's name says which of the command's it was."""
    given = _list(entry.config, "features") or ["all"]
    told = [text for text in given if f"-{entry.loss}-{text}" in entry.run.name]
    return [max(told, key=len)] if told else ["+".join(entry.features)]


def _settings(entry: Entry) -> list[str]:
    """The items of --set that this run's model, or a stack's members, take: the command may have fitted others too."""
    models = {entry.model, *(str(member).partition(":")[0] for member in entry.run.manifest.get("members") or ())}
    own = {str(key) for key in entry.run.manifest.get("settings") or ()}

    def belongs(item: str) -> bool:
        model, dot, _ = item.partition("=")[0].partition(".")
        return model in models if dot else model in own

    return [item for item in _list(entry.config, "set") if belongs(item)]


def _list(config: dict[str, Any], name: str) -> list[str]:
    """A flag of several values as texts; nothing where a manifest has something else."""
    found = config.get(name)
    return [str(item) for item in found] if isinstance(found, list) else []
