"""Read a cache: find rows by key, gather them as float32.

Rows come through a memory map at the dataset's offset: 16,384 random ones of 200,000 as float32 in half the time of
np.memmap and `astype`. Checksums of descriptions and failures are checked when a cache is opened, those of rows by
`damaged_blocks` only: they take a read of the whole file, 0.4 s a GB.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from data.progress import tracked
from embed.half import Floats, all_finite, widen
from embed.hdf5 import BLOCK, Array, Layout, block_crc, blocks, read_cache
from embed.parallel import spread
from embed.spaces import KEY_BYTES, SpaceInfo

ABSENT, FAILED = -1, -2
GATHER = 2048  # rows read at a time

Keys = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]


def as_void(keys: Keys) -> Array:
    """(n, 32) bytes as n comparable items; they sort like bytes do."""
    return np.ascontiguousarray(keys).view(f"V{KEY_BYTES}").reshape(-1)


def as_keys(keys: Iterable[bytes]) -> Keys:
    """Keys of 32 bytes as an array (n, 32)."""
    return np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES)


def sorted_once(keys: Keys) -> Rows:
    """Order that sorts `keys` (n, 32) and leaves out repeated ones but the first; int64 (≤ n,).

    By the first 8 bytes, as numbers, and by all of them only where these are equal: 4 times as fast as comparing keys.
    """
    heads = np.ascontiguousarray(keys[:, :8]).view(">u8").reshape(-1).astype(np.uint64)
    order = np.argsort(heads, kind="stable")
    heads = heads[order]
    like_the_one_before = np.concatenate([[False], heads[1:] == heads[:-1]])[: len(heads)]
    if not like_the_one_before.any():
        return order
    tied = np.flatnonzero(like_the_one_before | np.append(like_the_one_before[1:], False))
    order[tied] = order[tied][np.argsort(as_void(keys[order[tied]]), kind="stable")]
    full = as_void(keys[order[tied]])
    repeated = np.zeros(len(order), bool)
    repeated[tied[1:]] = full[1:] == full[:-1]
    return order[~repeated]


def locate(table: Keys, keys: Keys) -> Rows:
    """For each of `keys` (m, 32) its row in the sorted `table` (n, 32), or ABSENT; int64 (m,)."""
    if not len(table):
        return np.full(len(keys), ABSENT, np.int64)
    rows = np.searchsorted(as_void(table), as_void(keys)).astype(np.int64)
    rows[rows == len(table)] = 0
    rows[(table[rows] != keys).any(axis=1)] = ABSENT
    return rows


def locate_all(table: Keys, failed: Keys, keys: Keys) -> Rows:
    """`locate` in `table`, and FAILED for what is in the sorted `failed` instead."""
    rows = locate(table, keys)
    missing = np.flatnonzero(rows == ABSENT)
    rows[missing[locate(failed, keys[missing]) != ABSENT]] = FAILED
    return rows


class Space:
    """One encoder's embeddings: `info`, `rows`, `keys` uint8 (rows, 32) sorted, `failures` key → reason."""

    def __init__(self, layout: Layout) -> None:
        self.info: SpaceInfo = layout.info
        self.rows = layout.rows
        self.keys: Keys = layout.key
        self.embedding: Array = layout.embedding  # (rows, dim) in the file's own dtype
        self.failed_keys: Keys = layout.failed_key
        self._failed_why = layout.failed_why
        self.crc32 = layout.crc32

    @cached_property
    def failures(self) -> dict[bytes, str]:
        """Key → reason, sorted by key."""
        reasons = (why.decode(errors="replace") for why in self._failed_why.tolist())
        return dict(zip((key.tobytes() for key in self.failed_keys), reasons, strict=True))

    def find(self, keys: Keys) -> Rows:
        """Row of each of `keys` uint8 (m, 32), ABSENT = −1 or FAILED = −2; int64 (m,)."""
        return locate_all(self.keys, self.failed_keys, keys)

    def read(self, rows: Rows | None = None, out: Floats | None = None) -> Floats:
        """Embeddings of `rows` int64 (m,), in their order, repeated ones too; None: of all; float32 (m, dim).

        Args:
            out: a contiguous array to read into; a new one costs as much again as reading 300 MB.

        Raises:
            IndexError: a row is outside 0 … rows − 1, ABSENT and FAILED among them.
        """
        if rows is not None and len(rows) and not 0 <= rows.min() <= rows.max() < self.rows:
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {self.rows}")
        shape = (self.rows if rows is None else len(rows), self.info.dim)
        out = np.empty(shape, np.float32) if out is None else out
        if out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise ValueError(f"{shape} contiguous float32 do not go into {out.shape} {out.dtype}")

        def fill(start: int) -> None:
            part = slice(start, start + GATHER)
            found = self.embedding[part if rows is None else rows[part]]
            if found.dtype == np.float16:
                widen(found, out[part])
            else:
                out[part] = found

        for _ in spread(fill, range(0, len(out), GATHER)):
            pass
        return out

    def damaged_blocks(self) -> list[int]:
        """Numbers of the blocks of 4,096 rows whose embeddings or keys do not match their checksum."""
        found = spread(lambda part: block_crc(self.embedding[slice(*part)], self.keys[slice(*part)]), blocks(self.rows))
        shown = tracked(found, self.rows, "checking", "rows", BLOCK)
        return [number for number, (crc, right) in enumerate(zip(shown, self.crc32, strict=True)) if crc != right]

    def faults(self) -> Iterator[str]:
        """Everything wrong with the rows, one short text each. Reads all of them."""
        for number in self.damaged_blocks():
            start, stop = number * BLOCK, min((number + 1) * BLOCK, self.rows)
            yield f"rows {start:,} to {stop - 1:,} of {self.info.name!r} do not match their checksum"
        for what, keys in (("keys", self.keys), ("failed keys", self.failed_keys)):
            if len(keys) > 1 and not np.array_equal(np.unique(as_void(keys)), as_void(keys)):
                yield f"the {what} of {self.info.name!r} are not sorted or not distinct"
        if (locate(self.keys, self.failed_keys) != ABSENT).any():
            yield f"a key of {self.info.name!r} both failed and has an embedding"
        if not all(all_finite(self.embedding[a:b]) for a, b in blocks(self.rows)):
            yield f"an embedding of {self.info.name!r} is not finite"


class Cache:
    """An open cache: its spaces by the encoder's label. Keeps reading the file it opened when another replaces it."""

    def __init__(self, path: Path, created: str, spaces: dict[str, Space]) -> None:
        self.path = path
        self.created = created
        self.spaces = spaces

    def __enter__(self) -> "Cache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the spaces; the file is unmapped when the last array read from it is gone."""
        self.spaces = {}


def open_cache(path: Path) -> Cache:
    """Open a cache file that anybody may have made.

    Raises:
        InputError: it is not there, no cache, of another version, damaged, or holds what it should not.
    """
    created, layouts = read_cache(path)
    return Cache(path, created, {layout.info.name: Space(layout) for layout in layouts})
