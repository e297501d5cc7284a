"""Another model under a name that is taken: refused, or put in its place, but never mixed with it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.config import InputError
from embed.journal import Header, Segment
from embed.spaces import SpaceInfo
from embed.store import open_cache
from embed.writer import CacheWriter

INFO = SpaceInfo("x", "f" * 64, "r" * 64, {"weights": "9f3c" * 16, "pooling": "mean"}, 3, "float16", {})
OTHER = replace(INFO, fingerprint="e" * 64, request="q" * 64, spec={"weights": "41ab" * 16, "pooling": "mean"})


def key(i: int) -> bytes:
    return bytes([i * 37 % 251, i % 256]) * 16


def row(i: int, dim: int = 3) -> np.ndarray:
    """The embedding of content i: a function of it, like a real one."""
    return np.random.default_rng(i).normal(size=(1, dim)).astype(np.float32)


def add(writer: CacheWriter, *numbers: int, name: str = "x") -> None:
    for i in numbers:
        writer.append(name, [key(i)], row(i))


def extract(path: Path, *numbers: int, info: SpaceInfo = INFO, fold: bool = True, rebuild: bool = False) -> None:
    """One run, which is cut off before its checkpoint unless `fold`."""
    with CacheWriter(path) as writer:
        writer.open(info, rebuild=rebuild)
        add(writer, *numbers, name=info.name)
        if fold:
            writer.checkpoint()


def held(path: Path, name: str = "x") -> dict[bytes, bytes]:
    space = open_cache(path).spaces[name]
    assert list(space.faults()) == []
    return {k.tobytes(): e.tobytes() for k, e in zip(space.keys, space.embedding, strict=True)}


def expected(*numbers: int) -> dict[bytes, bytes]:
    return {key(i): row(i).astype(np.float16).tobytes() for i in numbers}


def journal(path: Path) -> list[Path]:
    return sorted(path.with_name(path.name + ".journal").glob("*.segment"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.h5"


def test_another_fingerprint_is_refused_in_file_and_journal(path: Path) -> None:
    line = "cache.h5 holds 'x' made with weights 9f3c…, this run has 41ab…: use another --cache, or --rebuild x"
    for fold in (False, True):
        extract(path, 1, fold=fold)
        with pytest.raises(InputError) as caught:
            extract(path, 2, info=OTHER)
        assert str(caught.value).endswith(line)
        assert "\n" not in str(caught.value)
    assert held(path) == expected(1)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"spec": {**INFO.spec, "pooling": "cls"}, "fingerprint": "0"}, "made with pooling 'mean', this run has 'cls'"),
        ({"spec": {**INFO.spec, "crop": 1}, "fingerprint": "0"}, "made with crop None, this run has 1"),
        ({"dim": 4}, "made with dim 3, this run has 4"),
        ({"dtype": "float32"}, "made with dtype 'float16', this run has 'float32'"),
        ({"fingerprint": "0"}, "made with fingerprint ffff…, this run has 0…"),
    ],
)
def test_the_conflict_names_what_differs(path: Path, change: dict[str, Any], what: str) -> None:
    extract(path, 1)
    with CacheWriter(path) as writer, pytest.raises(InputError) as caught:
        writer.open(replace(INFO, **change))
    assert what in str(caught.value)


def test_a_rebuild_takes_the_place_of_the_other_model(path: Path) -> None:
    extract(path, 1, 2)
    extract(path, 3, fold=False)
    with CacheWriter(path) as writer:
        writer.open(OTHER, rebuild=True)
        done = writer.done("x")
        assert (done.info, len(done)) == (OTHER, 0)
        add(writer, 5)
        assert held(path) == expected(1, 2)  # still whole while the new one grows
        writer.checkpoint()
        assert held(path) == expected(5)
        add(writer, 6)
        writer.checkpoint()
    assert held(path) == expected(5, 6)
    assert open_cache(path).spaces["x"].info == OTHER


@pytest.mark.parametrize("rebuild", [False, True])
def test_an_interrupted_rebuild_goes_on(path: Path, rebuild: bool) -> None:
    extract(path, 1)
    extract(path, 2, info=OTHER, rebuild=True, fold=False)
    with CacheWriter(path) as writer:
        assert writer.done("x").info == OTHER
    extract(path, 3, info=OTHER, rebuild=rebuild)
    assert held(path) == expected(2, 3)


@pytest.mark.parametrize("killed", [False, True])
def test_a_rebuild_that_never_committed_changes_nothing(path: Path, killed: bool) -> None:
    extract(path, 1)
    if killed:  # else the empty segment is gone with the run
        path.with_name("cache.h5.journal").mkdir()
        Segment(path.with_name("cache.h5.journal"), Header(OTHER, INFO.fingerprint)).close()
    else:
        extract(path, info=OTHER, rebuild=True, fold=False)
    with CacheWriter(path) as writer:
        assert writer.done("x").info == INFO
    extract(path, 2)
    assert held(path) == expected(1, 2)


def test_a_run_of_the_old_model_that_never_committed_is_in_nobodys_way(path: Path) -> None:
    extract(path, 1)
    path.with_name("cache.h5.journal").mkdir()
    Segment(path.with_name("cache.h5.journal"), Header(INFO)).close()
    extract(path, 2, info=OTHER, rebuild=True)
    assert held(path) == expected(2)
    assert journal(path) == []


def test_one_run_cannot_put_two_models_under_one_name(path: Path) -> None:
    with CacheWriter(path) as writer:
        writer.open(INFO)
        with pytest.raises(InputError, match="made with weights 9f3c…, this run has 41ab…"):
            writer.open(OTHER)
        add(writer, 1)
        writer.checkpoint()
    assert held(path) == expected(1)


def test_a_rebuild_of_the_same_model_keeps_its_rows(path: Path) -> None:
    extract(path, 1)
    extract(path, 2, rebuild=True)
    assert held(path) == expected(1, 2)


def test_a_run_whose_space_was_rebuilt_meanwhile_stops(path: Path) -> None:
    with CacheWriter(path) as one:
        one.open(INFO)
        add(one, 1)
        one.checkpoint()
        extract(path, 2, info=OTHER, rebuild=True)
        with pytest.raises(InputError, match="made with weights 41ab…, this run has 9f3c…"):
            add(one, 3)
    assert held(path) == expected(2)


def test_a_file_put_back_under_a_foreign_journal_is_not_overwritten(path: Path) -> None:
    extract(path, 1)
    backup = path.read_bytes()
    path.unlink()
    extract(path, 2, info=OTHER, fold=False)
    path.write_bytes(backup)
    with CacheWriter(path) as writer, pytest.raises(InputError, match="of another model than"):
        writer.checkpoint()
    assert held(path) == expected(1)
    assert len(journal(path)) == 1
