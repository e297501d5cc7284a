"""The plain HDF5 file: written whole, read with care.

HDF5 follows links out of the file, reads shards, filters and raw storage from wherever a file says, and believes the
sizes it declares. So the reader takes nothing but its metadata, checks that against the one layout there is, closes
it, and maps the arrays at their offsets: as fast as np.memmap, and 9 times faster than h5py for random rows.

    /                 attributes format, version, created, writer
    /<space>          attributes encoder, fingerprint, request, spec, provenance, dim, rows, checksum
      embedding       (rows, dim) float16 | float32, contiguous, no filter; rows sorted by key
      key             (rows, 32) uint8, SHA-256 of the content
      crc32           (blocks,) uint32, of the embeddings and then the keys of 4,096 rows each
      failed_key      (failed, 32) uint8, sorted
      failed_why      (failed,) fixed-length UTF-8

`checksum` is the crc32 of all other attributes, crc32, failed_key and failed_why. Texts are fixed-length UTF-8.
"""

import json
import mmap
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

import h5py
import numpy as np
import numpy.typing as npt

from data.config import InputError, canonical_json
from data.progress import Bar, bar
from embed.frames import MAX_REASON
from embed.parallel import spread
from embed.spaces import KEY_BYTES, MAX_JSON, SpaceInfo, damaged

FORMAT = "embed-regress cache"
VERSION = 1
BLOCK = 4096  # rows per checksum
PIECE = 512  # rows gathered at a time: 0.8 MB of 768 columns stay in the processor's cache
MAX_SPACES = 1000
MAX_FAILED = 1 << 24  # of a space: they are read when the file is opened, and a sparse file may declare any number
SIGNATURE = b"\x89HDF\r\n\x1a\n"
MEMBERS = ("crc32", "embedding", "failed_key", "failed_why", "key")
# what h5py raises on a file whose parts contradict each other
FAULTS = (OSError, KeyError, RuntimeError, TypeError, ValueError, OverflowError)

Array = npt.NDArray[Any]


class Content(Protocol):
    """What is written for one space."""

    @property
    def info(self) -> SpaceInfo: ...
    @property
    def keys(self) -> npt.NDArray[np.uint8]: ...  # (n, 32), sorted, distinct
    @property
    def failures(self) -> dict[bytes, str]: ...
    def block(self, start: int, stop: int) -> Array:
        """Embeddings of some rows, (stop − start, dim) in the space's dtype."""


@dataclass(frozen=True)
class Layout:
    """One space as it lies in the file. The arrays are read-only views of the mapped file."""

    info: SpaceInfo
    rows: int
    checksum: int
    embedding: Array
    key: Array
    crc32: Array
    failed_key: Array
    failed_why: Array


