"""Which cells of an array, a list or a DataFrame are pictures and which are texts: posts without a table on disk."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.config import InputError
from data.posts import IMAGE_NAMES, TEXT_NAMES, Posts, held_posts
from embed.content import KINDS, Kind

PLURAL: dict[Kind, str] = {"image": "pictures", "text": "texts"}
REMEDY: dict[Kind, str] = {
    "image": "pass image_column=NAME, or call it photo, image or picture",
    "text": "pass text_column=NAME, or call it text",
}
USUAL: dict[Kind, tuple[str, ...]] = {"image": IMAGE_NAMES, "text": TEXT_NAMES}
SHOWN = 12  # columns in a message

Cells = list[Any]


@dataclass(frozen=True)
class Columns:
    """Where the parts of posts are to be looked for."""

    named: Mapping[Kind, str | None]  # columns of a DataFrame; None: the usual names
    image_root: Path
    alone: Kind  # what a column without a name holds

    def posts(self, X: Any) -> Posts:
        """The posts of X, which may be a DataFrame, a list of dicts, an array of one column or two, or a list.

        Raises:
            InputError: X has no such column, no rows, or a cell that is neither a content nor missing.
        """
        cells = self._cells(X)
        if not len(next(iter(cells.values()))):
            raise InputError("X has 0 samples: expected a post or more")
        for kind, column in cells.items():
            _check(column, kind)
        return held_posts(cells.get("text"), cells.get("image"), self.image_root, "X")

    def _cells(self, X: Any) -> dict[Kind, Cells]:
        if isinstance(X, (list, tuple)) and X and isinstance(X[0], Mapping):
            X = pd.DataFrame(list(X))
        if isinstance(X, pd.DataFrame):
            return self._frame(X)
        if isinstance(X, np.ndarray) and X.ndim == 2:
            if X.shape[1] > 2:
                raise InputError(
                    f"X has {X.shape[1]} columns without names: expected pictures and texts, or a DataFrame"
                )
            kinds = KINDS if X.shape[1] == 2 else (self.alone,)
            return {kind: _plain(pd.Series(X[:, i], dtype=object)) for i, kind in enumerate(kinds)}
        if isinstance(X, (str, bytes)) or not isinstance(X, (Sequence, np.ndarray, pd.Series)):
            raise InputError(f"X is {type(X).__name__}: expected a DataFrame, or a list or an array of posts")
        return {self.alone: _plain(pd.Series(list(X), dtype=object))}

    def _frame(self, X: pd.DataFrame) -> dict[Kind, Cells]:
        columns = [str(name) for name in X.columns]
        found = {kind: name for kind in KINDS if (name := self._find(kind, columns)) is not None}
        if not found and len(columns) == 1:
            found[self.alone] = columns[0]
        if not found:
            raise InputError(f"X has no column of posts (found {', '.join(columns[:SHOWN])}): {REMEDY[self.alone]}")
        return {kind: _plain(X.iloc[:, columns.index(name)]) for kind, name in found.items()}

    def _find(self, kind: Kind, columns: list[str]) -> str | None:
        named = self.named[kind]
        if named is not None and named not in columns:
            raise InputError(f"X has no column {named!r} (found {', '.join(columns[:SHOWN])}): {REMEDY[kind]}")
        return named or next((name for name in USUAL[kind] if name in columns), None)


def kinds_of(posts: Posts) -> list[Kind]:
    """What these posts have a column of."""
    columns: dict[Kind, str | None] = {"image": posts.image_column, "text": posts.text_column}
    return [kind for kind in KINDS if columns[kind] is not None]


def _plain(cells: "pd.Series[Any]") -> Cells:
    """A column as a list, None where a cell is missing."""
    found: Cells = cells.astype(object).where(cells.notna(), None).tolist()
    return found


def _check(cells: Cells, kind: Kind) -> None:
    """Refuse what is no content: else what it looks like when printed would be embedded."""
    kinds: tuple[type, ...] = (str,) if kind == "text" else (str, bytes, os.PathLike)
    what = "a text" if kind == "text" else "bytes, base64 or a path"
    for row, cell in enumerate(cells):
        if cell is not None and not isinstance(cell, kinds):
            raise InputError(f"X, row {row}: {PLURAL[kind]} hold a {type(cell).__name__}: expected {what}, None or NaN")
