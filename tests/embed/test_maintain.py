"""prune and merge: nothing is lost that was not named, nothing is mixed, nothing is written before all is checked."""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.config import InputError, main
from embed.cache import CacheCommand, CacheWriter, open_cache, run
from embed.maintain import merge, prune


def files(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def flip(path: Path, value: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(value)] ^= 1
    path.write_bytes(data)


def three(runs: Any, path: Path) -> None:
    for name in ("x", "y/z", "w"):
        runs.extract(path, 1, 2, 3, info=replace(runs.info, name=name))


# --- prune


def test_prune_drops_what_was_named_and_keeps_the_rest(runs: Any, path: Path, capsys: pytest.CaptureFixture) -> None:
    three(runs, path)
    before, size = runs.arrays(path), path.stat().st_size
    assert main(CacheCommand, run, ["prune", str(path), "y/z", "w", "w"]) == 0
    freed = (size - path.stat().st_size) / 1e6
    assert capsys.readouterr().out == f"{path}: dropped w, y/z: {freed:.1f} MB freed; left are x\n"
    assert freed > 0
    assert runs.arrays(path) == {"x": before["x"]}
    assert list(path.parent.iterdir()) == [path]


def test_prune_of_everything_leaves_an_empty_cache(runs: Any, path: Path) -> None:
    runs.extract(path, 1)
    assert str(prune(path, ["x"])).endswith("left are none")
    assert open_cache(path).spaces == {}
    runs.extract(path, 2)
    assert runs.held(path) == runs.expected(2)


def test_prune_drops_what_dead_runs_left_too(runs: Any, path: Path) -> None:
    """Else the next checkpoint would bring it back."""
    runs.extract(path, 1)
    runs.extract(path, 2, fold=False)
    runs.extract(path, 5, fold=False, info=replace(runs.info, name="y"))
    runs.extract(path, 6, fold=False, info=replace(runs.info, name="stays"))
    prune(path, ["x", "y"])
    assert len(runs.journal(path)) == 1
    with CacheWriter(path) as writer:
        writer.checkpoint()
    assert list(open_cache(path).spaces) == ["stays"]


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["y/x"], "unknown encoder 'y/x': did you mean 'y/z'? known encoders are w, x, y/z"),
        (["x", "nothing"], "unknown encoder 'nothing': known encoders are w, x, y/z"),
        ([], "prune {path} changes nothing: name the encoders to drop"),
    ],
)
def test_prune_refuses_names_it_does_not_know(
    runs: Any, path: Path, names: list[str], line: str, capsys: pytest.CaptureFixture
) -> None:
    three(runs, path)
    before = files(path.parent)
    assert main(CacheCommand, run, ["prune", str(path), *names]) == 2
    assert capsys.readouterr().err == f"error: {line.format(path=path)}\n"
    assert files(path.parent) == before


def test_nothing_is_changed_while_a_run_is_writing(runs: Any, path: Path, tmp_path: Path) -> None:
    three(runs, path)
    other = tmp_path / "other.h5"
    runs.extract(other, 9)
    with CacheWriter(path) as writer:
        writer.open(runs.info)
        before = files(tmp_path)
        for call in (lambda: prune(path, ["w"]), lambda: merge(path, [other]), lambda: merge(other, [path])):
            with pytest.raises(InputError, match=r"a run is writing .*cache\.h5: wait until it has ended"):
                call()
        assert files(tmp_path) == before


def test_prune_gives_no_damaged_row_a_fresh_checksum_but_may_drop_it(runs: Any, path: Path) -> None:
    three(runs, path)
    first = open_cache(path).spaces["w"].embedding[0].tobytes()
    runs.extract(path, 7, info=replace(runs.info, name="w"))
    flip(path, runs.row(7).astype(np.float16).tobytes())
    with pytest.raises(InputError, match="rows 0 and following of 'w' do not match their checksum"):
        prune(path, ["x"])
    prune(path, ["w"])
    assert first not in runs.arrays(path)
    assert sorted(runs.arrays(path)) == ["x", "y/z"]


# --- merge


