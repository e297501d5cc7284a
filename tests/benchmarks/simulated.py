"""Posts in the shape of the origin study's, with features like embeddings and a rate that an oracle knows.

    python tests/benchmarks/simulated.py [POSTS]

Two encoders' blocks share half of their latent directions, whose variances decay as real spectra do. The logit of a
post's rate is linear in the latent directions, plus products of pairs of them in a rotated basis (trees split along
columns, so this is hard for them), plus its author's own level, plus noise that no feature tells; counts are binomial.
The oracle is the mean of the rate over that noise: no model of the features can do better. Posts of one author look
alike, one in ten is a repost, with the same features. Prints the statistics that the origin's data are known by.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from data.targets import label_entropy
from embed.content import content_key
from embed.spaces import SpaceInfo
from embed.writer import CacheWriter
from regress.metrics import cross_entropy, d2

Array = NDArray[np.float64]
LATENT, DECAY = 64, 1.0  # directions of a block; the i-th has a standard deviation of 1 / i
PAIRS = 4  # products of two rotated directions
POSTS_PER_AUTHOR, LIKENESS = 25, 0.3  # likeness: the share of the latent variance that an author's posts have in common
REPOSTS = 0.1
LEVEL, LINEAR, PRODUCTS, AUTHOR, NOISE = -4.15, 1.0, 0.4, 0.2, 0.8  # of the logit: its mean, and deviations
VIEWS = (4.4, 1.1)  # mean and deviation of the trials’ logarithm


@dataclass(frozen=True)
class Posts:
    """n posts; `blocks` has one encoder's columns after the other."""

    X: NDArray[np.float32]  # (n, d)
    blocks: tuple[slice, ...]
    y: Array  # (n,) clicks / views
    trials: Array  # (n,) views
    oracle: Array  # (n,) the best prediction that the features and the author allow
    author: NDArray[np.int64]  # (n,)
    content: NDArray[np.int64]  # (n,) reposts share one

    def statistics(self) -> dict[str, float]:
        """What the simulation is to have in common with the origin's posts, and how far the oracle gets."""
        constant = np.full(len(self.y), self.y.mean())
        return {
            "mean rate": float(self.y.mean()),
            "zeros": float((self.y == 0).mean()),
            "99 % quantile": float(np.quantile(self.y, 0.99)),
            "largest rate": float(self.y.max()),
            "log loss of the mean": float(cross_entropy(self.y, constant).mean()),
            "log loss of the oracle": float(cross_entropy(self.y, self.oracle).mean()),
            "floor: label entropy": float(label_entropy(self.y).mean()),
            "D² of the oracle": d2(self.y, self.oracle, constant),
        }


