"""What is written before the cache file is: one append-only segment of CRC-framed batches per writer and space.

A commit is one pwritev. A kill leaves at most one torn frame, which the scanner does not see; a write that comes out
short is cut off again. Scanning 314 MB takes 0.17 s of CPU; appending to HDF5 itself would lose committed rows.
A writer holds its segment's lock for life: a segment that can be locked is dead, and what it holds is folded into
cache.h5 by the next checkpoint.

    segment  magic | uint32 size | crc32 | JSON, padded to 8 bytes        then frames (embed.frames)
"""

import contextlib
import errno
import fcntl
import json
import os
import struct
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from data.config import InputError, canonical_json
from data.files import make_folder, sync_folder
from embed.frames import FAIL, MAX_REASON, ROWS, Frame, packed, walk, whole
from embed.spaces import KEY_BYTES, MAX_JSON, SpaceInfo

MAGIC = b"EMBEDSEG"
VERSION = 1
PREFIX = struct.Struct("<8sII")  # magic, bytes of JSON, their crc32
SUFFIX = ".segment"
SYNC_SECONDS = 5.0
SYNC_BYTES = 64 << 20


@dataclass(frozen=True)
class Header:
    """What a segment says about itself: its space, and the fingerprint in the file that it takes the place of."""

    info: SpaceInfo
    replaces: str = ""

    def to_bytes(self) -> bytes:
        text = canonical_json({"version": VERSION, "info": self.info.to_json(), "replaces": self.replaces}).encode()
        text += b" " * (-len(text) % 8)
        return PREFIX.pack(MAGIC, len(text), zlib.crc32(text)) + text


@dataclass(frozen=True)
class Index:
    """The whole frames of one segment: keys and where their rows lie; the rows stay on disk."""

    path: Path
    header: Header
    keys: npt.NDArray[np.uint8]  # (n, 32), in the order they were committed, repeated ones included
    offsets: npt.NDArray[np.int64]  # (n,), byte in the segment where the row begins, a multiple of its item size
    failures: dict[bytes, str]
    dropped: int  # bytes after the last whole frame: a torn write, or damage

    @property
    def info(self) -> SpaceInfo:
        return self.header.info

    def __len__(self) -> int:
        return len(self.keys) + len(self.failures)


