"""One encoder's place in a run: what the cache has of it, what waits for a full batch, what was counted."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from data.config import InputError
from embed.cache import ABSENT, FAILED, CacheWriter, SpaceInfo, open_cache
from embed.encoder import Encoder, UnreadableContent, pick_device
from embed.images import decode
from embed.requests import Request
from embed.seconds import Seconds
from embed.store import as_keys

CANARIES = 4  # contents of the cache that a resumed run embeds again
AGREEMENT = 1e-2  # ‖difference‖ / ‖stored vector‖; float16 costs 5e-4, another backend at most 1e-4


@dataclass(frozen=True)
class Item:
    """A content on its way: its key, and the post that had it first."""

    key: bytes
    row: int
    post_id: str
    content: Any


Batch = list[tuple[Item, Any]]  # with what the encoder made of it


@dataclass
class Slot:
    """The state of one encoder. Threads may call `add` and `encode`, the main one all of it.

    Raises:
        InputError: the cache holds this name with the vectors of another model.
    """

    request: Request
    writer: CacheWriter
    seconds: Seconds
    rebuild: bool = False
    encoder: Encoder | None = None
    embedded: int = 0
    cached: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, Batch] = {}
        self._held = 0
        self._first: dict[str, tuple[int, str]] = {}  # reason → the first row and its id
        self._canaries: list[Item] = []
        self._done = self.writer.done(self.label)
        info = self._done.info
        if info is not None and (self.rebuild or info.request != self.request.digest):
            self.load()
            self._done = self.writer.done(self.label)

    @property
    def label(self) -> str:
        return self.request.label

    @property
    def first_failed(self) -> dict[str, str]:
        """Reason → id of the first post it happened to."""
        return {reason: post_id for reason, (_, post_id) in self._first.items()}

    def load(self) -> Encoder:
        """Load the model on first need, with the backend that made the cache's rows."""
        if self.encoder is None:
            held = None if self.rebuild or self._done.info is None else self._done.info.spec.get("backend")
            with self.seconds.measure("load"):
                self.encoder = self.request.load(held)
            self.writer.open(space_info(self.request, self.encoder), rebuild=self.rebuild)
        return self.encoder

    def check_canaries(self) -> None:
        """Embed some of the cache's contents again, once: newer libraries must not add other vectors to its own.

        Raises:
            InputError: a vector differs by more than 1 % of its length.
        """
        canaries, self._canaries = self._canaries, []
        if not canaries or not self.writer.path.exists():
            return
        encoder = self.load()
        with open_cache(self.writer.path) as cache:
            space = cache.spaces.get(self.label)
            keys = as_keys([item.key for item in canaries])
            rows = space.find(keys) if space and space.info.fingerprint == encoder.spec.key else np.full(len(keys), -1)
            for item, row in zip(canaries, rows.tolist(), strict=True):
                content = next(read([item], self.request))
                outcome = prepare(item, content, {self.label: encoder})[self.label]
                if space is None or row < 0 or isinstance(outcome, UnreadableContent):
                    continue  # only in the journal yet
                stored, again = space.read(np.array([row]))[0], encoder.encode([outcome])[0]
                difference = float(np.linalg.norm(again - stored) / max(float(np.linalg.norm(stored)), 1e-12))
                if not difference <= AGREEMENT:
                    made_with = space.info.provenance.get("versions", {})
                    raise InputError(
                        f"{self.writer.path} holds {self.label!r} of post {item.post_id!r}, and this run computes a "
                        f"vector that differs by {difference:.1%}: install what made it ({_names(made_with)}), use "
                        f"another --cache, or drop it with python -m embed.cache prune {self.writer.path} {self.label}"
                    )

    def lacking(self, items: Sequence[Item]) -> list[Item]:
        """Those of `items` that are to be embedded; counts the others as cached, or failed before."""
        lacking = []
        rows = self._done.find(as_keys([item.key for item in items]))
        for item, row in zip(items, rows.tolist(), strict=True):
            if row == ABSENT:
                lacking.append(item)
            elif row == FAILED:
                self._count_failure(item, self._done.failures[item.key])
            else:
                self.cached += 1
                if self.cached <= CANARIES:
                    self._canaries.append(item)
        return lacking

    def add(self, item: Item, outcome: "Any | UnreadableContent") -> list[Batch]:
        """Take one prepared content, or why there is none; returns the batches that are now to be encoded."""
        if isinstance(outcome, UnreadableContent):
            self._fail(item, outcome.reason)
            return []
        encoder = self.load()
        with self._lock:
            bucket = encoder.bucket(outcome)
            self._waiting.setdefault(bucket, []).append((item, outcome))
            self._held += 1
            if encoder.window == 0:
                return self._take(bucket, encoder.batch_rows(bucket), partly=False)
            return self._longest_first(partly=False) if self._held >= encoder.window else []

    def rest(self) -> list[Batch]:
        """All batches that are left, the last ones part-filled."""
        with self._lock:
            return self._longest_first(partly=True)

    def _longest_first(self, *, partly: bool) -> list[Batch]:
        """What needs most memory comes first, and what takes longest does not come last and alone."""
        batches = []
        for bucket in sorted(self._waiting, reverse=True):
            batches += self._take(bucket, self.load().batch_rows(bucket), partly=partly)
        return batches

    def _take(self, bucket: int, size: int, *, partly: bool) -> list[Batch]:
        waiting = self._waiting[bucket]
        stop = len(waiting) if partly else len(waiting) - len(waiting) % size
        self._waiting[bucket] = waiting[stop:]
        self._held -= stop
        return [waiting[start : min(start + size, stop)] for start in range(0, stop, size)]

    def encode(self, batch: Batch) -> None:
        """Compute a batch and commit it at once."""
        with self.seconds.measure("encode"):
            rows = self.load().encode([prepared for _, prepared in batch])
        finite = np.isfinite(rows).all(axis=1)
        good = [item.key for (item, _), fine in zip(batch, finite, strict=True) if fine]
        for (item, _), fine in zip(batch, finite, strict=True):
            if not fine:
                self._fail(item, "the embedding is not finite")
        with self._lock, self.seconds.measure("write"):
            self.writer.append(self.label, good, rows[finite])
            self.embedded += len(good)

    def _fail(self, item: Item, reason: str) -> None:
        with self._lock:
            self._count_failure(item, reason)
            self.writer.fail(self.label, item.key, reason)

    def _count_failure(self, item: Item, reason: str) -> None:
        self.failures[reason] += 1
        self._first[reason] = min(self._first.get(reason, (item.row, item.post_id)), (item.row, item.post_id))


