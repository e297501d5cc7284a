"""One frozen dataclass per command: its flags, its Python argument, and the JSON written beside its results.

A command module holds a dataclass, a `run(config)` that returns a `Result`, and one line that calls `main`.
Only the standard library is imported here, so that `--help` answers in a blink.

Results go to standard output, all else to standard error: bars, notes, one line for an error. `--quiet`, which every
command has, silences bars and notes and changes nothing on standard output. With `--json` the last line of standard
output is one JSON object, in ASCII, whatever happens: the results (exit code 0) or `{"error": "…"}` (2 for bad input,
130 when interrupted, 1 for a bug).
"""

import argparse
import contextlib
import dataclasses
import json
import os
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from data import progress

DONE, FAILED, INTERRUPTED = 0, 2, 130

C = TypeVar("C")


class InputError(ValueError):
    """Bad input. A command prints it as one line and exits with code 2; a bug keeps its traceback."""


class Result(Protocol):
    """What a command returns: one JSON object for machines, a short text for people."""

    def to_json(self) -> dict[str, Any]: ...
    def __str__(self) -> str: ...


def option(text: str, default: Any = None, *, metavar: str | None = None, commas: bool = False) -> Any:
    """A field that becomes `--name VALUE`. `commas` also splits each value of a tuple at its commas."""
    return dataclasses.field(default=default, metadata={"help": text, "metavar": metavar, "commas": commas})


def argument(text: str, default: Any = None, *, metavar: str | None = None) -> Any:
    """A field that becomes a positional argument; optional, since it always has a default."""
    return dataclasses.field(default=default, metadata={"help": text, "metavar": metavar, "positional": True})


class _Parser(argparse.ArgumentParser):
    """argparse prints usage and the error on several lines and exits; ours is an error like every other."""

    def error(self, message: str) -> typing.NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def parser(config: type) -> argparse.ArgumentParser:
    """The argument parser of a command's dataclass: the first line of its docstring, a flag per field, and --quiet."""
    about = (config.__doc__ or "").strip()
    result = _Parser(prog=f"python -m {config.__module__}", description=about, allow_abbrev=False)
    if config.__module__ == "__main__":
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        result.prog = f"python -m {spec.name if spec else Path(sys.argv[0]).stem}"
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        if "help" not in field.metadata:
            raise TypeError(f"{config.__name__}.{field.name} is no option() or argument()")
        names, keywords = _argument(field, hints[field.name])
        result.add_argument(*names, **keywords)
    result.add_argument("--quiet", action="store_true", help="no bars and notes on standard error, only errors")
    return result


def _argument(field: "dataclasses.Field[Any]", hint: Any) -> tuple[list[str], dict[str, Any]]:
    """What `add_argument` is called with for one field."""
    meta = field.metadata
    base, many, choices = _unwrap(hint)
    shown = "" if field.default in (None, (), False, "") or meta.get("commas") else f" (default: {field.default})"
    keywords: dict[str, Any] = {"help": (meta["help"] + shown).replace("%", "%%"), "default": field.default}
    flag = "--" + field.name.replace("_", "-")
    if base is bool:
        keywords["action"] = argparse.BooleanOptionalAction if field.default else "store_true"
        return [flag], keywords
    keywords |= {"type": base, "metavar": meta.get("metavar")}
    if choices:
        keywords |= {"choices": choices, "metavar": None}
    if many:
        keywords["nargs"] = "*" if meta.get("positional") else "+"
        if not meta.get("positional"):
            keywords["action"] = _Extend
    elif meta.get("positional"):
        keywords["nargs"] = "?"
    return [field.name if meta.get("positional") else flag], keywords


class _Extend(argparse.Action):
    """`--x a b --x c` gives (a, b, c); the default is replaced, not extended."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 - argparse's signature
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        seen: set[str] = getattr(namespace, "_seen", set())
        before = list(getattr(namespace, self.dest)) if self.dest in seen else []
        namespace._seen = seen | {self.dest}
        setattr(namespace, self.dest, before + values)


def _unwrap(hint: Any) -> tuple[Any, bool, list[Any]]:
    """Type hint → (element type, several values?, choices)."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    many = typing.get_origin(hint) is tuple
    if many:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) is typing.Literal:
        return str, many, list(typing.get_args(hint))
    return hint, many, []


def parse(config: type[C], argv: Sequence[str] | None = None) -> C:
    """Command line → the command's dataclass.

    Raises:
        InputError: a flag is unknown, or its value is not what it takes.
    """
    return _parse(config, argv)[0]


def _parse(config: type[C], argv: Sequence[str] | None) -> tuple[C, bool]:
    """The command's dataclass, and whether --quiet was given: how it is watched is no part of what it does."""
    known = {f.name: f for f in dataclasses.fields(config)}  # type: ignore[arg-type]
    values = vars(parser(config).parse_intermixed_args(argv))
    for name, field in known.items():
        if isinstance(values[name], list):
            values[name] = tuple(values[name])
        if field.metadata.get("commas") and values[name] is not None:
            values[name] = tuple(part.strip() for value in values[name] for part in value.split(",") if part.strip())
    return config(**{name: values[name] for name in known}), values["quiet"]


def as_json(config: Any) -> dict[str, Any]:
    """A command's dataclass as JSON-ready values: paths as text, tuples as lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, Path):
            return value.as_posix()
        if isinstance(value, (tuple, list)):
            return [plain(v) for v in value]
        return value

    return {f.name: plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def canonical_json(value: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no spaces: the text that digests are made of. Refuses NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def main(config: type[C], run: Callable[[C], Result], argv: Sequence[str] | None = None) -> int:
    """Parse, run, print, and turn an `InputError` into one line on standard error and exit code 2."""
    machine = "--json" in (sys.argv[1:] if argv is None else argv)
    try:
        parsed, quiet = _parse(config, argv)
        with progress.quiet(quiet):
            result = run(parsed)
        told = _line(result.to_json()) if getattr(parsed, "json", False) else result
    except InputError as error:
        return _failed(FAILED, f"error: {progress.printable(str(error))}", machine)
    except KeyboardInterrupt:
        said = "interrupted: what was committed is kept, run the command again to go on"
        return _failed(INTERRUPTED, said, machine)
    except Exception as bug:  # it keeps its traceback
        if machine:
            _print(_line({"error": f"a bug: {type(bug).__name__}: {bug}"}))
        raise
    _print(told)
    return DONE


def _failed(code: int, told: str, machine: bool) -> int:
    print(told, file=sys.stderr, flush=True)
    if machine:
        _print(_line({"error": told.removeprefix("error: ")}))
    return code


def _line(value: Mapping[str, Any]) -> str:
    """JSON in one line of ASCII: some readers take U+2028 in a name for the end of a line."""
    return json.dumps(value, allow_nan=False)


def _print(text: object) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # `… | head` closed our output: not a fault, but nothing more can be printed
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
