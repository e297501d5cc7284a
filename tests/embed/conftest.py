"""What the cache's tests share: short runs over contents whose embedding is a function of their number, and a file."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.config import InputError
from embed.hdf5 import BLOCK, read_cache
from embed.spaces import SpaceInfo
from embed.store import open_cache
from embed.writer import CacheWriter


class Runs:
    """Made-up contents and models, and what an extraction does with them."""

    info = SpaceInfo("x", "f" * 64, "r" * 64, {"weights": "9f3c" * 16, "pooling": "mean"}, 3, "float16", {})
    other = replace(info, fingerprint="e" * 64, request="q" * 64, spec={"weights": "41ab" * 16, "pooling": "mean"})

    @staticmethod
    def key(i: int) -> bytes:
        return bytes([i * 37 % 251, i % 256]) * 16

    @staticmethod
    def row(i: int, dim: int = 3) -> np.ndarray:
        """The embedding of content i: a function of it, like a real one."""
        return np.random.default_rng(i).normal(size=(1, dim)).astype(np.float32)

    @classmethod
    def add(cls, writer: CacheWriter, *numbers: int, name: str = "x") -> None:
        for i in numbers:
            writer.append(name, [cls.key(i)], cls.row(i))

    @classmethod
    def extract(
        cls, path: Path, *numbers: int, info: SpaceInfo = info, fold: bool = True, rebuild: bool = False
    ) -> None:
        """One run, which is cut off before its checkpoint unless `fold`."""
        with CacheWriter(path) as writer:
            writer.open(info, rebuild=rebuild)
            cls.add(writer, *numbers, name=info.name)
            if fold:
                writer.checkpoint()

    @staticmethod
    def held(path: Path, name: str = "x") -> dict[bytes, bytes]:
        """Key → embedding of a space, as bytes; there is no fault in it."""
        space = open_cache(path).spaces[name]
        assert list(space.faults()) == []
        return {k.tobytes(): e.tobytes() for k, e in zip(space.keys, space.embedding, strict=True)}

    @classmethod
    def expected(cls, *numbers: int) -> dict[bytes, bytes]:
        return {cls.key(i): cls.row(i).astype(np.float16).tobytes() for i in numbers}

    @staticmethod
    def arrays(path: Path) -> dict[str, Any]:
        """Everything of each space but the time of creation, byte for byte."""
        found = {}
        for name, s in open_cache(path).spaces.items():
            arrays = (s.keys.tobytes(), s.embedding.tobytes(), s.crc32.tobytes())
            found[name] = (s.info, *arrays, list(s.failures.items()))
        return found

    @staticmethod
    def journal(path: Path) -> list[Path]:
        return sorted(path.with_name(path.name + ".journal").glob("*.segment"))


@pytest.fixture(scope="session")
def runs() -> type[Runs]:
    return Runs


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a cache may be made."""
    return tmp_path / "cache.h5"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of two spaces: `hub/x`, of more than two blocks, and `small`, which has a failure only."""
    path = tmp_path_factory.mktemp("made") / "cache.h5"
    rows = 2 * BLOCK + 100
    info = SpaceInfo("hub/x", "f" * 64, "r" * 64, {"kind": "image", "weights": "9f3c"}, 5, "float16", {"note": "späße"})
    with CacheWriter(path) as writer:
        writer.open(info)
        keys = [i.to_bytes(32, "big") for i in range(rows + 2)]
        writer.append(info.name, keys[:rows], np.arange(rows * 5).reshape(-1, 5) % 2000)
        writer.fail(info.name, keys[rows], "the picture is cut short")
        writer.fail(info.name, keys[rows + 1], "Bild zerstört")
        writer.open(SpaceInfo("small", "e" * 64, "", {"kind": "text"}, 3, "float32", {}))
        writer.fail("small", keys[1], "no")
        writer.checkpoint()
    return path


@pytest.fixture
def cache(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copy(made, tmp_path / "cache.h5"))


@pytest.fixture(scope="session")
def refused() -> Callable[..., str]:
    """Opening a file is one line that names it and says what to do; returns the line."""

    def check(path: Path, match: str | None = None) -> str:
        with pytest.raises(InputError, match=match) as caught:
            read_cache(path)
        line = str(caught.value)
        assert line.count("\n") == 0
        assert path.name in line
        assert "delete it and run python -m embed.extract again" in line or "another" in line
        return line

    return check
