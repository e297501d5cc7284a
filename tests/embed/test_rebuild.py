"""Another model under a name that is taken: refused, or put in its place, but never mixed with it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.config import InputError
from embed.journal import Header, Segment
from embed.store import open_cache
from embed.writer import CacheWriter


def test_another_fingerprint_is_refused_in_file_and_journal(runs: Any, path: Path) -> None:
    line = "cache.h5 holds 'x' made with weights 9f3c…, this run has 41ab…: use another --cache, or --rebuild x"
    for fold in (False, True):
        runs.extract(path, 1, fold=fold)
        with pytest.raises(InputError) as caught:
            runs.extract(path, 2, info=runs.other)
        assert str(caught.value).endswith(line)
        assert "\n" not in str(caught.value)
    assert runs.held(path) == runs.expected(1)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"spec": {"pooling": "cls"}, "fingerprint": "0"}, "made with pooling 'mean', this run has 'cls'"),
        ({"spec": {"crop": 1}, "fingerprint": "0"}, "made with crop None, this run has 1"),
        ({"dim": 4}, "made with dim 3, this run has 4"),
        ({"dtype": "float32"}, "made with dtype 'float16', this run has 'float32'"),
        ({"fingerprint": "0"}, "made with fingerprint ffff…, this run has 0…"),
    ],
)
def test_the_conflict_names_what_differs(runs: Any, path: Path, change: dict[str, Any], what: str) -> None:
    runs.extract(path, 1)
    changed = {**change, "spec": {**runs.info.spec, **change.get("spec", {})}}
    with CacheWriter(path) as writer, pytest.raises(InputError) as caught:
        writer.open(replace(runs.info, **changed))
    assert what in str(caught.value)


def test_a_rebuild_takes_the_place_of_the_other_model(runs: Any, path: Path) -> None:
    runs.extract(path, 1, 2)
    runs.extract(path, 3, fold=False)
    with CacheWriter(path) as writer:
        writer.open(runs.other, rebuild=True)
        done = writer.done("x")
        assert (done.info, len(done)) == (runs.other, 0)
        runs.add(writer, 5)
        assert runs.held(path) == runs.expected(1, 2)  # still whole while the new one grows
        writer.checkpoint()
        assert runs.held(path) == runs.expected(5)
        runs.add(writer, 6)
        writer.checkpoint()
    assert runs.held(path) == runs.expected(5, 6)
    assert open_cache(path).spaces["x"].info == runs.other


@pytest.mark.parametrize("rebuild", [False, True])
def test_an_interrupted_rebuild_goes_on(runs: Any, path: Path, rebuild: bool) -> None:
    runs.extract(path, 1)
    runs.extract(path, 2, info=runs.other, rebuild=True, fold=False)
    with CacheWriter(path) as writer:
        assert writer.done("x").info == runs.other
    runs.extract(path, 3, info=runs.other, rebuild=rebuild)
    assert runs.held(path) == runs.expected(2, 3)


@pytest.mark.parametrize("killed", [False, True])
def test_a_rebuild_that_never_committed_changes_nothing(runs: Any, path: Path, killed: bool) -> None:
    runs.extract(path, 1)
    if killed:  # else the empty segment is gone with the run
        path.with_name("cache.h5.journal").mkdir()
        Segment(path.with_name("cache.h5.journal"), Header(runs.other, runs.info.fingerprint)).close()
    else:
        runs.extract(path, info=runs.other, rebuild=True, fold=False)
    with CacheWriter(path) as writer:
        assert writer.done("x").info == runs.info
    runs.extract(path, 2)
    assert runs.held(path) == runs.expected(1, 2)


def test_a_run_of_the_old_model_that_never_committed_is_in_nobodys_way(runs: Any, path: Path) -> None:
    runs.extract(path, 1)
    path.with_name("cache.h5.journal").mkdir()
    Segment(path.with_name("cache.h5.journal"), Header(runs.info)).close()
    runs.extract(path, 2, info=runs.other, rebuild=True)
    assert runs.held(path) == runs.expected(2)
    assert runs.journal(path) == []


def test_one_run_cannot_put_two_models_under_one_name(runs: Any, path: Path) -> None:
    with CacheWriter(path) as writer:
        writer.open(runs.info)
        with pytest.raises(InputError, match="made with weights 9f3c…, this run has 41ab…"):
            writer.open(runs.other)
        runs.add(writer, 1)
        writer.checkpoint()
    assert runs.held(path) == runs.expected(1)


def test_a_rebuild_of_the_same_model_keeps_its_rows(runs: Any, path: Path) -> None:
    runs.extract(path, 1)
    runs.extract(path, 2, rebuild=True)
    assert runs.held(path) == runs.expected(1, 2)


def test_a_run_whose_space_was_rebuilt_meanwhile_stops(runs: Any, path: Path) -> None:
    with CacheWriter(path) as one:
        one.open(runs.info)
        runs.add(one, 1)
        one.checkpoint()
        runs.extract(path, 2, info=runs.other, rebuild=True)
        with pytest.raises(InputError, match="made with weights 41ab…, this run has 9f3c…"):
            runs.add(one, 3)
    assert runs.held(path) == runs.expected(2)


def test_a_file_put_back_under_a_foreign_journal_is_not_overwritten(runs: Any, path: Path) -> None:
    runs.extract(path, 1)
    backup = path.read_bytes()
    path.unlink()
    runs.extract(path, 2, info=runs.other, fold=False)
    path.write_bytes(backup)
    with CacheWriter(path) as writer, pytest.raises(InputError, match="of another model than"):
        writer.checkpoint()
    assert runs.held(path) == runs.expected(1)
    assert len(runs.journal(path)) == 1
