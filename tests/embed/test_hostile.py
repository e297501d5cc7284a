"""Nothing in a file of unknown origin is followed out of it, believed unchecked, or able to kill the reader."""

import mmap
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from data.config import InputError
from embed import hdf5
from embed.hdf5 import BLOCK, read_cache
from embed.spaces import SpaceInfo
from embed.writer import CacheWriter

INFO = SpaceInfo("hub/x", "f" * 64, "r" * 64, {"kind": "image", "weights": "9f3c"}, 5, "float16", {"note": "späße"})
SMALL = SpaceInfo("small", "e" * 64, "", {"kind": "text"}, 3, "float32", {})
ROWS = 2 * BLOCK + 100
GROUP = "hub--x"


def key(i: int) -> bytes:
    return i.to_bytes(32, "big")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of two spaces; `small` has failures only."""
    path = tmp_path_factory.mktemp("hdf5") / "cache.h5"
    with CacheWriter(path) as writer:
        writer.open(INFO)
        writer.append(INFO.name, [key(i) for i in range(ROWS)], np.arange(ROWS * 5).reshape(-1, 5) % 2000)
        writer.fail(INFO.name, key(ROWS), "the picture is cut short")
        writer.fail(INFO.name, key(ROWS + 1), "Bild zerstört")
        writer.open(SMALL)
        writer.fail("small", key(1), "no")
        writer.checkpoint()
    return path


@pytest.fixture
def cache(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made, tmp_path / "cache.h5"))


def refused(path: Path, match: str | None = None) -> str:
    """Opening it is one line that names the file and says what to do."""
    with pytest.raises(InputError, match=match) as caught:
        read_cache(path)
    line = str(caught.value)
    assert line.count("\n") == 0
    assert path.name in line
    assert "delete it and run python -m embed.extract again" in line or "another" in line
    return line


# Each attack says in its docstring what it is refused for.


def replace(group: Any, name: str, **options: Any) -> None:
    del group[name]
    group.create_dataset(name, **options)


def attack_external_link(file: Any, other: Path) -> None:
    """'embedding' is a link out"""
    del file[f"{GROUP}/embedding"]
    file[f"{GROUP}/embedding"] = h5py.ExternalLink(str(other), f"{GROUP}/embedding")


def attack_external_group(file: Any, other: Path) -> None:
    """'hub--x' is a link out"""
    del file[GROUP]
    file[GROUP] = h5py.ExternalLink(str(other), GROUP)


def attack_soft_link(file: Any, other: Path) -> None:
    """'failed_key' is a link out"""
    del file[f"{GROUP}/failed_key"]
    file[f"{GROUP}/failed_key"] = h5py.SoftLink(f"/{GROUP}/key")


def attack_virtual_dataset(file: Any, other: Path) -> None:
    """embedding is not stored plainly"""
    layout = h5py.VirtualLayout((ROWS, 5), np.float16)
    layout[:] = h5py.VirtualSource(str(other), f"{GROUP}/embedding", (ROWS, 5))
    del file[f"{GROUP}/embedding"]
    file[GROUP].create_virtual_dataset("embedding", layout)


def attack_external_storage(file: Any, other: Path) -> None:
    """embedding is not stored plainly"""
    options = {"shape": (ROWS, 5), "dtype": np.float16, "external": [(str(other), 0, ROWS * 10)]}
    replace(file[GROUP], "embedding", **options)


def attack_filter(file: Any, other: Path) -> None:
    """embedding is not stored plainly"""
    replace(file[GROUP], "embedding", data=np.zeros((ROWS, 5), np.float16), compression="gzip")


def attack_chunks(file: Any, other: Path) -> None:
    """key is not stored plainly"""
    replace(file[GROUP], "key", data=np.zeros((ROWS, 32), np.uint8), chunks=(100, 32))


def attack_object_data(file: Any, other: Path) -> None:
    """failed_why holds object"""
    replace(file[GROUP], "failed_why", data=np.array(["a", "b"], object), dtype=h5py.string_dtype())


def attack_reference(file: Any, other: Path) -> None:
    """failed_why holds object"""
    replace(file[GROUP], "failed_why", data=np.array([file.ref, file.ref], object), dtype=h5py.ref_dtype)


def attack_petabytes(file: Any, other: Path) -> None:
    """reaches beyond the end"""
    for name, shape, dtype in (("embedding", (1 << 40, 5), np.float16), ("key", (1 << 40, 32), np.uint8)):
        replace(file[GROUP], name, shape=shape, dtype=dtype)
    file[GROUP].attrs.modify("rows", 1 << 40)


def attack_beyond_the_end(file: Any, other: Path) -> None:
    """reaches beyond the end"""
    replace(file[GROUP], "embedding", shape=(ROWS, 5), dtype=np.float16, fill_time="never")  # never allocated


def attack_cycle(file: Any, other: Path) -> None:
    """'small' is there twice"""
    del file["small"]
    file["small"] = file["/"]


def attack_same_space_twice(file: Any, other: Path) -> None:
    """'zzz' is there twice"""
    file["zzz"] = file[GROUP]


def attack_same_dataset_twice(file: Any, other: Path) -> None:
    """'failed_key' is there twice"""
    del file["small/failed_key"]
    file["small/failed_key"] = file[f"{GROUP}/failed_key"]


def attack_many_groups(file: Any, other: Path) -> None:
    """/ has 1,102 members"""
    for number in range(1100):
        file.create_group(f"g{number}")


def attack_many_members(file: Any, other: Path) -> None:
    """/hub--x has 6 members"""
    file[f"{GROUP}/more"] = 1


def attack_missing_member(file: Any, other: Path) -> None:
    """holds embedding, failed_key, failed_why, key"""
    del file[f"{GROUP}/crc32"]


def attack_dataset_for_a_space(file: Any, other: Path) -> None:
    """/zzz is no space"""
    file["zzz"] = 1


def attack_group_for_a_dataset(file: Any, other: Path) -> None:
    """/hub--x/key is no dataset"""
    del file[f"{GROUP}/key"]
    file.create_group(f"{GROUP}/key")


def attack_wrong_shape(file: Any, other: Path) -> None:
    r"""key is uint8 \(8292, 31\)"""
    replace(file[GROUP], "key", data=np.zeros((ROWS, 31), np.uint8))


def attack_big_endian(file: Any, other: Path) -> None:
    """embedding holds >f2"""
    replace(file[GROUP], "embedding", data=np.zeros((ROWS, 5), ">f2"))


def attack_double(file: Any, other: Path) -> None:
    """embedding holds float64"""
    replace(file[GROUP], "embedding", data=np.zeros((ROWS, 5), np.float64))


def attack_scalar(file: Any, other: Path) -> None:
    r"""crc32 is uint32 \(\)"""
    replace(file[GROUP], "crc32", data=np.uint32(5))


def attack_null_space(file: Any, other: Path) -> None:
    """crc32 holds uint32"""
    replace(file[GROUP], "crc32", data=h5py.Empty("u4"))


def attack_variable_length_attribute(file: Any, other: Path) -> None:
    """spec of /hub--x is object"""
    file[GROUP].attrs["spec"] = '{"a":1}'


def attack_array_attribute(file: Any, other: Path) -> None:
    r"""rows of /hub--x is int64 \(3,\)"""
    file[GROUP].attrs["rows"] = np.arange(3)


def attack_missing_attribute(file: Any, other: Path) -> None:
    """attribute: 'spec'"""
    del file[GROUP].attrs["spec"]


def attack_huge_attribute(file: Any, other: Path) -> None:
    r"""spec of /hub--x is \|S2097152"""
    file[GROUP].attrs["spec"] = np.bytes_(b"x" * (1 << 21))


def attack_deep_json(file: Any, other: Path) -> None:
    """recursion"""
    file[GROUP].attrs["spec"] = np.bytes_(b"[" * 100_000)


def attack_no_json(file: Any, other: Path) -> None:
    """Expecting property name"""
    file[GROUP].attrs["spec"] = np.bytes_(b"{'a': 1}")


def attack_no_utf8(file: Any, other: Path) -> None:
    """'utf-8' codec"""
    file[GROUP].attrs["encoder"] = np.bytes_(b"\xff\xfe")


def attack_negative_rows(file: Any, other: Path) -> None:
    """embedding is float16"""
    file[GROUP].attrs.modify("rows", -1)


def attack_other_name(file: Any, other: Path) -> None:
    """/tiny is named 'small'"""
    file.move("small", "tiny")


ATTACKS = [attack for name, attack in sorted(globals().items()) if name.startswith("attack_")]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_a_hostile_file_is_refused(cache: Path, made: Path, attack: Callable[[Any, Path], None]) -> None:
    before = made.read_bytes()
    with h5py.File(cache, "r+") as file:
        attack(file, made)
    refused(cache, attack.__doc__)  # for this reason and no other
    assert made.read_bytes() == before


def test_a_dataset_that_ends_behind_the_file_is_not_mapped(cache: Path) -> None:
    """HDF5 itself refuses a file that is shorter than it says, so only the map is shorter here."""
    with h5py.File(cache) as file, open(cache, "rb") as raw:
        dataset = file[GROUP]["embedding"]
        end = dataset.id.get_offset() + dataset.nbytes
        for length, fits in ((end - 1, False), (end, True)):
            mapped = mmap.mmap(raw.fileno(), length, access=mmap.ACCESS_READ)
            if fits:
                assert hdf5._array(dataset, mapped).shape == (ROWS, 5)
            else:
                with pytest.raises(ValueError, match="reaches beyond the end"):
                    hdf5._array(dataset, mapped)


def test_no_library_is_loaded_from_the_plugin_path(cache: Path) -> None:
    """In a process of its own: the plugin path is the whole process's."""
    code = (
        "import sys, h5py; from pathlib import Path; from embed.hdf5 import read_cache;"
        "h5py.h5pl.append(b'/nowhere'); before = h5py.h5pl.size(); read_cache(Path(sys.argv[1]));"
        "print(before > 0, h5py.h5pl.size())"
    )
    run = subprocess.run([sys.executable, "-c", code, str(cache)], capture_output=True, text=True, check=True)
    assert run.stdout == "True 0\n"
