"""Flags from a dataclass, JSON from a dataclass, and one line per error."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import progress
from data.config import (
    DONE,
    FAILED,
    INTERRUPTED,
    InputError,
    argument,
    as_json,
    canonical_json,
    main,
    option,
    parse,
    parser,
)

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Base:
    """Flags that are inherited."""

    table: Path | None = argument("the table", metavar="TABLE")


@dataclass(frozen=True, kw_only=True)
class Example(Base):
    """Do a thing at 50 % cost."""

    out: Path = option("where to, at most 5 % more", Path("out.bin"), metavar="FILE")
    number: int = option("how many", 3)
    rate: float | None = option("how fast")
    kind: Literal["beta", "none"] = option("which kind", "beta")
    names: tuple[str, ...] = option("names", ())
    models: tuple[str, ...] = option("models", ("lgbm",), commas=True)
    quick: bool = option("be quick", False)
    checks: bool = option("check", True)
    json: bool = option("print JSON", False)


@dataclass(frozen=True)
class Answer:
    value: str = "ä"

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value}

    def __str__(self) -> str:
        return f"the answer is {self.value}"


def test_defaults_are_the_dataclass_defaults() -> None:
    assert parse(Example, []) == Example()


def test_every_kind_of_flag() -> None:
    argv = "t.csv --out a/b --number 7 --rate 0.5 --kind none --names x y --names z --models a,b c --quick --no-checks"
    assert parse(Example, [*argv.split(), "--json"]) == Example(
        table=Path("t.csv"),
        out=Path("a/b"),
        number=7,
        rate=0.5,
        kind="none",
        names=("x", "y", "z"),
        models=("a", "b", "c"),
        quick=True,
        checks=False,
        json=True,
    )


def test_a_repeated_flag_extends_and_replaces_the_default() -> None:
    assert parse(Example, ["--models", "a", "--models", "b,c"]).models == ("a", "b", "c")
    assert parse(Example, []).models == ("lgbm",)  # the default was not changed by the run before


def test_empty_parts_between_commas_are_dropped() -> None:
    assert parse(Example, ["--models", " a ,, b,"]).models == ("a", "b")


@given(st.integers(-(10**9), 10**9), st.booleans(), st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=1))
def test_flags_round_trip(number: int, quick: bool, names: list[str]) -> None:
    argv = ["--number", str(number), "--names", *names] + (["--quick"] if quick else [])
    assert parse(Example, argv) == Example(number=number, quick=quick, names=tuple(names))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--number", "many"], "--number"),
        (["--kind", "gamma"], "'gamma'"),
        (["--unknown"], "--unknown"),
        (["--num", "3"], "--num"),  # no abbreviations: a later flag must not change what a script means
        (["a.csv", "b.csv"], "b.csv"),
    ],
)
def test_a_wrong_flag_is_one_line_and_code_2(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(Example, lambda config: Answer(), argv) == FAILED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err


def test_help_shows_flags_and_defaults_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(Example, ["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert stop.value.code == 0
    assert "Do a thing at 50 % cost." in text
    assert "at most 5 % more (default: out.bin)" in text
    assert "how many (default: 3)" in text
    assert "[TABLE]" in text
    assert "(default: None)" not in text
    assert "(default: True) (default: True)" not in text


def test_a_field_without_a_description_is_a_bug() -> None:
    @dataclass(frozen=True)
    class Bare:
        number: int = 3

    with pytest.raises(TypeError, match="number"):
        parser(Bare)


def test_as_json_is_plain_json() -> None:
    plain = as_json(Example(table=Path("a/t.csv"), names=("x",)))
    assert json.loads(json.dumps(plain)) == plain
    assert plain["table"] == "a/t.csv"
    assert plain["names"] == ["x"]
    assert plain["rate"] is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON))
def test_canonical_json_ignores_order_and_round_trips(value: dict[str, Any]) -> None:
    backwards = dict(reversed(value.items()))
    assert canonical_json(value) == canonical_json(backwards)
    assert json.loads(canonical_json(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_canonical_json_refuses_what_json_lacks(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": value})


def test_canonical_json_is_fixed() -> None:
    """Digests in caches are made of this text: changing it would orphan all of them."""
    assert canonical_json({"b": [1, 0.5, None], "a": "ж"}) == '{"a":"ж","b":[1,0.5,null]}'


def test_main_prints_text_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(Example, lambda config: Answer(), []) == DONE
    assert capsys.readouterr().out == "the answer is ä\n"
    assert main(Example, lambda config: Answer(), ["--json"]) == DONE
    assert capsys.readouterr().out == '{"value": "\\u00e4"}\n'


def test_main_turns_bad_input_into_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def run(config: Example) -> Answer:
        raise InputError("no such thing 'x'")

    assert main(Example, run, []) == FAILED
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "error: no such thing 'x'\n")


def test_an_error_is_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    said = "no column 'a\nb\u2028\x1b[2J'"

    def run(config: Example) -> Answer:
        raise InputError(said)

    assert main(Example, run, ["--json"]) == FAILED
    captured = capsys.readouterr()
    assert captured.err == "error: no column 'a\\nb\\u2028\\x1b[2J'\n"
    assert json.loads(captured.out) == {"error": captured.err.removeprefix("error: ").rstrip("\n")}


def test_main_says_when_it_was_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    def run(config: Example) -> Answer:
        raise KeyboardInterrupt

    assert main(Example, run, []) == INTERRUPTED
    captured = capsys.readouterr()
    assert captured.err.startswith("interrupted")
    assert captured.out == ""
    assert main(Example, run, ["--json"]) == INTERRUPTED
    assert json.loads(capsys.readouterr().out)["error"].startswith("interrupted")


def test_main_leaves_bugs_their_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def run(config: Example) -> Answer:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        main(Example, run, [])
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="a bug"):
        main(Example, run, ["--json"])
    assert json.loads(capsys.readouterr().out) == {"error": "a bug: ValueError: a bug"}


def test_results_that_json_cannot_say_are_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    class Endless(Answer):
        def to_json(self) -> dict[str, Any]:
            return {"value": float("nan")}

    with pytest.raises(ValueError, match="not JSON compliant"):
        main(Example, lambda config: Endless(), ["--json"])
    assert list(json.loads(capsys.readouterr().out)) == ["error"]


def test_quiet_is_a_flag_of_every_command_and_no_part_of_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    def run(config: Example) -> Answer:
        progress.note("it is late")
        return Answer(f"quiet: {progress.is_quiet()}")

    assert parse(Example, ["--quiet"]) == Example()
    assert main(Example, run, ["--quiet"]) == DONE
    assert capsys.readouterr() == ("the answer is quiet: True\n", "")
    assert main(Example, run, []) == DONE
    assert capsys.readouterr() == ("the answer is quiet: False\n", "note: it is late\n")


PRINTS_MUCH = """
import sys
from dataclasses import dataclass
from data.config import main
@dataclass(frozen=True)
class Big:
    "Print much."
class Much:
    def __str__(self): return "x" * 1_000_000
sys.exit(main(Big, lambda config: Much(), []))
"""


def test_a_closed_pipe_is_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)  # the reader has gone before anything is printed
    with os.fdopen(writing, "wb") as out:
        done = subprocess.run(
            [sys.executable, "-c", PRINTS_MUCH], cwd=ROOT, stdout=out, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == DONE
    assert done.stderr == b""


def test_positional_arguments_may_follow_a_flag() -> None:
    assert parse(Example, ["--number", "7", "t.csv"]) == Example(table=Path("t.csv"), number=7)
