"""Disks that fail at each call in turn, clocks that jump: one line, an intact cache, a run that can be resumed."""

import errno
import itertools
import os
import random
import time
from pathlib import Path
from unittest import mock

import pytest
from faults import ALL, ALLOCATING, NAMING, Fault, survive
from states import Scene
from workload import Arrays, Contents, Watch, arrays

SCENE = Scene(Contents(n=12, dim=5, batch=4), every=2)


@pytest.fixture(scope="module")
def expected() -> Arrays:
    return SCENE.reference()


def test_the_disk_is_full_at_every_write(expected: Arrays) -> None:
    """Every third in turn, `long.py` takes them all; every other time half of the write still fits."""
    line = "disk full while writing cache.h5: nothing committed is lost; free some space and run again"
    for turn in itertools.count(1, 3):
        message = survive(SCENE, expected, Fault(errno.ENOSPC, ALLOCATING, turn, halved=turn % 2 == 0))
        if message is None:
            break
        assert message == line
    assert turn > 40


@pytest.mark.parametrize(
    ("number", "kinds", "words"),
    [(errno.EACCES, NAMING, "Permission denied"), (errno.EROFS, ALL, "Read-only file system")],
    ids=["permission lost", "mounted read-only"],
)
def test_the_disk_refuses_from_some_call_on(expected: Arrays, number: int, kinds: set[str], words: str) -> None:
    messages = []
    for turn in itertools.count(1, 2 if kinds == NAMING else 11):
        fault = Fault(number, kinds, turn)
        messages.append(survive(SCENE, expected, fault))
        if fault.seen < turn:
            break
    # the last step of all, to remove the empty folder of segments, may fail in silence
    assert set(messages[:-2]) == {f"cannot write cache.h5 ({words}): pass another --cache"}


def test_the_clock_jumps(tmp_path: Path, expected: Arrays) -> None:
    """Names of segments sort by time, and the file system has its own ideas: neither decides about the arrays."""
    chance = random.Random(0)
    for number in range(4):
        path = tmp_path / f"{number}.h5"
        order = list(range(SCENE.contents.n))
        jumping = {
            "time_ns": mock.Mock(side_effect=lambda: chance.randrange(2**62)),
            "monotonic": mock.Mock(side_effect=lambda: chance.uniform(-1e6, 1e6)),
        }
        with mock.patch.multiple(time, **jumping):
            for end in (4, 8, 12):
                chance.shuffle(order)
                SCENE.contents.extract(path, order[:end], Watch(), every=2, finish=end == 12)
                for segment in tmp_path.glob(f"{path.name}.journal/*.segment"):
                    os.utime(segment, (0, chance.randrange(2**31)))
            SCENE.contents.extract(path, range(SCENE.contents.n), Watch(), every=2)
        assert arrays(path) == expected
