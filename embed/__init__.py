"""Posts to embeddings, once: frozen encoders, and the cache their vectors are kept in."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embed.cached import CachedEmbeddings

__all__ = ["CachedEmbeddings"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("embed.cached"), name)  # here, so that --help of the commands stays light
