"""Content keys: what an embedding is addressed by.

A key is the SHA-256 of a picture's bytes or of a cleaned text, never a path or a row number: renaming, reordering
or repeating a post recomputes nothing. Hashing costs 0.05 ms a picture, 1.7 % of decoding it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from data.posts import Fault
from data.progress import bar
from embed.parallel import THREADS, spread

if TYPE_CHECKING:
    import numpy as np

    from data.posts import Batch, Posts

Kind = Literal["image", "text"]
KINDS: tuple[Kind, Kind] = ("image", "text")
KEY_BYTES = 32


def content_key(content: bytes | str) -> bytes:
    """SHA-256 of a picture's bytes or of a cleaned text's UTF-8, 32 bytes."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).digest()


def content_keys(found: "Sequence[bytes | str]") -> list[bytes]:
    """The keys of many contents; those of pictures are computed by several threads, at 1.7 GB/s each."""
    share = max(1, -(-len(found) // THREADS))
    shares = [found[start : start + share] for start in range(0, len(found), share)]
    heavy = sum(map(len, found)) > 1_000_000  # else a thread costs more than it saves
    return [key for keys in (spread if heavy else map)(_keys, shares) for key in keys]


def _keys(found: "Sequence[bytes | str]") -> list[bytes]:
    return [content_key(content) for content in found]


def contents(batch: "Batch", kind: Kind) -> "Iterator[tuple[str, bytes | str | Fault | None]]":
    """(id, content) of each post of a batch: bytes, cleaned text, None where there is none, or why it cannot be read.

    An empty text is a missing one; an empty picture file is a picture, and an unreadable one.
    """
    if kind == "text":
        yield from zip(batch.ids, (text or None for text in batch.texts), strict=True)
    else:
        yield from zip(batch.ids, batch.images, strict=True)


@dataclass(frozen=True)
class ContentKeys:
    """The keys of one kind of content for all posts of a table, in the table's order."""

    keys: "np.ndarray"  # uint8 (n, 32), zeros where there is no content
    present: "np.ndarray"  # bool (n,)
    faults: Counter[str] = field(default_factory=Counter)  # reason → how many posts

    def take(self, rows: "np.ndarray") -> "ContentKeys":
        """The keys of some posts only, `rows` int64 (m,); the faults of the whole table are kept."""
        return ContentKeys(self.keys[rows], self.present[rows], self.faults)

    def identities(self) -> "np.ndarray":
        """int64 (n,): equal numbers are equal contents, −1 is no content."""
        import numpy as np

        ids = np.full(len(self.keys), -1, dtype=np.int64)
        if self.present.any():
            rows = np.ascontiguousarray(self.keys[self.present]).view(f"V{KEY_BYTES}")[:, 0]
            ids[self.present] = np.unique(rows, return_inverse=True)[1]
        return ids


def read_keys(posts: "Posts") -> dict[Kind, ContentKeys]:
    """Hash every picture and text of a table, one batch in memory at a time."""
    import numpy as np

    found: dict[Kind, ContentKeys] = {
        kind: ContentKeys(np.zeros((len(posts), KEY_BYTES), np.uint8), np.zeros(len(posts), bool)) for kind in KINDS
    }
    with bar(len(posts), "hashing") as shown:
        for batch in posts.batches():
            for kind, table in found.items():
                found_rows, readable = [], []
                for row, (_, content) in enumerate(contents(batch, kind), start=batch.start):
                    if isinstance(content, Fault):
                        table.faults[content.reason] += 1
                    elif content is not None:
                        found_rows.append(row)
                        readable.append(content)
                keys = np.frombuffer(b"".join(content_keys(readable)), np.uint8)
                table.keys[found_rows] = keys.reshape(-1, KEY_BYTES)
                table.present[found_rows] = True
            shown.update(len(batch.ids))
    return found
