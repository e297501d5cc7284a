"""What other programs read in exported files, and that none of these lies outside its folder or is half written."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors
from safetensors.numpy import load_file

from data.config import InputError, main
from embed.cache import CacheCommand, CacheWriter, open_cache, run
from embed.export import FORMATS, NAME_BYTES, export, file_name
from embed.hdf5 import BLOCK

ROWS = 2 * BLOCK + 5
NAMES = ["x", "hf-hub:timm/a b", "../../etc/passwd", ".hidden", "späße~", "a" * 500, "a" * 501, "..", "%2E%2E"]


@pytest.fixture(scope="module")
def cache(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Spaces `half` and `single` of more than two blocks, `half` with failures; `none` has nothing but a failure."""
    path = tmp_path_factory.mktemp("export") / "cache.h5"
    rng = np.random.default_rng(0)
    keys = [i.to_bytes(4, "big") * 8 for i in range(ROWS)]
    with CacheWriter(path) as writer:
        for name, dtype in (("half", "float16"), ("single", "float32")):
            writer.open(replace(runs.info, name=name, dtype=dtype))
            writer.append(name, keys, rng.normal(size=(ROWS, 3)).astype(np.float32))
        writer.fail("half", b"\xff" * 32, 'cut short, or "odd"')
        writer.open(replace(runs.info, name="none"))
        writer.fail("none", b"\xfe" * 32, "bad")
        writer.checkpoint()
    return path


def read_parquet(stem: Path) -> tuple[np.ndarray, np.ndarray]:
    table = pq.read_table(f"{stem}.parquet")
    keys = np.frombuffer(b"".join(table["key"].to_pylist()), np.uint8).reshape(-1, 32)
    flat = table["embedding"].combine_chunks().flatten() if len(table) else np.empty(0)
    return keys, np.asarray(flat, np.float32).reshape(-1, 3)


def read_npy(stem: Path) -> tuple[np.ndarray, np.ndarray]:
    return np.load(f"{stem}.key.npy"), np.load(f"{stem}.embedding.npy")


def read_safetensors(stem: Path) -> tuple[np.ndarray, np.ndarray]:
    tensors = load_file(f"{stem}.safetensors")
    return tensors["key"], tensors["embedding"]


READ = {"parquet": read_parquet, "npy": read_npy, "safetensors": read_safetensors}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["half", "single", "none"])
def test_what_is_exported_is_what_the_cache_holds(cache: Path, tmp_path: Path, kind: str, name: str) -> None:
    export(cache, tmp_path, kind, [name])
    space = open_cache(cache).spaces[name]
    keys, rows = READ[kind](tmp_path / name)
    assert np.array_equal(keys, space.keys)
    assert np.array_equal(rows, space.embedding)
    assert rows.dtype == (np.float32 if kind == "parquet" else space.embedding.dtype)


def test_failures_are_exported_too(cache: Path, tmp_path: Path) -> None:
    export(cache, tmp_path, "npy", [])
    with open(tmp_path / "half.failures.csv", newline="") as file:
        assert list(csv.reader(file)) == [["key", "reason"], ["ff" * 32, 'cut short, or "odd"']]
    assert {path.name for path in tmp_path.iterdir()} == {
        *(f"{name}.{what}.npy" for name in ("half", "single", "none") for what in ("embedding", "key")),
        *(f"{name}.failures.csv" for name in ("half", "none")),
    }


def test_the_files_say_what_made_them(cache: Path, tmp_path: Path, runs: Any) -> None:
    for kind in ("parquet", "safetensors"):
        export(cache, tmp_path, kind, ["single"])
    with safetensors.safe_open(tmp_path / "single.safetensors", "numpy") as file:
        said = file.metadata()
    stored = pq.read_schema(tmp_path / "single.parquet").metadata
    assert {key.decode(): value.decode() for key, value in stored.items()} == said
    assert (said["encoder"], json.loads(said["spec"])) == ("single", runs.info.spec)


def test_the_command(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["export", str(cache), "half", "--to", str(tmp_path / "new" / "folder"), "--format", "safetensors"]
    assert main(CacheCommand, run, arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"half: {ROWS:,} rows, 1 failed"
    assert lines[-1].startswith(f"{tmp_path}/new/folder: 2 files, 0.3 MB")
    assert main(CacheCommand, run, [*arguments, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["rows"], value["failed"]) == ({"half": ROWS}, {"half": 1})
    assert [Path(file).name for file in value["files"]] == ["half.safetensors", "half.failures.csv"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["haf", "--to", "{}"], "unknown encoder 'haf': did you mean 'half'? known encoders are half, none, single"),
        (["half"], "export goes with --to FOLDER: pass both or none"),
    ],
)
def test_what_cannot_be_exported(
    cache: Path, tmp_path: Path, arguments: list[str], line: str, capsys: pytest.CaptureFixture
) -> None:
    filled = [argument.format(tmp_path) for argument in arguments]
    assert main(CacheCommand, run, ["export", str(cache), *filled]) == 2
    assert capsys.readouterr().err == f"error: {line}\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_row_is_not_exported(cache: Path, tmp_path: Path, kind: str) -> None:
    data = bytearray(cache.read_bytes())
    data[data.index(open_cache(cache).spaces["half"].embedding[BLOCK + 1 : BLOCK + 9].tobytes())] ^= 1
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(data)
    folder = tmp_path / "out"
    with pytest.raises(InputError, match=r"damaged\.h5: rows 4,096 and following of 'half' do not match"):
        export(damaged, folder, kind, ["half"])
    assert list(folder.iterdir()) == []


def test_file_names_are_safe_and_distinct(runs: Any, path: Path, tmp_path: Path) -> None:
    with CacheWriter(path) as writer:
        for number, name in enumerate(NAMES):
            writer.open(replace(runs.info, name=name))
            writer.append(name, [runs.key(number)], runs.row(number))
        writer.checkpoint()
    folder = tmp_path / "out"
    files = export(path, folder, "npy", []).files
    assert len(set(files)) == 2 * len(NAMES)
    assert sorted(files) == sorted(folder.iterdir())  # nowhere else, none hidden from a glob
    assert not [file for file in files if file.name.startswith(".")]
    for name in NAMES:
        stem = file_name(replace(runs.info, name=name))
        assert len(stem) <= NAME_BYTES + 17
        assert np.load(folder / f"{stem}.key.npy")[0].tobytes() == runs.key(NAMES.index(name))


def test_a_folder_that_cannot_be_made(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot write .*file/out \(Not a directory\): pass another --to"):
        export(cache, tmp_path / "file" / "out", "npy", [])


FULL = """
import resource, sys
from pathlib import Path
from data.config import main
from embed.cache import CacheCommand, run
import pyarrow.parquet
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))
sys.exit(main(CacheCommand, run, ["export", sys.argv[1], "half", "--to", sys.argv[2], "--format", sys.argv[3]]))
"""


@pytest.mark.parametrize("kind", FORMATS)
def test_a_full_disk_leaves_no_half_file(cache: Path, tmp_path: Path, kind: str) -> None:
    command = [sys.executable, "-c", FULL, str(cache), str(tmp_path), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith(f"error: disk full while writing {tmp_path}")
    assert list(tmp_path.iterdir()) == []
