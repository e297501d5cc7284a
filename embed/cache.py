"""Command and public face of the embedding cache: open it, write it, look at it, check it, look after it.

`from embed.cache import open_cache, CacheWriter` works; the modules behind it, with NumPy and h5py, are imported on
first use, so that `--help` takes 0.05 s and not 0.25.
"""

import importlib
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from data.config import InputError, Result, argument, main, option
from embed.spaces import DEFAULT_CACHE, SpaceInfo, damaged

if TYPE_CHECKING:
    from embed.store import ABSENT, FAILED, Cache, Space, open_cache
    from embed.writer import CacheWriter, Done

__all__ = ["ABSENT", "FAILED", "Cache", "CacheWriter", "Done", "Space", "SpaceInfo", "open_cache"]

_HOME = {
    **dict.fromkeys(("ABSENT", "FAILED", "Cache", "Space", "open_cache"), "embed.store"),
    **dict.fromkeys(("CacheWriter", "Done"), "embed.writer"),
}
REASONS = 5  # shown of each space


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


@dataclass(frozen=True, kw_only=True)
class CacheCommand:
    """Look after an embedding cache: show what it holds (info), check every byte (verify), drop spaces (prune), fold
    other caches in (merge), or write spaces for other programs (export)."""

    action: Literal["info", "verify", "prune", "merge", "export"] = argument("what to do", "info")
    cache: Path = argument("the cache file", DEFAULT_CACHE)
    names: tuple[str, ...] = argument("prune, export: encoders; merge: other cache files", ())
    to: Path | None = option("export: the folder to write into", metavar="FOLDER")
    format: Literal["parquet", "npy", "safetensors"] = option("export: kind of file", "parquet")
    json: bool = option("print one JSON object", False)


@dataclass(frozen=True)
class SpaceSummary:
    """One row of the table."""

    encoder: str
    kind: str
    rows: int
    dim: int
    dtype: str
    bytes: int
    failed: int
    weights: str
    fingerprint: str
    reasons: dict[str, int]

    @classmethod
    def of(cls, space: "Space") -> "SpaceSummary":
        info = space.info
        reasons = dict(Counter(space.failures.values()).most_common())
        shape = (space.rows, info.dim, info.dtype, space.rows * info.row_bytes)
        kind, weights = (str(info.spec.get(name, "")) for name in ("kind", "weights"))
        return cls(info.name, kind, *shape, len(space.failures), weights, info.fingerprint, reasons)


@dataclass(frozen=True)
class Pending:
    """What the journal holds that no checkpoint has folded in."""

    segments: int = 0
    live: int = 0  # of them, still being written
    rows: int = 0
    failed: int = 0
    dropped: int = 0  # bytes of torn or damaged frames

    def __str__(self) -> str:
        live = f" ({self.live} being written)" if self.live else ""
        torn = f", {self.dropped:,} bytes of torn frames" if self.dropped else ""
        rows, failed = count(self.rows, "row"), count(self.failed, "failure")
        return f"{count(self.segments, 'journal segment')}{live} with {rows}, {failed}{torn}"


