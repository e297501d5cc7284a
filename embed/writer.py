"""Write a cache: commits go to journal segments, a checkpoint folds them into the one plain file.

A commit of 32 × 768 costs 0.05 ms, 0.065 with a conversion to float16 by PyTorch; an h5py flush 0.4. It survives a
kill at once; a power cut takes at most what was committed in the 5 s, or 64 MB of a space, before the last commit. A
checkpoint rewrites the file, 0.37 s for 314 MB on two free cores, twice `cp` and fsync: it checks, sorts and sums every
row, and belongs to a run's end.
Several runs may write one cache: each has its own segments, and what two of them embedded twice is kept once.
"""

import contextlib
import errno
import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from data.config import InputError
from embed.half import all_finite, narrow
from embed.journal import Header, Index, Journal, Segment, is_live, read_header, scan
from embed.merge import fold
from embed.spaces import KEY_BYTES, SpaceInfo
from embed.store import ABSENT, FAILED, Keys, Rows, Space, as_keys, locate, open_cache, sorted_once

FRAME_ROWS = 4096
FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Done:
    """What is committed of one space, when it was asked for: rows and failures, of the file and of dead runs.

    32 bytes a row, where a set of keys takes 130.
    """

    info: SpaceInfo | None = None
    failures: dict[bytes, str] = field(default_factory=dict)
    keys: Keys = field(default_factory=lambda: np.empty((0, KEY_BYTES), np.uint8))  # of the rows, sorted, each once

    @classmethod
    def of(cls, info: SpaceInfo, tables: "Sequence[Space | Index]") -> "Done":
        """What these tables of one model hold together."""
        keys = np.concatenate([np.empty((0, KEY_BYTES), np.uint8), *(table.keys for table in tables)])
        keys = keys[sorted_once(keys)]
        failures = {key: why for table in tables for key, why in table.failures.items()}
        failed = locate(keys, as_keys(failures)) == ABSENT
        return cls(info, dict(itertools.compress(failures.items(), failed.tolist())), keys)

    def find(self, keys: Keys) -> Rows:
        """For each of `keys` uint8 (m, 32): ABSENT = −1, FAILED = −2, or a number ≥ 0 when it has an embedding."""
        rows = locate(self.keys, keys)
        for place in np.flatnonzero(rows == ABSENT).tolist() if self.failures else ():
            if keys[place].tobytes() in self.failures:
                rows[place] = FAILED
        return rows

    def contains(self, key: bytes) -> bool:
        """Is there nothing left to do for this key: has it an embedding, or failed?"""
        return key in self.failures or bool(locate(self.keys, as_keys([key]))[0] != ABSENT)

    def __len__(self) -> int:
        return len(self.keys) + len(self.failures)


