"""Posts on disk with a cache of made-up embeddings, for tests that run `regress.fit` as a user does."""

from pathlib import Path

import numpy as np
import pandas as pd

from embed.content import content_key
from embed.spaces import SpaceInfo
from embed.writer import CacheWriter


def make_posts(folder: Path, n: int, dim: int) -> None:
    """posts.csv of n posts, and the cache.h5 of two encoders of their texts, of `dim` and 10 columns; two tell."""
    rng = np.random.default_rng(0)
    signal, view = rng.normal(size=n), rng.integers(100, 900, n)
    texts = [f"text {number}" for number in range(n)]
    columns = {"text": texts, "view": view, "like": rng.binomial(view, 1 / (1 + np.exp(3 - signal)))}
    pd.DataFrame(columns).to_csv(folder / "posts.csv", index=False)
    keys = [content_key(text) for text in texts]
    with CacheWriter(folder / "cache.h5") as writer:
        for name, size in (("all-MiniLM-L6-v2", dim), ("second", 10)):
            spec = {"kind": "text", "family": "transformers", "weights": "ab" * 32}
            writer.open(SpaceInfo(name, content_key(name).hex(), "", spec, size, "float32", {}))
            rows = rng.normal(size=(n, size)) + np.outer(signal, np.arange(size) < 2)
            writer.append(name, keys, rows.astype(np.float32))
        writer.checkpoint()
