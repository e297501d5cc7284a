"""What `--oversample` says: samplers and weights by name, with settings typed as their own code declares them.

    none    random    smoter:k_neighbors=10,threshold=0.8    smoter:sampling_strategy=0:1+1:3    dense-weights:alpha=0.9

Commas part both choices and settings: what has "=" before any ":" is a setting of the choice before it. "+" joins
several values, as it does encoders in `--features`. Samplers go by their names in `oversample.SAMPLERS`; a weighting
adds "-weights" to its name in `oversample.weights.WEIGHTS`, since "ratio" is both.
"""

import contextlib
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from data.config import InputError
from data.names import unknown

NONE = "none"
WEIGHTED = "-weights"
LIBRARY_ONLY = {
    "random_state": "it is --seed",
    "target_bounds": "rates always stay from 0 to 1",
    "blocks": "they are the encoders of --features; neighbors_by=image chooses among them",
    "control_points": "they are a table of numbers; pass them to the sampler in Python",
    "renormalize": "samplers see standardised features, where no block has norm 1; use it in Python on unit vectors",
}
# what the ranges of settings are checked on before any post is read: zeros, and a skewed rest
PROBE = np.concatenate([np.zeros(40), np.linspace(0.1, 1, 60) ** 6])


@dataclass(frozen=True)
class Choice:
    """A sampler or a weighting, with the settings that differ from its defaults; or neither."""

    name: str = NONE
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Choice":
        """ "smoter:k_neighbors=10" → Choice; an `InputError` of one line otherwise."""
        name, colon, rest = text.partition(":")
        known = _known()
        if name not in known:
            raise InputError(_unknown(name, known))
        if name == NONE and colon:
            raise InputError(f"--oversample {text}: none takes no settings")
        settings = _settings(text, rest.split(",") if colon else [], known[name])
        _check(text, name, settings)
        return cls(name, settings)

    @property
    def text(self) -> str:
        """One spelling of each choice: the settings in the order of the code, without defaults."""
        shown = ",".join(f"{key}={_spelt(value)}" for key, value in self.settings.items())
        return f"{self.name}:{shown}" if shown else self.name

    @property
    def samples(self) -> bool:
        """Whether it is a sampler: changes the rows."""
        return self.name != NONE and not self.weighs

    @property
    def weighs(self) -> bool:
        """Whether it is a weighting: leaves the rows."""
        return self.name.endswith(WEIGHTED)


NOTHING = Choice()


def parse_choices(items: Sequence[str]) -> list[Choice]:
    """The choices of a flag, whose items may be parted at any commas; each once."""
    texts: list[str] = []
    for part in filter(None, (part.strip() for part in ",".join(items).split(","))):
        if "=" in part and ":" not in part.partition("=")[0]:
            if not texts:
                raise InputError(f"--oversample {part}: a setting of nothing: name a sampler first, as smoter:{part}")
            texts[-1] += ("," if ":" in texts[-1] else ":") + part
        else:
            texts.append(part)
    if not texts:
        raise InputError("--oversample names nothing: expected none, or samplers such as random,smoter")
    return list({choice.text: choice for choice in map(Choice.parse, texts)}.values())


def _known() -> dict[str, Callable[..., Any]]:
    """Samplers, and functions of weights, by the names of the flag."""
    from oversample import SAMPLERS
    from oversample.weights import WEIGHTS

    weights = {name + WEIGHTED: function for name, function in WEIGHTS.items()}
    return {NONE: Choice, **SAMPLERS, **weights}


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    meant = name + WEIGHTED if name + WEIGHTED in known else name
    return unknown(meant, known, "sampler").replace(repr(meant), repr(name), 1)


def _settings(text: str, items: list[str], target: Callable[..., Any]) -> dict[str, Any]:
    """Values of the settings that are not the default, in the order of the code."""
    hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    known = {p.name: p.default for p in inspect.signature(target).parameters.values() if p.kind is p.KEYWORD_ONLY}
    found: dict[str, Any] = {}
    for key, equals, value in (item.partition("=") for item in items):
        if not equals:
            raise InputError(f"--oversample {text}: {key!r} is no setting: expected NAME:key=value,key=value")
        if key not in known:
            raise InputError(f"--oversample {text}: {unknown(key, known.keys() - LIBRARY_ONLY.keys(), 'setting')}")
        if key in found:
            raise InputError(f"--oversample {text}: {key} is given twice: keep one")
        if key in LIBRARY_ONLY:
            raise InputError(f"--oversample {text}: {key} cannot be set here: {LIBRARY_ONLY[key]}")
        found[key] = _typed(text, key, value, hints[key])
    return {key: found[key] for key, default in known.items() if key in found and found[key] != default}


def _typed(text: str, key: str, value: str, hint: Any) -> Any:
    """The value as the first type of the setting that it can be read as; words come last."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = {typing.get_origin(kind) or kind for kind in (typing.get_args(hint) if union else [hint])}
    for kind, (read, _) in KINDS.items():
        with contextlib.suppress(ValueError):
            if kind in kinds:
                return read(value)
    expected = " or ".join(what for kind, (_, what) in KINDS.items() if kind in kinds)
    raise InputError(f"--oversample {text}: {key}={value!r}: expected {expected or 'nothing: it is for Python only'}")


def _bool(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError
    return value == "true"


def _finite(value: str) -> float:
    if not math.isfinite(number := float(value)):
        raise ValueError
    return number


def _factors(value: str) -> dict[int, float]:
    pairs = (pair.split(":") for pair in value.split("+"))
    return dict(sorted((int(bump), _finite(factor)) for bump, factor in pairs))


def _nothing(value: str) -> None:
    if value != NONE:
        raise ValueError


def _words(value: str) -> tuple[str, ...]:
    if "+" not in value:
        raise ValueError
    return tuple(value.split("+"))


def _word(value: str) -> str:
    if not value:
        raise ValueError
    return value


KINDS: dict[Any, tuple[Callable[[str], Any], str]] = {
    bool: (_bool, "true or false"),
    int: (int, "a whole number"),
    float: (_finite, "a number"),
    Mapping: (_factors, "bumps and factors such as 0:1+1:3"),
    type(None): (_nothing, NONE),
    Sequence: (_words, "several words such as image+text"),
    str: (_word, "a word"),
}


def _spelt(value: Any) -> str:
    """A value as it is written in the flag."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, Mapping):
        return "+".join(f"{bump}:{_spelt(factor)}" for bump, factor in value.items())
    if isinstance(value, tuple):
        return "+".join(value)
    return repr(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _check(text: str, name: str, settings: dict[str, Any]) -> None:
    """Let a sampler or a weighting judge its settings, on a few rates that stand for the posts'.

    What depends on the posts is left for then: names of blocks, numbers of bumps, how far `ess` can be reached.
    """
    from oversample.strategy import check_strategy

    target, tried = _known()[name], {key: value for key, value in settings.items() if key != "neighbors_by"}
    if tried.get("relevance") == "range":
        raise InputError(f"--oversample {text}: range needs control_points, which only Python can pass")
    if tried.get("ess") is not None and 0 < tried["ess"] <= 1:
        tried["ess"] = 1.0
    try:
        if isinstance(tried.get("sampling_strategy"), Mapping):
            check_strategy(tried.pop("sampling_strategy"))
        if name.endswith(WEIGHTED):
            target(PROBE, **tried)
        elif name != NONE:
            target(**tried).fit(np.stack([PROBE, PROBE[::-1]], axis=1), PROBE)
    except ValueError as why:
        raise InputError(f"--oversample {text}: {why}") from why
