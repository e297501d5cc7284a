"""Known encoders' vectors of any posts: read from caches where they are, embedded first where they are not.

`regress.features` chooses encoders by name from one cache, for training. Here a run, or a fitted `CachedEmbeddings`,
says which they are, and a cache that has another model's vectors under one of their names is refused: nothing else
would notice. `who` is what error messages call the one that asks: "run 'ridge-bce-all'".
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.config import InputError
from data.posts import Posts
from embed.cache import ABSENT, FAILED, Space, open_cache
from embed.content import KINDS, ContentKeys, Kind, read_keys
from embed.spaces import SpaceInfo

WAYS = {"image": ("pictures", "photo", "--image-column"), "text": ("texts", "text", "--text-column")}


@dataclass(frozen=True, eq=False)
class Vectors:
    """One encoder's vectors of n posts: NaN rows where a post has none, or none that could be computed."""

    info: SpaceInfo
    keys: ContentKeys
    values: NDArray[np.float32]  # (n, dim)
    lacking: NDArray[np.bool_]  # (n,) there is a content, and no cache knows it
    failures: Counter[str] = field(default_factory=Counter)  # reason → posts

    @classmethod
    def empty(cls, info: SpaceInfo, keys: ContentKeys) -> "Vectors":
        return cls(info, keys, np.full((len(keys.keys), info.dim), np.nan, np.float32), keys.present.copy())

    def fill(self, space: Space) -> None:
        """Take from a cache what is still lacking."""
        rows = np.full(len(self.lacking), ABSENT)
        rows[self.lacking] = space.find(self.keys.keys[self.lacking])
        self.take(space, rows)

    def take(self, space: Space, rows: NDArray[np.int64]) -> None:
        """The same, where `space.find` has said already in which rows (n,) the posts' keys are."""
        have, failed = self.lacking & (rows >= 0), self.lacking & (rows == FAILED)
        self.values[have] = space.read(rows[have])
        self.failures.update(space.failures[key.tobytes()] for key in self.keys.keys[failed])
        self.lacking[have | failed] = False

    def notes(self) -> list[str]:
        """What a user should know, in plain words."""
        name, missing = self.info.name, int((~self.keys.present).sum())
        notes = [f"{name}: {_posts(n)} without a vector ({why})" for why, n in self.failures.most_common()]
        return notes + ([f"{name}: {_posts(missing)} without a readable {self.info.spec['kind']}"] if missing else [])


@dataclass(frozen=True)
class Embedding:
    """Where vectors are looked for, and where those that are not there are put."""

    cache: Path
    # what is embedded goes here: the cache itself, or another that is thrown away later; None: nothing is embedded
    target: Path | None
    files: Mapping[str, Path] = field(default_factory=dict)  # weights of encoders that came from a file

    def read(self, posts: Posts, encoders: Sequence[SpaceInfo], who: str) -> tuple[list[Vectors], dict[str, int]]:
        """The vectors of all posts, and how many distinct contents were embedded for them, by encoder.

        Raises:
            InputError: the table has no column for an encoder, a cache holds another model's vectors, an encoder
                cannot be made as it was, or something is lacking and nothing is to be embedded.
        """
        _check_columns(posts, encoders, who)
        found = self._look(read_keys(posts) if encoders else {}, encoders, who)
        embedded: dict[str, int] = {}
        lacking = [each for each in found if each.lacking.any()]
        if lacking and self.target is None:
            raise InputError(_lacking(self.cache, lacking))
        if lacking and self.target is not None:
            from embed.again import Lacking, embed_again

            wanted = [
                Lacking(each.info, frozenset(key.tobytes() for key in each.keys.keys[each.lacking])) for each in lacking
            ]
            embed_again(posts, wanted, self.target, self.files)
            embedded = {each.info.name: len(each.keys) for each in wanted}
            self._fill(lacking, who)
            if any(each.lacking.any() for each in lacking):
                raise InputError(f"{posts.path} changed while it was read: run the command again")
        return found, embedded

    def _look(self, keys: dict[Kind, ContentKeys], encoders: Sequence[SpaceInfo], who: str) -> list[Vectors]:
        found = [Vectors.empty(info, keys[kind]) for info in encoders for kind in KINDS if info.spec["kind"] == kind]
        self._fill(found, who)
        return found

    def _fill(self, found: list[Vectors], who: str) -> None:
        for path in dict.fromkeys([self.cache, self.target]):
            if path is None or not path.exists():
                continue
            with open_cache(path) as cache:
                for each in found:
                    space = cache.spaces.get(each.info.name)
                    if space is not None:
                        _check_same(path, space.info, each.info, who)
                        each.fill(space)


def _check_columns(posts: Posts, encoders: Sequence[SpaceInfo], who: str) -> None:
    columns = {"image": posts.image_column, "text": posts.text_column}
    for info in encoders:
        kind = info.spec.get("kind")
        if kind not in columns:
            raise InputError(f"{who} has encoder {info.name!r} of kind {kind!r}: expected image or text: fit again")
        if columns[kind] is None:
            what, name, flag = WAYS[kind]
            raise InputError(
                f"{posts.path} has no column of {what} (found {', '.join(posts.columns[:12])}), and {who} reads "
                f"them with {info.name}: rename one to {name!r} or pass {flag} NAME"
            )


def _check_same(path: Path, held: SpaceInfo, wanted: SpaceInfo, who: str) -> None:
    if held.same_rows(wanted):
        return
    from embed.writer import difference

    what, here, expected = difference(held, wanted)
    raise InputError(
        f"{path} holds {held.name!r} made with {what} {here}, {who} was fitted on {expected}: "
        "pass the cache it was fitted on, or a new one, or fit again"
    )


def _lacking(cache: Path, lacking: Sequence[Vectors]) -> str:
    first, n = lacking[0], int(lacking[0].lacking.sum())
    more = f" ({len(lacking)} encoders lack some)" if len(lacking) > 1 else ""
    return (
        f"{cache} lacks {first.info.name!r} for {n:,} of {len(first.lacking):,} posts{more}: expected all of them: "
        "pass embed=True, or run python -m embed.extract first"
    )


def _posts(n: int) -> str:
    return "1 post" if n == 1 else f"{n:,} posts"
