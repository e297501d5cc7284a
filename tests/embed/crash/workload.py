"""What the crash tests write and how they check it: embeddings known in advance, a run that resumes, plain reading.

Embedding is a look-up here, so that a run is nothing but the cache at work: 600 kills take minutes, not an hour.

    python tests/embed/crash/workload.py FILE     one run that folds after every batch, for others to look on
"""

import contextlib
import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from embed.spaces import Dtype, SpaceInfo
from embed.writer import CacheWriter

SPACES = ("picture", "text/small")  # the slash becomes part of a group's name
DTYPES: tuple[Dtype, Dtype] = ("float16", "float32")
Item = tuple[str, int]  # space, number of the content


class Watch:
    """Sees what a run does. This one looks away."""

    def computed(self, name: str, numbers: Sequence[int]) -> None:
        """These are embedded now and not committed yet."""

    def committed(self, name: str, numbers: Sequence[int]) -> None:
        """The writer has acknowledged these."""

    def folded(self) -> None:
        """A checkpoint or a close has returned: all that was acknowledged before shall survive a power cut."""

    @contextlib.contextmanager
    def folding(self) -> Iterator[None]:
        """A checkpoint is under way."""
        yield


class Contents:
    """`n` contents with what two encoders make of them; every 13th cannot be embedded."""

    def __init__(self, n: int, dim: int, batch: int) -> None:
        self.n, self.batch = n, batch
        self.keys = [hashlib.sha256(b"%d" % number).digest() for number in range(n)]
        self._numbers = {key: number for number, key in enumerate(self.keys)}
        chance = np.random.default_rng(0)
        self.rows = {name: chance.standard_normal((n, dim), dtype=np.float32) for name in SPACES}
        # two dtypes: rows of both lie at offsets of their own size in a segment
        self.infos = {
            name: SpaceInfo(name, digit * 64, "r" * 64, {"encoder": name}, dim, dtype, {"made": "here"})
            for name, digit, dtype in zip(SPACES, "ab", DTYPES, strict=True)
        }
        self.items: set[Item] = {(name, number) for name in SPACES for number in range(n)}

    def reason(self, number: int) -> str | None:
        return f"broken in way {number % 3}" if number % 13 == 5 else None

    def numbers(self, keys: Any) -> list[int]:
        """Keys (n, 32) as a file has them → contents; an unknown one is a KeyError."""
        return [self._numbers[np.asarray(key).tobytes()] for key in keys]

    def embed(self, writer: CacheWriter, name: str, numbers: Sequence[int], watch: Watch) -> None:
        """One batch: compute, commit, say so."""
        watch.computed(name, numbers)
        good = [number for number in numbers if self.reason(number) is None]
        if good:
            writer.append(name, [self.keys[number] for number in good], self.rows[name][good])
            watch.committed(name, good)
        for number in numbers:
            if why := self.reason(number):
                writer.fail(name, self.keys[number], why)
                watch.committed(name, [number])

    def extract(self, path: Path, order: Sequence[int], watch: Watch, every: int, *, finish: bool = True) -> set[Item]:
        """A run over `order` that embeds what the cache lacks and folds every so many batches, and if asked at its end.

        Returns what it did not need to embed.
        """
        with CacheWriter(path) as writer:
            for info in self.infos.values():
                writer.open(info)
            found = self._done(writer)
            for turn, start in enumerate(range(0, len(order), self.batch), 1):
                for name in SPACES:
                    if lacking := [i for i in order[start : start + self.batch] if (name, i) not in found]:
                        self.embed(writer, name, lacking, watch)
                if turn % every == 0:
                    self.checkpoint(writer, watch)
            if finish:
                self.checkpoint(writer, watch)
        watch.folded()
        return found

    def checkpoint(self, writer: CacheWriter, watch: Watch) -> None:
        with watch.folding():
            writer.checkpoint()
        watch.folded()

    def found(self, path: Path) -> set[Item]:
        """What a new run would not embed again."""
        with CacheWriter(path) as writer:
            return self._done(writer)

    def _done(self, writer: CacheWriter) -> set[Item]:
        found: set[Item] = set()
        for name in SPACES:
            done = writer.done(name)
            found |= {(name, number) for number, key in enumerate(self.keys) if done.contains(key)}
        return found

    def check(self, path: Path) -> set[Item]:
        """What is in the file, if there is one, by h5py alone: it opens, and all that is in it is right."""
        found: set[Item] = set()
        if not path.exists():
            return found
        with h5py.File(path, "r") as file:
            for name in SPACES:
                if (group := file.get(self.infos[name].group)) is None:
                    continue
                numbers = self.numbers(group["key"][:])
                expected = self.rows[name][numbers].astype(self.infos[name].dtype)
                assert group["embedding"][:].tobytes() == expected.tobytes(), f"wrong rows of {name} in {path}"
                failed = self.numbers(group["failed_key"][:])
                why = [text.decode() for text in group["failed_why"][:]]
                assert why == [self.reason(number) for number in failed], f"wrong reasons of {name} in {path}"
                assert not {self.reason(number) for number in numbers} - {None}, f"{name} has what failed"
                found |= {(name, number) for number in (*numbers, *failed)}
        return found


Arrays = dict[str, tuple[str, tuple[int, ...], bytes]]  # path in the file → dtype, shape, bytes


def arrays(path: Path) -> Arrays:
    """Every dataset and attribute of the spaces byte for byte."""
    found: Arrays = {}

    def visit(name: str, member: Any) -> None:
        values = {f"{name}@{key}": np.asarray(value) for key, value in member.attrs.items()}
        values |= {name: member[()]} if isinstance(member, h5py.Dataset) else {}
        for key, value in values.items():
            found[key] = (value.dtype.str, value.shape, value.tobytes())

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


MANY = {"n": 160, "dim": 48, "batch": 8}

if __name__ == "__main__":
    Contents(**MANY).extract(Path(sys.argv[1]), range(MANY["n"]), Watch(), every=1)
