"""Kill writers of one cache with signal 9, again and again, and check the cache after every kill.

    python tests/embed/crash/kills.py KILLS WRITERS [SEED]

Children are forked, so that a kill costs 0.1 s; what they computed and what was acknowledged they note in shared
memory, which outlives them. A third of the kills waits for a checkpoint to begin and falls within its usual length.
With several writers each embeds its own share in its own order and a part of the others' too. Prints one JSON object;
any breach is an AssertionError.
"""

import contextlib
import json
import mmap
import os
import random
import select
import shutil
import signal
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from workload import SPACES, Contents, Item, Watch, arrays

from embed.journal import Journal
from embed.writer import CacheWriter

CONTENTS, DIM, BATCH = 600, 32, 16
EVERY = 8  # batches of each space between two checkpoints
ENCODE = 0.001  # seconds a batch takes: kills fall between computing and committing too
SHARED = 0.4  # of the contents another writer has too


class Board(Watch):
    """One writer's notes in memory that the parent sees too, also after a kill."""

    def __init__(self, n: int) -> None:
        shape = (len(SPACES), n)
        size = len(SPACES) * n
        memory = mmap.mmap(-1, 2 * size + 16)
        self._computed = np.frombuffer(memory, np.uint8, size).reshape(shape)  # in this life
        self._committed = np.frombuffer(memory, np.uint8, size, size).reshape(shape)  # ever
        self._folding = np.frombuffer(memory, np.uint8, 1, 2 * size)
        self._length = np.frombuffer(memory, np.float64, 1, 2 * size + 8)
        self.pipe = -1

    def computed(self, name: str, numbers: Sequence[int]) -> None:
        self._computed[SPACES.index(name), numbers] = 1
        time.sleep(ENCODE)

    def committed(self, name: str, numbers: Sequence[int]) -> None:
        self._committed[SPACES.index(name), numbers] = 1

    @contextlib.contextmanager
    def folding(self) -> Iterator[None]:
        start = time.monotonic()
        self._folding[0] = 1
        os.write(self.pipe, b".")
        yield
        self._folding[0] = 0
        self._length[0] = time.monotonic() - start

    def begin(self) -> None:
        """A new life."""
        self._computed[:] = 0
        self._folding[0] = 0

    def all_computed(self) -> set[Item]:
        return _items(self._computed)

    def all_committed(self) -> set[Item]:
        return _items(self._committed)

    @property
    def is_folding(self) -> bool:
        return bool(self._folding[0])

    @property
    def fold_seconds(self) -> float:
        return float(self._length[0])


def _items(flags: np.ndarray) -> set[Item]:
    return {(SPACES[space], int(number)) for space, number in np.argwhere(flags.copy())}  # a live writer goes on


