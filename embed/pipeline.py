"""Read → hash → decode threads → fixed-shape batches → encoders → cache, in one pass over the table.

Bounded queues join the stages, so every core is at work while memory holds some dozens of pictures. A content is
decoded once for all encoders that lack it. A batch has a fixed shape per encoder and bucket, so a row's bytes do not
depend on its batch mates, and with them not on threads, interruptions or the order of the posts. The price is a few
padded rows in the last batch of each bucket.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

from data.posts import Batch, Fault, Posts
from data.progress import bar
from embed.content import KINDS, Kind, content_keys, contents
from embed.encoder import Decode
from embed.pool import Pool, ahead
from embed.seconds import Seconds
from embed.slot import Item, Slot, prepare, read

THREADS = min(16, len(os.sched_getaffinity(0)))
GPU_THREADS = 2  # that decode on a GPU: more only wait for each other's turn at the interpreter and the decoder
READ = 128  # posts of a batch
READ_AHEAD = 2  # batches
DECODE_AHEAD = 64  # contents
TOGETHER: dict[Decode, int] = {"cpu": 1, "gpu": 32}  # pictures that a decode thread takes at once: see embed.nvjpeg
TEXTS = 32  # that it takes at once: to pass one on costs as much as to tokenize it
ENCODE_AHEAD = 8  # batches: of 16 pictures of 224 × 224, 2.4 MB each

Hashed = dict[Kind, list[Item]]  # of a batch's posts with readable contents
Wanted = list[tuple[Item, list[Slot]]]  # new contents, with the slots that lack them


def embed_posts(posts: Posts, slots: list[Slot], seconds: Seconds) -> dict[Kind, Counter[str]]:
    """Embed every picture and text of `posts` that a slot's cache space lacks; commits each batch as it is computed.

    Returns, for each kind of content, how many posts had none ("missing") or could not be read, by reason.
    """
    unread: dict[Kind, Counter[str]] = {kind: Counter() for kind in KINDS}
    flow = _Flow(slots, seconds)
    try:
        with bar(len(posts), "embedding") as shown:
            for hashed in ahead(_hashed(posts, unread, seconds), READ_AHEAD):
                flow.take(hashed)
                shown.update(READ)
        flow.finish()
    finally:
        flow.close()
    return unread


def _hashed(posts: Posts, unread: dict[Kind, Counter[str]], seconds: Seconds) -> Iterator[Hashed]:
    """Batches of contents and their keys; counts what is missing or cannot be read."""
    batches = posts.batches(READ)
    while True:
        with seconds.measure("read"):
            batch = next(batches, None)
        if batch is None:
            return
        with seconds.measure("hash"):
            hashed = {kind: _items(batch, kind, unread[kind]) for kind in KINDS}
        yield hashed


def _items(batch: Batch, kind: Kind, unread: Counter[str]) -> list[Item]:
    found: list[tuple[int, str, bytes | str]] = []
    for row, (post_id, content) in enumerate(contents(batch, kind), start=batch.start):
        if content is None or isinstance(content, Fault):
            unread["missing" if content is None else content.reason] += 1
        else:
            found.append((row, post_id, content))
    keys = content_keys([content for _, _, content in found])
    return [Item(key, *each) for key, each in zip(keys, found, strict=True)]


class _Flow:
    """The threads of one run, and the contents it has seen."""

    def __init__(self, slots: list[Slot], seconds: Seconds) -> None:
        self._slots = {kind: [slot for slot in slots if slot.request.kind == kind] for kind in KINDS}
        self._seconds = seconds
        self._seen: dict[Kind, set[bytes]] = {kind: set() for kind in KINDS}
        self._together = max(TOGETHER[slot.request.decode] for slot in slots)
        self._decoders, self._encoders = Pool(DECODE_AHEAD // self._together, _begin), Pool(ENCODE_AHEAD)
        self._started: float | None = None

    def take(self, hashed: Hashed) -> None:
        """Pass on what no post before had and some slot lacks; waits when the threads are behind."""
        wanted = {kind: self._wanted(kind, hashed[kind]) for kind in KINDS}
        if not any(wanted.values()):
            return
        wanting = {id(slot): slot for items in wanted.values() for _, slots in items for slot in slots}.values()
        parallel = [slot.load().parallel for slot in wanting]
        for slot in wanting:
            slot.check_canaries()
        self._started = self._started or time.perf_counter()
        self._decoders.grow(THREADS if self._together == 1 else min(THREADS, GPU_THREADS))
        self._encoders.grow(max(parallel))
        for kind, items in wanted.items():
            step = TEXTS if kind == "text" else self._together
            for start in range(0, len(items), step):
                self._decoders.put(partial(self._decode, items[start : start + step]))

    def _wanted(self, kind: Kind, items: list[Item]) -> Wanted:
        """The contents that are new, with the slots that lack them."""
        new = {item.key: item for item in reversed(items) if item.key not in self._seen[kind]}
        self._seen[kind].update(new)
        wanting: dict[bytes, list[Slot]] = {}
        for slot in self._slots[kind]:
            for item in slot.lacking(list(new.values())):
                wanting.setdefault(item.key, []).append(slot)
        return [(new[key], slots) for key, slots in wanting.items()]

    def _decode(self, wanted: Wanted) -> None:
        """Contents of one kind: texts, pictures for a GPU, or one picture."""
        decoded = read([item for item, _ in wanted], wanted[0][1][0].request)
        with self._seconds.measure("decode"):
            outcomes = [
                prepare(item, next(decoded), {slot.label: slot.load() for slot in slots}) for item, slots in wanted
            ]
            if self._together > 1:
                _wait_for_gpu()
        for (item, slots), outcome in zip(wanted, outcomes, strict=True):
            for slot in slots:
                for batch in slot.add(item, outcome[slot.label]):
                    self._encoders.put(partial(slot.encode, batch))

    def finish(self) -> None:
        """Encode what is under way."""
        self._decoders.join()
        rest = [(slot, batch) for slots in self._slots.values() for slot in slots for batch in slot.rest()]
        with bar(sum(len(batch) for _, batch in rest), "encoding", "contents") as shown:
            for slot, batch in rest:
                self._encoders.put(partial(slot.encode, batch))
                shown.update(len(batch))
            self._encoders.join()
        if self._started is not None:
            self._seconds.working = time.perf_counter() - self._started
            self._seconds.threads = {"decode": self._decoders.threads, "encode": self._encoders.threads}

    def close(self) -> None:
        """Leave no thread working for nobody, also after an error or Ctrl-C."""
        self._encoders.close()  # first: decode threads may be waiting for it
        self._decoders.close()


def _begin() -> None:
    """Decode threads are many already: torch, if an encoder of this run uses it, must not start more inside each.

    On a GPU each has its own stream: one does not wait for another, and no one's freed memory is another's before
    its work is done.
    """
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
        if torch.cuda.is_initialized():
            torch.cuda.set_stream(torch.cuda.Stream())


def _wait_for_gpu() -> None:
    """Until all is done that this thread has asked for: from here on any stream may read it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.current_stream().synchronize()
