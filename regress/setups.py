"""Every combination of model, loss, sampler and feature set that a call asks for, checked before anything is read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from data.config import InputError
from regress.choices import NOTHING, Choice, parse_choices
from regress.features import Features
from regress.losses import KNOWN, Loss
from regress.models import MODELS, model_class
from regress.sampling import neighbors_by
from regress.settings import model_settings
from regress.trainer import Setup

if TYPE_CHECKING:
    from regress.fit import Fit

MEAN, STACK = "mean", "stack"


@dataclass(frozen=True)
class Grid:
    """The names of a call, understood."""

    config: "Fit"
    losses: Mapping[str, list[Loss]]  # of each model, those that it can be fitted with
    choices: list[Choice]
    settings: Mapping[str, dict[str, Any]]  # of each model, and of the members of a stack
    members: tuple[str, ...]  # of the stack

    @classmethod
    def parse(cls, config: "Fit") -> "Grid":
        """Raises `InputError` for a name or a setting that is unknown."""
        if not config.model:
            raise InputError(f"--model names nothing: expected one or more of {', '.join(MODELS)}")
        if not config.loss:
            raise InputError(f"--loss names nothing: expected one or more of {', '.join(KNOWN)}")
        if config.tune < 0:
            raise InputError(f"--tune {config.tune}: expected the number of settings to try, 0 for none")
        members = _members(config)
        settings = model_settings(config.set, list(dict.fromkeys([*config.model, *members])))
        losses = [Loss.parse(text) for text in config.loss]
        fitting = {name: _fitting(name, losses) for name in settings}
        return cls(config, fitting, parse_choices(config.oversample), settings, members)

    def check(self, features: list[Features]) -> None:
        """Raise `InputError` where a sampler is to find neighbours by a block that a feature set does not have."""
        for choice, each in product(self.choices, features):
            try:
                each.named(neighbors_by(choice))
            except InputError as why:
                raise InputError(f"--oversample {choice.text}: {why}") from None

    def setups(self, features: list[Features]) -> Iterator[tuple[Setup, Features]]:
        """The mean knows neither features nor losses nor samplers: once is enough."""
        for each, model in product(features, self.config.model):
            if model == MEAN:
                if each is features[0]:
                    yield Setup(model, self.losses[model][0], NOTHING, "none", self.config.seed), each
                continue
            for loss, choice in product(self.losses[model], self.choices):
                yield self._setup(model, loss, choice), each

    def _setup(self, model: str, loss: Loss, choice: Choice) -> Setup:
        config = self.config
        members = self.members if model == STACK else ()
        return Setup(
            model=model,
            loss=loss,
            oversample=choice,
            calibration=config.calibration,
            seed=config.seed,
            settings=self.settings[model],
            tune=0 if model == STACK else config.tune,
            rarity=config.rarity if choice != NOTHING else "raw",
            members=tuple(self._setup(member, self._own(member, loss), choice) for member in members),
        )

    def _own(self, member: str, loss: Loss) -> Loss:
        """A stack's loss, where the member can be fitted with it."""
        return loss if loss in self.losses[member] else self.losses[member][0]


def _members(config: "Fit") -> tuple[str, ...]:
    """Names of the models that a stack is made of, where one is asked for."""
    if STACK not in config.model:
        return ()
    own = [item for item in config.set if item.partition("=")[0] in ("members", f"{STACK}.members")]
    found: tuple[str, ...] = model_class(STACK)(**model_settings(own, [STACK])[STACK]).members  # type: ignore[attr-defined]
    return found


def _fitting(name: str, losses: list[Loss]) -> list[Loss]:
    """The losses that a model can be fitted with, of those asked for; its own where it has only one."""
    kinds = model_class(name).losses
    if kinds == {"binomial"}:
        return [Loss.parse("binomial")]
    found = [loss for loss in losses if loss.kind in kinds]
    if not found:
        raise InputError(
            f"--model {name} cannot be fitted with --loss {','.join(loss.name for loss in losses)}: "
            f"expected one of {', '.join(sorted(kinds))}"
        )
    return found
