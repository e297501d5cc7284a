"""A disk rebuilt from recorded system calls: as a kill leaves it at any of them, and as a power cut may leave it.

The power cut is crueler than ext4: nothing is durable that was not asked for. Of a file's writes since its last fsync
or fdatasync any subset of sectors may be there, each in any of the states it had, and the size in any it had; of the
changes of a folder since its last fsync, a new folder among them, any prefix. A rename may be there without the data.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

ROOT = 0  # the number of the folder that holds everything
SECTORS = (512, 4096)

Kind = Literal["create", "mkdir", "write", "truncate", "sync", "rename", "unlink", "rmdir", "mark"]


@dataclass(frozen=True)
class Call:
    """One call that changes the disk, or a mark that the run set between two. Files and folders are numbered."""

    kind: Kind
    node: int = ROOT  # the file or folder that is made, written or synced
    folder: int = ROOT  # where a name changes
    name: str = ""
    to: str = ""  # the new name, in the same folder
    offset: int = 0  # of a write; the new size of a truncate
    data: bytes = b""
    mark: Any = None


@dataclass
class File:
    """Contents that are durable, and what was done to them since."""

    durable: bytes = b""
    states: list[bytes] = field(default_factory=list)  # after each change since the last sync

    @property
    def now(self) -> bytes:
        return self.states[-1] if self.states else self.durable

    def write(self, offset: int, data: bytes) -> None:
        old = self.now.ljust(offset, b"\0")
        self.states.append(old[:offset] + data + old[offset + len(data) :])

    def truncate(self, size: int) -> None:
        self.states.append(self.now[:size].ljust(size, b"\0"))

    def sync(self) -> None:
        self.durable, self.states = self.now, []

    def after_cut(self, chance: random.Random, sector: int) -> bytes:
        states = [self.durable, *self.states]
        size = len(chance.choice(states))
        parts = []
        for start in range(0, size, sector):
            part = chance.choice(states)[start : start + sector]
            parts.append(part.ljust(sector, b"\0"))
        return b"".join(parts)[:size]


@dataclass
class Folder:
    """Entries that are durable, and those after each change since."""

    durable: dict[str, int] = field(default_factory=dict)
    states: list[dict[str, int]] = field(default_factory=list)

    @property
    def now(self) -> dict[str, int]:
        return self.states[-1] if self.states else self.durable

    def change(self, entries: dict[str, int]) -> None:
        self.states.append(entries)

    def sync(self) -> None:
        self.durable, self.states = self.now, []

    def after_cut(self, chance: random.Random) -> dict[str, int]:
        return chance.choice([self.durable, *self.states])


Tree = dict[str, bytes | None]  # path → content, None for a folder


class Disk:
    """Apply recorded calls; then see what is there."""

    def __init__(self, calls: Iterable[Call] = ()) -> None:
        self._nodes: dict[int, File | Folder] = {ROOT: Folder()}
        for call in calls:
            self.apply(call)

    def apply(self, call: Call) -> None:
        if call.kind == "mark":
            return
        if call.kind in ("write", "truncate"):
            self._change_file(call)
        elif call.kind == "sync":
            self._nodes[call.node].sync()
        else:
            self._change_folder(call)

    def _change_file(self, call: Call) -> None:
        file = self._nodes[call.node]
        assert isinstance(file, File)
        if call.kind == "write":
            file.write(call.offset, call.data)
        else:
            file.truncate(call.offset)

    def _change_folder(self, call: Call) -> None:
        folder = self._nodes[call.folder]
        assert isinstance(folder, Folder)
        entries = dict(folder.now)
        if call.kind in ("create", "mkdir"):
            self._nodes[call.node] = File() if call.kind == "create" else Folder()
            entries[call.name] = call.node
        else:
            node = entries.pop(call.name)
            entries |= {call.to: node} if call.kind == "rename" else {}
        folder.change(entries)

    def tree(self) -> Tree:
        """What a process that starts now sees: all calls, synced or not."""
        return self._tree(None, 0)

    def after_cut(self, chance: random.Random) -> Tree:
        """What a machine sees that comes up again; another each time."""
        return self._tree(chance, chance.choice(SECTORS))

    def _tree(self, chance: random.Random | None, sector: int) -> Tree:
        found: Tree = {}
        waiting = [("", ROOT)]
        while waiting:
            path, number = waiting.pop()
            node = self._nodes[number]
            if isinstance(node, File):
                found[path] = node.after_cut(chance, sector) if chance else node.now
                continue
            found |= {path: None} if path else {}
            entries = node.after_cut(chance) if chance else node.now
            waiting += [(f"{path}/{name}".lstrip("/"), child) for name, child in sorted(entries.items())]
        return found


def write_tree(tree: Tree, folder: Path) -> None:
    """Make the files and folders of `tree` in an empty folder."""
    for path, content in sorted(tree.items()):
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)


def read_tree(folder: Path) -> Tree:
    paths = sorted(folder.rglob("*"))
    return {path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes() for path in paths}
