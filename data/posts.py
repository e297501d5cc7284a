"""Posts: a table's ids, cleaned texts and pictures, streamed in batches of at most 1,024 posts or about 64 MB.

A pass over 200 MB of base64 pictures takes 2.3 s and 34 MB of memory, as would one over 200 GB; the price is that
every pass reads the file again.
"""

import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.config import InputError, argument, option
from data.pictures import Fault, read_picture
from data.progress import bar, tracked
from data.tables import Held, Table, is_nested, open_table
from data.text import clean

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "METADATA_KEY",
    "Batch",
    "Declared",
    "Fault",
    "Posts",
    "PostsOptions",
    "held_posts",
    "no_column",
    "open_posts",
]

ID_NAMES = ("id", "post_id")
TEXT_NAMES = ("text",)
IMAGE_NAMES = ("photo", "image", "picture")
METADATA_KEY = b"embed_regress"
CHUNK = 128  # rows read from the table at once
BATCH_BYTES = 64_000_000
SHOWN_COLUMNS = 12


@dataclass(frozen=True, kw_only=True)
class PostsOptions:
    """Which posts, and where their parts are; the commands that read posts inherit these flags."""

    posts: Path | None = argument("table of posts: .csv, .tsv or .parquet (default: the demo posts)", metavar="POSTS")
    id_column: str | None = option(
        "column that names each post (default: id, post_id, or the row number)", metavar="NAME"
    )
    text_column: str | None = option("column of texts (default: text)", metavar="NAME")
    image_column: str | None = option(
        "column of pictures: paths, base64 or bytes (default: photo, image or picture)", metavar="NAME"
    )
    image_root: Path | None = option(
        "folder that picture paths start from and may not leave (default: the table's)", metavar="FOLDER"
    )


@dataclass(frozen=True)
class Declared:
    """What a Parquet table says about its own counts, in its metadata under `embed_regress`."""

    trials: str | None = None
    target: str | None = None
    activities: tuple[str, ...] = ()
    min_trials: int | None = None


@dataclass(frozen=True)
class Batch:
    """Consecutive posts: `start` is the row of the first; None marks a missing text or picture."""

    start: int
    ids: list[str]
    texts: list[str | None]
    images: list[bytes | Fault | None]


@dataclass(frozen=True)
class Posts:
    """A table of posts on disk."""

    path: Path
    n: int
    id_column: str | None
    text_column: str | None
    image_column: str | None
    columns: tuple[str, ...]
    declared: Declared
    image_root: Path  # resolved
    _table: Table = field(repr=False)
    _ids: list[str] | None = field(repr=False)  # None: row numbers

    def __len__(self) -> int:
        return self.n

    def ids(self) -> list[str]:
        """The posts' ids, all different; without an id column the row numbers, 1 for the first."""
        return [str(row) for row in range(1, self.n + 1)] if self._ids is None else list(self._ids)

    def batches(self, size: int = 1024) -> Iterator[Batch]:
        """Stream ids, cleaned texts and pictures; a batch is full at `size` posts or at about 64 MB of pictures.

        Raises:
            InputError: a row of the table cannot be read, or the table changed since it was opened.
        """
        start, held = 0, 0
        texts: list[str | None] = []
        images: list[bytes | Fault | None] = []
        ids = self.ids()
        for text, cell in self._rows():
            picture = read_picture(cell, self.image_root)
            held += len(picture) if isinstance(picture, bytes) else 0
            texts.append(None if text is None else clean(str(text)) or None)
            images.append(picture)
            if len(texts) == size or held >= BATCH_BYTES:
                yield Batch(start, ids[start : start + len(texts)], texts, images)
                start, held, texts, images = start + len(texts), 0, [], []
        if texts:
            yield Batch(start, ids[start:], texts, images)

    def _rows(self) -> Iterator[tuple[Any, Any]]:
        """The text and the picture cell of each row."""
        columns = [name for name in (self.text_column, self.image_column) if name is not None]
        seen = 0
        for rows, values in self._table.chunks(list(dict.fromkeys(columns)), CHUNK):
            seen += rows
            if seen > self.n:
                break
            empty = [None] * rows
            yield from zip(
                values.get(self.text_column or "", empty), values.get(self.image_column or "", empty), strict=True
            )
        if seen != self.n:
            raise InputError(f"{self.path} changed while it was read (it had {self.n:,} rows): run the command again")

    def read(self, *columns: str) -> "pd.DataFrame":
        """The named columns of all rows as they are in the table (a CSV's are text), missing cells as nulls.

        Raises:
            InputError: there is no such column, or it holds lists or structures.
        """
        import pandas as pd

        names = list(dict.fromkeys(columns))
        for name in names:
            self.require(name)
        values: dict[str, list[Any]] = {name: [] for name in names}
        for _, chunk in tracked(self._table.chunks(names, CHUNK), self.n, "reading", "posts", CHUNK):
            for name in names:
                values[name] += chunk[name]
        return pd.DataFrame(values, columns=names)

    def head(self) -> "pd.DataFrame":
        """The first rows (at most 128) of all columns but those that hold lists or structures."""
        import pandas as pd

        plain = [name for name in self.columns if not is_nested(self._table.types.get(name, ""))]
        _, values = next(self._table.chunks(plain, CHUNK))
        return pd.DataFrame(values, columns=plain)

    def require(self, column: str, flag: str | None = None) -> None:
        """Raise an `InputError` if the table lacks a column; `flag` is what would name another."""
        if column not in self.columns:
            raise InputError(no_column(self.path, column, self.columns, flag))


