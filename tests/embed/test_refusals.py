"""What a writer does not take: values that cannot be kept, and places that cannot be written."""

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.config import InputError
from embed.store import open_cache
from embed.writer import CacheWriter

# --- bad values


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_is_not_finite_is_refused(runs: Any, path: Path, value: float, dtype: Any) -> None:
    with CacheWriter(path) as writer:
        writer.open(replace(runs.info, dtype=dtype))
        rows = np.zeros((2, 3), np.float32)
        rows[1, 2] = value
        with pytest.raises(InputError, match=rf"encoder 'x' gave .* for content {runs.key(2).hex()[:12]}…"):
            writer.append("x", [runs.key(1), runs.key(2)], rows)
        writer.checkpoint()
    assert not path.exists()


def test_the_limit_of_float16(runs: Any, path: Path) -> None:
    with CacheWriter(path) as writer:
        writer.open(runs.info)
        writer.append("x", [runs.key(1)], np.array([[65504.0, -65504.0, 6e-8]]))
        for value in (65520.0, -70000.0):  # 65,519 is still nearest to 65,504
            with pytest.raises(
                InputError, match=r"beyond float16's 65,504: run again with --dtype float32 --rebuild x"
            ):
                writer.append("x", [runs.key(2)], np.array([[0.0, 0.0, value]]))
        writer.checkpoint()
    assert open_cache(path).spaces["x"].read(np.arange(1)).tolist() == [[65504.0, -65504.0, float(np.float16(6e-8))]]


def test_float32_keeps_what_float16_cannot(runs: Any, path: Path) -> None:
    with CacheWriter(path) as writer:
        writer.open(replace(runs.info, dtype="float32"))
        writer.append("x", [runs.key(1)], np.array([[70000.0, 1e-30, 1.0000001]], np.float32))
        with pytest.raises(InputError, match="only finite"):
            writer.append("x", [runs.key(2)], np.array([[1e39, 0, 0]]))
        writer.checkpoint()
    assert np.array_equal(
        open_cache(path).spaces["x"].read(np.arange(1)), np.array([[70000.0, 1e-30, 1.0000001]], np.float32)
    )


@pytest.mark.parametrize(
    ("keys", "shape"), [([b"short"], (1, 3)), ([b"k" * 32], (1, 4)), ([b"k" * 32], (2, 3)), ([b"k" * 32], (3,))]
)
def test_a_callers_mistake_is_no_input_error(runs: Any, path: Path, keys: list[bytes], shape: tuple[int, ...]) -> None:
    with CacheWriter(path) as writer:
        writer.open(runs.info)
        with pytest.raises(ValueError, match="keys and rows") as caught:
            writer.append("x", keys, np.zeros(shape))
        assert not isinstance(caught.value, InputError)
        with pytest.raises(ValueError, match="5 bytes"):
            writer.fail("x", b"short", "bad")


# --- bad places


def test_places_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place, match in [
        (tmp_path, "is no file"),
        (tmp_path / "file" / "cache.h5", "cannot write .*another --cache"),
        (Path("/proc/nowhere/cache.h5"), "cannot write .*another --cache"),
        (tmp_path / "file", "no HDF5 file"),
    ]:
        with pytest.raises(InputError, match=match):
            CacheWriter(place)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]


READ_ONLY = """
import os, sys
from pathlib import Path
from data.config import InputError
from embed.cache import CacheCommand, run
from embed.writer import CacheWriter
path = Path(sys.argv[1])
path.parent.chmod(0o555)
if os.geteuid() == 0:
    os.seteuid(65534)  # root may write anywhere
print(run(CacheCommand(action="verify", cache=path)).spaces[0].rows)
try:
    CacheWriter(path)
except InputError as error:
    print(error)
"""


def test_a_read_only_folder_can_be_read(runs: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cache.h5"
        runs.extract(path, 1)
        run = subprocess.run([sys.executable, "-c", READ_ONLY, str(path)], capture_output=True, text=True, check=True)
        Path(folder).chmod(0o755)
    assert run.stdout == f"1\ncannot write {path} (Permission denied): pass another --cache\n"


def test_a_link_to_a_cache_stays_one(runs: Any, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    real, link = tmp_path / "disk" / "cache.h5", tmp_path / "link.h5"
    link.symlink_to(real)
    runs.extract(link, 1)
    runs.extract(real, 2)
    assert link.is_symlink()
    assert runs.held(link) == runs.expected(1, 2)


def test_new_folders_are_made(runs: Any, tmp_path: Path) -> None:
    runs.extract(tmp_path / "a" / "b" / "cache.h5", 1)
    assert runs.held(tmp_path / "a" / "b" / "cache.h5") == runs.expected(1)
