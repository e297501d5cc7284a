"""Pick a thing by its name from a plain dict; a wrong name is answered with the nearest right one."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from data.config import InputError

T = TypeVar("T")


def pick(table: Mapping[str, T], name: str, what: str) -> T:
    """`table[name]`, or an `InputError` such as "unknown model 'lgbmm': did you mean 'lgbm'? known models are …"."""
    if name in table:
        return table[name]
    raise InputError(unknown(name, table, what))


def unknown(name: str, known: Iterable[str], what: str) -> str:
    """The one line about a name that is not there; lists all known names, nearest first in the question."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    question = f": did you mean {near[0]!r}?" if near else ":"
    return f"unknown {what} {name!r}{question} known {what}s are {', '.join(known) or 'none'}"