@dataclass(frozen=True)
class CacheInfo:
    """What `info` and `verify` say."""

    cache: Path
    bytes: int
    created: str
    spaces: list[SpaceSummary]
    pending: Pending
    verified: bool

    def to_json(self) -> dict[str, Any]:
        spaces = [vars(space) for space in self.spaces]
        return {**vars(self), "cache": self.cache.as_posix(), "spaces": spaces, "pending": vars(self.pending)}

    def __str__(self) -> str:
        size = f"{self.bytes / 1e6:,.1f} MB"
        if self.verified:
            rows, failed = (sum(getattr(space, what) for space in self.spaces) for what in ("rows", "failed"))
            counts = f"{count(len(self.spaces), 'encoder')}, {count(rows, 'row')}, {count(failed, 'failure')}"
            return f"{self.cache}: {counts}, {size}: every checksum is right" + self._pending()
        lines = [*self._table(), f"{self.cache}: {size}, created {self.created or 'not yet'}" + self._pending()]
        return "\n".join(lines)

    def _pending(self) -> str:
        return f"; pending: {self.pending}" if self.pending.segments else ""

    def _table(self) -> list[str]:
        if not self.spaces:
            return []
        width = max(len("encoder"), *(len(space.encoder) for space in self.spaces))
        lines = [
            f"{'encoder':{width}}  {'kind':5}  {'rows':>10}  {'dim':>5}  dtype    {'MB':>8}  {'failed':>6}  weights"
        ]
        for s in self.spaces:
            numbers = f"{s.rows:10,}  {s.dim:5}  {s.dtype:7}  {s.bytes / 1e6:8,.1f}  {s.failed:6,}"
            lines.append(f"{s.encoder:{width}}  {s.kind:5}  {numbers}  {s.weights[:8] or '–'}")
        for s in self.spaces:
            lines += [f"{s.encoder}: {n:,} × {why}" for why, n in list(s.reasons.items())[:REASONS]]
            if len(s.reasons) > REASONS:
                lines.append(f"{s.encoder}: {count(len(s.reasons) - REASONS, 'other reason')}")
        return lines


def count(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def pending(cache: Path) -> Pending:
    """What lies in the journal beside a cache. Looks on only: nothing is locked, and a run may be writing."""
    from embed.journal import Journal, is_live, scan

    live = rows = failed = dropped = 0
    segments = Journal(cache).segments()
    for path in segments:
        try:
            live += is_live(path)
            index = scan(path)
        except FileNotFoundError:
            continue  # folded in since
        rows += len(index.keys) if index else 0
        failed += len(index.failures) if index else 0
        dropped += index.dropped if index else path.stat().st_size
    return Pending(len(segments), live, rows, failed, dropped)


def run(config: CacheCommand) -> Result:
    """Do what the command says.

    Raises:
        InputError: there is no such cache, it cannot be trusted, a row does not match its checksum, or the action
            does not go with what else was passed.
    """
    _check(config)
    if config.action == "prune":
        from embed.maintain import prune

        return prune(config.cache, config.names)
    if config.action == "merge":
        from embed.maintain import merge

        return merge(config.cache, [Path(name) for name in config.names])
    if config.to:  # export
        from embed.export import export

        return export(config.cache, config.to, config.format, config.names)
    return look(config.cache, verify=config.action == "verify")


def _check(config: CacheCommand) -> None:
    """Refuse what would be ignored, and what is missing."""
    if config.action in ("info", "verify") and config.names:
        raise InputError(f"{config.action} takes one cache, not also {config.names[0]!r}: leave it out")
    if config.action in ("prune", "merge") and not config.names:
        what = "the encoders to drop" if config.action == "prune" else "the caches to fold in"
        raise InputError(f"{config.action} {config.cache} changes nothing: name {what}")
    if (config.action == "export") != (config.to is not None):
        raise InputError("export goes with --to FOLDER: pass both or none")


def look(path: Path, *, verify: bool) -> CacheInfo:
    """Describe a cache; `verify` also reads every row."""
    from embed.store import open_cache

    waiting = pending(path)
    if waiting.segments and not path.exists():
        return CacheInfo(path, 0, "", [], waiting, verified=False)
    with open_cache(path) as cache:
        if verify:
            faults = [fault for space in cache.spaces.values() for fault in space.faults()]
            if faults:
                more = f" and {count(len(faults) - 1, 'more fault')}" if len(faults) > 1 else ""
                raise damaged(path, faults[0] + more)
        spaces = [SpaceSummary.of(space) for space in cache.spaces.values()]
    return CacheInfo(path, path.stat().st_size, cache.created, spaces, waiting, verified=verify)


if __name__ == "__main__":
    sys.exit(main(CacheCommand, run))
