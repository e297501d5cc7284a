"""Columns that belong together: a picture's embedding, a text's. Distances may be taken in one of them alone.

A new row takes all its blocks from the same two parents with the same share, so a picture and its text stay a pair.
Between two unit vectors lies a shorter one (10 % shorter at a cosine of 0.6), which a model of unit vectors never
sees in a real row: `renormalize` gives such blocks their length back.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from oversample.draw import Floats, Rows

TOLERANCE = 1e-3  # of a norm that counts as 1: float16 embeddings are off by 5e-4
STEP = 8192  # rows whose norms are taken at a time


class Blocks(NamedTuple):
    """The columns of each block, those distances are taken in (None: all), those of unit norm to be renormalised."""

    named: dict[str, Rows]
    space: Rows | None
    unit: list[Rows]

    def measured(self, X: Floats) -> Floats:
        """The columns of X (n, d) that distances are taken in."""
        return X if self.space is None else X[:, self.space]

    def renormalize(self, X: Floats) -> None:
        """Give the unit-norm blocks of new rows X (c, d) their length back, in place; zero vectors stay."""
        for columns in self.unit:
            part = X[:, columns]
            norm = np.linalg.norm(part, axis=1, keepdims=True)
            X[:, columns] = part / np.where(norm > 0, norm, 1)


def find_blocks(X: Floats, names: Any, blocks: Any, neighbors_by: Any, *, renormalize: bool) -> Blocks:
    """Check the settings against X (n, d) and its column names; `ValueError` says which block or column is missing."""
    known = _resolve(blocks, X.shape[1], names)
    space = None
    if neighbors_by is not None:
        several = isinstance(neighbors_by, Sequence) and not isinstance(neighbors_by, str)
        chosen = list(neighbors_by) if several else [neighbors_by]
        if not chosen or any(name not in known for name in chosen):
            raise ValueError(f"neighbors_by={neighbors_by!r}: expected names of blocks, which are {list(known)}")
        space = np.concatenate([known[name] for name in chosen])
    unit = [
        columns for columns in (known or {"": np.arange(X.shape[1])}).values() if renormalize and _is_unit(X, columns)
    ]
    if renormalize and not unit:
        raise ValueError("renormalize=True: expected a block whose rows have norm 1, found none: normalise X first")
    return Blocks(known, space, unit)


def _resolve(blocks: Any, d: int, names: Any) -> dict[str, Rows]:
    if blocks is None:
        return {}
    if not isinstance(blocks, Mapping) or not blocks:
        raise ValueError(f"blocks={blocks!r}: expected {{name: slice, or columns}}")
    return {name: _columns(name, selection, d, names) for name, selection in blocks.items()}


def _columns(name: str, selection: Any, d: int, names: Any) -> Rows:
    """Column numbers of a slice, of numbers, or of a frame's column names."""
    found = np.arange(d)[selection] if isinstance(selection, slice) else _numbers(selection, names)
    if not len(found) or found.min() < 0 or found.max() >= d:
        raise ValueError(f"blocks[{name!r}]={selection!r}: expected a slice or columns of X, which has {d}")
    return found


def _numbers(selection: Any, names: Any) -> Rows:
    """The array that a selection is, names by their place; -1 for a column that is not there, empty for no columns."""
    wanted = [selection] if isinstance(selection, str) else selection
    if not isinstance(wanted, Sequence | np.ndarray) and not hasattr(wanted, "to_numpy"):
        return np.empty(0, dtype=np.int64)
    if not all(isinstance(column, str) for column in wanted):
        whole = all(isinstance(column, int | np.integer) and not isinstance(column, bool) for column in wanted)
        return np.array(wanted if whole else [], dtype=np.int64)
    places = {column: place for place, column in enumerate(names if names is not None else [])}
    return np.array([places.get(column, -1) for column in wanted], dtype=np.int64)


def _is_unit(X: Floats, columns: Rows) -> bool:
    """Whether every row has norm 1 in these columns, or is absent (all zeros), and not all are absent."""
    present = 0
    for start in range(0, len(X), STEP):
        with np.errstate(over="ignore"):  # of the largest numbers: no unit vectors anyway
            norm = np.linalg.norm(X[start : start + STEP][:, columns], axis=1)
        if not ((norm == 0) | (np.abs(norm - 1) <= TOLERANCE)).all():
            return False
        present += int((norm > 0).sum())
    return present > 0
