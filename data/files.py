"""Files that are whole or not there at all: write to a temporary name, fsync, rename; and their SHA-256."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


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
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    encoding = None if "b" in mode else "utf-8"
    try:
        with os.fdopen(handle, mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_umask())  # mkstemp makes it private; an ordinary file is wanted
        os.replace(name, path)
    except BaseException:  # also Ctrl-C: nothing half-written stays; raised again
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder; on leaving without an exception it takes the place of `path`.

    A folder cannot be replaced in one step: an older one is renamed away first and removed last, so that at
    every moment one of the two is whole on disk.
    """
    make_folder(path.parent)
    new = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"))
    old = new.with_suffix(".old")
    try:
        yield new
        for written in sorted(new.rglob("*")):
            if written.is_dir():
                sync_folder(written)
            else:
                with open(written, "rb") as file:
                    os.fsync(file.fileno())
        sync_folder(new)
        new.chmod(0o777 & ~_umask())
        if path.exists():
            os.replace(path, old)
        os.replace(new, path)
    except BaseException:  # also Ctrl-C: the older folder comes back; raised again
        shutil.rmtree(new, ignore_errors=True)
        if old.exists() and not path.exists():
            os.replace(old, path)
        raise
    sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
