"""Bars on a terminal, none anywhere else, and the switch that silences them."""

import contextlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import progress


class Terminal(io.StringIO):
    """Standard error as a person sees it."""

    def isatty(self) -> bool:
        return True


@contextlib.contextmanager
def watching() -> Iterator[Terminal]:
    """A terminal on which a bar appears at once."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(Terminal()) as shown:
        patch.setattr(progress, "DELAY", 0)
        yield shown


def test_a_bar_says_rate_and_time_left_and_goes_away() -> None:
    with watching() as shown, progress.bar(10, "hashing") as bar:
        bar.update(4)
        bar._shown.refresh()  # type: ignore[union-attr]  # else not before a tenth of a second has passed
    text = shown.getvalue()
    assert "hashing:  40%" in text
    assert "4/10 [" in text
    assert " posts/s]" in text
    assert "<" in text.partition("4/10 [")[2]  # elapsed<left
    assert text.endswith("\r")
    assert not text.rsplit("\r", 2)[-2].strip()  # the line is blank again


def test_work_of_unknown_length() -> None:
    with watching() as shown, progress.bar(None, "counting") as bar:
        bar.update(5)
        bar._shown.refresh()  # type: ignore[union-attr]
    assert "counting: 5 posts [" in shown.getvalue()


@given(st.integers(0, 50), st.lists(st.integers(0, 30)))
def test_a_bar_never_passes_its_total(total: int, steps: list[int]) -> None:
    with watching(), progress.bar(total, "x") as bar:
        for step in steps:
            bar.update(step)
        assert bar._shown is not None
        assert bar._shown.n == min(total, sum(steps))


def test_threads_lose_no_count() -> None:
    with watching(), progress.bar(4000, "fitting", "fits") as bar:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: bar.update(), range(4000)))
        assert bar._shown is not None
        assert bar._shown.n == 4000


def test_what_need_not_be_done_leaves_the_total() -> None:
    with watching(), progress.bar(10, "fitting", "fits") as bar:
        bar.skip(6)
        bar.update(9)
        assert bar._shown is not None
        assert (bar._shown.n, bar._shown.total) == (4, 4)


def test_tracked_passes_the_items_on() -> None:
    with watching() as shown:
        assert list(progress.tracked(iter("abc"), 10, "checking", "rows", each=4)) == ["a", "b", "c"]
    assert "checking:" in shown.getvalue()
    assert " rows" in shown.getvalue()


def test_a_bar_goes_away_when_the_items_fail() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("torn")

    with watching() as shown, pytest.raises(ValueError, match="torn"):
        list(progress.tracked(items(), 3, "x", "rows"))
    assert not shown.getvalue().rsplit("\r", 2)[-2].strip()


def test_no_terminal_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY", 0)
    with contextlib.redirect_stderr(io.StringIO()) as shown:
        with progress.bar(3, "x") as bar:
            bar.update(2)
            bar.skip(1)
        progress.note("three rows\nare odd\x1b[31m")
    assert shown.getvalue() == "note: three rows\\nare odd\\x1b[31m\n"


def test_quiet_silences_bars_and_notes_inside_only() -> None:
    with watching() as shown, progress.quiet():
        with progress.bar(3, "x") as bar:
            bar.update()
        progress.note("a")
        with progress.quiet(False):
            progress.note("b")
    assert shown.getvalue() == "note: b\n"
    assert not progress.is_quiet()


@given(st.text())
def test_printable_is_one_line(text: str) -> None:
    shown = progress.printable(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    if text.isprintable():
        assert shown == text
