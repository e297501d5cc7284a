"""The same log as the recorder's, from strace: what really reached the kernel.

Only to prove the recorder: strace is seldom installed where tests run, and slows a run 20 times. The traced process
asks for its position before every plain write, as the recorder does, so that reads need no following.
"""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from disk import ROOT, Call, Kind

CALLS = (
    "openat,mkdir,unlink,unlinkat,rmdir,rename,renameat,renameat2,write,writev,pwrite64,pwritev,pwritev2,ftruncate,"
    "truncate,fallocate,fsync,fdatasync,lseek,close,mmap,copy_file_range,sendfile,splice,link,symlink"
)
LINE = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\d+|0x[0-9a-f]+)")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def trace(command: Sequence[str], log: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of one thread under strace."""
    strace = ["strace", "-o", str(log), "-xx", "-s", str(1 << 20), "-e", f"trace={CALLS}"]
    return subprocess.run([*strace, *command], capture_output=True, text=True, check=True)


class Parser:
    """Turns strace's lines into the calls that change files below a folder."""

    def __init__(self, root: Path) -> None:
        self.calls: list[Call] = []
        self._root = root
        self._numbers = {root: ROOT}
        self._count = ROOT
        self._open: dict[int, int] = {}  # handle → number of the file or folder
        self._position: dict[int, int] = {}

    def read(self, log: Path) -> list[Call]:
        for line in log.read_text().splitlines():
            match = LINE.match(line)
            if match and not match["result"].startswith("-"):
                self._call(match["name"], match["arguments"], int(match["result"], 0))
        return self.calls

    def _call(self, name: str, arguments: str, result: int) -> None:
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in TEXT.findall(arguments)]
        first = arguments.partition(",")[0]
        handle = int(first) if first.isdigit() else -1
        paths = [Path(text.decode()) for text in texts] if handle < 0 else []
        if name == "openat":
            self._opened(paths[0], arguments, result)
        elif name == "close":
            self._open.pop(handle, None)
        elif name == "lseek":
            self._position[handle] = result
        elif name == "mmap":
            parts = arguments.split(", ")
            written = "PROT_WRITE" in parts[2] and "MAP_SHARED" in parts[3] and int(parts[4]) in self._open
            assert not written, f"a file is written through a memory map: {arguments}"
        elif paths and self._root in paths[0].parents:
            self._named(name, paths)
        elif handle in self._open:
            self._content(name, handle, arguments, b"".join(texts)[:result])

    def _opened(self, path: Path, arguments: str, handle: int) -> None:
        if self._root not in path.parents and path != self._root:
            return
        if path not in self._numbers:
            self._log("create", path)
        self._open[handle], self._position[handle] = self._numbers[path], 0

    def _named(self, name: str, paths: list[Path]) -> None:
        kinds: dict[str, Kind] = {"mkdir": "mkdir", "unlink": "unlink", "rmdir": "rmdir", "rename": "rename"}
        self._log(kinds[name], *paths)

    def _log(self, kind: Kind, path: Path, to: Path | None = None) -> None:
        if kind in ("create", "mkdir"):
            self._count += 1
            self._numbers[path] = self._count
        else:
            number = self._numbers.pop(path)
            self._numbers |= {to: number} if to else {}
        folder = self._numbers[path.parent]
        self.calls.append(Call(kind, node=self._count, folder=folder, name=path.name, to=to.name if to else ""))

    def _content(self, name: str, handle: int, arguments: str, data: bytes) -> None:
        node = self._open[handle]
        if name in ("fsync", "fdatasync"):
            self.calls.append(Call("sync", node=node))
        elif name == "ftruncate":
            self.calls.append(Call("truncate", node=node, offset=int(arguments.split(", ")[1])))
        elif name in ("write", "writev"):
            self.calls.append(Call("write", node=node, offset=self._position[handle], data=data))
            self._position[handle] += len(data)
        else:
            assert name in ("pwrite64", "pwritev", "pwritev2"), f"{name} changes a file in a way that is not recorded"
            offset = arguments.split(", ")[-2 if name == "pwritev2" else -1]
            self.calls.append(Call("write", node=node, offset=int(offset), data=data))
