"""Posts → keys → decode threads → fixed-shape batches → encoders → cache, in one pass over the table.

Every content is decoded once for all encoders that lack it, while the encoders compute. A batch has a fixed shape
per encoder and bucket, so a row's bytes do not depend on its batch mates, and with them not on interruptions or on
the order of the posts. The price is a few padded rows in the last batch of each bucket.
"""

import contextlib
import os
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from data.posts import Batch, Fault, Posts
from embed.cache import CacheWriter, SpaceInfo
from embed.content import KINDS, Kind, content_key, contents
from embed.encoder import Encoder, UnreadableContent
from embed.images import decode
from embed.requests import Request

THREADS = min(8, os.cpu_count() or 1)
QUEUE = 64  # decoded contents waiting for an encoder: 64 × 0.6 MB for a 224 × 224 float32 picture


class Prepared(NamedTuple):
    """One content, decoded and prepared for each encoder that lacks it; or why it could not be."""

    key: bytes
    first_id: str
    outcome: "dict[str, Any | UnreadableContent]"  # encoder label → prepared content or the reason
    seconds: float


@dataclass
class Seconds:
    """Where the time of a run went. `decode` adds up over threads that work while the encoder does."""

    read: float = 0.0
    load: float = 0.0
    decode: float = 0.0
    encode: float = 0.0
    write: float = 0.0
    total: float = 0.0

    @contextlib.contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, stage, getattr(self, stage) + time.perf_counter() - start)


