"""Runs on a disk that fails at one call and from then on, and what must hold afterwards.

Unprivileged, by the recorder: the error is what the kernel would answer, everything before it really happened.
`full_disk.py` fills a real file system.
"""

import errno
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from disk import Call, read_tree
from recorder import Recorder
from states import Scene, State
from workload import Arrays, Item, Watch

from data.config import InputError

ALLOCATING = {"create", "mkdir", "write"}  # what a full disk refuses
NAMING = {"create", "mkdir", "rename", "unlink", "rmdir"}  # what a folder without permission refuses
ALL = ALLOCATING | NAMING | {"sync", "truncate"}


class Acknowledged(Watch):
    """What the writer acknowledged."""

    def __init__(self) -> None:
        self.items: set[Item] = set()

    def committed(self, name: str, numbers: Sequence[int]) -> None:
        self.items |= {(name, number) for number in numbers}


@dataclass
class Fault:
    """The call of number `turn` among those of `kinds`, and all of them after it, fail; a write may be cut in half."""

    number: int
    kinds: set[str]
    turn: int
    halved: bool = False
    seen: int = field(default=0, init=False)

    def __call__(self, call: Call) -> int | None:
        if call.kind not in self.kinds:
            return None
        self.seen += 1
        if self.seen == self.turn and self.halved and len(call.data) > 1:
            return len(call.data) // 2
        if self.seen >= self.turn:
            raise OSError(self.number, os.strerror(self.number))
        return None


def survive(scene: Scene, expected: Arrays, fault: Fault) -> str | None:
    """Run into the fault; the message, or None when the run ended before it.

    What is on disk then must be what a kill may leave: nothing acknowledged lost, nothing wrong, to be resumed.
    """
    watch, message = Acknowledged(), None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cache.h5"
        with Recorder(Path(folder), fault):
            try:
                scene.one_writer(path, watch)
            except InputError as error:
                message = str(error).replace(str(path), "cache.h5")
        tree = read_tree(path.parent)
    scene.check(State(tree, watch.items, f"after {errno.errorcode[fault.number]} at call {fault.turn}"), expected)
    return message
