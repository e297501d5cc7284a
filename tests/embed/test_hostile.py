"""Nothing in a file of unknown origin is followed out of it, believed unchecked, or able to kill the reader."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from embed.hdf5 import BLOCK

GROUP, ROWS = "hub--x", 2 * BLOCK + 100  # of the cache `made`


def replace(group: Any, name: str, **options: Any) -> None:
    del group[name]
    group.create_dataset(name, **options)


def filtered(group: Any, name: str, data: np.ndarray) -> None:
    """A dataset whose one chunk went through a filter that only a plugin could undo."""
    del group[name]
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk(data.shape)
    plist.set_filter(32_004, h5py.h5z.FLAG_OPTIONAL)
    dataset = group.create_dataset(name, data.shape, data.dtype, dcpl=plist)
    dataset.id.write_direct_chunk((0, 0), data.tobytes(), filter_mask=0)


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


def attack_sparse_failures(file: Any, other: Path) -> None:
    """1,073,741,824 failures of 24 bytes"""
    for name, width, dtype in (("failed_key", (32,), "u1"), ("failed_why", (), "S24")):
        now = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        now.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)  # a hole of 56 GB
        replace(file[GROUP], name, shape=(1 << 30, *width), dtype=dtype, fill_time="never", dcpl=now)


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


def attack_no_utf8(file: Any, other: Path) -> None:
    """'utf-8' codec"""
    file[GROUP].attrs["encoder"] = np.bytes_(b"\xff\xfe")


def attack_pickle(file: Any, other: Path) -> None:
    r"""spec of /hub--x is \|V"""
    file[GROUP].attrs["spec"] = np.void(pickle.dumps(other))


def attack_opaque_data(file: Any, other: Path) -> None:
    r"""failed_why holds \|V"""
    replace(file[GROUP], "failed_why", data=np.array([b"ab", b"cd"], "V2"))


def attack_deep_groups(file: Any, other: Path) -> None:
    """'encoder'"""
    file.create_group("zzz" + "/deeper" * 2000)


def attack_cycle_below(file: Any, other: Path) -> None:
    """'key' is there twice"""
    del file[f"{GROUP}/key"]
    file[f"{GROUP}/key"] = file["/"]


def attack_unknown_filter(file: Any, other: Path) -> None:
    """embedding is not stored plainly"""
    filtered(file[GROUP], "embedding", np.zeros((ROWS, 5), np.float16))


def attack_negative_rows(file: Any, other: Path) -> None:
    """embedding is float16"""
    file[GROUP].attrs.modify("rows", -1)


def attack_other_name(file: Any, other: Path) -> None:
    """/tiny is named 'small'"""
    file.move("small", "tiny")


# each says in its docstring what it is refused for
ATTACKS = [attack for name, attack in sorted(globals().items()) if name.startswith("attack_")]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_a_hostile_file_is_refused(refused: Any, cache: Path, made: Path, attack: Callable[[Any, Path], None]) -> None:
    before = made.read_bytes()
    with h5py.File(cache, "r+") as file:
        attack(file, made)
    refused(cache, attack.__doc__)  # for this reason and no other
    assert made.read_bytes() == before


READ = "import sys, h5py; h5py.File(sys.argv[1])['hub--x/embedding'][:]"
OPEN = "import sys; from pathlib import Path; from embed.hdf5 import read_cache; read_cache(Path(sys.argv[1]))"


@pytest.mark.parametrize(("code", "loaded"), [(READ, True), (OPEN, False)])
def test_no_library_is_loaded_from_the_plugin_path(cache: Path, tmp_path: Path, code: str, loaded: bool) -> None:
    """The dynamic linker itself says what it loads: a plain read of an unknown filter takes what lies there."""
    with h5py.File(cache, "r+") as file:
        attack_unknown_filter(file, cache)
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    shutil.copy(h5py.h5z.__file__, plugins / "libforeign.so")
    environment = {**os.environ, "HDF5_PLUGIN_PATH": str(plugins), "LD_DEBUG": "files"}
    command = [sys.executable, "-c", code, str(cache)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 1
    assert ("libforeign.so" in run.stderr) is loaded
    assert ("InputError: " in run.stderr) is not loaded


BOUNDED = """
import resource, sys, time
from pathlib import Path
from data.config import InputError
from embed.store import open_cache

size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20),) * 2)
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
for path in sorted(Path(sys.argv[1]).glob("*.h5")):
    try:
        open_cache(path)
        print(path.name, "was opened")
    except InputError:
        pass
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(grown < 48, time.process_time() - start < 10)
"""


def test_all_of_them_are_refused_in_little_memory_and_time(made: Path, tmp_path: Path) -> None:
    """With 64 MB more than an interpreter that has read nothing, and one second of work or so."""
    for attack in ATTACKS:
        path = Path(shutil.copy(made, tmp_path / f"{attack.__name__}.h5"))
        with h5py.File(path, "r+") as file:
            attack(file, made)
    command = [sys.executable, "-c", BOUNDED, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (run.stdout, run.stderr) == ("True True\n", "")
