"""Command: embed every post of a table once, into an HDF5 cache.

A second run over the same posts hashes them, finds every key in the cache, and imports no torch: seconds instead of
the minutes or hours of the first.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.config import InputError, main, option
from data.posts import PostsOptions, open_posts
from embed.requests import EncoderOptions, build

if TYPE_CHECKING:
    from data.posts import Posts
    from embed.content import Kind
    from embed.requests import Request
    from embed.seconds import Seconds
    from embed.slot import Slot

DEFAULT_CACHE = Path("cache.h5")


@dataclass(frozen=True, kw_only=True)
class Extract(EncoderOptions, PostsOptions):
    """Read every picture and text once with frozen encoders; keep the embeddings in an HDF5 cache."""

    cache: Path = option("where the embeddings are kept", DEFAULT_CACHE, metavar="FILE")
    rebuild: tuple[str, ...] = option(
        "embed again with these encoders, in place of what another model left under their names", (), metavar="NAME"
    )
    json: bool = option("print one JSON object at the end instead of the table", False)


@dataclass(frozen=True)
class EncoderCounts:
    """What became of the distinct contents of one encoder. The three add up to all of them."""

    kind: str
    embedded: int
    cached: int
    failed: int
    reasons: dict[str, int]
    first: dict[str, str]  # reason → id of the first post it happened to
    backend: str = ""  # "" where no model was loaded
    race: dict[str, float | str] = field(default_factory=dict)  # forward passes a second of each backend


@dataclass(frozen=True)
class Extracted:
    """The outcome of one extraction."""

    posts: int
    encoders: dict[str, EncoderCounts]
    unread: dict[str, dict[str, int]]  # kind → reason → posts without a readable picture or text
    seconds: "Seconds"
    cache: Path

    def _sum(self, name: str) -> int:
        return sum(getattr(counts, name) for counts in self.encoders.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "posts": self.posts,
            "embedded": self._sum("embedded"),
            "cached": self._sum("cached"),
            "failed": self._sum("failed"),
            "seconds": self.seconds.to_json(),
            "cache": self.cache.as_posix(),
            "encoders": {label: asdict(counts) for label, counts in self.encoders.items()},
            "unread": self.unread,
        }

    def __str__(self) -> str:
        width = max(len("encoder"), *(len(label) for label in self.encoders))
        lines = [f"{'encoder':{width}}  {'kind':5}  {'embedded':>8}  {'cached':>8}  {'failed':>6}"]
        for label, c in self.encoders.items():
            lines.append(f"{label:{width}}  {c.kind:5}  {c.embedded:8,}  {c.cached:8,}  {c.failed:6,}")
        lines += [f"no {kind}: {_reasons(reasons)}" for kind, reasons in self.unread.items() if reasons]
        for label, c in self.encoders.items():
            lines += [f"{label}: {n:,} × {why} (first: post {c.first[why]!r})" for why, n in c.reasons.items()]
        lines += [_race(label, c) for label, c in self.encoders.items() if c.race]
        return "\n".join([*lines, f"{self.posts:,} posts in {self.seconds}", f"cache: {self.cache}"])


def _race(label: str, counts: EncoderCounts) -> str:
    rates = {name: rate for name, rate in counts.race.items() if isinstance(rate, float)}
    best = rates.pop(counts.backend)
    others = [f"{best / rate:.1f} × {name}" for name, rate in rates.items() if rate]
    others += [f"{name} out ({why})" for name, why in counts.race.items() if isinstance(why, str)]
    return f"{label}: computed by {counts.backend}" + (f", {', '.join(others)}" if others else "")


def _reasons(reasons: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {why}" for why, n in reasons.items())


def run(config: Extract) -> Extracted:
    """Embed what the cache lacks.

    Raises:
        InputError: the table, an encoder, its weights or the cache cannot be used; the cache stays as it was.
    """
    from embed.seconds import Seconds

    seconds = Seconds()
    with seconds.measure("total"):
        posts = open_posts(config)
        requests = build(config)
        by_kind = {"image": posts.image_column, "text": posts.text_column}
        usable = [request for request in requests if by_kind[request.kind]]
        named = [r.name for r in requests if r not in usable and r.named]
        if named or not usable:
            raise InputError(_nothing_to_read(posts.path, named, posts.columns))
        known = {request.label for request in usable}
        if unknown := [name for name in config.rebuild if name not in known]:
            raise InputError(f"--rebuild {unknown[0]!r} is none of this run's encoders ({', '.join(sorted(known))})")
        slots, unread = embed_into(config.cache, posts, usable, seconds, config.rebuild)
    return Extracted(
        len(posts), {slot.label: _counts(slot) for slot in slots}, _plain_counts(unread), seconds, config.cache
    )


def embed_into(
    cache: Path, posts: "Posts", requests: "Sequence[Request]", seconds: "Seconds", rebuild: Sequence[str] = ()
) -> "tuple[list[Slot], dict[Kind, Counter[str]]]":
    """Embed what a cache lacks of posts with the encoders asked for; also why posts had nothing to read, by kind.

    Raises:
        InputError: an encoder, its weights or the cache cannot be used; the cache stays as it was.
    """
    from embed.cache import CacheWriter
    from embed.pipeline import embed_posts
    from embed.slot import Slot

    with CacheWriter(cache) as writer:
        slots = [Slot(request, writer, seconds, rebuild=request.label in rebuild) for request in requests]
        unread = embed_posts(posts, slots, seconds)
        with seconds.measure("write"):
            writer.checkpoint()
    return slots, unread


def _nothing_to_read(path: Path, named: list[str], columns: tuple[str, ...]) -> str:
    what = f"for {', '.join(map(repr, named))}" if named else "with pictures or texts"
    found = ", ".join(columns[:12])
    flags = "--image-column or --text-column"
    return f"{path} has no column {what} (found {found}): rename one to 'photo' or 'text', or pass {flags}"


def _counts(slot: "Slot") -> EncoderCounts:
    return EncoderCounts(
        kind=slot.request.kind,
        embedded=slot.embedded,
        cached=slot.cached,
        failed=slot.failures.total(),
        reasons=dict(slot.failures.most_common()),
        first=slot.first_failed,
        backend=slot.encoder.spec.backend if slot.encoder else "",
        race=slot.encoder.race if slot.encoder else {},
    )


def _plain_counts(unread: "dict[Any, Counter[str]]") -> dict[str, dict[str, int]]:
    return {kind: dict(counter.most_common()) for kind, counter in unread.items()}


if __name__ == "__main__":
    sys.exit(main(Extract, run))