@dataclass
class Child:
    """A running writer."""

    pid: int
    pipe: int  # a byte comes through when a checkpoint begins
    board: Board
    order: list[int]

    def reap(self) -> int:
        """Wait for it; returns the signal it died of, 0 when it came to its end."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.pipe)
        code = os.waitstatus_to_exitcode(status)
        assert code in (0, -signal.SIGKILL), f"a writer failed with {code}"
        return -code


@dataclass
class Report:
    """The outcome of a campaign."""

    writers: int
    kills: int = 0
    inside: int = 0  # of them, while the victim was in a checkpoint
    caches: int = 0
    computed: int = 0
    twice: int = 0  # embeddings that a kill threw away
    most_twice: int = 0  # by one kill
    seconds: float = 0.0


class Campaign:
    """Kills on one cache after another, each until its run is complete."""

    def __init__(self, folder: Path, writers: int, seed: int) -> None:
        self.folder, self.report, self.chance = folder, Report(writers), random.Random(seed)
        self.contents = Contents(CONTENTS, DIM, BATCH)
        self._running: list[Child] = []
        self.path = folder / "whole.h5"
        child = self._start(Board(CONTENTS), list(range(CONTENTS)))
        start = time.monotonic()
        assert child.reap() == 0
        self.length = time.monotonic() - start
        self.folds = [child.board.fold_seconds]
        self.reference = arrays(self.path)
        assert self.contents.check(self.path) == self.contents.items

    def run(self, kills: int) -> Report:
        start = time.monotonic()
        try:
            while self.report.kills < kills:
                self._one_cache(kills)
        finally:
            for child in self._running:  # after a breach
                os.kill(child.pid, signal.SIGKILL)
                child.reap()
        self.report.seconds = round(time.monotonic() - start, 1)
        return self.report

    def _one_cache(self, kills: int) -> None:
        self.path = self.folder / f"killed{self.report.caches}.h5"
        self.report.caches += 1
        self._running = [self._start(Board(CONTENTS), order) for order in self._orders()]
        while self._running:
            child = self.chance.choice(self._running)
            if self.report.kills < kills:
                self._strike(child)
            self._running.remove(child)
            if child.reap() == signal.SIGKILL:
                self._count(child.board)
                self._running.append(self._start(child.board, child.order))
                continue
            self.report.computed += len(child.board.all_computed())
            self.folds.append(child.board.fold_seconds)
        with CacheWriter(self.path) as writer:
            writer.checkpoint()
        assert arrays(self.path) == self.reference, f"{self.path} differs from an undisturbed run"
        assert not list(self.folder.glob(f"*{self.path.name}?*")), "something was left beside the cache"

    def _orders(self) -> list[list[int]]:
        orders = []
        for writer in range(self.report.writers):
            numbers = range(self.contents.n)
            order = [i for i in numbers if i % self.report.writers == writer or self.chance.random() < SHARED]
            self.chance.shuffle(order)
            orders.append(order)
        return orders

    def _start(self, board: Board, order: list[int]) -> Child:
        board.begin()
        pipe, board.pipe = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._work(board, order)
        os.close(board.pipe)
        return Child(pid, pipe, board, order)

    def _work(self, board: Board, order: list[int]) -> None:
        try:
            self.contents.extract(self.path, order, board, EVERY)
        except BaseException:  # whatever it is: a forked child must never go on as a second test run
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    def _strike(self, child: Child) -> None:
        """Kill one writer, unless it comes to its end before."""
        if 3 * self.report.inside <= self.report.kills:
            while select.select([child.pipe], [], [], 0)[0] and os.read(child.pipe, 1):
                pass  # checkpoints that began before
            select.select([child.pipe], [], [])  # one begins now, or the writer ends
            time.sleep(self.chance.uniform(0, statistics.median(self.folds)))
        else:
            time.sleep(self.length * self.chance.random() ** 2)  # early ones more often: many lives for one cache
        os.kill(child.pid, signal.SIGKILL)

    def _count(self, board: Board) -> None:
        """Check the cache right after a kill, while the other writers go on."""
        self.report.kills += 1
        self.report.inside += board.is_folding
        self.contents.check(self.path)
        found = self.contents.found(self.path)
        lost = board.all_committed() - found
        assert not lost, f"{len(lost)} committed embeddings are lost"
        computed = board.all_computed()
        thrown_away = len(computed - found)
        assert thrown_away <= BATCH, f"{thrown_away} embeddings will be computed twice"
        self.report.computed += len(computed)
        self.report.twice += thrown_away
        self.report.most_twice = max(self.report.most_twice, thrown_away)
        self._check_copy(board)

    def _check_copy(self, board: Board) -> None:
        """Fold a copy of what lies there now: all rows are right, and nobody's are lost, those in live segments too."""
        committed = board.all_committed().union(*(child.board.all_committed() for child in self._running))
        copy = self.folder / "copy"
        copy.mkdir()
        journal = Journal(self.path)
        with journal.locked():
            shutil.copytree(journal.folder, copy / journal.folder.name)
            if self.path.exists():
                shutil.copy(self.path, copy)
        with CacheWriter(copy / self.path.name) as writer:
            writer.checkpoint()
        lost = committed - self.contents.check(copy / self.path.name)
        assert not lost, f"{len(lost)} committed embeddings are lost"
        shutil.rmtree(copy)


def main(kills: int, writers: int, seed: int = 0) -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asdict(Campaign(Path(folder), writers, seed).run(kills))))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
