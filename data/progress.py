"""Bars and notes on standard error, and the one switch that silences them.

A bar appears after a second, on a terminal only, says units per second and the time left, and is gone when its work
is done. Only the standard library is imported here: tqdm when the first bar is made.
"""

import contextlib
import sys
import threading
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

DELAY = 1.0  # seconds before a bar appears

T = TypeVar("T")
_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)


class Bar:
    """How far some work is. Threads may share one: a bare tqdm loses counts between them."""

    def __init__(self, shown: "tqdm[Any] | None" = None) -> None:
        self._shown = shown
        self._lock = threading.Lock()

    def update(self, n: int = 1) -> None:
        """`n` more are done; what goes beyond the total is not counted, since a last batch is seldom full."""
        if self._shown is not None:
            with self._lock:
                total = self._shown.total
                self._shown.update(n if total is None else min(n, total - self._shown.n))

    def skip(self, n: int) -> None:
        """`n` need not be done: they count neither for the rate nor for the time left."""
        if self._shown is not None:
            with self._lock:
                self._shown.total -= n


@contextlib.contextmanager
def bar(total: int | None, what: str, unit: str = "posts") -> Iterator[Bar]:
    """A bar for the block. `total` is None where nobody knows it: then there is no time left to tell."""
    if is_quiet() or not sys.stderr.isatty():
        yield Bar()
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=printable(what), unit=f" {unit}", leave=False, delay=DELAY) as shown:
        yield Bar(shown)


def tracked(items: Iterable[T], total: int, what: str, unit: str, each: int = 1) -> Iterator[T]:
    """The items, with a bar of `total` units of which every item is `each`, the last one what is left."""
    with bar(total, what, unit) as shown:
        for item in items:
            yield item
            shown.update(each)


def note(text: str) -> None:
    """What a user should know beside the results, as a line on standard error."""
    if not is_quiet():
        print(f"note: {printable(text)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """One line that changes nothing on a terminal: control characters and line breaks as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def is_quiet() -> bool:
    """Are bars and notes silent here?"""
    return _QUIET.get()


@contextlib.contextmanager
def quiet(on: bool = True) -> Iterator[None]:
    """No bars and no notes inside, as with `--quiet`."""
    token = _QUIET.set(on)
    try:
        yield
    finally:
        _QUIET.reset(token)
