"""Fold journal segments into the cache file: one sorted merge, a block of rows in memory at a time.

What a space holds afterwards depends on the set of (key, row) alone, not on who committed what in which order: rows
are sorted by key, a key that has an embedding has not failed, and of two reasons the first in the alphabet stays.
Keys and offsets are in memory, 130 bytes a row at the peak: 210 MB for a journal of 2.5 GB and 1.6 million rows.
"""

import contextlib
import itertools
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from data.config import InputError
from data.files import atomic_write
from embed.hdf5 import BLOCK, Array, write_cache
from embed.journal import Index
from embed.spaces import SpaceInfo, damaged
from embed.store import ABSENT, Cache, Keys, Rows, Space, as_keys, locate, open_cache, sorted_once

Table = Space | Index
SYNC_SECONDS = 0.03


class MergedSpace:
    """A space as it will be written: the rows of all tables, sorted by key.

    Args:
        tables: what holds rows of one model; of a key that several have, the row of the first is taken.
    """

    def __init__(self, tables: Sequence[Table], info: SpaceInfo) -> None:
        self.info = info
        self._failures = [table.failures for table in tables]
        everything = np.concatenate([table.keys for table in tables])
        source = sorted_once(everything)
        self.keys: Keys = everything[source]
        self.failures = self._merged_failures()
        # a row lies in the table `_table` at `_place`
        self._rows = [_rows(table) for table in tables]
        sizes = [len(table.keys) for table in tables]
        self._table = np.repeat(np.arange(len(tables), dtype=np.int32), sizes)[source]
        self._place = np.concatenate([_places(table) for table in tables])[source]

    def _merged_failures(self) -> dict[bytes, str]:
        found: dict[bytes, str] = {}
        for failures in self._failures:
            for key, why in failures.items():
                found[key] = min(why, found.get(key, why))
        failed = locate(self.keys, as_keys(found)) == ABSENT
        return dict(itertools.compress(found.items(), failed.tolist()))

    def differs(self, stored: Space | None) -> bool:
        """Is there anything that the file does not say yet?"""
        if stored is None or not self.info.same_rows(stored.info):
            return bool(len(self.keys) or self.failures)
        mine = len(self.keys), self.failures, self.info.request
        return mine != (stored.rows, stored.failures, stored.info.request)

    def block(self, start: int, stop: int) -> Array:
        """Embeddings of the merged rows `start` to `stop`, (stop − start, dim)."""
        table, place = self._table[start:stop], self._place[start:stop]
        if (table == table[0]).all():
            rows = self._rows[table[0]][place]
        else:
            rows = np.empty(len(table), f"V{self.info.row_bytes}")
            for number in np.flatnonzero(np.bincount(table)).tolist():
                mine = table == number
                rows[mine] = self._rows[number][place[mine]]
        found: Array = rows.view(self.info.dtype).reshape(-1, self.info.dim)
        return found


def _rows(table: Table) -> Array:
    """A table's rows as opaque items. Of a segment, mapped, as if one began at every number of it; no copy."""
    row = np.dtype(f"V{table.info.row_bytes}")
    if not len(table.keys):
        return np.empty(0, row)
    if isinstance(table, Space):
        return table.embedding.view(row).reshape(-1)
    with open(table.path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    step = np.dtype(table.info.dtype).itemsize
    return np.ndarray((len(mapped) - row.itemsize) // step + 1, row, mapped, strides=step)


def _places(table: Table) -> Rows:
    """Which items of `_rows` a table's rows are."""
    if isinstance(table, Space):
        return np.arange(table.rows)
    return table.offsets // np.dtype(table.info.dtype).itemsize


def fold(path: Path, indexes: Sequence[Index]) -> None:
    """Publish the file with the rows and failures of `indexes` in it. Call it with the journal locked.

    It may be repeated: what the file already has is dropped. A block of the file that does not match its checksum
    is not given a new one.

    Raises:
        InputError: the file is damaged, or a segment is of another model than the file.
    """
    old = open_cache(path) if path.exists() else None
    spaces = old.spaces if old else {}
    merged = [MergedSpace(tables, tables[-1].info) for tables in tables_of(path, old, indexes).values()]
    if any(space.differs(spaces.get(space.info.name)) for space in merged):
        for stored in spaces.values():
            check_rows(path, stored)
        publish(path, merged, old.created if old else now())


def tables_of(path: Path, cache: Cache | None, indexes: Sequence[Index]) -> dict[str, list[Table]]:
    """What a cache's file and segments, oldest first, hold by space; the file's rows first, unless they are replaced.

    Raises:
        InputError: a segment is of another model than the file or another segment.
    """
    spaces = cache.spaces if cache else {}
    pending: dict[str, list[Index]] = {}
    for index in indexes:
        pending.setdefault(index.info.name, []).append(index)
    found: dict[str, list[Table]] = {}
    for name in sorted(spaces.keys() | pending.keys()):
        stored = spaces.get(name)
        segments = _telling(stored, pending.get(name, []))
        kept = _kept(path, stored, segments)
        if kept or segments:
            found[name] = [*([kept] if kept else []), *segments]
    return found


def check_rows(path: Path, space: Space) -> None:
    """Raises InputError if a row in the file does not match its checksum: it is not given a fresh one."""
    if bad := space.damaged_blocks():
        raise damaged(path, f"rows {bad[0] * BLOCK:,} and following of {space.info.name!r} do not match their checksum")


def publish(path: Path, spaces: Sequence[MergedSpace], created: str) -> None:
    """Put a new file in the place of the old one. Call it with the journal locked."""
    with atomic_write(path, "w+b") as file, _written_early(file.fileno()):
        write_cache(file, spaces, created)


@contextlib.contextmanager
def _written_early(handle: int) -> Iterator[None]:
    """Let the disk begin while rows are still being gathered: a tenth to a fifth off a checkpoint of 314 MB."""
    done = threading.Event()

    def sync() -> None:
        while not done.wait(SYNC_SECONDS):
            os.fdatasync(handle)

    with ThreadPoolExecutor(1) as pool:
        syncing = pool.submit(sync)
        try:
            yield
        finally:
            done.set()
        syncing.result()  # the system reports an error of the disk once, maybe here and not in the last fsync


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _telling(stored: Space | None, segments: Sequence[Index]) -> list[Index]:
    """The segments that hold something; if none does, those that may bring a new request for the same rows."""
    full = [index for index in segments if len(index)]
    return full or [index for index in segments if stored and index.info.same_rows(stored.info)]


def _kept(path: Path, space: Space | None, segments: Sequence[Index]) -> Space | None:
    """The file's space, or None where the segments take its place."""
    for index in segments:
        if not index.info.same_rows(segments[0].info):
            raise InputError(_stranger(index, segments[0].path))
        if space and not index.info.same_rows(space.info) and index.header.replaces != space.info.fingerprint:
            raise InputError(_stranger(index, path))
    return space if space and (not segments or segments[0].info.same_rows(space.info)) else None


def _stranger(index: Index, other: Path) -> str:
    name = index.info.name
    return f"{index.path} holds {name!r} of another model than {other}: delete the one, or pass --rebuild {name}"
