"""The frames of a journal segment: batches of rows, or one failure, each with the crc32 of all of it.

    frame    b"FRAM" | kind | n | uint64 size | crc32 of all else | keys | rows, or one key | reason; padded to 8 bytes

Heads are walked first, 4 µs each; what they promise is then read and checked in threads, at 2 GB/s each.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from embed.parallel import spread
from embed.spaces import KEY_BYTES

FRAME = struct.Struct("<4sIIQ")  # tag, kind, rows, bytes of payload; a crc32 follows
CRC = struct.Struct("<I")
HEAD = FRAME.size + CRC.size
TAG = b"FRAM"
ROWS, FAIL = 1, 2
MAX_REASON = 300  # bytes
GROUP = 64  # frames that one thread checks at a time


class Frame(NamedTuple):
    """Where a frame's payload lies, if the frame is whole."""

    kind: int
    n: int
    head: bytes
    start: int
    size: int
    end: int


def packed(kind: int, n: int, *parts: "bytes | memoryview") -> list[Any]:
    """A frame of `n` rows or one failure, to be written in one go."""
    size = sum(map(len, parts))
    head = FRAME.pack(TAG, kind, n, size)
    crc = zlib.crc32(head)
    padded = [*parts, bytes(-size % 8)]
    for part in padded:
        crc = zlib.crc32(part, crc)
    return [head, CRC.pack(crc), *padded]


def walk(handle: int, at: int, end: int, row_bytes: int) -> Iterator[Frame]:
    """What looks like frames, by their heads alone; stops at the end, and at whatever is no frame."""
    per_row = KEY_BYTES + row_bytes
    while len(head := os.pread(handle, HEAD, at)) == HEAD:
        tag, kind, n, size = FRAME.unpack_from(head)
        fits = size == n * per_row if kind == ROWS else kind == FAIL and 0 <= size - KEY_BYTES <= MAX_REASON
        after = at + HEAD + size + -size % 8
        if tag != TAG or not n or not fits or after > end:
            return
        yield Frame(kind, n, head, at + HEAD, size, after)
        at = after


def whole(handle: int, frames: Sequence[Frame]) -> Iterator[tuple[Frame, bytes]]:
    """The frames up to the first damaged one, each with its keys, or with the key and reason of a failure."""
    groups = [frames[at : at + GROUP] for at in range(0, len(frames), GROUP)]
    for group, found in zip(groups, spread(partial(_checked, handle), groups), strict=True):
        yield from zip(group, found, strict=False)
        if len(found) < len(group):
            return


def _checked(handle: int, frames: Sequence[Frame]) -> list[bytes]:
    buffer = memoryview(bytearray(max(frame.end - frame.start for frame in frames)))
    found = []
    for kind, n, head, start, size, end in frames:
        rest = buffer[: end - start]
        whole = os.preadv(handle, [rest], start) == end - start
        if not whole or head[FRAME.size :] != CRC.pack(zlib.crc32(rest, zlib.crc32(head[: FRAME.size]))):
            break
        found.append(bytes(rest[: n * KEY_BYTES if kind == ROWS else size]))
    return found
