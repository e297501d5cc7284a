"""Runs on a recorded disk, and what must hold in every state that a kill or a power cut leaves it in.

Each state is written out, opened by h5py alone, resumed by a real writer, and its arrays compared with those of a run
that nobody disturbed: 0.03 CPU-seconds a state, so that all 300 of a small run fit into a test.
"""

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from disk import ROOT, Call, Disk, Tree, write_tree
from recorder import Recorder
from workload import Arrays, Contents, Item, Watch, arrays

from embed import journal
from embed.spaces import KEY_BYTES
from embed.writer import CacheWriter


class Clock:
    """Monotonic time that goes on by `step` seconds when something is committed."""

    def __init__(self, step: float = 2.0) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        return self.now


class Notes(Watch):
    """Marks in the log what one writer acknowledged, and what of it must be durable by then."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder, self._clock = recorder, clock
        self._bytes: dict[str, int] = {}
        self._committed: dict[Item, tuple[float, int]] = {}  # when, and how many bytes of the space there were by then

    def of_another(self) -> "Notes":
        return Notes(self._recorder, self._clock)

    def committed(self, name: str, numbers: Sequence[int]) -> None:
        now = self._clock()
        self._bytes[name] = self._bytes.get(name, 0) + len(numbers) * KEY_BYTES  # at least
        self._committed |= {(name, number): (now, self._bytes[name]) for number in numbers}
        self._recorder.mark(("committed", {(name, number) for number in numbers}))
        # the promise: a power cut takes 5 seconds or 64 MB at most
        self._recorder.mark(("durable", {item for item in self._committed if self._is_old(item, now)}))
        self._clock.now += self._clock.step

    def _is_old(self, item: Item, now: float) -> bool:
        then, size = self._committed[item]
        return now - then > journal.SYNC_SECONDS or self._bytes[item[0]] - size >= journal.SYNC_BYTES

    def folded(self) -> None:
        self._recorder.mark(("durable", set(self._committed)))


@dataclass(frozen=True)
class Scene:
    """What is embedded, and how many batches of each space lie between two checkpoints."""

    contents: Contents
    every: int

    def one_writer(self, path: Path, notes: Watch) -> None:
        """A run that ends before its checkpoint, and one that goes on from there to the end."""
        order = list(range(self.contents.n))
        self.contents.extract(path, order[2 : self.contents.n // 2], notes, self.every, finish=False)
        self.contents.extract(path, order, notes, self.every)

    def two_writers(self, path: Path, notes: Notes) -> None:
        """Two that take turns, with contents in common; the checkpoints of one meet live segments of the other."""
        n, batch = self.contents.n, self.contents.batch
        with CacheWriter(path) as one, CacheWriter(path) as other:
            first, second = (
                (one, notes, list(range(2 * n // 3))),
                (other, notes.of_another(), [*range(n)][: n // 3 : -1]),
            )
            for writer, _, _ in (first, second):
                for info in self.contents.infos.values():
                    writer.open(info)
            for turn, start in enumerate(range(0, n, batch), 1):
                for writer, its_notes, order in (first, second):
                    for name in self.contents.infos:
                        self.contents.embed(writer, name, order[start : start + batch], its_notes)
                if turn % self.every == 0:
                    self.contents.checkpoint(*second[:2])
            self.contents.checkpoint(*first[:2])
        second[1].folded()
        with CacheWriter(path) as last:
            last.checkpoint()

    def reference(self) -> Arrays:
        """What an undisturbed run makes."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cache.h5"
            self.contents.extract(path, range(self.contents.n), Watch(), self.contents.n)
            return arrays(path)

    def check(self, state: "State", expected: Arrays) -> None:
        """It opens plainly, what must be kept is kept, and a resumed run makes the same file as an undisturbed one."""
        # nothing is cut off any more: syncing would take half of the time
        unsynced = mock.patch.multiple(os, fsync=lambda handle: None, fdatasync=lambda handle: None)
        with tempfile.TemporaryDirectory() as folder, unsynced:
            path = Path(folder) / "cache.h5"
            write_tree(state.tree, path.parent)
            self.contents.check(path)
            found = self.contents.extract(path, range(self.contents.n), Watch(), self.contents.n)
            assert not state.kept - found, f"{len(state.kept - found)} embeddings are lost {state.where}"
            assert arrays(path) == expected, f"other arrays {state.where}"
            left = [entry.name for entry in path.parent.iterdir() if entry != path]
            assert not left, f"{left} is left over {state.where}"


def record(run: Callable[[Path, Notes], None], clock: Clock | None = None) -> list[Call]:
    """The calls of a run that writes the cache at the given path."""
    clock = clock or Clock()
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(time, "monotonic", clock):
        with Recorder(Path(folder)) as recorder:
            run(Path(folder) / "cache.h5", Notes(recorder, clock))
        return recorder.calls


class State(NamedTuple):
    """What is on the disk, what of it a new run must find, and the place in the log."""

    tree: Tree
    kept: set[Item]
    where: str


def kills(calls: Sequence[Call]) -> Iterator[State]:
    """The disk before and after every call, and with half of every write."""
    committed: set[Item] = set()
    before: list[Call] = []
    yield State({}, set(), "before the first call")
    for number, call in enumerate(calls):
        if call.kind == "mark":
            committed |= call.mark[1] if call.mark[0] == "committed" else set()
        elif call.kind != "sync":  # which a kill does not care about
            where = f"call {number} of {len(calls)}, {call.kind} {call.name}"
            if len(call.data) > 1:
                torn = replace(call, data=call.data[: len(call.data) // 2])
                yield State(Disk([*before, torn]).tree(), set(committed), f"within {where}")
            before.append(call)
            yield State(Disk(before).tree(), set(committed), f"after {where}")


def power_cuts(calls: Sequence[Call], cuts: int, seed: int) -> Iterator[State]:
    """The disk after power cuts at random calls."""
    chance = random.Random(seed)
    return _cuts(calls, [chance.randrange(1, len(calls) + 1) for _ in range(cuts)], chance)


def _cuts(calls: Sequence[Call], points: Sequence[int], chance: random.Random) -> Iterator[State]:
    for point in points:
        marks = [call.mark for call in calls[:point] if call.kind == "mark"]
        durable = {item for what, items in marks if what == "durable" for item in items}
        yield State(Disk(calls[:point]).after_cut(chance), durable, f"before call {point} of {len(calls)}")


def cut_again(scene: Scene, state: State, seed: int) -> State:
    """A second power cut, in the run that resumes after the first: all it found there has survived a cut already."""
    chance, clock = random.Random(seed), Clock()
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(time, "monotonic", clock):
        write_tree(state.tree, Path(folder))
        with Recorder(Path(folder)) as recorder:
            notes = Notes(recorder, clock)
            found = scene.contents.extract(Path(folder) / "cache.h5", range(scene.contents.n), notes, scene.every)
    point = chance.randrange(recorder.adopted, len(recorder.calls) + 1)
    (again,) = _cuts(recorder.calls, [point], chance)
    return again._replace(kept=again.kept | found, where=f"{state.where} and again {again.where}")


def without_syncs(calls: Sequence[Call], names: str) -> list[Call]:
    """The same run by a writer that forgot to sync files or folders of such names; "." is the folder of the cache."""
    known = {ROOT: "."}
    for call in calls:
        known |= {call.node: call.name} if call.kind in ("create", "mkdir") else {}
    kept = [call for call in calls if call.kind != "sync" or not fnmatch(known[call.node], names)]
    assert len(kept) < len(calls), f"nothing named {names} was synced"
    return kept
