"""What `--oversample` says: samplers and weights by name, with settings typed as their own code declares them.

    none    random    smoter:k_neighbors=10,threshold=0.8    smoter:sampling_strategy=0:1+1:3    dense-weights:alpha=0.9

Commas part both choices and settings: what has "=" before any ":" is a setting of the choice before it. "+" joins
several values, as it does encoders in `--features`. Samplers go by their names in `oversample.SAMPLERS`; a weighting
adds "-weights" to its name in `oversample.weights.WEIGHTS`, since "ratio" is both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from data.config import InputError
from data.names import unknown
from regress.settings import NONE, read_settings, spelt

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
        settings = read_settings(f"--oversample {text}", rest.split(",") if colon else [], known[name], LIBRARY_ONLY)
        _check(text, name, settings)
        return cls(name, settings)

    @property
    def text(self) -> str:
        """One spelling of each choice: the settings in the order of the code, without defaults."""
        return f"{self.name}:{spelt(self.settings)}" if self.settings else self.name

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
