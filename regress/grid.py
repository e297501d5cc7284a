"""Which fits a study makes: the origin's grid on the encoders that a cache has, or any grid that a TOML file describes.

    posts = "posts.parquet"              # the flags of regress.fit; they hold for all fits
    target = "open_photo"
    [[fits]]                             # every combination of these is fitted
    features = ["image", "image+text"]
    model = ["ridge", "lgbm"]
    loss = ["bce", "wbce:3"]
    oversample = ["none", "smoter:k_neighbors=10"]

The origin's grid is 3 feature sets × 3 models × 5 losses × 4 ways of oversampling, and the mean once: 181 fits.
"""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.config import InputError
from data.names import unknown
from regress.fit import Fit
from regress.origin import ENCODERS, LOSSES, family

MODELS = ("linear", "mlp", "lgbm")
# wbce is a weighting by exp(α y) already: the weights beside it are those of density
OVERSAMPLE = ("none", "random", "smoter", "dense-weights")
FITS = "fits"
# what makes runs comparable, and where they go: given once, for all fits
SHARED = (
    *("posts", "id_column", "text_column", "image_column", "image_root", "target", "trials", "min_trials"),
    *("group", "time", "leakage", "folds", "drop_invalid", "refit", "cache", "out", "log"),
)
WORDS: dict[Any, str] = {bool: "true or false", int: "a whole number", str: "text", Path: "the text of a path"}


def read_grid(path: Path, given: Mapping[str, Any]) -> list[Fit]:
    """The fits of a TOML file, one `Fit` for each of its [[fits]]; `given` are flags, which go before the file's.

    Raises:
        InputError: the file is not there or no TOML, or a key or a value is not one of `regress.fit`.
    """
    try:
        with open(path, "rb") as file:
            top = tomllib.load(file)
    except (OSError, ValueError) as why:
        raise InputError(f"{path} cannot be read ({_reason(why)}): expected a TOML file with [[{FITS}]]") from None
    tables = top.pop(FITS, None)
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{path} has no [[{FITS}]]: expected one or more, each with features, model, loss, oversample")
    known = [field.name for field in dataclasses.fields(Fit) if field.name != "json"]
    common = {**_settings(path, top, known), **given}
    alone = [name for name in known if name not in SHARED]
    return [Fit(**{**common, **_settings(path, table, alone)}) for table in tables]


def origin_grid(given: Mapping[str, Any]) -> tuple[list[Fit], list[str]]:
    """The origin's study on the encoders that the cache has, and what stands for what; `given` are flags.

    Raises:
        InputError: there is no cache, or it holds no encoder that the origin had the like of.
    """
    from embed.cache import open_cache

    cache = given.get("cache") or Fit().cache
    with open_cache(cache) as opened:
        spaces = opened.spaces.values()
        # copies of pictures with another view are no encoder of their own
        sizes = {space.info.name: space.rows for space in spaces if not space.info.spec.get("views")}
    arms, notes = _arms(_choose(sizes))
    if not arms:
        wanted = " or ".join(ENCODERS)
        raise InputError(
            f"{cache} holds no {wanted} (found {', '.join(sizes) or 'nothing'}): run python -m embed.extract, "
            "or describe another grid in a TOML file"
        )
    axes = {"model": ("mean", *MODELS), "loss": tuple(LOSSES), "oversample": OVERSAMPLE, **given}
    return [Fit(**{**axes, "features": tuple(arms)})], notes


def _choose(sizes: Mapping[str, int]) -> dict[str, str]:
    """Family → the encoder of it: the origin's own where it is there, else the one with the most rows."""
    found: dict[str, str] = {}
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        kind = family(name)
        if kind and (kind not in found or (ENCODERS[kind] in name and ENCODERS[kind] not in found[kind])):
            found[kind] = name
    return found


def _arms(chosen: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """The feature sets, and a note on each that is not as the origin had it."""
    arms, notes = [chosen[kind] for kind in ("EfficientNet", "ConvNeXt") if kind in chosen], []
    picture, text = chosen.get("ConvNeXt", chosen.get("EfficientNet")), chosen.get("BERT")
    for kind, origin in ENCODERS.items():
        if kind in chosen and origin not in chosen[kind]:
            notes.append(f"{chosen[kind]} stands for the origin’s {origin}")
        elif kind not in chosen:
            notes.append(f"no {kind} in the cache: its fits are left out")
    if picture and text:
        arms.append(f"{picture}+{text}")
        if "ConvNeXt" not in chosen:
            notes.append(f"{picture}+{text} stands for the origin’s ConvNeXt + BERT")
    elif text:
        arms.append(text)
        notes.append(f"no picture encoder of the origin’s: {text} alone stands for its ConvNeXt + BERT")
    return arms, notes


def _settings(path: Path, table: Mapping[str, Any], known: list[str]) -> dict[str, Any]:
    """Keys and values of a table as fields of `Fit`; "min-trials" is min_trials."""
    hints, found = typing.get_type_hints(Fit), {}
    commas = {field.name: bool(field.metadata.get("commas")) for field in dataclasses.fields(Fit)}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known:
            if name in SHARED and name in commas:
                raise InputError(f"{path}: {key} holds for all fits: write it above the first [[{FITS}]]")
            raise InputError(f"{path}: {unknown(key, [*known, FITS], 'key')}")
        found[name] = _typed(f"{path}: {key} = {value!r}", value, hints[name], commas[name])
    return found


def _typed(where: str, value: Any, hint: Any, commas: bool) -> Any:
    """A value of TOML as the field's type."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is tuple:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not items or not all(isinstance(item, str) for item in items):
            raise InputError(f"{where}: expected a text, or a list of texts")
        parts = [part.strip() for item in items for part in (item.split(",") if commas else [item])]
        return tuple(part for part in parts if part)
    if typing.get_origin(hint) is typing.Literal:
        if value not in typing.get_args(hint):
            raise InputError(f"{where}: expected one of {', '.join(typing.get_args(hint))}")
        return value
    if hint is str and isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # folds = 5, where "5x2" could stand
    if not isinstance(value, str if hint is Path else hint) or (hint is int and isinstance(value, bool)):
        raise InputError(f"{where}: expected {WORDS[hint]}")
    return Path(value) if hint is Path else value


def _reason(why: Exception) -> str:
    return " ".join(str(getattr(why, "strerror", None) or why).split())
