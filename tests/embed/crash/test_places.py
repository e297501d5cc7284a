"""Real places that stop to take anything: full file systems, folders that lose their permissions half-way."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def mounting() -> list[str] | None:
    """The command after which this user may mount a tmpfs that nobody else sees; None where the kernel refuses."""
    for command in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        probe = [*command, "mount", "-t", "tmpfs", "none", "/mnt"]
        if shutil.which("unshare") and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return command
    return None


def test_a_file_system_that_is_full_at_every_page() -> None:
    command = mounting()
    if command is None:
        pytest.skip("needs root or user namespaces, to mount a small tmpfs")
    harness = [*command, sys.executable, str(HERE / "full_disk.py")]
    done = subprocess.run(harness, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["full"] > 15
    assert report["messages"] == [
        "disk full while writing cache.h5: nothing committed is lost; free some space and run again"
    ]


PERMISSION = """
import os, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
from data.config import InputError
from faults import Acknowledged
from workload import Contents, Watch, arrays

contents, folder, closed = Contents(n=24, dim=5, batch=4), Path(sys.argv[3]), sys.argv[4]
every = 3 if closed == "folder" else 6  # the journal goes at each checkpoint
if os.geteuid() == 0:
    os.chown(folder, 65534, 65534)
    os.setegid(65534)
    os.seteuid(65534)  # root may write anywhere

class Locksmith(Acknowledged):
    def __init__(self, place, turn):
        super().__init__()
        self.place, self.turn = place, turn

    def computed(self, name, numbers):
        self.turn -= 1
        if self.turn == 0:
            self.place.chmod(0o555)

contents.extract(folder / "whole.h5", range(24), Watch(), every)
for turn in range(1, 13, 3):
    path = folder / f"{turn}.h5"
    place = folder if closed == "folder" else folder / f"{turn}.h5.journal"
    watch = Locksmith(place, turn)
    try:
        contents.extract(path, range(24), watch, every)
    except InputError as error:
        print(str(error).replace(str(path), "cache.h5"))
    place.chmod(0o755)
    found = contents.extract(path, range(24), Watch(), every)
    assert found >= watch.items, "lost"
    assert arrays(path) == arrays(folder / "whole.h5")
    path.unlink()
assert [entry.name for entry in folder.iterdir()] == ["whole.h5"]
"""


@pytest.mark.parametrize("closed", ["folder", "journal"])
def test_a_folder_that_loses_its_permission_half_way(closed: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        command = [sys.executable, "-c", PERMISSION, str(HERE), str(ROOT), folder, closed]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert set(lines) == {"cannot write cache.h5 (Permission denied): pass another --cache"}
    assert len(lines) == 4


def test_a_place_that_takes_nothing_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("text\na post\n")
    command = [sys.executable, str(HERE / "company.py"), str(tmp_path / "posts.csv"), "--cache", "/proc/cache.h5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    line = "error: cannot write /proc/cache.h5 (No such file or directory): pass another --cache\n"
    assert done.stderr == line
