"""The protocol: what is committed is never lost, mixed or changed, whoever wrote it and in whatever order."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.config import InputError
from embed.spaces import SpaceInfo
from embed.store import ABSENT, FAILED, as_keys, open_cache
from embed.writer import CacheWriter

# --- one run


def test_a_run_without_a_checkpoint_is_resumed(runs: Any, path: Path) -> None:
    runs.extract(path, 1, 2, fold=False)
    assert not path.exists()
    with CacheWriter(path) as writer:
        done = writer.done("x")
        assert (done.info, len(done)) == (runs.info, 2)
        assert done.contains(runs.key(1))
        assert not done.contains(runs.key(3))
        writer.open(runs.info)
        runs.add(writer, 3)
        writer.checkpoint()
    assert runs.held(path) == runs.expected(1, 2, 3)
    assert not path.with_name("cache.h5.journal").exists()


def test_done_counts_file_dead_segments_and_own(runs: Any, path: Path) -> None:
    runs.extract(path, 1)
    runs.extract(path, 2, fold=False)
    with CacheWriter(path) as writer:
        writer.open(runs.info)
        runs.add(writer, 3)
        writer.fail("x", runs.key(4), "bad\npicture")
        done = writer.done("x")
        assert [done.contains(runs.key(i)) for i in range(6)] == [False, True, True, True, True, False]
        assert done.failures == {runs.key(4): "bad picture"}
        assert len(done) == 4
        nothing = writer.done("unheard of")
        assert (nothing.info, len(nothing), nothing.contains(runs.key(1))) == (None, 0, False)


def test_done_finds_many_keys_at_once(runs: Any, path: Path) -> None:
    """Every second content is done, in the file or a dead segment, some in both; every seventh has failed."""
    runs.extract(path, *range(0, 100, 2))
    runs.extract(path, *range(50, 150, 2), fold=False)
    with CacheWriter(path) as writer:
        writer.open(runs.info)
        for i in range(7, 150, 7):
            writer.fail("x", runs.key(i), "bad")
        done = writer.done("x")
    found = done.find(as_keys(runs.key(i) for i in range(150)))
    embedded, failed = set(range(0, 150, 2)), set(range(7, 150, 14))
    assert set(np.flatnonzero(found >= 0).tolist()) == embedded
    assert set(np.flatnonzero(found == FAILED).tolist()) == failed
    assert set(np.flatnonzero(found == ABSENT).tolist()) == set(range(150)) - embedded - failed
    assert [done.contains(runs.key(i)) for i in range(150)] == (found != ABSENT).tolist()
    assert (len(done), done.keys.nbytes) == (len(embedded) + len(failed), 32 * len(embedded))
    assert writer.done("unheard of").find(as_keys([runs.key(1)])).tolist() == [ABSENT]


def test_appending_after_a_checkpoint_starts_a_new_segment(runs: Any, path: Path) -> None:
    with CacheWriter(path) as writer:
        writer.open(runs.info)
        for i in range(4):
            runs.add(writer, i)
            writer.checkpoint()
            assert runs.held(path) == runs.expected(*range(i + 1))
            assert runs.journal(path) == []


def test_a_checkpoint_with_nothing_pending_leaves_the_file_alone(runs: Any, path: Path) -> None:
    runs.extract(path, 1)
    before = path.stat()
    with CacheWriter(path) as writer:
        writer.checkpoint()
        writer.open(runs.info)
        runs.add(writer, 1)
        writer.checkpoint()
    assert path.stat().st_ino == before.st_ino
    assert runs.journal(path) == []


def test_a_space_that_was_only_opened_is_not_published(runs: Any, path: Path) -> None:
    runs.extract(path)
    assert not path.exists()
    runs.extract(path, fold=False)
    assert not path.with_name("cache.h5.journal").exists()
    with CacheWriter(path) as writer:
        writer.open(replace(runs.info, name="empty"))
        writer.open(runs.info)
        runs.add(writer, 1)
        writer.checkpoint()
    assert list(open_cache(path).spaces) == ["x"]


def test_a_run_without_rows_still_takes_note_of_its_request(runs: Any, path: Path) -> None:
    """Else every later run would load the model again to learn that nothing has changed."""
    runs.extract(path, 1)
    runs.extract(path, info=replace(runs.info, request="new"))
    assert open_cache(path).spaces["x"].info.request == "new"
    assert runs.held(path) == runs.expected(1)


def test_a_row_beats_a_failure_and_the_first_reason_in_the_alphabet_stays(runs: Any, path: Path) -> None:
    for numbers, reasons in (((), {1: "b", 2: "b"}), ((1,), {2: "a"}), ((), {1: "a", 2: "c"})):
        with CacheWriter(path) as writer:
            writer.open(runs.info)
            runs.add(writer, *numbers)
            for i, why in reasons.items():
                writer.fail("x", runs.key(i), why)
            writer.checkpoint()
    assert runs.held(path) == runs.expected(1)
    assert open_cache(path).spaces["x"].failures == {runs.key(2): "a"}


def test_a_second_open_keeps_the_segment_and_its_rows(runs: Any, path: Path) -> None:
    with CacheWriter(path) as writer:
        for i in range(3):
            writer.open(replace(runs.info, request=str(i)))
            runs.add(writer, i)
        assert len(runs.journal(path)) == 1
        writer.checkpoint()
    assert runs.held(path) == runs.expected(0, 1, 2)


def test_no_rows_is_no_commit(runs: Any, path: Path) -> None:
    with CacheWriter(path) as writer:
        writer.open(runs.info)
        size = runs.journal(path)[0].stat().st_size
        writer.append("x", [], np.zeros((0, 3), np.float32))
        assert runs.journal(path)[0].stat().st_size == size


def test_large_appends_are_split_and_whole(runs: Any, path: Path) -> None:
    n = 10_000
    keys = [i.to_bytes(32, "big") for i in range(n)]
    with CacheWriter(path) as writer:
        writer.open(runs.info)
        writer.append("x", keys, np.arange(n * 3).reshape(n, 3) % 2048)
        writer.checkpoint()
    space = open_cache(path).spaces["x"]
    assert np.array_equal(space.read(np.arange(n)), np.arange(n * 3).reshape(n, 3) % 2048)
    assert space.damaged_blocks() == []


# --- any order, any writers


@st.composite
def histories(draw: st.DrawFn) -> list[list[tuple[str, int, bool]]]:
    """Runs, each a list of (space, content, did it fail); contents come again and again."""
    event = st.tuples(st.sampled_from(["x", "y/z"]), st.integers(0, 25), st.just(False))
    failure = st.tuples(st.sampled_from(["x", "y/z"]), st.integers(26, 30), st.just(True))
    return draw(st.lists(st.lists(event | failure, max_size=12), min_size=1, max_size=4))


def replay(runs: Any, path: Path, history: list[list[tuple[str, int, bool]]], folds: list[bool]) -> None:
    """Play runs that are all open at once; then one more folds what they left."""
    writers = [CacheWriter(path) for _ in history]
    for writer, run, fold in zip(writers, history, folds, strict=False):
        for name, i, failed in run:
            writer.open(replace(runs.info, name=name))
            if failed:
                writer.fail(name, runs.key(i), f"reason {i}")
            else:
                runs.add(writer, i, name=name)
        if fold:
            writer.checkpoint()
    for writer in writers:
        writer.close()
    with CacheWriter(path) as last:
        last.checkpoint()


@settings(max_examples=40, deadline=None)
@given(history=histories(), folds=st.lists(st.booleans(), min_size=4, max_size=4), order=st.randoms())
def test_the_arrays_are_a_function_of_the_set_of_rows(runs: Any, history: Any, folds: list[bool], order: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder) / "one.h5", Path(folder) / "other.h5"
        replay(runs, one, history, folds)
        everything = [event for run in history for event in run]
        order.shuffle(everything)
        replay(runs, other, [everything], [True])
        if not everything:
            assert not one.exists()
            return
        assert runs.arrays(one) == runs.arrays(other)
        for name in {name for name, _, _ in everything}:
            assert runs.held(one, name) == runs.expected(
                *(i for n, i, failed in everything if n == name and not failed)
            )


# --- several runs at once


def test_a_checkpoint_leaves_live_segments_alone(runs: Any, path: Path) -> None:
    with CacheWriter(path) as one, CacheWriter(path) as two:
        one.open(runs.info)
        two.open(runs.info)
        runs.add(one, 1, 2)
        runs.add(two, 2, 3)
        two.checkpoint()
        assert runs.held(path) == runs.expected(2, 3)
        runs.add(one, 4)
        assert not two.done("x").contains(runs.key(4))
        one.checkpoint()
        assert runs.held(path) == runs.expected(1, 2, 3, 4)
    assert runs.journal(path) == []


def test_an_open_cache_keeps_reading_the_file_it_opened(runs: Any, path: Path) -> None:
    runs.extract(path, 1, 2)
    with open_cache(path) as old:
        space = old.spaces["x"]
        runs.extract(path, *range(3, 60))
        assert space.rows == 2
        order = np.argsort([runs.key(1), runs.key(2)])
        assert np.array_equal(
            space.read(np.arange(2)), np.concatenate([runs.row(1), runs.row(2)]).astype(np.float16)[order]
        )
    assert runs.held(path) == runs.expected(*range(1, 60))


def test_two_models_cannot_begin_one_space_at_once(runs: Any, path: Path) -> None:
    with CacheWriter(path) as one, CacheWriter(path) as two:
        one.open(runs.info)
        with pytest.raises(InputError, match="made with weights 9f3c…, this run has 41ab…"):
            two.open(runs.other)
        with pytest.raises(InputError, match="another run is writing 'x'"):
            two.open(runs.other, rebuild=True)


def test_threads_share_one_writer(tmp_path: Path) -> None:
    """New spaces are opened while others get rows, as when a second model loads during the first one's work."""
    names = [f"e{number}" for number in range(8)]
    infos = {name: SpaceInfo(name, name * 8, "", {}, 4, "float32", {}) for name in names}

    def work(name: str) -> None:
        writer.open(infos[name])
        for number in range(50):
            key = bytes([number]) * 32
            writer.append(name, [key], np.full((1, 4), number, np.float32))
            writer.fail(name, bytes([255 - number]) * 32, "why")

    with CacheWriter(tmp_path / "c.h5") as writer:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, names))
        writer.checkpoint()
    with open_cache(tmp_path / "c.h5") as cache:
        for name in names:
            space = cache.spaces[name]
            assert (space.rows, len(space.failures)) == (50, 50)
            assert np.array_equal(space.read(np.arange(50))[:, 0], np.arange(50))
