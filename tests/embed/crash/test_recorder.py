"""The recorder sees what the kernel sees, and says so when something went past it."""

import contextlib
import errno
import io
import mmap
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import h5py
import pytest
from disk import Call, Disk, read_tree
from recorder import Recorder
from strace import Parser, trace

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
TRACED = """
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
sys.path[:0] = sys.argv[1:3]
import embed.merge
from recorder import Recorder
from states import Clock, Notes, Scene
from workload import Contents
embed.merge.SYNC_SECONDS = 3600  # no syncs of a second thread, which strace does not follow
with Recorder(Path(sys.argv[3])) as recorder:
    Scene(Contents(n=16, dim=5, batch=4), 2).{run}(Path(sys.argv[3]) / "cache.h5", Notes(recorder, Clock()))
print(*(repr(call) for call in recorder.calls if call.kind != "mark"), sep="\\n")
"""


def strace_works() -> bool:
    command = shutil.which("strace")
    return bool(command) and subprocess.run([str(command), "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not strace_works(), reason="strace is not installed, or may not trace here")
@pytest.mark.parametrize("run", ["one_writer", "two_writers"])
def test_strace_sees_the_same_calls(tmp_path: Path, run: str) -> None:
    folder, log = tmp_path / "folder", tmp_path / "log"
    folder.mkdir()
    done = trace([sys.executable, "-c", TRACED.format(run=run), str(HERE), str(ROOT), str(folder)], log)
    assert list(map(repr, Parser(folder).read(log))) == done.stdout.splitlines()
    assert len(done.stdout.splitlines()) > 100


def test_every_way_of_writing_is_recorded(tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        (tmp_path / "folder").mkdir()
        handle = os.open(tmp_path / "folder" / "a", os.O_RDWR | os.O_CREAT)
        os.pwritev(handle, [b"abc", b"def"], 0)
        os.pwrite(handle, b"X", 1)
        os.write(handle, b"YZ")
        os.writev(handle, [b"1", b"2"])
        os.ftruncate(handle, 5)
        os.fdatasync(handle)
        os.close(handle)
        with open(tmp_path / "b", "w+b") as file:
            file.write(b"b" * 10)
            file.seek(3)
            file.write(b"c")
            file.truncate(8)
        with open(tmp_path / "b", "r+b", buffering=0) as raw:
            raw.write(b"d")
        os.replace(tmp_path / "b", tmp_path / "c")
        (tmp_path / "folder" / "a").rename(tmp_path / "folder" / "d")
        (tmp_path / "c").unlink()
    assert read_tree(tmp_path) == {"folder": None, "folder/d": b"YZ12e"}
    kinds = [call.kind for call in recorder.calls]
    assert kinds[:7] == ["mkdir", "create", "write", "write", "write", "write", "truncate"]
    assert kinds[7:9] == ["sync", "create"]
    assert kinds[-4:] == ["write", "rename", "rename", "unlink"]


def test_what_is_there_already_is_adopted(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_bytes(b"abc")
    with Recorder(tmp_path) as recorder:
        (tmp_path / "folder" / "a").rename(tmp_path / "folder" / "b")
    assert [call.kind for call in recorder.calls[recorder.adopted :]] == ["rename"]
    assert Disk(recorder.calls).tree() == {"folder": None, "folder/b": b"abc"}
    assert Disk(recorder.calls[: recorder.adopted]).after_cut(Random(0)) == {"folder": None, "folder/a": b"abc"}


def through_a_memory_map(path: Path) -> None:
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0:1] = b"x"


def through_a_librarys_own_file(path: Path) -> None:
    with h5py.File(path.with_name("own.h5"), "w") as file:
        file["x"] = 1


@pytest.mark.parametrize("write", [through_a_memory_map, through_a_librarys_own_file])
def test_a_write_that_went_past_is_an_error(tmp_path: Path, write: Callable[[Path], None]) -> None:
    def run() -> None:
        with Recorder(tmp_path):
            (tmp_path / "file").write_bytes(b"abc")
            write(tmp_path / "file")

    with pytest.raises(AssertionError, match="not recorded"):
        run()


def test_everything_is_as_before_afterwards(tmp_path: Path) -> None:
    before = (os.open, os.pwritev, os.replace, open, io.open)
    with Recorder(tmp_path):
        assert os.open is not before[0]
    with contextlib.suppress(ZeroDivisionError), Recorder(tmp_path):
        raise ZeroDivisionError
    assert (os.open, os.pwritev, os.replace, open, io.open) == before


def test_a_fault_comes_before_the_call_or_within_a_write(tmp_path: Path) -> None:
    def fault(call: Call) -> int | None:
        if call.kind == "mkdir":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return 2 if call.kind == "write" else None

    with Recorder(tmp_path, fault) as recorder:
        with pytest.raises(OSError, match="No space"):
            (tmp_path / "folder").mkdir()
        handle = os.open(tmp_path / "a", os.O_RDWR | os.O_CREAT)
        assert os.pwritev(handle, [b"abcd"], 0) == 2
        os.close(handle)
    assert [(call.kind, call.data) for call in recorder.calls] == [("create", b""), ("write", b"ab")]
    assert read_tree(tmp_path) == {"a": b"ab"}
