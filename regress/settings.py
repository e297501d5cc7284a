"""Settings written as text, key=value, typed as the code that takes them declares them.

What can be set are a callable's keyword-only parameters; "+" joins several values, as it does encoders in `--features`.
"""

import contextlib
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from data.config import InputError
from data.names import pick, unknown

NONE = "none"


def parameters(target: Callable[..., Any]) -> dict[str, Any]:
    """What can be set, with its defaults, in the order of the code."""
    found = inspect.signature(target).parameters.values()
    return {p.name: p.default for p in found if p.kind is p.KEYWORD_ONLY}


def read_settings(
    flag: str, items: Iterable[str], target: Callable[..., Any], refused: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Values of the settings that are not the default, in the order of the code.

    `refused`: settings that exist, but not here, and why. `flag` begins every error.

    Raises:
        InputError: an item is no key=value, its key is unknown, refused or there twice, or its value has another type.
    """
    hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    known, refused = parameters(target), refused or {}
    found: dict[str, Any] = {}
    for key, equals, value in (item.partition("=") for item in items):
        if not equals:
            raise InputError(f"{flag}: {key!r} is no setting: expected key=value,key=value")
        if key not in known:
            raise InputError(f"{flag}: {unknown(key, known.keys() - refused.keys(), 'setting')}")
        if key in found:
            raise InputError(f"{flag}: {key} is given twice: keep one")
        if key in refused:
            raise InputError(f"{flag}: {key} cannot be set here: {refused[key]}")
        found[key] = _typed(flag, key, value, hints[key])
    return {key: found[key] for key, default in known.items() if key in found and found[key] != default}


def spelt(settings: Mapping[str, Any]) -> str:
    """key=value,key=value: what `read_settings` reads."""
    return ",".join(f"{key}={_spelt(value)}" for key, value in settings.items())


def model_settings(items: Sequence[str], models: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What `--set` says: "key=value" for every model that knows the key, "model.key=value" for one of them.

    Returns the settings of each of `models` that differ from its defaults.

    Raises:
        InputError: a key no model knows, a model that is not fitted, a value of another type or out of range.
    """
    from regress.models import model_class

    classes = {name: model_class(name) for name in models}
    given: dict[str, list[str]] = {name: [] for name in models}
    for item in items:
        key = item.partition("=")[0]
        name, dot, _ = key.partition(".")
        if dot:
            pick(classes, name, "model of this call")
            given[name].append(item[len(name) + 1 :])
            continue
        takers = [name for name, kind in classes.items() if key in parameters(kind)]
        if not takers:
            known = sorted({key for kind in classes.values() for key in parameters(kind)})
            raise InputError(f"--set {item}: {unknown(key, known, 'setting')}")
        for name in takers:
            given[name].append(item)
    found = {name: read_settings(f"--set {name}", given[name], kind) for name, kind in classes.items()}
    for name, kind in classes.items():
        try:
            kind(**found[name])
        except InputError:
            raise  # it says more than which setting: a package that is not installed
        except ValueError as why:
            raise InputError(f"--set {name}: {why}") from why
    return found


def _typed(flag: str, key: str, value: str, hint: Any) -> Any:
    """The value as the first type of the setting that it can be read as; words come last."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = {typing.get_origin(kind) or kind for kind in (typing.get_args(hint) if union else [hint])}
    for kind, (read, _) in KINDS.items():
        with contextlib.suppress(ValueError):
            if kind in kinds:
                return read(value)
    expected = " or ".join(what for kind, (_, what) in KINDS.items() if kind in kinds)
    raise InputError(f"{flag}: {key}={value!r}: expected {expected or 'nothing: it is for Python only'}")


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


def _names(value: str) -> tuple[str, ...]:
    return tuple(map(_word, value.split("+")))


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
    tuple: (_names, "names such as mlp+ridge"),
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
