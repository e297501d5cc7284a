"""`verify` finds every flipped byte of vectors, keys, statuses and descriptions, and every truncation."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from data.config import InputError
from embed.cache import CacheCommand, CacheInfo, CacheWriter, SpaceInfo, run
from embed.hdf5 import BLOCK

SPEC = {"kind": "image", "weights": "9f3c" * 16, "crop": [224, 224]}
INFO = SpaceInfo("hub/x", "f" * 64, "r" * 64, SPEC, 7, "float16", {"timm": "1.0.12"})
ROWS = BLOCK + 100
FLIPS = 300
ARRAYS = ("embedding", "key", "crc32", "failed_key", "failed_why")
TEXTS = ("encoder", "fingerprint", "request", "spec", "provenance")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("verify") / "cache.h5"
    with CacheWriter(path) as writer:
        writer.open(INFO)
        keys = np.random.default_rng(0).bytes(32 * (ROWS + 40))
        keys = [keys[at : at + 32] for at in range(0, len(keys), 32)]
        writer.append(INFO.name, keys[:ROWS], np.random.default_rng(1).normal(size=(ROWS, 7)))
        for number, key in enumerate(keys[ROWS:]):
            writer.fail(INFO.name, key, f"the picture is cut short at byte {number}")
        writer.checkpoint()
    return path.read_bytes()


def verify(path: Path, data: bytes) -> str:
    """What `verify` says of a file with these bytes: the error, or "" and nothing."""
    path.write_bytes(data)
    try:
        result = run(CacheCommand(action="verify", cache=path))
    except InputError as error:
        return str(error)
    assert isinstance(result, CacheInfo)
    return ""


def regions(path: Path, data: bytes) -> dict[str, list[tuple[int, int]]]:
    """(first byte, length) of everything that says something, by what it says."""
    path.write_bytes(data)
    with h5py.File(path) as file:
        group = file[INFO.group]
        found = {name: [(group[name].id.get_offset(), group[name].nbytes)] for name in ARRAYS}
        texts = [group.attrs[name] for name in TEXTS] + [file.attrs[name] for name in ("format", "created", "writer")]
        numbers = [np.int64(group.attrs[name]).tobytes() for name in ("rows", "dim", "checksum")]
    # the values of attributes lie in the headers of their groups, each text once
    found["texts"] = [(data.index(text), len(text)) for text in texts]
    names = [data.index(name + b"\0") for name in (b"rows", b"dim", b"checksum")]
    found["numbers"] = [(data.index(value, at), 8) for value, at in zip(numbers, names, strict=True)]
    return found


@pytest.mark.parametrize("what", [*ARRAYS, "texts", "numbers"])
def test_every_flipped_byte_is_found(path: Path, made: bytes, what: str) -> None:
    assert verify(path, made) == ""
    rng = np.random.default_rng(2)
    places = regions(path, made)[what]
    positions = np.concatenate([np.arange(start, start + length) for start, length in places])
    missed = []
    for position in rng.choice(positions, min(FLIPS, len(positions)), replace=False).tolist():
        flipped = bytearray(made)
        flipped[position] ^= int(rng.integers(1, 256))
        if not verify(path, bytes(flipped)):
            missed.append(position)
    assert missed == []


def test_a_flip_outside_of_all_that_is_found_or_harmless(path: Path, made: bytes) -> None:
    """The structure of the file: HDF5's own checksums, or bytes that nobody reads."""
    start = min(offset for name in ARRAYS for offset, _ in regions(path, made)[name])
    path.write_bytes(made)
    expected = run(CacheCommand(action="info", cache=path)).to_json()
    rng = np.random.default_rng(3)
    for position in rng.choice(start, FLIPS, replace=False).tolist():
        flipped = bytearray(made)
        flipped[position] ^= 1 << int(rng.integers(8))
        if not verify(path, bytes(flipped)):
            assert run(CacheCommand(action="info", cache=path)).to_json() == expected


def test_every_truncation_is_found(path: Path, made: bytes) -> None:
    rng = np.random.default_rng(4)
    lengths = {0, 1, 7, 8, 95, 96, 4095, 4096, len(made) - 1, *rng.integers(0, len(made), FLIPS).tolist()}
    assert [length for length in lengths if not verify(path, made[:length])] == []
