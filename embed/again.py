"""Embed further contents with encoders that are known by what a cache says of them, not by flags.

The description fixes everything that changes a vector, the device and the backend among it: new posts get the vectors
they would have had beside the old ones, or one line says why they cannot. What it does not hold is the weights: those
that came from a file have to be named again.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from data.config import InputError
from data.posts import Posts
from embed import packaged
from embed.cache import CacheWriter
from embed.encoder import Decode, Encoder, Family, Spec, gpu_expected
from embed.images import decode_mode
from embed.pipeline import embed_posts
from embed.requests import HUB, Request
from embed.seconds import Seconds
from embed.slot import Item, Slot, space_info
from embed.spaces import SpaceInfo
from embed.writer import difference, target_of


@dataclass(frozen=True)
class Lacking:
    """An encoder, and the keys of the contents that are to be embedded with it."""

    info: SpaceInfo
    keys: frozenset[bytes]


@dataclass
class _Selective(Slot):
    """A slot that leaves alone what it was not asked for: another cache has it."""

    wanted: frozenset[bytes] = frozenset()

    def lacking(self, items: Sequence[Item]) -> list[Item]:
        """What its own cache has is let through too: some of it is embedded again, as a check."""
        return super().lacking([item for item in items if item.key in self.wanted or self._done.contains(item.key)])


def embed_again(posts: Posts, lacking: Sequence[Lacking], cache: Path, files: Mapping[str, Path]) -> None:
    """Embed what is lacking of `posts` into `cache`; `files` holds the weights of encoders that came from a file.

    Raises:
        InputError: an encoder cannot be made as it is described, or the cache cannot be written.
    """
    seconds = Seconds()
    requests = [request_of(each.info, files) for each in lacking]
    encoders = [_load(request, each.info) for request, each in zip(requests, lacking, strict=True)]
    with CacheWriter(cache) as writer:
        slots: list[Slot] = []
        for each, request, encoder in zip(lacking, requests, encoders, strict=True):
            writer.open(each.info)
            slots.append(_Selective(request, writer, seconds, encoder=encoder, wanted=each.keys))
        embed_posts(posts, slots, seconds)
        writer.checkpoint()


def is_writable(cache: Path) -> bool:
    """May a cache be made or replaced there?"""
    folder = target_of(cache).absolute().parent
    return os.access(next(each for each in (folder, *folder.parents) if each.exists()), os.W_OK)


def request_of(info: SpaceInfo, files: Mapping[str, Path]) -> Request:
    """The request whose encoder has this description.

    Raises:
        InputError: the description is damaged, its weights were a file that is not named in `files`, or it was
            computed on a GPU and there is none.
    """
    spec = _spec(info)
    decode = _decode(spec)
    on_gpu = spec.compute_dtype == "float16" or decode == "gpu"
    if on_gpu and not gpu_expected("auto"):
        raise InputError(
            f"encoder {info.name!r} computed these embeddings on a GPU: expected one here too: embed the posts where "
            f"there is one ({_command(spec)}), or fit again on embeddings made here"
        )
    return Request(
        kind=spec.kind,
        family=spec.family,
        name=spec.name,
        pooling=spec.pooling,
        max_tokens=spec.max_tokens,
        weights_file=_weights(info, spec, files),
        weights=str(info.provenance.get("weights_sha256", "")),
        device="cuda" if on_gpu else "cpu",
        decode=decode,
        backend=spec.backend,
        views=spec.views,
        storage_dtype=spec.storage_dtype,
        named=True,
    )


def _spec(info: SpaceInfo) -> Spec:
    """The description as a `Spec`, if its fingerprint says that nobody changed it."""
    try:
        spec = Spec(**info.spec)
        whole = spec.key == info.fingerprint and spec.family in get_args(Family)
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise InputError(
            f"encoder {info.name!r} is not described as this version does it: expected a description that its "
            "fingerprint matches: embed the posts again with python -m embed.extract, and fit again"
        )
    return spec


def _weights(info: SpaceInfo, spec: Spec, files: Mapping[str, Path]) -> Path | None:
    """The weights file or folder; None where the hub has them, or there are none."""
    path = files.get(spec.name) or packaged.find(spec.name)
    if path is None and spec.family != "statistics" and info.provenance.get("weights_sha256") != HUB:
        source = info.provenance.get("weights_source")
        raise InputError(
            f"encoder {info.name!r} has its weights from {source!r}, which is not here: expected that file or folder: "
            f"pass --weights {spec.name}=FILE, or embed the posts first ({_command(spec)} --weights {spec.name}=FILE)"
        )
    return path


def _command(spec: Spec) -> str:
    """What embeds posts with this encoder; POSTS stands for their table."""
    pooling = "" if spec.pooling in ("", "mean") else f":{spec.pooling}"
    flags = [
        "" if spec.family == "statistics" else f"--{spec.kind} {spec.name}{pooling}",
        f"--tokens {spec.max_tokens}" if spec.kind == "text" and spec.max_tokens not in (0, 512) else "",
        f"--views {spec.views}" if spec.views else "",
        f"--dtype {spec.storage_dtype}" if spec.family != "statistics" and spec.storage_dtype != "float16" else "",
        "--decode gpu" if _decode(spec) == "gpu" else "",
    ]
    return " ".join(["python -m embed.extract POSTS", *filter(None, flags)])


def _decode(spec: Spec) -> Decode:
    return "gpu" if spec.preprocessing.get("decode") == decode_mode("gpu") else "cpu"


def _load(request: Request, info: SpaceInfo) -> Encoder:
    """The encoder, if it is the one described."""
    encoder = request.load(request.backend)
    found = space_info(request, encoder)
    if not found.same_rows(info):
        what, expected, here = difference(info, found)
        raise InputError(
            f"encoder {info.name!r} has {what} {here} here, expected {expected}: pass --weights {request.name}=FILE "
            "with the weights it had, install what made it, or embed again and fit again"
        )
    return encoder
