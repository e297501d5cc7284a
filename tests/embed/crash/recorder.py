"""Record, or make fail, every call by which this process changes files below one folder.

At Python's level, so that it works wherever the tests do: functions of `os` and files opened for writing are replaced
while it is entered. Whenever something is synced, renamed or removed, and at the end, the folder must be what the
recorded calls make of it: a write that went past, through a memory map or a library's own file, is an AssertionError.
`test_recorder.py` compares the log with strace's, call by call.
"""

import builtins
import io
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from disk import ROOT, Call, Disk, Kind, read_tree

Fault = Callable[[Call], int | None]  # raises OSError, or says how many bytes of a write come through
TURNING_POINTS = ("sync", "rename", "unlink", "rmdir")
NAMES = ("open", "mkdir", "unlink", "remove", "rmdir", "rename", "replace")
PATCHED = (*NAMES, "fsync", "fdatasync", "ftruncate", "pwritev", "pwrite", "write", "writev")


class Recorder:
    """`calls` grows while it is entered; nobody else may write to the folder.

    What is there already is recorded as made and synced; these are the first `adopted` calls.
    """

    def __init__(self, root: Path, fault: Fault = lambda call: None) -> None:
        self.calls: list[Call] = []
        self._root, self._fault = root.resolve(), fault
        self._numbers = {_identity(self._root.stat()): ROOT}
        self._count = ROOT
        self._disk = Disk()
        self._real: dict[str, Any] = {}
        self._real_open: Any = open
        self._adopt()
        self.adopted = len(self.calls)

    def _adopt(self) -> None:
        for path in sorted(self._root.rglob("*")):
            made = self._named("mkdir" if path.is_dir() else "create", path)
            assert made
            self._numbers[_identity(path.stat())] = made.node
            self.calls.append(made)
            if path.is_file():
                self.calls.append(Call("write", node=made.node, data=path.read_bytes()))
        if self.calls:
            self.calls += [Call("sync", node=node) for node in range(self._count + 1)]
        for call in self.calls:
            self._disk.apply(call)
        self._verify()

    def __enter__(self) -> "Recorder":
        self._real = {name: getattr(os, name) for name in PATCHED}
        for name in PATCHED:
            setattr(os, name, getattr(self, f"_{name}"))
        io.open = builtins.open = self._io_open
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, function in self._real.items():
            setattr(os, name, function)
        io.open = builtins.open = self._real_open
        if error is None:
            self._verify()

    def mark(self, what: Any) -> None:
        self.calls.append(Call("mark", mark=what))

    def _verify(self) -> None:
        here, recorded = read_tree(self._root), self._disk.tree()
        strange = sorted(path for path in here.keys() | recorded.keys() if here.get(path, 0) != recorded.get(path, 0))
        assert not strange, f"changed by calls that were not recorded, such as memory maps: {strange}"

    def _do(self, call: Call | None, perform: Callable[[], Any]) -> Any:
        """Perform a call, recorded if it is of the folder."""
        if call is None:
            return perform()
        self._fault(call)
        result = perform()
        self._log(call)
        return result

    def _log(self, call: Call) -> None:
        self.calls.append(call)
        self._disk.apply(call)
        if call.kind in TURNING_POINTS:
            self._verify()

    def _named(self, kind: Kind, path: Any, to: Any = None) -> Call | None:
        """The call that makes, renames or removes `path`, if that is below the root."""
        whole = Path(os.fsdecode(path)).absolute()
        if self._root not in whole.parents:
            return None
        if to is not None:
            assert Path(to).absolute().parent == whole.parent, "a rename from folder to folder"
        self._count += kind in ("create", "mkdir")
        folder = self._numbers[_identity(whole.parent.stat())]
        return Call(kind, node=self._count, folder=folder, name=whole.name, to=Path(to).name if to is not None else "")

    def _number(self, handle: Any) -> int | None:
        return self._numbers.get(_identity(os.fstat(handle if isinstance(handle, int) else handle.fileno())))

    # --- names

    def _open(self, path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        new = self._named("create", path) if flags & os.O_CREAT and not os.path.lexists(path) else None
        assert new or not flags & os.O_TRUNC or not self._named("unlink", path), f"{path} is emptied in place"

        def perform() -> int:
            handle: int = self._real["open"](path, flags, mode, **more)
            if new:
                self._numbers[_identity(os.fstat(handle))] = new.node
            return handle

        return self._do(new, perform)  # type: ignore[no-any-return]

    def _mkdir(self, path: Any, mode: int = 0o777) -> None:
        new = None if os.path.lexists(path) else self._named("mkdir", path)

        def perform() -> None:
            self._real["mkdir"](path, mode)
            if new:
                self._numbers[_identity(Path(path).stat())] = new.node

        self._do(new, perform)

    def _unlink(self, path: Any) -> None:
        self._forgotten("unlink", path, self._named("unlink", path), path)

    _remove = _unlink

    def _rmdir(self, path: Any) -> None:
        self._forgotten("rmdir", path, self._named("rmdir", path), path)

    def _replace(self, source: Any, target: Any) -> None:
        self._forgotten("replace", target, self._named("rename", source, target), source, target)

    def _forgotten(self, real: str, gone: Any, call: Call | None, *arguments: Any) -> None:
        """Perform a call after which the inode of `gone`, if there was one, may become anybody's."""
        old = _identity(Path(gone).lstat()) if os.path.lexists(gone) else None
        self._do(call, lambda: self._real[real](*arguments))
        if call and old:
            del self._numbers[old]

    _rename = _replace

    # --- contents

    def _fsync(self, handle: Any) -> None:
        self._synced("fsync", handle)

    def _fdatasync(self, handle: Any) -> None:
        self._synced("fdatasync", handle)

    def _synced(self, name: str, handle: Any) -> None:
        number = self._number(handle)
        self._do(None if number is None else Call("sync", node=number), lambda: self._real[name](handle))

    def _ftruncate(self, handle: int, size: int) -> None:
        self.resize(handle, size, lambda: self._real["ftruncate"](handle, size))

    def resize(self, handle: int, size: int, perform: Callable[[], Any]) -> None:
        number = self._number(handle)
        self._do(None if number is None else Call("truncate", node=number, offset=size), perform)

    def _pwritev(self, handle: int, parts: Iterable[Any], offset: int, *flags: int) -> int:
        data = b"".join(bytes(part) for part in parts)
        return self.written(handle, offset, data, lambda some: self._real["pwritev"](handle, [some], offset, *flags))

    def _pwrite(self, handle: int, data: Any, offset: int) -> int:
        return self.written(handle, offset, bytes(data), lambda some: self._real["pwrite"](handle, some, offset))

    def _write(self, handle: int, data: Any) -> int:
        offset = 0 if self._number(handle) is None else os.lseek(handle, 0, os.SEEK_CUR)  # a pipe has none
        return self.written(handle, offset, bytes(data), lambda some: self._real["write"](handle, some))

    def _writev(self, handle: int, parts: Iterable[Any]) -> int:
        return self._write(handle, b"".join(bytes(part) for part in parts))

    def written(self, handle: int, offset: int, data: bytes, perform: Callable[[bytes], int]) -> int:
        """Write, and record what came through."""
        number = self._number(handle)
        if number is None:
            return perform(data)
        allowed = self._fault(Call("write", node=number, offset=offset, data=data))
        done = perform(data[:allowed])
        self._log(Call("write", node=number, offset=offset, data=data[:done]))
        return done

    def _io_open(self, file: Any, mode: str = "r", buffering: int = -1, *more: Any, **names: Any) -> Any:
        """Files for writing below the root become recorded ones; text and appending are none of a cache's business."""
        ours = self._number(file) if isinstance(file, int) else self._named("unlink", file)
        if ours is None or not set(mode) & set("wxa+"):
            return self._real_open(file, mode, buffering, *more, **names)
        assert "b" in mode, f"{file} is written as text"
        assert "a" not in mode, f"{file} is appended to"
        raw = _RecordedFile(self, file, mode.replace("b", ""), opener=lambda path, flags: os.open(path, flags, 0o666))
        if buffering == 0:
            return raw
        size = io.DEFAULT_BUFFER_SIZE if buffering < 0 else buffering
        return io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


class _RecordedFile(io.FileIO):
    """A file whose writes are recorded as they leave Python's buffer."""

    def __init__(self, recorder: Recorder, file: Any, mode: str, opener: Any) -> None:
        super().__init__(file, mode, opener=opener)
        self._recorder = recorder

    def write(self, data: Any) -> int:
        return self._recorder.written(self.fileno(), self.tell(), bytes(data), super().write)

    def truncate(self, size: int | None = None) -> int:
        wanted = self.tell() if size is None else size
        self._recorder.resize(self.fileno(), wanted, lambda: super(_RecordedFile, self).truncate(wanted))
        return wanted