def test_merge_gathers_rows_by_key_from_files_and_dead_journals(runs: Any, tmp_path: Path) -> None:
    a, b, c = (tmp_path / f"{name}.h5" for name in "abc")
    runs.extract(a, 1, 2)
    runs.extract(a, 3, fold=False)
    runs.extract(b, 2, 4)
    runs.extract(b, 5, fold=False, info=replace(runs.info, name="y"))
    runs.extract(c, 6, fold=False)
    others = {file: data for file, data in files(tmp_path).items() if "a.h5" not in str(file)}
    result = merge(a, [b, c])
    assert (result.rows, result.new) == ({"x": 5, "y": 1}, {"x": 3, "y": 1})
    assert runs.held(a) == runs.expected(1, 2, 3, 4, 6)
    assert runs.held(a, "y") == runs.expected(5)
    assert runs.journal(a) == []
    assert {file: data for file, data in files(tmp_path).items() if file != a} == others


def test_merge_does_not_depend_on_the_order(runs: Any, tmp_path: Path) -> None:
    """Even where two caches have an embedding of their own for a key, other descriptions and other reasons."""
    made = []
    for number in range(3):
        made.append(tmp_path / f"{number}.h5")
        info = replace(runs.info, request=f"r{number}", provenance={"timm": str(number)})
        with CacheWriter(made[-1]) as writer:
            writer.open(info)
            runs.add(writer, number, number + 1)
            writer.append("x", [runs.key(50)], np.full((1, 3), number))
            writer.fail("x", runs.key(60), f"reason {number}")
            writer.fail("x", runs.key((number + 2) % 3), "bad")
            writer.checkpoint()
    results = []
    for number, order in enumerate(itertools.permutations(made)):
        target = tmp_path / f"merged{number}.h5"
        shutil.copy(order[0], target)
        merge(target, order[1:])
        results.append((runs.arrays(target), open_cache(target).created))
    assert all(result == results[0] for result in results)
    assert open_cache(target).spaces["x"].failures == {runs.key(60): "reason 0"}


def test_merge_makes_a_new_cache(runs: Any, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    runs.extract(other, 1, 2)
    text = str(run(CacheCommand(action="merge", cache=path, names=(str(other),))))
    assert text == f"x: 2 rows, 2 of them new, 0 failed\n{path}: 1 folded in"
    assert runs.arrays(path) == runs.arrays(other)


def test_merge_refuses_two_models_under_one_name(runs: Any, path: Path, tmp_path: Path) -> None:
    other, third = tmp_path / "other.h5", tmp_path / "third.h5"
    runs.extract(path, 1)
    runs.extract(third, 3)
    runs.extract(other, 2, info=runs.other)
    before = files(tmp_path)
    with pytest.raises(InputError) as caught:
        merge(path, [third, other])
    line = f"{path} holds 'x' made with weights 9f3c…, {other} has 41ab…: prune x from one of them first"
    assert str(caught.value) == line
    assert files(tmp_path) == before


def test_merge_refuses_damaged_rows(runs: Any, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    runs.extract(path, 1)
    runs.extract(other, 2)
    flip(other, runs.row(2).astype(np.float16).tobytes())
    before = files(tmp_path)
    with pytest.raises(InputError, match=r"other\.h5: rows 0 and following of 'x' do not match their checksum"):
        merge(path, [other])
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ([], "merge {path} changes nothing: name the caches to fold in"),
        (["{folder}/no.h5"], "there is no cache '{folder}/no.h5': pass caches that exist"),
        (["{folder}/./cache.h5"], "{folder}/cache.h5 cannot be merged into itself: pass other caches"),
    ],
)
def test_merge_refuses_what_is_no_other_cache(
    runs: Any, path: Path, names: list[str], line: str, capsys: pytest.CaptureFixture
) -> None:
    runs.extract(path, 1)
    before = files(path.parent)
    words = {"path": path, "folder": path.parent}
    assert main(CacheCommand, run, ["merge", str(path), *(name.format(**words) for name in names)]) == 2
    assert capsys.readouterr().err == f"error: {line.format(**words)}\n"
    assert files(path.parent) == before


def test_names_where_none_are_taken(path: Path) -> None:
    with pytest.raises(InputError, match="info takes one cache, not also 'x': leave it out"):
        run(CacheCommand(action="info", cache=path, names=("x",)))