def open_posts(options: PostsOptions) -> Posts:
    """Find the columns, count the rows and check the ids; texts and pictures are only read by `batches`.

    Raises:
        InputError: no such file or column, an unreadable table, no rows, an id that is missing or repeated.
    """
    from data.sample import demo_posts

    path = demo_posts() if options.posts is None else options.posts
    table = open_table(path)
    id_column = _find(table, options.id_column, ID_NAMES, "--id-column")
    text_column = _find(table, options.text_column, TEXT_NAMES, "--text-column")
    image_column = _find(table, options.image_column, IMAGE_NAMES, "--image-column")
    if "binary" in table.types.get(text_column or "", ""):
        raise InputError(
            f"{path}: column {text_column!r} holds bytes: expected text, name its column with --text-column NAME"
        )
    n, ids = _read_ids(table, id_column)
    return Posts(
        path=path,
        n=n,
        id_column=id_column,
        text_column=text_column,
        image_column=image_column,
        columns=table.columns,
        declared=_declared(table),
        image_root=_image_root(options.image_root, path),
        _table=table,
        _ids=ids,
    )


def held_posts(texts: Sequence[Any] | None, images: Sequence[Any] | None, image_root: Path, name: str) -> Posts:
    """Posts whose texts and picture cells (paths below `image_root`, base64 or bytes) are in memory; None: no such.

    `name` is what messages call them. Texts are cleaned and pictures read as those of any table.
    """
    values = {"text": texts, "photo": images}
    table = Held(Path(name), {column: cells for column, cells in values.items() if cells is not None})
    return Posts(
        path=table.path,
        n=len(next(iter(table.values.values()))),
        id_column=None,
        text_column=None if texts is None else "text",
        image_column=None if images is None else "photo",
        columns=table.columns,
        declared=Declared(),
        image_root=image_root.resolve(),
        _table=table,
        _ids=None,
    )


def _find(table: Table, named: str | None, usual: Iterable[str], flag: str) -> str | None:
    if named is None:
        return next((name for name in usual if name in table.columns), None)
    if named not in table.columns:
        raise InputError(no_column(table.path, named, table.columns, flag))
    return named


def no_column(path: Path, name: str, columns: tuple[str, ...], flag: str | None = None) -> str:
    """The one line about a column that is not there."""
    shown = [column if len(column) <= 40 else column[:39] + "…" for column in columns[:SHOWN_COLUMNS]]
    found = ", ".join(column if column.isprintable() else repr(column) for column in shown)
    more = f" and {len(columns) - SHOWN_COLUMNS} more" if len(columns) > SHOWN_COLUMNS else ""
    near = difflib.get_close_matches(name, columns, n=1)
    question = f"did you mean {near[0]!r}? " if near else ""
    remedy = f"rename it or pass {flag} NAME" if flag else "name one of these"
    return f"{path} has no column {name!r} (found {found}{more}): {question}{remedy}"


def _read_ids(table: Table, column: str | None) -> tuple[int, list[str] | None]:
    """The number of rows, and the ids if there are any."""
    n, ids = 0, []
    with bar(None, "counting") as shown:
        for rows, values in table.chunks([column] if column else [], CHUNK):
            ids += values[column] if column else []
            n += rows
            shown.update(rows)
    if n == 0:
        raise InputError(f"{table.path} has a header and no rows: expected a row for each post")
    if column is None:
        return n, None
    if None in ids:
        raise InputError(
            f"{table.path}: row {ids.index(None) + 1} has no {column!r}: give it one or pass --id-column NAME"
        )
    names = [str(value) for value in ids]
    _check_unique(table.path, column, names)
    return n, names


def _check_unique(path: Path, column: str, ids: list[str]) -> None:
    first: dict[str, int] = {}
    for row, name in enumerate(ids, start=1):
        if first.setdefault(name, row) != row:
            again = len(ids) - len(set(ids))
            raise InputError(
                f"{path}: {column} {name!r} is in row {first[name]} and in row {row}; {again:,} of {len(ids):,} rows "
                "repeat an earlier one: make them unique or pass --id-column NAME"
            )


def _image_root(named: Path | None, path: Path) -> Path:
    if named is not None and not named.is_dir():
        raise InputError(f"no such folder {str(named)!r}: pass --image-root FOLDER, where the pictures' paths start")
    return (named or path.parent).resolve()


def _declared(table: Table) -> Declared:
    """Metadata is untrusted like any cell: every value is checked."""
    text = table.metadata.get(METADATA_KEY)
    if text is None:
        return Declared()
    try:
        return _checked(**json.loads(text))
    except (RecursionError, TypeError, ValueError):
        raise InputError(
            f"{table.path}: its metadata {METADATA_KEY.decode()!r} is not as expected: "
            '{"trials": NAME, "target": NAME, "activities": [NAME, …], "min_trials": N}'
        ) from None


def _checked(trials: Any = None, target: Any = None, activities: Any = (), min_trials: Any = None) -> Declared:
    names = [*activities, *(name for name in (trials, target) if name is not None)]
    if isinstance(activities, str) or not all(isinstance(name, str) for name in names):
        raise TypeError("a name is no text")
    if min_trials is not None and (type(min_trials) is not int or min_trials < 1):
        raise TypeError("min_trials is no whole number of 1 or more")
    return Declared(trials, target, tuple(activities), min_trials)