def simulate(n: int = 25_000, widths: Sequence[int] = (768, 768), seed: int = 0) -> Posts:
    """Draw n posts with a block of features for each width."""
    rng = np.random.default_rng(seed)
    author = rng.integers(max(2, n // POSTS_PER_AUTHOR), size=n)
    content, again = np.arange(n), rng.random(n) < REPOSTS
    content[again] = rng.choice(content[~again], int(again.sum()))
    latent = _latent(rng, author, LATENT * (len(widths) + 1) // 2)[content]
    signal = LEVEL + LINEAR * _linear(rng, latent) + PRODUCTS * _products(rng, latent)
    signal += AUTHOR * rng.standard_normal(author.max() + 1)[author]
    trials = np.ceil(rng.lognormal(*VIEWS, n))
    y = rng.binomial(trials.astype(np.int64), expit(signal + NOISE * rng.standard_normal(n))) / trials
    X, start = np.empty((n, sum(widths)), np.float32), np.cumsum([0, *widths])
    blocks = tuple(slice(int(a), int(b)) for a, b in pairwise(start))
    for i, block in enumerate(blocks):
        X[:, block] = _embedding(rng, latent[:, i * LATENT // 2 : i * LATENT // 2 + LATENT], block.stop - block.start)
    X = X[content]  # a repost's features are its original's, whatever no direction tells included
    return Posts(X, blocks, y, trials, _over_noise(signal), author, content)


def _latent(rng: np.random.Generator, author: NDArray[np.int64], k: int) -> Array:
    """(n, k) of variance 1; those of one author's posts are correlated by `LIKENESS`."""
    common = rng.standard_normal((author.max() + 1, k))[author]
    return np.sqrt(LIKENESS) * common + np.sqrt(1 - LIKENESS) * rng.standard_normal((len(author), k))


def _linear(rng: np.random.Generator, latent: Array) -> Array:
    """(n,) of variance 1: directions count by the square root of their variance, over all blocks."""
    score = latent @ (rng.standard_normal(latent.shape[1]) * _spectrum(latent.shape[1]) ** 0.5)
    return (score - score.mean()) / score.std()


def _products(rng: np.random.Generator, latent: Array) -> Array:
    """(n,) of variance 1: the sum of products of pairs of rotated directions."""
    rotation = np.linalg.qr(rng.standard_normal((2 * PAIRS, 2 * PAIRS)))[0]
    rotated = latent[:, : 2 * PAIRS] @ rotation
    score = (rotated[:, ::2] * rotated[:, 1::2]) @ (rng.standard_normal(PAIRS) * _spectrum(PAIRS))
    return (score - score.mean()) / score.std()


def _spectrum(k: int) -> Array:
    return np.arange(1, k + 1) ** -DECAY


def _embedding(rng: np.random.Generator, latent: Array, width: int) -> NDArray[np.float32]:
    """(n, width) correlated columns: the latent directions, turned, and a little of what no direction tells."""
    axes = np.linalg.qr(rng.standard_normal((width, LATENT)))[0] * _spectrum(LATENT)
    noise = rng.standard_normal((len(latent), width), dtype=np.float32)
    return latent.astype(np.float32) @ axes.T.astype(np.float32) + np.float32(0.05 / np.sqrt(width)) * noise


def _over_noise(signal: Array) -> Array:
    """(n,) the mean of expit(signal + noise), by Gauss–Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    return expit(signal[:, None] + NOISE * nodes) @ (weights / weights.sum())


def _named(content: int) -> bytes:
    return b"picture %d" % content


def keep(
    posts: Posts,
    folder: Path,
    encoders: Mapping[str, Literal["image", "text"]],
    picture: Callable[[int], bytes] = _named,
) -> tuple[Path, Path]:
    """Write posts.parquet and cache.h5, a space for each block; reposts share their picture and text.

    `picture` gives the bytes of a content's picture; by default no picture, but something to hash.
    """
    columns: dict[str, Any] = {
        "photo": [picture(int(i)) for i in posts.content],
        "text": [f"text {i}" for i in posts.content],
        "view": posts.trials.astype(np.int64),
        "open_photo": np.rint(posts.y * posts.trials).astype(np.int64),
        "author": posts.author,
    }
    pd.DataFrame(columns).to_parquet(folder / "posts.parquet", index=False)
    first = np.unique(posts.content, return_index=True)[1]
    with CacheWriter(folder / "cache.h5") as writer:
        for (name, kind), block in zip(encoders.items(), posts.blocks, strict=True):
            family, cells = ("timm", "photo") if kind == "image" else ("transformers", "text")
            spec = {"kind": kind, "family": family, "weights": "ab" * 32}
            width = block.stop - block.start
            writer.open(SpaceInfo(name, content_key(name).hex(), "", spec, width, "float32", {}))
            writer.append(name, [content_key(columns[cells][i]) for i in first], posts.X[first, block])
        writer.checkpoint()
    return folder / "posts.parquet", folder / "cache.h5"


def main(n: int = 25_000) -> None:
    posts = simulate(n)
    print(f"{n:,} posts × {posts.X.shape[1]:,} features, {len(np.unique(posts.author)):,} authors")
    for name, value in posts.statistics().items():
        print(f"{name:24}{value:8.4f}")
    share = np.linalg.svd(posts.X[:2000] - posts.X[:2000].mean(axis=0), compute_uv=False) ** 2
    print(f"{'variance of 32 components':24}{share[:32].sum() / share.sum():8.4f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
