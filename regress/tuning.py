"""Settings by trial: Optuna's tree-structured Parzen estimator over what a model declares in `search`.

The first trial is the defaults, so that with a budget of one nothing changes, and what is found is never worse than
they are on the rows it was searched on. An optional extra.
"""

import math
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from data.config import InputError
from regress.models import Search, model_class

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def tune(model_name: str, loss_of: Callable[[dict[str, Any]], float], trials: int, seed: int) -> dict[str, Any]:
    """The settings of least loss among `trials` tried; empty where the defaults are the best, or nothing is searched.

    `loss_of` gets settings to try, by name, and fits with them on inner folds of a training part; what it raises is
    raised here. The same seed tries the same settings, if the losses are the same.

    Raises:
        InputError: Optuna is not installed, or `trials` is below 1.
    """
    if find_spec("optuna") is None:
        raise InputError("--tune needs a package that is not installed: pip install 'embed-regress[tune]'")
    if trials < 1:
        raise InputError(f"--tune {trials}: expected a whole number from 1")
    import optuna

    space = {name: _distribution(search) for name, search in model_class(model_name).search.items()}
    if not space:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    best, found = _finite(loss_of({})), dict[str, Any]()
    defaults = _defaults(model_name, space)
    if defaults is not None:
        study.add_trial(optuna.trial.create_trial(params=defaults, distributions=space, value=best))
    for _ in range(trials - 1):
        trial = study.ask(space)
        loss = _finite(loss_of(dict(trial.params)))
        study.tell(trial, loss)
        if loss < best:
            best, found = loss, dict(trial.params)
    return found


def _distribution(search: Search) -> "BaseDistribution":
    """What Optuna draws one setting from."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if search.choices:
        return CategoricalDistribution(search.choices)
    if isinstance(search.low, int) and isinstance(search.high, int):
        return IntDistribution(search.low, search.high, log=search.log)
    return FloatDistribution(search.low, search.high, log=search.log)


def _defaults(model_name: str, space: "dict[str, BaseDistribution]") -> dict[str, Any] | None:
    """The model's own settings, for Optuna to learn from; None where one lies outside of what is searched."""
    model = model_class(model_name)()
    defaults = {name: getattr(model, name) for name in space}
    inside = all(
        default is not None and each._contains(each.to_internal_repr(default))
        for default, each in zip(defaults.values(), space.values(), strict=True)
    )
    return defaults if inside else None


def _finite(loss: float) -> float:
    """The loss; Optuna would leave out a trial whose loss is no number."""
    if not math.isfinite(loss):
        raise ValueError(f"a trial's loss is {loss}: expected a number")
    return loss
