"""Columns of predictions as a file: CSV, Parquet or JSON lines, by its suffix; whole or not there at all.

The three say the same: numbers are written so that reading them gives the same bits, and ids come back as they were,
with quotes and line breaks in them.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from data.config import InputError
from data.files import atomic_write

Columns = Mapping[str, list[Any]]


def check_out(path: Path) -> None:
    """Refuse a name that says no format, before anything is computed."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"--out {str(path)!r} ends in {path.suffix!r}: expected {', '.join(FORMATS)}")
    if path.is_dir():
        raise InputError(f"--out {str(path)!r} is a folder: name a file, such as predictions.csv")


def write(path: Path, columns: Columns) -> None:
    """Write columns of one length, None where there is no value.

    Raises:
        InputError: the file cannot be written; an older one stays as it was.
    """
    check_out(path)
    try:
        with atomic_write(path) as file:
            FORMATS[path.suffix.lower()](file, columns)
    except OSError as why:
        raise InputError(f"--out {str(path)!r} cannot be written ({why.strerror}): name another file") from None


def _csv(file: IO[bytes], columns: Columns) -> None:
    """Texts always in quotes, so that a lone carriage return in one ends no row; an empty cell is a missing number."""
    for row in [tuple(columns), *zip(*columns.values(), strict=True)]:
        file.write((",".join(map(_cell, row)) + "\n").encode())


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return "" if value is None else repr(value)


def _parquet(file: IO[bytes], columns: Columns) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"id": pa.string(), "row": pa.int64()}
    arrays = {name: pa.array(cells, kinds.get(name, pa.float64())) for name, cells in columns.items()}
    pq.write_table(pa.table(arrays), file)


def _jsonl(file: IO[bytes], columns: Columns) -> None:
    """In ASCII: some readers take U+2028 in an id for the end of a line."""
    for row in zip(*columns.values(), strict=True):
        file.write(json.dumps(dict(zip(columns, row, strict=True)), allow_nan=False).encode() + b"\n")


FORMATS: dict[str, Callable[[IO[bytes], Columns], None]] = {".csv": _csv, ".parquet": _parquet, ".jsonl": _jsonl}