@dataclass
class Slot:
    """One encoder's place in a run: what the cache has of it, what waits for a full batch, what was counted."""

    request: Request
    writer: CacheWriter
    seconds: Seconds
    rebuild: bool = False
    encoder: Encoder | None = None
    embedded: int = 0
    cached: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    first_failed: dict[str, str] = field(default_factory=dict)  # reason → id of the first post
    _seen: set[bytes] = field(default_factory=set)
    _waiting: dict[int, list[tuple[bytes, str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Decide whether what the cache holds under this name was made by this very encoder."""
        self._done = self.writer.done(self.label)
        info = self._done.info
        if info is not None and (self.rebuild or info.request != self.request.digest):
            self.load()
            self._done = self.writer.done(self.label)

    @property
    def label(self) -> str:
        return self.request.label

    def load(self) -> Encoder:
        """Load the model on first need; refuses a cache whose vectors another model made."""
        if self.encoder is None:
            with self.seconds.measure("load"):
                self.encoder = self.request.load()
            self.writer.open(_space_info(self.request, self.encoder), rebuild=self.rebuild)
        return self.encoder

    def wants(self, key: bytes, post_id: str) -> bool:
        """Is this content new? Counts it once, as cached, failed before, or to be embedded."""
        if key in self._seen:
            return False
        self._seen.add(key)
        if key in self._done.failures:
            self.fail(key, self._done.failures[key], post_id, commit=False)
        elif self._done.contains(key):
            self.cached += 1
        else:
            return True
        return False

    def add(self, item: Prepared) -> None:
        """Take one prepared content; encode when its bucket is full."""
        outcome = item.outcome[self.label]
        if isinstance(outcome, UnreadableContent):
            self.fail(item.key, outcome.reason, item.first_id)
            return
        encoder = self.load()
        bucket = encoder.bucket(outcome)
        waiting = self._waiting.setdefault(bucket, [])
        waiting.append((item.key, item.first_id, outcome))
        if len(waiting) == encoder.batch_rows(bucket):
            self._encode(bucket)

    def flush(self) -> None:
        """Encode what still waits."""
        for bucket in sorted(self._waiting):
            self._encode(bucket)

    def fail(self, key: bytes, reason: str, post_id: str, *, commit: bool = True) -> None:
        self.failures[reason] += 1
        self.first_failed.setdefault(reason, post_id)
        if commit:
            self.load()
            self.writer.fail(self.label, key, reason)

    def _encode(self, bucket: int) -> None:
        waiting = self._waiting.pop(bucket)
        with self.seconds.measure("encode"):
            rows = self.load().encode([prepared for _, _, prepared in waiting])
        with self.seconds.measure("write"):
            finite = np.isfinite(rows).all(axis=1)
            good = [key for (key, _, _), fine in zip(waiting, finite, strict=True) if fine]
            for (key, post_id, _), fine in zip(waiting, finite, strict=True):
                if not fine:
                    self.fail(key, "the embedding is not finite", post_id)
            self.writer.append(self.label, good, rows[finite])
        self.embedded += len(good)


def _space_info(request: Request, encoder: Encoder) -> SpaceInfo:
    spec = encoder.spec
    return SpaceInfo(
        name=request.label,
        fingerprint=spec.key,
        request=request.digest,
        spec=spec.to_json(),
        dim=encoder.dim,
        dtype=spec.storage_dtype,
        provenance=request.provenance(),
    )


def embed_posts(posts: Posts, slots: list[Slot], seconds: Seconds) -> dict[Kind, Counter[str]]:
    """Embed every picture and text of `posts` that a slot's cache space lacks; commits as it goes.

    Returns, for each kind of content, how many posts had none ("missing") or could not be read, by reason.
    """
    unread: dict[Kind, Counter[str]] = {kind: Counter() for kind in KINDS}
    by_kind = {kind: [slot for slot in slots if slot.request.kind == kind] for kind in KINDS}
    by_label = {slot.label: slot for slot in slots}
    queue: deque[Future[Prepared]] = deque()

    def collect(limit: int) -> None:
        while len(queue) > limit:
            item = queue.popleft().result()
            seconds.decode += item.seconds
            for label in item.outcome:
                by_label[label].add(item)

    with ThreadPoolExecutor(THREADS) as pool, _progress(len(posts)) as bar:
        try:
            for batch in _timed(posts.batches(), seconds):
                for post_id, content, wanting in _new_contents(batch, by_kind, unread):
                    encoders = {slot.label: slot.load() for slot in wanting}
                    queue.append(pool.submit(prepare, content, content_key(content), post_id, encoders))
                    collect(QUEUE)
                bar.update(len(batch.ids))
            collect(0)
        except BaseException:  # also Ctrl-C: do not leave decode threads working for nobody; raised again below
            pool.shutdown(cancel_futures=True)
            raise
    for slot in slots:
        slot.flush()
    return unread


def _new_contents(
    batch: Batch, slots: dict[Kind, list[Slot]], unread: dict[Kind, Counter[str]]
) -> Iterator[tuple[str, bytes | str, list[Slot]]]:
    """(post id, content, the slots that lack it) of a batch; counts what is missing or cannot be read."""
    for kind in KINDS:
        for post_id, content in contents(batch, kind):
            if content is None or isinstance(content, Fault):
                unread[kind]["missing" if content is None else content.reason] += 1
                continue
            key = content_key(content)
            wanting = [slot for slot in slots[kind] if slot.wants(key, post_id)]
            if wanting:
                yield post_id, content, wanting


def prepare(content: bytes | str, key: bytes, first_id: str, encoders: dict[str, Encoder]) -> Prepared:
    """Decode a content once and prepare it for each encoder. Runs in a thread; a bad content is an outcome."""
    start = time.perf_counter()
    outcome: dict[str, Any | UnreadableContent] = {}
    try:
        decoded = decode(content) if isinstance(content, bytes) else content
    except UnreadableContent as why:
        return Prepared(key, first_id, dict.fromkeys(encoders, why), time.perf_counter() - start)
    for label, encoder in encoders.items():
        try:
            outcome[label] = encoder.prepare(decoded)
        except UnreadableContent as why:
            outcome[label] = why
    return Prepared(key, first_id, outcome, time.perf_counter() - start)


def _timed(batches: Iterator[Any], seconds: Seconds) -> Iterator[Any]:
    while True:
        with seconds.measure("read"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _progress(total: int) -> "tqdm[Any]":
    return tqdm(total=total, desc="embedding", unit=" posts", disable=None, leave=False, delay=1)
