"""Look after caches: drop spaces no longer wanted, fold several caches into one.

Both write a whole new file, as a checkpoint does, and replace the old one by a rename: 2 s a GB, and as much free disk
as the result takes. A cache that a run is writing is left alone.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.config import InputError, canonical_json
from data.names import pick
from embed.journal import Index, Journal, is_live, read_header, scan
from embed.merge import MergedSpace, Table, check_rows, now, publish, tables_of
from embed.spaces import SpaceInfo
from embed.store import Cache, Space, open_cache
from embed.writer import difference, plain_errors, target_of


@dataclass(frozen=True)
class Pruned:
    """What `prune` dropped."""

    cache: Path
    dropped: list[str]
    kept: list[str]
    freed: int  # bytes

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "cache": self.cache.as_posix()}

    def __str__(self) -> str:
        freed = f"{self.freed / 1e6:,.1f} MB freed"
        return f"{self.cache}: dropped {', '.join(self.dropped)}: {freed}; left are {', '.join(self.kept) or 'none'}"


@dataclass(frozen=True)
class Merged:
    """What a cache holds after `merge`."""

    cache: Path
    sources: list[Path]
    rows: dict[str, int]
    new: dict[str, int]  # rows of them that the cache did not have
    failed: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "cache": self.cache.as_posix(), "sources": [path.as_posix() for path in self.sources]}

    def __str__(self) -> str:
        lines = [
            f"{name}: {rows:,} rows, {self.new[name]:,} of them new, {self.failed[name]:,} failed"
            for name, rows in self.rows.items()
        ]
        return "\n".join([*lines, f"{self.cache}: {len(self.sources)} folded in"])


def prune(path: Path, names: Sequence[str]) -> Pruned:
    """Drop spaces from a cache, and what dead runs left in its journal for them.

    Raises:
        InputError: no such space, a run is writing, or a row of a space that stays is damaged.
    """
    target, cache = target_of(path), open_cache(path)
    with _held(path) as folded:
        segments = {segment: header.info.name for segment in _dead(path) if (header := read_header(segment))}
        known = {name: name for name in [*cache.spaces, *segments.values()]}
        dropped = sorted({pick(known, name, "encoder") for name in names})
        going = [segment for segment, name in segments.items() if name in dropped]
        freed = target.stat().st_size + sum(segment.stat().st_size for segment in going)
        kept = [space for name, space in cache.spaces.items() if name not in dropped]
        for space in kept:
            check_rows(path, space)
        publish(target, [MergedSpace([space], space.info) for space in kept], cache.created)
        freed -= target.stat().st_size
        folded.extend(going)
    return Pruned(path, dropped, [space.info.name for space in kept], freed)


def merge(path: Path, others: Sequence[Path]) -> Merged:
    """Fold other caches, with what dead runs left in their journals, into `path`, which may be new. They stay as is.

    What comes out does not depend on the order: of a key that several have, each with an embedding of its own, the
    one from the table with the smallest digest is kept.

    Raises:
        InputError: two caches hold a space made by different models, a row is damaged, or a run is writing.
    """
    target = target_of(path)
    for other in others:
        if not other.exists() and not _dead(other):
            raise InputError(f"there is no cache {str(other)!r}: pass caches that exist")
        if other.resolve() == path.resolve():
            raise InputError(f"{other} cannot be merged into itself: pass other caches")
    with _held(path) as folded:
        own, held = _read(target)
        found = [_read(target_of(other)) for other in others]
        tables = _united([(path, held), *((other, more) for other, (_, more) in zip(others, found, strict=True))])
        merged = [MergedSpace(tables[name], _common_info(tables[name])) for name in sorted(tables)]
        created = min((cache.created for cache, _ in [(own, held), *found] if cache), default=now())
        publish(target, merged, created)
        folded.extend(_dead(path))
    had = {name: space.rows for name, space in own.spaces.items()} if own else {}
    rows = {space.info.name: len(space.keys) for space in merged}
    new = {name: n - had.get(name, 0) for name, n in rows.items()}
    return Merged(path, list(others), rows, new, {space.info.name: len(space.failures) for space in merged})


@contextlib.contextmanager
def _held(path: Path) -> Iterator[list[Path]]:
    """Hold a cache's journal. The segments put into the list are removed from it, if all goes well."""
    journal, folded = Journal(target_of(path)), list[Path]()
    with plain_errors(path), journal.locked():
        try:
            yield folded
        except BaseException:  # also Ctrl-C: nothing was folded, so nothing may be removed; raised again
            folded.clear()
            raise
        finally:
            journal.remove(folded)


def _dead(path: Path) -> list[Path]:
    """The segments in a cache's journal, if no run is writing there."""
    segments = Journal(target_of(path)).segments()
    if any(is_live(segment) for segment in segments):
        raise InputError(f"a run is writing {path}: wait until it has ended")
    return segments


def _read(path: Path) -> tuple[Cache | None, dict[str, list[Table]]]:
    """A cache's file and what that and its journal hold by space, every row of the file checked."""
    # rows only ever move from the journal to the file: read in this order, none is missed
    indexes = [index for segment in _dead(path) if (index := scan(segment)) is not None]
    cache = open_cache(path) if path.exists() else None
    tables = tables_of(path, cache, indexes)
    for table in (table for group in tables.values() for table in group):
        if isinstance(table, Space):
            check_rows(path, table)
    return cache, tables


def _united(sources: Sequence[tuple[Path, dict[str, list[Table]]]]) -> dict[str, list[Table]]:
    """The tables of all caches by space, in an order that does not depend on that of the caches."""
    found: dict[str, list[Table]] = {}
    first: dict[str, Path] = {}
    for path, tables in sources:
        for name, group in tables.items():
            one = found.setdefault(name, group)[0].info
            if not group[0].info.same_rows(one):
                what, ours, theirs = difference(one, group[0].info)
                raise InputError(
                    f"{first[name]} holds {name!r} made with {what} {ours}, {path} has {theirs}: "
                    f"prune {name} from one of them first"
                )
            if name in first:
                found[name] = [*found[name], *group]
            first.setdefault(name, path)
    return {name: sorted(tables, key=_digest) for name, tables in found.items()}


def _digest(table: Table) -> tuple[bool, str]:
    """Tells tables apart by what they hold, not by where: files by their checksums, segments by their unique names."""
    if isinstance(table, Index):
        return True, table.path.name
    return False, hashlib.sha256(table.crc32.tobytes() + table.keys.tobytes()).hexdigest()


def _common_info(tables: Sequence[Table]) -> SpaceInfo:
    """The same whatever the order: of several descriptions of one model the first in the alphabet."""
    return min((table.info for table in tables), key=lambda info: canonical_json(info.to_json()))