def read(items: list[Item], request: Request) -> "Iterator[Any | UnreadableContent]":
    """What encoders prepare, one after another: texts as they are, pictures decoded; a bad content is an outcome."""
    if request.kind == "image" and request.decode == "gpu":
        from embed import nvjpeg

        yield from nvjpeg.read([item.content for item in items], pick_device(request.device))
        return
    for item in items:
        try:
            decoded = decode(item.content) if isinstance(item.content, bytes) else item.content
        except UnreadableContent as why:
            yield why
        else:
            yield decoded


def prepare(item: Item, decoded: Any, encoders: dict[str, Encoder]) -> "dict[str, Any | UnreadableContent]":
    """Prepare a content for each encoder; that there is none is an outcome."""
    if isinstance(decoded, UnreadableContent):
        return dict.fromkeys(encoders, decoded)
    outcomes: dict[str, Any | UnreadableContent] = {}
    for label, encoder in encoders.items():
        try:
            outcomes[label] = encoder.prepare(decoded, item.key)
        except UnreadableContent as why:
            outcomes[label] = why
    return outcomes


def _names(versions: dict[str, str]) -> str:
    return ", ".join(f"{library} {version}" for library, version in versions.items())


def space_info(request: Request, encoder: Encoder) -> SpaceInfo:
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
