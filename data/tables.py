"""Read a table of posts in chunks: CSV, TSV and Parquet, without ever holding a whole picture column.

CSV is read with the standard library: pandas fills rows that are too short in silence, and is no faster (200 MB of
base64 pictures: 1.3 s against 1.1 s).
"""

import contextlib
import csv
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from data.config import InputError

MAX_CELL = 140_000_000  # characters: a picture of 100 MB in base64; also what an unclosed quote can swallow
ABSENT = {"", "nan", "NaN"}
NESTED = ("struct", "list", "large_list", "fixed_size_list", "map", "union", "extension")

Chunk = tuple[int, dict[str, list[Any]]]  # number of rows; column name → its values, None where missing


class Table(Protocol):
    """A table, mostly on disk, read again by each pass over it."""

    @property
    def path(self) -> Path: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def types(self) -> dict[str, str]: ...  # of the columns whose type is known
    @property
    def metadata(self) -> dict[bytes, bytes]: ...

    def chunks(self, columns: Sequence[str], size: int) -> Iterator[Chunk]:
        """The named columns, at most `size` rows at a time. Text cells "", "nan" and "NaN" are missing."""
        ...


def open_table(path: Path) -> Table:
    """Look at a table's header.

    Raises:
        InputError: there is no such file, or it is not what its suffix says.
    """
    with _file_errors(path):
        if not path.exists():
            raise InputError(f"no such file {str(path)!r}: pass a table of posts, or none for the demo posts")
        if not path.is_file():  # nor a FIFO, which is read once and may never end
            raise InputError(f"{path} is not a file: expected a table of posts (.csv, .tsv or .parquet)")
    if path.suffix.lower() not in READERS:
        raise InputError(f"{path} ends in {path.suffix!r}: readable are {', '.join(READERS)}")
    table = READERS[path.suffix.lower()](path)
    repeated = [name for name, times in Counter(table.columns).items() if times > 1]
    if repeated:
        raise InputError(f"{path} has several columns named {repeated[0]!r}: rename all but one")
    return table


@dataclass(frozen=True)
class Delimited:
    """CSV or TSV in UTF-8 with a header; all values are text."""

    path: Path
    delimiter: str
    columns: tuple[str, ...]
    types: dict[str, str] = field(default_factory=dict)
    metadata: dict[bytes, bytes] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, delimiter: str) -> "Delimited":
        header = next(_records(path, delimiter), None)
        if header is None:
            raise InputError(f"{path} is empty: expected a header and a row for each post")
        others = [mark for mark in ",;\t" if mark != delimiter and mark in header[0]]
        if len(header) == 1 and others:
            raise InputError(
                f"{path} seems to be separated by {others[0]!r}: expected {delimiter!r} in a {path.suffix} file: "
                "save it as .csv with commas or as .tsv with tabs"
            )
        # pandas writes its index under an empty name, and reads it back under this one
        return cls(path, delimiter, tuple(name.strip() or f"Unnamed: {i}" for i, name in enumerate(header)))

    def chunks(self, columns: Sequence[str], size: int) -> Iterator[Chunk]:
        places = {name: self.columns.index(name) for name in columns}
        records = islice(_records(self.path, self.delimiter), 1, None)
        while rows := list(islice(records, size)):
            yield len(rows), {name: [_present(row[at]) for row in rows] for name, at in places.items()}


@dataclass(frozen=True)
class Parquet:
    """A Parquet file; values as pyarrow gives them."""

    path: Path
    columns: tuple[str, ...]
    types: dict[str, str]
    metadata: dict[bytes, bytes]

    @classmethod
    def open(cls, path: Path) -> "Parquet":
        import pyarrow.parquet as pq

        with _parquet_errors(path), pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            types = {name: str(kind) for name, kind in zip(schema.names, schema.types, strict=True)}
            return cls(path, tuple(schema.names), types, dict(schema.metadata or {}))

    def chunks(self, columns: Sequence[str], size: int) -> Iterator[Chunk]:
        import pyarrow.parquet as pq

        for name in columns:
            if is_nested(self.types[name]):
                raise InputError(
                    f"{self.path}: column {name!r} holds {self.types[name][:80]}: expected text, bytes or numbers"
                )
        # without pre-buffering, pages are read as they are needed and not a row group at a time
        with _parquet_errors(self.path), pq.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 20) as file:
            for batch in file.iter_batches(batch_size=size, columns=list(columns)):
                values = {name: batch.column(name).to_pylist() for name in columns}
                yield batch.num_rows, {name: [_present(cell) for cell in cells] for name, cells in values.items()}


@dataclass(frozen=True)
class Held:
    """Columns that are in memory already, all of one length."""

    path: Path  # what messages call it
    values: Mapping[str, Sequence[Any]]
    types: dict[str, str] = field(default_factory=dict)
    metadata: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.values)

    def chunks(self, columns: Sequence[str], size: int) -> Iterator[Chunk]:
        n = len(next(iter(self.values.values()), ()))
        for start in range(0, n, size):
            part = slice(start, start + size)
            yield min(size, n - start), {name: [_present(cell) for cell in self.values[name][part]] for name in columns}


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": lambda path: Delimited.open(path, ","),
    ".tsv": lambda path: Delimited.open(path, "\t"),
    ".parquet": Parquet.open,
}


def is_nested(kind: str) -> bool:
    """Whether a column's type (its text in pyarrow) is one of lists, maps or structures."""
    return kind.startswith(NESTED)


def _present(cell: Any) -> Any:
    """None for what counts as missing. Empty bytes are a picture file without content, not a missing one."""
    if isinstance(cell, str):
        return None if len(cell) < 9 and cell.strip() in ABSENT else cell
    return None if isinstance(cell, float) and math.isnan(cell) else cell


def _records(path: Path, delimiter: str) -> Iterator[list[str]]:
    """The rows of a CSV, header first, all of one width; blank lines are skipped."""
    csv.field_size_limit(MAX_CELL)  # the default of 131,072 is less than a picture; it is one for the whole process
    width = 0
    with _file_errors(path), open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        for record in _numbered(reader, path):
            width = width or len(record)
            if len(record) not in {0, width}:
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(record)} cells where the header has {width}: "
                    f"put cells that hold {delimiter!r} or a line break in double quotes"
                )
            if record:
                yield record


def _numbered(reader: Any, path: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: {error}: expected cells with quotes to be quoted and their quotes doubled"
        ) from None


@contextlib.contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:
        raise InputError(_not_utf8(path)) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _not_utf8(path: Path) -> str:
    """Decoding in blocks says not where; looking again line by line does."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return f"{path}, line {number}: byte 0x{line[error.start]:02x} is not UTF-8: save the table as UTF-8"
    return f"{path} is not UTF-8: save the table as UTF-8"


@contextlib.contextmanager
def _parquet_errors(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except UnicodeEncodeError:
        raise InputError(f"{path}: its name is not UTF-8: rename it") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} has a text column that is not UTF-8: write it again as UTF-8 or as binary") from None
    except (pa.ArrowException, OSError) as error:
        why = " ".join(str(error).split())[:200]
        raise InputError(f"{path} cannot be read as Parquet ({why}): write it again") from None