class Segment:
    """An open segment: append frames to it. Locked until closed, or until the process dies."""

    def __init__(self, folder: Path, header: Header) -> None:
        self.path = folder / f"{time.time_ns():020d}-{uuid.uuid4().hex}{SUFFIX}"  # names sort by age
        self.info = header.info
        self.empty = True
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            self._end = self._unsynced = 0
            self._write([header.to_bytes()])
            self.sync()
            sync_folder(folder)
            sync_folder(folder.parent)  # the folder itself may be new
        except BaseException:  # also Ctrl-C: no segment without a whole header stays; raised again
            self.discard()
            raise

    def rows(self, keys: list[bytes], rows: npt.NDArray[Any]) -> None:
        """Commit embeddings, `rows` (n, dim) in the space's own dtype."""
        self._commit(ROWS, len(keys), b"".join(keys), np.ascontiguousarray(rows).data.cast("B"))

    def failure(self, key: bytes, why: str) -> None:
        """Commit the reason why a key has no embedding."""
        self._commit(FAIL, 1, key, plain_reason(why).encode())

    def sync(self) -> None:
        os.fdatasync(self._handle)
        self._unsynced, self._synced_at = 0, time.monotonic()

    def sync_if_due(self) -> None:
        """Make what was committed durable when it is much or has waited long."""
        if self._unsynced >= SYNC_BYTES or (self._unsynced and time.monotonic() - self._synced_at >= SYNC_SECONDS):
            self.sync()

    def close(self) -> None:
        """Make what was committed durable, then let others fold it. Does nothing the second time."""
        if self._handle >= 0:
            try:
                self.sync()
            finally:
                self._release()

    def discard(self) -> None:
        """Remove the segment."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        if self._handle >= 0:
            self._release()

    def _release(self) -> None:
        handle, self._handle = self._handle, -1
        os.close(handle)

    def _commit(self, kind: int, n: int, *parts: "bytes | memoryview") -> None:
        self._write(packed(kind, n, *parts))
        self.empty = False
        self.sync_if_due()

    def _write(self, parts: "list[Any]") -> None:
        """Append all of it or nothing. At a fixed position: a tail left by an interrupt is written over."""
        size = sum(map(len, parts))
        try:
            written = os.pwritev(self._handle, parts, self._end)
            if written != size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError:
            os.ftruncate(self._handle, self._end)
            raise
        self._end += size
        self._unsynced += size


def plain_reason(why: str) -> str:
    """A reason as it is kept: one line, at most 300 bytes of UTF-8."""
    text = " ".join(why.replace("\0", " ").split()) or "unknown"
    return text.encode(errors="replace")[:MAX_REASON].decode(errors="ignore")


def read_header(path: Path) -> Header | None:
    """The header of a segment; None when it is torn or damaged, so that nothing after it can be trusted."""
    with open(path, "rb") as file:
        return _read_header(file, path)


def _read_header(file: IO[bytes], path: Path) -> Header | None:
    prefix = file.read(PREFIX.size)
    if len(prefix) < PREFIX.size:
        return None
    magic, size, crc = PREFIX.unpack(prefix)
    if magic != MAGIC or size > 2 * MAX_JSON:
        return None
    text = file.read(size)
    if len(text) < size or zlib.crc32(text) != crc:
        return None
    try:
        value = json.loads(text)
        if value["version"] > VERSION:
            raise InputError(f"{path} was written by a newer version: update this one, or delete the segment")
        return Header(SpaceInfo.from_json(value["info"]), str(value["replaces"]))
    except InputError:
        raise
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ):  # a right checksum, of someone else's making
        return None


def scan(path: Path) -> Index | None:
    """Find the whole frames of a segment. At the first that is torn or damaged the rest is given up."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header = _read_header(file, path)
        if header is None:
            return None
        end = file.tell()
        found = list(whole(file.fileno(), list(walk(file.fileno(), end, size, header.info.row_bytes))))
    failures: dict[bytes, str] = {}
    for frame, name in found:
        if frame.kind == FAIL:
            failures.setdefault(name[:KEY_BYTES], name[KEY_BYTES:].decode(errors="replace"))
    rows = [(frame, name) for frame, name in found if frame.kind == ROWS]
    keys = np.frombuffer(b"".join(name for _, name in rows), np.uint8).reshape(-1, KEY_BYTES)
    offsets = _offsets([frame for frame, _ in rows], header.info.row_bytes)
    return Index(path, header, keys, offsets, failures, size - (found[-1][0].end if found else end))


def _offsets(frames: list[Frame], row_bytes: int) -> npt.NDArray[np.int64]:
    """Where each row of these frames begins: behind the keys of its frame and the rows before it there."""
    counts = np.array([frame.n for frame in frames], np.int64)
    first = np.array([frame.start for frame in frames], np.int64) + counts * KEY_BYTES
    before = np.cumsum(counts) - counts  # rows of earlier frames
    total = int(counts.sum())
    return np.repeat(first - before * row_bytes, counts) + np.arange(total, dtype=np.int64) * row_bytes


class Journal:
    """The folder of segments beside a cache file. It is there only while something is pending."""

    def __init__(self, cache: Path) -> None:
        self.folder = cache.with_name(cache.name + ".journal")
        self._lock = self.folder / "lock"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder: segments are created, counted as dead and folded by one process at a time."""
        handle = self._acquire()
        try:
            yield
        finally:
            os.close(handle)

    def _acquire(self) -> int:
        while True:
            make_folder(self.folder.parent)
            with contextlib.suppress(FileExistsError):  # exist_ok=True fails when the folder is removed just then
                self.folder.mkdir()
            try:
                handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            except FileNotFoundError:
                if self.folder.is_symlink():
                    raise  # to nowhere
                continue  # the folder was removed since
            fcntl.flock(handle, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), self._lock.stat()):
                    return handle
            os.close(handle)  # locked a file that was removed meanwhile

    def segments(self) -> list[Path]:
        """All segments, oldest first."""
        return sorted(self.folder.glob(f"*{SUFFIX}"))

    def dead(self) -> list[Path]:
        """The segments whose writer is gone. Call it with the folder locked."""
        return [path for path in self.segments() if not is_live(path)]

    def remove(self, segments: Iterable[Path]) -> None:
        """Unlink segments, and the folder when it is empty. The last thing to do under the lock, which goes with it."""
        for path in segments:
            path.unlink(missing_ok=True)
        if [entry.name for entry in self.folder.iterdir()] == [self._lock.name]:
            self._lock.unlink()
            with contextlib.suppress(OSError):  # another process came in: the folder is its own now
                self.folder.rmdir()


def is_live(path: Path) -> bool:
    """Does a process still write to this segment?"""
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
