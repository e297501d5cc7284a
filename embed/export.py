"""Write spaces of a cache as Parquet, `.npy` or safetensors, for programs that do not read HDF5.

A block of 4,096 rows at a time, each checked against its checksum, so that memory does not grow with the cache. 150 MB
take 0.2 s as `.npy` and 2 s as Parquet, which holds float32, since few of its readers know float16; the others keep the
stored dtype.

    <encoder>.parquet            key: fixed-size binary (32), embedding: fixed-size list of float
    <encoder>.embedding.npy, <encoder>.key.npy      (rows, dim) float; (rows, 32) uint8
    <encoder>.safetensors        tensors embedding and key; what made them as metadata
    <encoder>.failures.csv       key in hexadecimal, reason; only if there are failures
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from data.config import canonical_json
from data.files import atomic_write
from data.names import pick
from data.progress import bar
from embed.hdf5 import BLOCK, Array, block_crc, blocks
from embed.spaces import KEY_BYTES, SpaceInfo, damaged
from embed.store import Keys, Space, open_cache
from embed.writer import plain_errors

NAME_BYTES = 200  # of a file's name, its ending apart: file systems take 255


@dataclass(frozen=True)
class Exported:
    """The files written."""

    folder: Path
    rows: dict[str, int]
    failed: dict[str, int]
    files: list[Path]
    bytes: int

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "folder": self.folder.as_posix(), "files": [path.as_posix() for path in self.files]}

    def __str__(self) -> str:
        lines = [f"{name}: {rows:,} rows, {self.failed[name]:,} failed" for name, rows in self.rows.items()]
        lines += [f"{path}" for path in self.files]
        return "\n".join([*lines, f"{self.folder}: {len(self.files)} files, {self.bytes / 1e6:,.1f} MB"])


def export(path: Path, folder: Path, kind: str, names: Sequence[str]) -> Exported:
    """Write the spaces `names` of a cache, none: all, as files of one `kind` into `folder`. Existing ones are replaced.

    Raises:
        InputError: no such space, a row does not match its checksum, or the folder cannot be written.
    """
    write = pick(FORMATS, kind, "format")
    files: list[Path] = []
    with open_cache(path) as cache, plain_errors(folder, "--to"):
        spaces = [pick(cache.spaces, name, "encoder") for name in dict.fromkeys(names or cache.spaces)]
        for space in spaces:
            stem = folder / file_name(space.info)
            files += write(stem, space, path)
            if space.failures:
                files.append(_write_failures(stem, space))
    rows, failed = ({s.info.name: n for s, n in zip(spaces, sizes, strict=True)} for sizes in _sizes(spaces))
    return Exported(folder, rows, failed, files, sum(file.stat().st_size for file in files))


def _sizes(spaces: Sequence[Space]) -> tuple[list[int], list[int]]:
    return [space.rows for space in spaces], [len(space.failures) for space in spaces]


def file_name(info: SpaceInfo) -> str:
    """A name that any file system takes, different for every space of a cache; no path, never hidden."""
    name = quote(info.group, safe="").replace("~", "%7E")
    name = f"%2E{name[1:]}" if name.startswith(".") else name
    if len(name) <= NAME_BYTES:
        return name
    return f"{name[:NAME_BYTES]}-{hashlib.sha256(info.group.encode()).hexdigest()[:16]}"


def _checked(path: Path, space: Space) -> Iterator[tuple[Keys, Array]]:
    """The keys and embeddings of each block; raises InputError at one that does not match its checksum."""
    with bar(space.rows, f"exporting {space.info.name}", "rows") as shown:
        for (start, stop), crc in zip(blocks(space.rows), space.crc32.tolist(), strict=True):
            keys, rows = space.keys[start:stop], space.embedding[start:stop]
            if block_crc(rows, keys) != crc:
                raise damaged(path, f"rows {start:,} and following of {space.info.name!r} do not match their checksum")
            yield keys, rows
            shown.update(stop - start)


def _write_parquet(stem: Path, space: Space, path: Path) -> list[Path]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    dim, target = space.info.dim, stem.with_name(stem.name + ".parquet")
    key, embedding = pa.binary(KEY_BYTES), pa.list_(pa.float32(), dim)
    schema = pa.schema([("key", key), ("embedding", embedding)], _metadata(space.info))
    with atomic_write(target) as file, pq.ParquetWriter(file, schema, compression="none", use_dictionary=False) as out:
        for keys, rows in _checked(path, space):
            numbers = pa.array(rows.astype(np.float32).reshape(-1))
            names = pa.FixedSizeBinaryArray.from_buffers(key, len(keys), [None, pa.py_buffer(keys.tobytes())])
            columns = [names, pa.FixedSizeListArray.from_arrays(numbers, dim)]
            out.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=BLOCK)
    return [target]


def _write_npy(stem: Path, space: Space, path: Path) -> list[Path]:
    targets = [stem.with_name(f"{stem.name}.{what}.npy") for what in ("embedding", "key")]
    with atomic_write(targets[0]) as embedding, atomic_write(targets[1]) as key:
        for file, array in ((embedding, space.embedding), (key, space.keys)):
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        for keys, rows in _checked(path, space):
            embedding.write(_bytes(rows))
            key.write(_bytes(keys))
    return targets


def _write_safetensors(stem: Path, space: Space, path: Path) -> list[Path]:
    """The header, then one tensor after the other; the library itself wants both in memory."""
    size, end = space.embedding.nbytes, space.embedding.nbytes + space.keys.nbytes
    kind = {"float16": "F16", "float32": "F32"}[space.info.dtype]
    header = {
        "__metadata__": _metadata(space.info),
        "embedding": {"dtype": kind, "shape": list(space.embedding.shape), "data_offsets": [0, size]},
        "key": {"dtype": "U8", "shape": list(space.keys.shape), "data_offsets": [size, end]},
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    target = stem.with_name(stem.name + ".safetensors")
    with atomic_write(target) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, rows in _checked(path, space):
            file.write(_bytes(rows))
        file.write(_bytes(space.keys))
    return [target]


def _bytes(array: Array) -> "memoryview | bytes":
    return array.data.cast("B") if array.size else b""


def _metadata(info: SpaceInfo) -> dict[str, str]:
    said = {"spec": canonical_json(info.spec), "provenance": canonical_json(info.provenance)}
    return {"encoder": info.name, "fingerprint": info.fingerprint, **said}


def _write_failures(stem: Path, space: Space) -> Path:
    target = stem.with_name(stem.name + ".failures.csv")
    with atomic_write(target, "w") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("key", "reason"))
        rows.writerows((key.hex(), why) for key, why in sorted(space.failures.items()))
    return target


Write = Callable[[Path, Space, Path], list[Path]]
FORMATS: dict[str, Write] = {"parquet": _write_parquet, "npy": _write_npy, "safetensors": _write_safetensors}
