"""Whole files or none: whatever stops a write, what was there before is still there, and nothing else is."""

import hashlib
import os
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import files
from data.files import atomic_folder, atomic_write, make_folder, sha256_file

ROOT = Path(__file__).parents[2]
STOPS = [RuntimeError, OSError, KeyboardInterrupt, SystemExit, GeneratorExit]


@given(st.binary(max_size=300))
def test_sha256_is_of_the_bytes(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(content)
        assert sha256_file(path) == hashlib.sha256(content).hexdigest()


def test_sha256_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert sha256_file(tmp_path / "x") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(st.none() | st.binary(max_size=50), st.lists(st.binary(max_size=50), max_size=4))
def test_a_write_replaces_the_whole(before: bytes | None, parts: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "new" / "x.bin"
        if before is not None:
            path.parent.mkdir()
            path.write_bytes(before)
        with atomic_write(path) as file:
            for part in parts:
                file.write(part)
        assert path.read_bytes() == b"".join(parts)
        assert list(path.parent.iterdir()) == [path]


def write_and_stop(path: Path, parts: list[bytes], stop: type[BaseException]) -> None:
    with atomic_write(path) as file:
        for part in parts:
            file.write(part)
        raise stop


@given(st.none() | st.binary(max_size=50), st.lists(st.binary(max_size=50), max_size=4), st.sampled_from(STOPS))
def test_a_stopped_write_changes_nothing(before: bytes | None, parts: list[bytes], stop: type[BaseException]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.bin"
        if before is not None:
            path.write_bytes(before)
        with pytest.raises(stop):
            write_and_stop(path, parts, stop)
        assert (path.read_bytes() if path.exists() else None) == before
        assert [p.name for p in Path(folder).iterdir()] == ([] if before is None else ["x.bin"])


def test_the_old_content_is_there_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_text_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from data.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1]), 'w') as file: file.write('\\u043a\\U0001f63b')"
    )
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", code, str(tmp_path / "x")]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **ascii_only}, check=True)
    assert (tmp_path / "x").read_bytes() == "к😻".encode()


def test_the_mode_is_an_ordinary_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "x") as file:
            file.write(b"")
        with atomic_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750


def test_a_name_that_cannot_be_replaced_leaves_no_temporary(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(IsADirectoryError), atomic_write(tmp_path / "x") as file:
        file.write(b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_killed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    code = (
        "import os, sys; from pathlib import Path; from data.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as file: file.write(b'new'); file.flush(); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert path.read_text() == "old"


def tree(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_replaces_the_whole_folder(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "a"
    for content in ({"old.txt": "1", "both.txt": "1"}, {"new.txt": "2", "both.txt": "2"}):
        with atomic_folder(path) as folder:
            for name, text in content.items():
                (folder / name).write_text(text)
        assert tree(path) == content
    assert list(path.parent.iterdir()) == [path]


def fill_and_stop(path: Path, stop: type[BaseException]) -> None:
    with atomic_folder(path) as folder:
        (folder / "x").write_text("new")
        raise stop


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("before", [True, False])
def test_a_stopped_folder_changes_nothing(tmp_path: Path, stop: type[BaseException], before: bool) -> None:
    path = tmp_path / "a"
    if before:
        path.mkdir()
        (path / "x").write_text("old")
    with pytest.raises(stop):
        fill_and_stop(path, stop)
    assert tree(tmp_path) == ({"a/x": "old"} if before else {})
    assert len(list(tmp_path.iterdir())) == before


def test_a_folder_whose_rename_fails_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.mkdir()
    (path / "x").write_text("old")
    real, calls = os.replace, []

    def second_fails(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise OSError("the disk went away")
        real(source, target)

    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises(OSError, match="went away"), atomic_folder(path) as folder:
        (folder / "x").write_text("new")
    assert tree(tmp_path) == {"a/x": "old"}


def test_new_folders_survive_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new folder's entry in the one above it is synced."""
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync_folder", synced.append)
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert set(synced) == {tmp_path, tmp_path / "a"}
    synced.clear()
    make_folder(tmp_path / "a" / "b")
    assert synced == []


@pytest.mark.parametrize("made", ["atomic_write", "atomic_folder"])
def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path, made: str) -> None:
    code = (
        f"import os, sys; from pathlib import Path; from data.files import {made}\n"
        f"with {made}(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x")], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    with getattr(files, made)(tmp_path / "x"):
        assert len(list(tmp_path.iterdir())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_what_a_living_writer_writes_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with atomic_write(path) as first:
        with atomic_write(path) as second:
            second.write(b"2")
        assert path.read_bytes() == b"2"
        first.write(b"1")
    assert path.read_bytes() == b"1"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_lost_between_two_renames_comes_back(tmp_path: Path) -> None:
    (tmp_path / ".a.01234567.old").mkdir()
    (tmp_path / ".a.01234567.old" / "x").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        fill_and_stop(tmp_path / "a", KeyboardInterrupt)
    assert tree(tmp_path) == {"a/x": "old"}


def test_writers_of_one_folder_at_once_leave_one_whole(tmp_path: Path) -> None:
    def work(number: int) -> None:
        for _ in range(10):
            with atomic_folder(tmp_path / "a") as folder:
                for name in ("x", "y"):
                    (folder / name).write_text(str(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    found = tree(tmp_path)
    assert found.keys() == {"a/x", "a/y"}
    assert found["a/x"] == found["a/y"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
