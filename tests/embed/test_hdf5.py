"""The plain file: what others read in it, and that nothing in a hostile or damaged one is followed or believed."""

import mmap
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from data.config import InputError
from embed import hdf5
from embed.hdf5 import BLOCK, blocks, read_cache
from embed.store import open_cache

GROUP, ROWS = "hub--x", 2 * BLOCK + 100  # of the cache `made`


def test_h5py_reads_it_plainly(cache: Path) -> None:
    with h5py.File(cache) as file:
        assert sorted(file) == [GROUP, "small"]
        assert file.attrs["format"] == b"embed-regress cache"
        group = file[GROUP]
        assert group.attrs["encoder"].decode() == "hub/x"
        assert group.attrs["provenance"].decode() == '{"note":"späße"}'
        assert (group.attrs["rows"], group.attrs["dim"]) == (ROWS, 5)
        assert group["embedding"].dtype == np.float16
        assert (group["embedding"][7] == np.arange(35, 40)).all()
        assert group["key"][7].tobytes() == (7).to_bytes(32, "big")
        assert group["failed_why"].asstr()[1] == "Bild zerstört"
        assert group["crc32"].shape == (3,)
        for dataset in group.values():
            assert (dataset.chunks, dataset.compression, dataset.fletcher32) == (None, None, False)
        assert group["embedding"].id.get_offset() % 4096 == 0
        assert file["small/embedding"].shape == (0, 3)


def test_a_memory_map_at_the_offset_is_the_embedding(cache: Path) -> None:
    with h5py.File(cache) as file:
        offset = file[GROUP]["embedding"].id.get_offset()
    mapped = np.memmap(cache, np.float16, "r", offset, (ROWS, 5))
    assert np.array_equal(mapped, np.arange(ROWS * 5).reshape(-1, 5) % 2000)


def test_the_reader_gives_what_was_written(cache: Path) -> None:
    created, layouts = read_cache(cache)
    assert created.endswith("+00:00")
    assert [(layout.info.name, layout.info.dim, layout.info.dtype) for layout in layouts] == [
        ("hub/x", 5, "float16"),
        ("small", 3, "float32"),
    ]
    assert layouts[0].info.provenance == {"note": "späße"}
    assert [layout.rows for layout in layouts] == [ROWS, 0]
    assert not layouts[0].embedding.flags.writeable


def test_blocks_cover_all_rows_once() -> None:
    assert list(blocks(0)) == []
    assert list(blocks(BLOCK)) == [(0, BLOCK)]
    assert list(blocks(BLOCK + 1)) == [(0, BLOCK), (BLOCK, BLOCK + 1)]


def spans(path: Path, *names: str) -> list[tuple[str, int, int]]:
    """(name, first byte, length) of datasets in the file."""
    with h5py.File(path) as file:
        return [(name, file[name].id.get_offset(), file[name].nbytes) for name in names]


def test_a_damaged_block_is_named_by_its_rows(cache: Path) -> None:
    ((_, start, _),) = spans(cache, f"{GROUP}/embedding")
    data = bytearray(cache.read_bytes())
    data[start + (BLOCK + 5) * 10] ^= 1
    cache.write_bytes(data)
    space = open_cache(cache).spaces["hub/x"]
    assert space.damaged_blocks() == [1]
    assert list(space.faults()) == ["rows 4,096 to 8,191 of 'hub/x' do not match their checksum"]


@pytest.mark.parametrize("name", ["encoder", "fingerprint", "request", "spec", "provenance", "dim", "rows", "checksum"])
def test_a_changed_attribute_is_found(refused: Any, cache: Path, name: str) -> None:
    with h5py.File(cache, "r+") as file:
        attributes = file[GROUP].attrs
        value = attributes[name]
        changed = value.replace(value[-3:-2], b"z") if isinstance(value, bytes) else value + 1
        attributes.modify(name, changed)
    refused(cache)


def test_a_cut_file_is_refused_wherever_it_is_cut(refused: Any, cache: Path) -> None:
    data = cache.read_bytes()
    for size in [0, 1, 7, 8, 48, 100, 500, 1000, 4096, 5000, len(data) // 2, len(data) - 1]:
        cache.write_bytes(data[:size])
        refused(cache)


@pytest.mark.parametrize(
    ("content", "match"),
    [(b"", "no HDF5 file"), (b"id,photo\n1,x.jpg\n", "no HDF5 file"), (hdf5.SIGNATURE + bytes(100), "cut short")],
)
def test_what_is_no_hdf5_is_refused(refused: Any, tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "cache.h5"
    path.write_bytes(content)
    refused(path, match)


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no file: pass the path of a cache file, such as cache\.h5"):
        read_cache(tmp_path)
    with pytest.raises(InputError, match=r"there is no cache .*nothing\.h5': make it with python -m embed\.extract"):
        read_cache(tmp_path / "nothing.h5")


def test_someone_elses_hdf5_is_not_to_be_deleted(refused: Any, tmp_path: Path) -> None:
    path = tmp_path / "cache.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.arange(3)
    assert "delete" not in refused(path, "no embedding cache")
    for value in (b"something else", np.bytes_(b"something else"), 5):
        with h5py.File(path, "a") as file:
            file.attrs["format"] = value
        assert "delete" not in refused(path, "no embedding cache")


def test_an_unknown_version_is_refused(refused: Any, cache: Path) -> None:
    with h5py.File(cache, "r+") as file:
        file.attrs.modify("version", 2)
    assert "delete" not in refused(cache, "has layout version 2, this program reads 1")


def test_mutated_files_neither_crash_nor_hang_nor_change_unseen() -> None:
    """300 mutants of a small cache in a process of its own, which a fault in the library would kill."""
    code = """
import sys, tempfile, numpy as np
from pathlib import Path
from data.config import InputError
from embed.spaces import SpaceInfo
from embed.store import open_cache
from embed.writer import CacheWriter

def content(path):
    spaces = open_cache(path).spaces
    if any(True for space in spaces.values() for _ in space.faults()):
        raise InputError("damaged rows")
    return [(s.info, s.rows, s.keys.tobytes(), s.embedding.tobytes(), s.failures) for s in spaces.values()]

rng = np.random.default_rng(1)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "cache.h5"
    with CacheWriter(path) as writer:
        writer.open(SpaceInfo("x", "f" * 64, "", {}, 3, "float16", {}))
        writer.append("x", [bytes([i]) * 32 for i in range(40)], rng.normal(size=(40, 3)))
        writer.fail("x", b"z" * 32, "bad")
        writer.checkpoint()
    data, good, outcomes = path.read_bytes(), content(path), {"refused": 0, "harmless": 0}
    for _ in range(300):
        mutant = bytearray(data)
        for position in rng.integers(0, len(data), rng.integers(1, 8)):
            mutant[position] = rng.integers(256)
        path.write_bytes(mutant)
        try:
            assert content(path) == good
            outcomes["harmless"] += 1
        except InputError:
            outcomes["refused"] += 1
print(outcomes["refused"] > 100, sum(outcomes.values()))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert run.stdout == "True 300\n", run.stderr[-2000:]


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
