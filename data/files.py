"""Files that are whole or not there at all: write to a temporary name, fsync, rename; and their SHA-256."""

import contextlib
import fcntl
import glob
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

TEMPORARY, OLD = ".tmp", ".old"


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, if they are not there, so that they survive a power cut."""
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in new:
        sync_folder(each.parent)


@contextlib.contextmanager
def atomic_write(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; on leaving without an exception it replaces `path` durably.

    On any exception the temporary file is removed and `path` is as it was.
    """
    encoding = None if "b" in mode else "utf-8"
    name, handle = _make(path)
    try:
        with os.fdopen(handle, mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(name, path)  # before it is closed, which unlocks it
    except BaseException:  # also Ctrl-C: nothing half-written stays; raised again
        _remove(name)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder; on leaving without an exception it takes the place of `path`.

    A folder cannot be replaced in one step: an older one is renamed away first and removed last, so that at
    every moment one of the two is whole on disk.
    """
    with temporary_folder(path) as new:
        old = new.with_suffix(OLD)
        yield new
        for written in sorted(new.rglob("*")):
            if written.is_dir():
                sync_folder(written)
            else:
                with open(written, "rb") as file:
                    os.fsync(file.fileno())
        sync_folder(new)
        with _locked(path.parent):  # two processes may be about to replace one folder
            _exchange(new, path, old)
    sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path`, hidden; removed on leaving if it is still there, else by the next that is made."""
    name, handle = _make(path, folder=True)
    try:
        yield name
    finally:
        _remove(name)
        os.close(handle)


def _make(path: Path, *, folder: bool = False) -> tuple[Path, int]:
    """A new file or folder beside `path`, open and locked: by the lock it is known that its maker lives."""
    make_folder(path.parent)
    name = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    with _locked(path.parent):  # nobody else sweeps between making and locking
        _sweep(path)
        if folder:
            name.mkdir()
        handle = os.open(name, os.O_RDONLY if folder else os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        _lock(handle)
    return name, handle


def _exchange(new: Path, path: Path, old: Path) -> None:
    """`new` takes the place of `path`, which becomes `old` if it is there; if that fails, all is as before."""
    if path.exists():
        os.replace(path, old)
    try:
        os.replace(new, path)
    except BaseException:  # also Ctrl-C: raised again
        if old.exists():
            os.replace(old, path)
        raise


def _sweep(path: Path) -> None:
    """Remove what killed writers of `path` left beside it; call it with the folder locked."""
    beside = f".{glob.escape(path.name)}.????????"
    for left in path.parent.glob(beside + TEMPORARY):
        with contextlib.suppress(OSError):  # its writer lives, or has just renamed it
            handle = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(left)
            finally:
                os.close(handle)
    for old in path.parent.glob(beside + OLD):
        if path.exists():
            _remove(old)
        else:  # killed between two renames
            os.replace(old, path)


def _remove(name: Path) -> None:
    if name.is_dir():
        shutil.rmtree(name, ignore_errors=True)
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """No other process or thread is in a block like this of the same folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle)
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    """Lock where the file system can; where it cannot, nothing that is left over is removed either."""
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX)
