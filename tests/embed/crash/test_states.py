"""Recorded runs, cut off by a kill at every system call and by power cuts: nothing lost, nothing wrong."""

import itertools
import random
from collections.abc import Iterable
from unittest import mock

import pytest
from disk import Call, Disk
from states import Clock, Scene, State, cut_again, kills, power_cuts, record, without_syncs
from workload import Arrays, Contents

from embed import journal

SCENE = Scene(Contents(n=16, dim=5, batch=4), every=3)
CUTS = 34  # of each of three runs


@pytest.fixture(scope="module")
def expected() -> Arrays:
    return SCENE.reference()


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    return record(SCENE.one_writer)


@pytest.fixture(scope="module")
def calls_of_two() -> list[Call]:
    return record(SCENE.two_writers)


def check_all(states: Iterable[State], expected: Arrays) -> None:
    for state in states:
        SCENE.check(state, expected)


def test_a_kill_at_every_system_call_loses_nothing(calls: list[Call], expected: Arrays) -> None:
    states = list(kills(calls))
    assert len(states) > 100
    check_all(states, expected)


def test_a_kill_of_two_writers_at_once_loses_nothing(calls_of_two: list[Call], expected: Arrays) -> None:
    """At every third boundary; `long.py` takes them all."""
    check_all(itertools.islice(kills(calls_of_two), 0, None, 3), expected)


def test_a_power_cut_loses_the_last_seconds_at_most(
    calls: list[Call], calls_of_two: list[Call], expected: Arrays
) -> None:
    check_all(power_cuts(calls, CUTS, seed=0), expected)
    check_all(power_cuts(calls_of_two, CUTS, seed=0), expected)


def test_a_second_power_cut_in_the_resumed_run_loses_no_more(calls: list[Call], expected: Arrays) -> None:
    check_all((cut_again(SCENE, state, seed) for seed, state in enumerate(power_cuts(calls, 10, seed=2))), expected)


def test_a_power_cut_loses_the_last_bytes_at_most(expected: Arrays) -> None:
    """64 MB in life, 300 bytes here, and a clock that stands still."""
    with mock.patch.object(journal, "SYNC_BYTES", 300):
        run = record(SCENE.one_writer, Clock(step=0))
        check_all(power_cuts(run, CUTS, seed=0), expected)


@pytest.mark.parametrize("names", ["*.segment", "*.tmp", "*.journal", "."])
def test_the_harness_finds_a_sync_that_is_missing(calls: list[Call], expected: Arrays, names: str) -> None:
    """None of the four is there in vain: without it some power cut loses something or leaves a broken file."""
    careless = without_syncs(calls, names)
    with pytest.raises((AssertionError, OSError, ValueError)):  # lost or wrong; not even HDF5; refused by the reader
        check_all(power_cuts(careless, 300, seed=1), expected)


def test_the_harness_finds_a_commit_before_its_data(calls: list[Call], expected: Arrays) -> None:
    """A writer that acknowledges one call too early is found out by a kill."""
    run = list(calls)
    first = next(number for number, call in enumerate(run) if call.kind == "mark")
    run[first - 1], run[first] = run[first], run[first - 1]
    with pytest.raises(AssertionError, match="embeddings are lost within call"):
        check_all(kills(run), expected)


def test_a_disk_forgets_what_was_not_synced() -> None:
    disk = Disk(
        [
            Call("create", node=1, name="file"),
            Call("write", node=1, data=b"a" * 1024),
            Call("sync", node=1),
            Call("sync"),
            Call("write", node=1, offset=512, data=b"b" * 1024),
            Call("rename", name="file", to="moved"),
        ]
    )
    assert disk.tree() == {"moved": b"a" * 512 + b"b" * 1024}
    chance = random.Random(0)
    trees = [disk.after_cut(chance) for _ in range(200)]
    assert {name for tree in trees for name in tree} == {"file", "moved"}
    a, b, nothing = b"a" * 512, b"b" * 512, b"\0" * 512
    seen = {content for tree in trees for content in tree.values()}
    assert seen == {a + a, a + b, a + a + nothing, a + a + b, a + b + nothing, a + b + b}
