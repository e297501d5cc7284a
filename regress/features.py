"""Cached embeddings of a table's posts as named blocks of one feature matrix.

A post without a picture, or with one that no encoder could read, has a row of NaN in that encoder's block: trees take
it as it is, the others see zeros after scaling and one indicator column (regress.scaling).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.config import InputError
from data.names import unknown
from embed.cache import ABSENT, open_cache
from embed.content import KINDS, ContentKeys, Kind
from embed.vectors import Vectors

if TYPE_CHECKING:
    from embed.cache import Cache, Space, SpaceInfo

GROUPS = {"image": "every encoder of pictures", "text": "every encoder of texts", "statistics": "both statistics"}


@dataclass(frozen=True)
class Block:
    """One encoder's vectors of the posts: float32 (n, dim), NaN rows where a post has none."""

    name: str
    fingerprint: str
    values: NDArray[np.float32]
    group: str = ""  # of GROUPS: what it is called together with its like
    views: int = 1  # vectors of so many augmented copies lie side by side
    info: "SpaceInfo | None" = None  # how they were made; None: not from a cache


@dataclass(frozen=True)
class Features:
    """Blocks side by side, under the name the user gave them ("all", "image+text", …)."""

    name: str
    blocks: tuple[Block, ...]

    @cached_property
    def X(self) -> NDArray[np.float32]:  # noqa: N802 - the field's name for a matrix
        """float32 (n, sum of dims); a view of the block when there is only one."""
        values = [block.values for block in self.blocks]
        return values[0] if len(values) == 1 else np.concatenate(values, axis=1)

    @property
    def slices(self) -> tuple[slice, ...]:
        """The columns of each block."""
        ends = np.cumsum([block.values.shape[1] for block in self.blocks]).tolist()
        return tuple(slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True))

    @property
    def views(self) -> tuple[int, ...]:
        """How many copies lie side by side in each block."""
        return tuple(block.views for block in self.blocks)

    @property
    def names(self) -> list[str]:
        return [block.name for block in self.blocks]

    def named(self, wanted: Sequence[str]) -> list[str]:
        """The blocks that names of blocks and groups stand for, each once; `InputError` where there is none."""
        found = [[block.name for block in self.blocks if name in (block.name, block.group)] for name in wanted]
        for name, blocks in zip(wanted, found, strict=True):
            if not blocks:
                known = {*self.names, *(block.group for block in self.blocks if block.group)}
                raise InputError(f"{unknown(name, known, 'block')} in features {self.name!r}")
        return list(dict.fromkeys(chain.from_iterable(found)))


def read_features(
    cache_path: Path, keys: dict[Kind, ContentKeys], expressions: Sequence[str], table: str
) -> tuple[list[Features], list[str]]:
    """Read the feature sets named by `expressions` ("A+B"; none: one set, of every encoder) for posts with `keys`.

    Returns the feature sets and what a user should know of them, in plain words.

    Raises:
        InputError: no such encoder in the cache, or it has not embedded all of these posts.
    """
    with open_cache(cache_path) as cache:
        spaces = {name: space for name, space in cache.spaces.items() if space.info.spec.get("kind") in KINDS}
        if not spaces:
            raise InputError(f"{cache_path} holds no embeddings: run python -m embed.extract")
        found = {name: space.find(_of(space, keys).keys) for name, space in spaces.items()}
        covered = [name for name, space in spaces.items() if _covered(found[name], _of(space, keys)) > 0]
        # views are copies of what the plain encoder says, for models that know them as such: taken only by name
        usable = [name for name in covered if not spaces[name].info.spec.get("views")]
        notes = [f"{name} has embedded none of these posts: left out" for name in spaces if name not in covered]
        wanted = {text: _resolve(text, spaces, usable) for text in expressions or ("all",)}
        blocks: dict[str, Block] = {}
        for name in dict.fromkeys(label for labels in wanted.values() for label in labels):
            blocks[name], note = _read_block(cache, spaces[name], found[name], _of(spaces[name], keys), table)
            notes += note
    return [Features(text, tuple(blocks[label] for label in labels)) for text, labels in wanted.items()], notes


def _of(space: "Space", keys: dict[Kind, ContentKeys]) -> ContentKeys:
    kind: Kind = space.info.spec["kind"]
    return keys[kind]


def _covered(rows: NDArray[np.int64], keys: ContentKeys) -> int:
    return int(((rows != ABSENT) & keys.present).sum())


def _resolve(expression: str, spaces: dict[str, "Space"], usable: list[str]) -> list[str]:
    """ "image+MiniLM" → labels of spaces, in the order named, each once."""
    labels: list[str] = []
    for part in (part.strip() for part in expression.split("+")):
        if part == "all":
            labels += usable
        elif part == "statistics":
            labels += [name for name in usable if spaces[name].info.spec["family"] == "statistics"]
        elif part in KINDS:
            labels += [
                name
                for name in usable
                if spaces[name].info.spec["kind"] == part and spaces[name].info.spec["family"] != "statistics"
            ]
        elif part in spaces:
            labels.append(part)
        else:
            raise InputError(f"{unknown(part, [*spaces, 'all', *GROUPS], 'feature')}")
    if not labels:
        raise InputError(
            f"--features {expression!r} names no encoder that has embedded these posts: run python -m embed.extract"
        )
    return list(dict.fromkeys(labels))


def _read_block(
    cache: "Cache", space: "Space", rows: NDArray[np.int64], keys: ContentKeys, table: str
) -> tuple[Block, list[str]]:
    info, spec = space.info, space.info.spec
    vectors = Vectors.empty(info, keys)
    vectors.take(space, rows)
    if lacking := int(vectors.lacking.sum()):
        flag = "" if spec["family"] == "statistics" else f" --{spec['kind']} {info.name}"
        raise InputError(
            f"{cache.path} lacks {info.name!r} for {lacking:,} of {len(rows):,} posts: "
            f"run python -m embed.extract {table}{flag}"
        )
    group = "statistics" if spec["family"] == "statistics" else str(spec["kind"])
    return Block(info.name, info.fingerprint, vectors.values, group, spec.get("views") or 1, info), vectors.notes()
