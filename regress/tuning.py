"""`--tune N`: settings by trying them on inner folds, with Optuna's tree-structured Parzen estimator (Bergstra 2011).

The first trial is the defaults, so tuning never ends below them on the inner folds. N trials cost 3 N fits for each
fold; settings that look best on a few hundred posts are best by luck, which the outer folds then show.
"""

from collections.abc import Callable
from typing import Any

from data.config import InputError
from regress.models import Search, model_class
from regress.settings import parameters

Settings = dict[str, Any]


def tune(model: str, loss_of: Callable[[Settings], float], trials: int, seed: int) -> Settings:
    """The settings of least loss among `trials` tried; {} where the defaults are best, or the model has none to vary.

    Raises:
        InputError: Optuna is not installed.
    """
    space, defaults = model_class(model).search, parameters(model_class(model))
    if not space:
        return {}
    optuna = _optuna()
    distributions = {name: _distribution(optuna, each) for name, each in space.items()}
    best: tuple[float, Settings] = (loss_of({}), {})
    if trials == 1:
        return best[1]
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    inside = {name: defaults[name] for name, each in space.items() if _within(each, defaults[name])}
    if len(inside) == len(space):  # the sampler learns from the defaults where the space holds them
        study.add_trial(optuna.trial.create_trial(params=inside, distributions=distributions, value=best[0]))
    for _ in range(trials - 1):
        trial = study.ask(distributions)
        settings = {name: value for name, value in trial.params.items() if value != defaults[name]}
        loss = loss_of(settings)
        study.tell(trial, loss)
        if loss < best[0]:
            best = loss, settings
    return best[1]


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise InputError("--tune needs Optuna: pip install 'embed-regress[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distribution(optuna: Any, space: Search) -> Any:
    kinds = optuna.distributions
    if space.choices:
        return kinds.CategoricalDistribution(space.choices)
    if isinstance(space.low, int) and isinstance(space.high, int):
        return kinds.IntDistribution(space.low, space.high, log=space.log)
    return kinds.FloatDistribution(space.low, space.high, log=space.log)


def _within(space: Search, value: Any) -> bool:
    """Whether a default lies in the space."""
    if space.choices:
        return value in space.choices
    return value is not None and bool(space.low <= value <= space.high)
