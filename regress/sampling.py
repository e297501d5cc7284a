"""What `--oversample` does to the training part of a fold: new rows, or weights. Nothing else of the posts is touched.

Samplers work in standardised features. Rows that early stopping watches are set aside before: they are no parents, have
no part in the weights, and stay as they are. On the demo's texts ridge's predictions come out at 1.2 times the true
level with new rows, at 1.2 to 2.8 times with weights; calibration on original posts brings all to 0.997 – 1.005.
"""

import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.config import InputError
from regress.choices import WEIGHTED, Choice
from regress.features import Features
from regress.scaling import Scaler
from regress.settings import parameters

BOUNDS = (0.0, 1.0)  # synthetic rates stay rates: LightGBM's cross_entropy refuses 1.01
NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?")


@dataclass(frozen=True)
class Part:
    """The training part of a fold. m rows, d columns."""

    features: Features
    X: NDArray[np.float32]  # (m, d) raw
    y: NDArray[np.float64]  # (m,)
    held: NDArray[np.bool_]  # (m,) rows that early stopping watches
    rarity: NDArray[np.float64] | None = None  # (m,) rates by which rows are rare; None: y


@dataclass(frozen=True)
class Sampled:
    """A training part after sampling, with s rows, those held out last."""

    X: NDArray[np.float32]  # (s, d) raw or scaled, as asked for
    y: NDArray[np.float64]  # (s,)
    held: NDArray[np.bool_]  # (s,)
    parents: NDArray[np.int64]  # (s, 2) rows of the part that each row is, or lies between
    notes: list[str]  # of the sampler, in plain words


def resample(choice: Choice, part: Part, scaler: Scaler, seed: int, *, scaled: bool) -> Sampled:
    """Sample from the rows that are not held out.

    A tree reads raw values: originals keep theirs bit for bit, synthetic rows are scaled back.

    Raises:
        InputError: the sampler cannot do with these posts what its settings ask for.
    """
    from oversample import SAMPLERS, fit_relevance

    rest, watched = np.flatnonzero(~part.held), np.flatnonzero(part.held)
    X = scaler.transform(part.X)
    settings = {**choice.settings, "blocks": columns(part.features, scaler)}
    if settings.get("neighbors_by") is not None:
        settings["neighbors_by"] = part.features.named(neighbors_by(choice))
    if part.rarity is not None and "relevance" in (known := parameters(SAMPLERS[choice.name])):
        kind: Any = settings.get("relevance", known["relevance"])
        rates = part.rarity[rest]
        settings["relevance"] = lambda _: fit_relevance(kind, rates)(rates)  # in the order of the rows
    sampler: Any = SAMPLERS[choice.name](**settings, random_state=seed, target_bounds=BOUNDS)
    X_new, y_new = _quietly(choice, sampler, X[rest], part.y[rest])
    if scaled:
        rows = np.concatenate([X_new, X[watched]])
    else:
        unscaled, real = scaler.inverse(X_new), ~sampler.synthetic_
        unscaled[real] = part.X[rest[sampler.sample_indices_[real]]]
        rows = np.concatenate([unscaled, part.X[watched]])
    return Sampled(
        X=rows,
        y=np.concatenate([y_new, part.y[watched]]),
        held=np.repeat([False, True], [len(y_new), len(watched)]),
        parents=np.concatenate([rest[sampler.parents_], np.stack([watched, watched], axis=1)]),
        notes=list(sampler.notes_),
    )


def _quietly(choice: Choice, sampler: Any, X: NDArray[np.float32], y: NDArray[np.float64]) -> tuple[Any, Any]:
    """fit_resample; the sampler's notes are kept in `notes_` and told once a run, other warnings go their way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result: tuple[Any, Any] = sampler.fit_resample(X, y)
        except ValueError as why:
            raise InputError(f"--oversample {choice.text}: {why}") from why
    for warning in caught:
        if str(warning.message) not in sampler.notes_:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return result


def row_weights(choice: Choice, y: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (m,), mean 1, of the targets of a training part (m,).

    Raises:
        InputError: the effective sample size that is asked for cannot be reached with these posts.
    """
    from oversample.weights import WEIGHTS

    try:
        return WEIGHTS[choice.name.removesuffix(WEIGHTED)](y, **choice.settings)
    except ValueError as why:
        raise InputError(f"--oversample {choice.text}: {why}") from why


def columns(features: Features, scaler: Scaler) -> dict[str, NDArray[np.int64]]:
    """The scaled columns of each block, with its indicator of absence: every column belongs to one block."""
    indicators = {int(start): len(scaler.mean) + place for place, (start, _) in enumerate(scaler.indicators)}
    found = {}
    for name, block in zip(features.names, features.slices, strict=True):
        own = [indicators[block.start]] if block.start in indicators else []
        found[name] = np.array([*range(block.start, block.stop), *own], dtype=np.int64)
    return found


def neighbors_by(choice: Choice) -> list[str]:
    """Names of the blocks that neighbours are found by; none: all."""
    names = choice.settings.get("neighbors_by") or ()
    return [names] if isinstance(names, str) else list(names)


def told_once(folds: list[list[str]], final: list[str]) -> list[str]:
    """Each note of the fits in the folds, and on all posts, once. Notes that differ in their numbers are one note."""
    found: dict[str, list[tuple[int, str]]] = {}
    for k, notes in enumerate(folds):
        for note in notes:
            found.setdefault(wording(note), []).append((k, note))
    told = []
    for places in found.values():
        many, first = len({k for k, _ in places}), places[0][1]
        numbers = "; the numbers of one" if len({note for _, note in places}) > 1 else ""
        told.append(f"{first} (in {many} of {len(folds)} folds{numbers})")
    return told + [f"{note} (in the fit on all posts)" for note in final if wording(note) not in found]


def wording(note: str) -> str:
    """A note without its numbers."""
    return NUMBER.sub("#", note)