class CacheWriter:
    """One run's hold on a cache: a journal segment per space, locked until it is closed. Threads may share one.

    Raises:
        InputError: the file is no cache, or nothing can be written there.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._target = target_of(self.path)
        self._journal = Journal(self._target)
        self._infos: dict[str, SpaceInfo] = {}
        self._segments: dict[str, Segment] = {}
        self._mutex = threading.RLock()
        with plain_errors(self.path):
            if self._target.exists():
                open_cache(self.path).close()
        with self._locked():
            pass

    def __enter__(self) -> "CacheWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def done(self, name: str) -> Done:
        """What this space has in the file, in segments of dead runs, and in this run's own."""
        with self._locked():
            own = self._segments.get(name)
            # rows only ever move from the journal to the file: read in this order, none is missed
            pending = self._pending(name)
            stored = self._stored(name)
        info = own.info if own else pending[-1].info if pending else stored.info if stored else None
        if info is None:
            return Done()
        tables: list[Space | Index] = [*([stored] if stored else []), *pending]
        return Done.of(info, [table for table in tables if table.info.same_rows(info)])

    def _pending(self, name: str) -> list[Index]:
        """What segments of dead runs and this one's own hold of a space, oldest first."""
        own = self._segments.get(name)
        found = []
        for path in self._journal.segments():
            header = read_header(path)
            if header and header.info.name == name and ((own and path == own.path) or not is_live(path)):
                index = scan(path)
                found += [index] if index else []  # an empty one is falsy
        return found

    def _stored(self, name: str) -> Space | None:
        return open_cache(self.path).spaces.get(name) if self._target.exists() else None

    def open(self, info: SpaceInfo, *, rebuild: bool = False) -> None:
        """Make a space ready for rows; `rebuild` lets it take the place of another model's.

        A rebuild of the same fingerprint changes nothing, so that an interrupted one can be run again.

        Raises:
            InputError: the cache holds this name with another fingerprint, or another run is writing it with one.
        """
        with self._mutex:
            own = self._segments.get(info.check().name)
            if own is None or not own.info.same_rows(info):
                with self._locked():
                    self._start(info, rebuild)
                self._infos[info.name] = info

    def _start(self, info: SpaceInfo, rebuild: bool) -> None:
        """Create this run's segment of a space, unless that would mix rows of two models."""
        strangers, begun = [], set()
        for path, header in self._headers(info.name):
            if header.info.same_rows(info):
                begun.add(header.replaces)  # maybe an earlier run's rebuild, which this one goes on with
                continue
            if is_live(path) and rebuild:
                raise InputError(f"another run is writing {info.name!r} into {self.path}: wait until it has ended")
            if not rebuild:
                raise InputError(_conflict(self.path, header.info, info))
            strangers.append(path)
        stored = self._stored(info.name)
        replaces = ""
        if stored and not stored.info.same_rows(info):
            replaces = stored.info.fingerprint
            if not rebuild and replaces not in begun:
                raise InputError(_conflict(self.path, stored.info, info))
        for path in strangers:
            path.unlink()
        self._segments[info.name] = Segment(self._journal.folder, Header(info, replaces))

    def _headers(self, name: str) -> Iterator[tuple[Path, Header]]:
        """The segments of a space that are being written or hold something, this run's own among them."""
        for path in self._journal.segments():
            header = read_header(path)
            if header and header.info.name == name and (is_live(path) or scan(path)):
                yield path, header

    def append(self, name: str, keys: Sequence[bytes], rows: npt.NDArray[Any]) -> None:
        """Commit embeddings, `rows` float (n, dim), under `keys`, n of 32 bytes. Repeated keys are kept once.

        Raises:
            InputError: a value is not finite, or too large for the space's dtype; or the disk is full.
        """
        info = self._infos[name]
        if rows.shape != (len(keys), info.dim) or not set(map(len, keys)) <= {KEY_BYTES}:
            raise ValueError(f"{len(keys)} keys and rows {rows.shape} for {name!r}, which has {info.dim} columns")
        stored = _converted(info, keys, rows)
        with self._mutex, plain_errors(self.path):
            for start in range(0, len(keys), FRAME_ROWS):
                part = slice(start, start + FRAME_ROWS)
                self._segment(name).rows(list(keys[part]), stored[part])
            self._sync_due()

    def fail(self, name: str, key: bytes, why: str) -> None:
        """Commit that `key` has no embedding, and why: one line, cut at 300 bytes."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key of {len(key)} bytes")
        with self._mutex, plain_errors(self.path):
            self._segment(name).failure(key, why)
            self._sync_due()

    def _segment(self, name: str) -> Segment:
        if name not in self._segments:  # a checkpoint folded it in; another run may have rebuilt the space since
            with self._locked():
                self._start(self._infos[name], rebuild=False)
        return self._segments[name]

    def _sync_due(self) -> None:
        """A space that gets no more rows is not looked at by its own commits."""
        for segment in self._segments.values():
            segment.sync_if_due()

    def checkpoint(self) -> None:
        """Fold this run's segments and those of dead runs into the file. Does nothing when none is pending.

        Raises:
            InputError: the file is damaged or the disk is full; the segments are kept.
        """
        with self._locked():
            self._close_segments()
            dead = self._journal.dead()
            fold(self._target, [index for path in dead if (index := scan(path)) is not None])
            self._journal.remove(dead)

    def close(self) -> None:
        """Let others fold what was committed; a segment nothing was committed to is removed."""
        with self._locked():
            self._journal.remove(self._close_segments())

    def _close_segments(self) -> list[Path]:
        """Close this run's segments; returns the empty ones."""
        segments, self._segments = list(self._segments.values()), {}
        with contextlib.ExitStack() as stack:  # all of them, also when one cannot be synced
            for segment in segments:
                stack.callback(segment.close)
        return [segment.path for segment in segments if segment.empty]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self._mutex, plain_errors(self.path), self._journal.locked():
            yield


@contextlib.contextmanager
def plain_errors(path: Path, flag: str = "--cache") -> Iterator[None]:
    """What the system refuses is the user's to mend: one line instead of a traceback. `flag` chooses another place."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_DISK:
            message = f"disk full while writing {path}: nothing committed is lost; free some space and run again"
        elif error.errno is None:  # not the system's, but HDF5's: a bug
            raise
        else:
            message = f"cannot write {path} ({error.strerror}): pass another {flag}"
        raise InputError(message) from error


def target_of(path: Path) -> Path:
    """The file itself: a rename would replace a link to it."""
    return path.resolve() if path.is_symlink() else path


def _converted(info: SpaceInfo, keys: Sequence[bytes], rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`rows` in the space's dtype. Raises InputError for what that cannot hold."""
    with np.errstate(over="ignore"):
        stored = narrow(rows) if info.dtype == "float16" else rows.astype(np.float32, copy=False)
    if all_finite(stored):
        return stored
    bad = np.flatnonzero(~np.isfinite(stored).all(axis=1))[0]
    value, key = float(np.abs(rows[bad]).max()), keys[bad].hex()[:12]
    start = f"encoder {info.name!r} gave {value:g} for content {key}…"
    if np.isfinite(value) and info.dtype == "float16":
        raise InputError(f"{start}, beyond float16's 65,504: run again with --dtype float32 --rebuild {info.name}")
    raise InputError(f"{start}: only finite embeddings are kept; check its weights, or run it with --dtype float32")


def _conflict(path: Path, held: SpaceInfo, info: SpaceInfo) -> str:
    """Error 5 of the style guide: what differs, most telling first, and the two ways on."""
    what, ours, theirs = difference(held, info)
    return (
        f"{path} holds {info.name!r} made with {what} {ours}, this run has {theirs}: "
        f"use another --cache, or --rebuild {info.name}"
    )


def difference(held: SpaceInfo, info: SpaceInfo) -> tuple[str, str, str]:
    """(what, in the cache, in this run)."""
    ours, theirs = ({**one.spec, "dim": one.dim, "dtype": one.dtype} for one in (held, info))
    if ours.get("weights") != theirs.get("weights"):
        return "weights", _short(str(ours.get("weights"))), _short(str(theirs.get("weights")))
    for what in sorted(ours.keys() | theirs.keys()):
        if ours.get(what) != theirs.get(what):
            return what, repr(ours.get(what)), repr(theirs.get(what))
    return "fingerprint", _short(held.fingerprint), _short(info.fingerprint)


def _short(digest: str) -> str:
    return f"{digest[:4]}…"
