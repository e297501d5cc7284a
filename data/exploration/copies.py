"""Posts that share a picture or a text: their features are the same, so one of them gives the other away.

Over a fold's border such a copy flatters every score; `regress.fit` purges the copies of test posts from training.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHOWN = 5  # largest clusters


@dataclass(frozen=True)
class Cluster:
    """Posts with one content."""

    posts: int
    first: tuple[str, ...]  # ids of the first of them
    excerpt: str | None  # the start of their text


@dataclass(frozen=True)
class Copies:
    """Clusters of two posts or more with one content, largest first."""

    clusters: int
    posts: int  # in any of them
    largest: tuple[Cluster, ...]


def copies(identities: NDArray[np.int64], ids: list[str], excerpts: dict[int, str]) -> Copies:
    """Count clusters; `identities` (n,) says which posts are equal, −1 is no content."""
    there = identities[identities >= 0]
    sizes = np.bincount(there, minlength=1)
    again = np.flatnonzero(sizes > 1)
    largest = again[np.argsort(-sizes[again], kind="stable")][:SHOWN]
    shown = [
        Cluster(
            int(sizes[number]),
            tuple(ids[row] for row in np.flatnonzero(identities == number)[:3]),
            excerpts.get(int(number)),
        )
        for number in largest
    ]
    return Copies(len(again), int(sizes[again].sum()), tuple(shown))


def sharing(*identities: NDArray[np.int64]) -> int:
    """Posts that have any of their contents in common with another post; each (n,)."""
    shared = np.zeros(len(identities[0]), dtype=bool)
    for numbers in identities:
        there = numbers >= 0
        shared[there] |= np.bincount(numbers[there], minlength=1)[numbers[there]] > 1
    return int(shared.sum())
