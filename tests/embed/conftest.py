"""What the cache's tests share: short runs over contents whose embedding is a function of their number."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