def blocks(rows: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of each checksummed block."""
    for start in range(0, rows, BLOCK):
        yield start, min(start + BLOCK, rows)


def block_crc(embedding: Array, key: Array) -> int:
    return zlib.crc32(_buffer(key), zlib.crc32(_buffer(embedding)))


def checksum(info: SpaceInfo, rows: int, *arrays: Array) -> int:
    """The crc32 of a space's attributes and small arrays."""
    crc = zlib.crc32(canonical_json({**info.to_json(), "rows": rows}).encode())
    for array in arrays:
        crc = zlib.crc32(_buffer(array), crc)
    return crc


def _buffer(array: Array) -> "memoryview | bytes":
    return np.ascontiguousarray(array).data.cast("B") if array.size else b""


def write_cache(file: IO[bytes], spaces: Sequence[Content], created: str) -> None:
    """Write a whole cache into an empty file opened for reading and writing, a piece of a block in memory at a time."""
    # through Python's own file: as fast as HDF5's, and a full disk is an OSError with its number
    options = {"libver": ("v108", "v110"), "alignment_threshold": 4096, "alignment_interval": 4096}
    with h5py.File(file, "w", **options) as hdf5:
        attributes = {"format": FORMAT, "version": VERSION, "created": created, "writer": f"h5py {h5py.__version__}"}
        _set(hdf5, attributes)
        with bar(sum(len(space.keys) for space in spaces), "writing", "rows") as shown:
            for space in sorted(spaces, key=lambda space: space.info.group):
                _write_space(hdf5.create_group(space.info.group), space, file.fileno(), shown)


def _write_space(group: Any, space: Content, handle: int, shown: Bar) -> None:
    info, keys = space.info, space.keys
    rows = len(keys)
    # HDF5 gives the rows their place, threads write them there
    now = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    now.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    place = group.create_dataset("embedding", (rows, info.dim), np.dtype(info.dtype), fill_time="never", dcpl=now)
    write = partial(_write_block, handle, place.id.get_offset(), space)
    crcs = np.empty(-(-rows // BLOCK), "<u4")
    for number, crc in enumerate(spread(write, blocks(rows))):
        crcs[number] = crc
        shown.update(BLOCK)
    failed = sorted(space.failures.items())
    reasons = [why.encode() for _, why in failed]
    failed_key = np.frombuffer(b"".join(key for key, _ in failed), np.uint8).reshape(-1, KEY_BYTES)
    failed_why = np.array(reasons, dtype=h5py.string_dtype("utf-8", max(map(len, reasons), default=1)))
    for name, array in (("key", keys), ("crc32", crcs), ("failed_key", failed_key), ("failed_why", failed_why)):
        group.create_dataset(name, data=array)
    attributes = {
        "encoder": info.name,
        "fingerprint": info.fingerprint,
        "request": info.request,
        "spec": canonical_json(info.spec),
        "provenance": canonical_json(info.provenance),
        "dim": info.dim,
        "rows": rows,
        "checksum": checksum(info, rows, crcs, failed_key, failed_why),
    }
    _set(group, attributes)


def _write_block(handle: int, offset: int, space: Content, block: tuple[int, int]) -> int:
    """Write the embeddings of one block; returns its checksum. By pieces that stay in the processor's cache."""
    crc = 0
    for start in range(*block, PIECE):
        piece = _buffer(space.block(start, min(start + PIECE, block[1])))
        crc = zlib.crc32(piece, crc)
        at = offset + start * space.info.row_bytes
        while piece:
            written = os.pwrite(handle, piece, at)
            at, piece = at + written, piece[written:]
    return zlib.crc32(_buffer(space.keys[slice(*block)]), crc)


def _set(group: Any, attributes: Mapping[str, object]) -> None:
    for name, value in attributes.items():
        if isinstance(value, str):
            text = value.encode()
            group.attrs.create(name, np.array(text, dtype=h5py.string_dtype("utf-8", max(1, len(text)))))
        else:
            group.attrs.create(name, value, dtype=np.int64)


def read_cache(path: Path) -> tuple[str, list[Layout]]:
    """(when the cache was created, its spaces), with every size and every small checksum checked.

    Raises:
        InputError: one line on what is wrong with the file. Its rows are not read, so their checksums are not checked.
    """
    _check_signature(path)
    _disarm_plugins()
    try:
        # never changed in place: a lock would only keep it from being read on file systems that have none
        with h5py.File(path, "r", driver="sec2", locking=False) as file:
            mapped = mmap.mmap(file.id.get_vfd_handle(), 0, access=mmap.ACCESS_READ)  # the same inode, come what may
            _check_version(path, file)
            seen = {_address(file)}
            layouts = [_read_space(group, mapped, seen) for _, group in _members(file, MAX_SPACES, seen)]
            created = str(_attribute(file, "created"))
    except InputError:
        raise
    except FAULTS as error:
        what = error.args[0] if isinstance(error, KeyError) else error
        raise damaged(path, f"damaged or cut short ({' '.join(str(what).split())})") from error
    for layout in layouts:
        if checksum(layout.info, layout.rows, layout.crc32, layout.failed_key, layout.failed_why) != layout.checksum:
            raise damaged(path, f"the description of {layout.info.name!r} does not match its checksum")
    return created, layouts


def _check_signature(path: Path) -> None:
    try:
        if not path.exists():
            raise InputError(f"there is no cache {str(path)!r}: make it with python -m embed.extract, or pass another")
        if not path.is_file():
            raise InputError(f"{str(path)!r} is no file: pass the path of a cache file, such as cache.h5")
        with open(path, "rb") as file:
            start = file.read(len(SIGNATURE))
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror or error}): pass another --cache") from error
    if start != SIGNATURE:
        raise damaged(path, "no HDF5 file")


def _disarm_plugins() -> None:
    """A filter nobody knows makes HDF5 load a library from its plugin path: leave it none, in the whole process."""
    while h5py.h5pl.size():
        h5py.h5pl.remove(0)


def _check_version(path: Path, file: Any) -> None:
    found = "format" in file.attrs and file.attrs.get_id("format")
    if not found or found.dtype.kind != "S" or _attribute(file, "format") != FORMAT:
        raise InputError(f"{path} is an HDF5 file but no embedding cache: pass another --cache")
    if (version := _attribute(file, "version")) != VERSION:
        known = f"this program reads {VERSION}"
        raise InputError(f"{path} has layout version {version}, {known}: install a newer one, or pass another --cache")


def _members(group: Any, limit: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """The members of a group: hard links only, each object once, so that nothing outside the file is ever opened."""
    if len(group) > limit:
        raise ValueError(f"{group.name} has {len(group):,} members")
    for name in group:
        if group.id.links.get_info(name.encode(errors="surrogateescape")).type != h5py.h5l.TYPE_HARD:
            raise ValueError(f"{name!r} is a link out of its group")
        member = group[name]
        address = _address(member)
        if address in seen:
            raise ValueError(f"{name!r} is there twice")
        seen.add(address)
        yield name, member


def _address(member: Any) -> int:
    return int(h5py.h5o.get_info(member.id).addr)


def _read_space(group: Any, mapped: mmap.mmap, seen: set[int]) -> Layout:
    if not isinstance(group, h5py.Group):
        raise ValueError(f"{group.name} is no space")
    text = {name: _attribute(group, name) for name in ("encoder", "fingerprint", "request", "spec", "provenance")}
    dim, rows, crc = (_attribute(group, name) for name in ("dim", "rows", "checksum"))
    found = dict(_members(group, len(MEMBERS), seen))
    if tuple(sorted(found)) != MEMBERS:
        raise ValueError(f"{group.name} holds {', '.join(sorted(found))}")
    arrays = {name: _array(dataset, mapped) for name, dataset in found.items()}
    dtype, failed = arrays["embedding"].dtype, len(arrays["failed_key"])
    expected = {
        "embedding": ((rows, dim), "f"),
        "key": ((rows, KEY_BYTES), "u"),
        "crc32": ((-(-int(rows) // BLOCK),), "u"),
        "failed_key": ((failed, KEY_BYTES), "u"),
        "failed_why": ((failed,), "S"),
    }
    for name, (shape, kind) in expected.items():
        if arrays[name].shape != shape or arrays[name].dtype.kind != kind:
            raise ValueError(f"{group.name}/{name} is {arrays[name].dtype} {arrays[name].shape}")
    if failed > MAX_FAILED or arrays["failed_why"].itemsize > MAX_REASON:
        raise ValueError(f"{group.name} has {failed:,} failures of {arrays['failed_why'].itemsize} bytes")
    values = {"name": text["encoder"], "fingerprint": text["fingerprint"], "request": text["request"]}
    parsed = {"spec": json.loads(str(text["spec"])), "provenance": json.loads(str(text["provenance"]))}
    info = SpaceInfo.from_json({**values, **parsed, "dim": dim, "dtype": dtype.name})
    if info.group != group.name.removeprefix("/"):
        raise ValueError(f"{group.name} is named {info.name!r}")
    return Layout(info, int(rows), int(crc), **arrays)


def _array(dataset: Any, mapped: mmap.mmap) -> Array:
    """Map a contiguous dataset; HDF5 itself reads nothing of it."""
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{dataset.name} is no dataset")
    plist = dataset.id.get_create_plist()
    if plist.get_layout() != h5py.h5d.CONTIGUOUS or plist.get_external_count():  # then there is no filter
        raise ValueError(f"{dataset.name} is not stored plainly")
    dtype, shape = dataset.dtype, dataset.shape
    if shape is None or (dtype not in ("<f2", "<f4", "u1", "<u4") and dtype.kind != "S"):
        raise ValueError(f"{dataset.name} holds {dtype}")
    count = 1
    for length in shape:
        count *= length
    if not count:
        return np.zeros(shape, dtype)
    offset = dataset.id.get_offset()
    if offset is None or offset + count * dtype.itemsize > len(mapped):
        raise ValueError(f"{dataset.name} reaches beyond the end of the file")
    return np.frombuffer(mapped, dtype, count, offset).reshape(shape)


def _attribute(group: Any, name: str) -> str | int:
    """A scalar text or whole number; anything else is refused before it is read."""
    attribute = group.attrs.get_id(name)
    if attribute.shape != () or attribute.dtype.kind not in "Si" or attribute.get_storage_size() > MAX_JSON:
        raise ValueError(f"attribute {name} of {group.name} is {attribute.dtype} {attribute.shape}")
    value = group.attrs[name]
    return value.decode() if isinstance(value, bytes) else int(value)
