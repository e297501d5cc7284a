"""Encoders made again from what a cache says of them: the same vectors, or one line that says why not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.config import InputError
from data.posts import PostsOptions, open_posts
from embed import again
from embed.again import Lacking, embed_again, is_writable, request_of
from embed.content import content_key
from embed.encoder import Spec
from embed.extract import Extract
from embed.extract import run as extract
from embed.spaces import SpaceInfo
from embed.store import as_keys, open_cache

TEXTS = ["a cat", "two dogs", "a fish"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of three texts, MiniLM's `cls` vectors at a limit of 64 tokens, in float32."""
    place = tmp_path_factory.mktemp("again")
    pd.DataFrame({"text": TEXTS}).to_csv(place / "posts.csv", index=False)
    asked: dict[str, Any] = {"text": ("all-MiniLM-L6-v2:cls",), "tokens": 64, "dtype": "float32", "backend": "eager"}
    extract(Extract(posts=place / "posts.csv", cache=place / "cache.h5", device="cpu", **asked))
    return place / "cache.h5"


@pytest.fixture
def info(cache: Path) -> SpaceInfo:
    with open_cache(cache) as opened:
        return opened.spaces["all-MiniLM-L6-v2:cls"].info


@pytest.fixture
def described(info: SpaceInfo) -> Callable[..., SpaceInfo]:
    """The description with other settings, its fingerprint right."""

    def make(provenance: dict[str, Any] | None = None, **settings: Any) -> SpaceInfo:
        spec = Spec(**{**info.spec, **settings})
        return replace(info, spec=spec.to_json(), fingerprint=spec.key, provenance=info.provenance | (provenance or {}))

    return make


def test_the_request_is_the_one_that_was_made(info: SpaceInfo) -> None:
    request = request_of(info, {})
    assert (request.label, request.pooling, request.max_tokens) == ("all-MiniLM-L6-v2:cls", "cls", 64)
    assert (request.storage_dtype, request.backend, request.device) == ("float32", "eager", "cpu")


def test_vectors_are_those_that_the_cache_has_and_only_what_was_asked_for(
    cache: Path, info: SpaceInfo, tmp_path: Path
) -> None:
    posts = open_posts(PostsOptions(posts=cache.with_name("posts.csv")))
    wanted = [content_key(text) for text in TEXTS[1:]]
    embed_again(posts, [Lacking(info, frozenset(wanted))], tmp_path / "new.h5", {})
    with open_cache(cache) as old, open_cache(tmp_path / "new.h5") as new:
        assert list(new.spaces) == [info.name]
        before, after = old.spaces[info.name], new.spaces[info.name]
        assert after.info == before.info
        assert after.rows == 2
        keys = as_keys(wanted)
        np.testing.assert_array_equal(after.read(after.find(keys)), before.read(before.find(keys)))


def test_statistics_need_no_weights(cache: Path) -> None:
    with open_cache(cache) as opened:
        info = opened.spaces["text_statistics"].info
    request = request_of(info, {})
    assert (request.family, request.weights_file, request.label) == ("statistics", None, "text_statistics")


def test_weights_from_a_file_have_to_be_named(described: Callable[..., SpaceInfo], tmp_path: Path) -> None:
    ours = described({"weights_source": "ours.safetensors", "weights_sha256": "12" * 32}, name="my-bert")
    with pytest.raises(InputError, match=r"'ours\.safetensors', which is not here.* --weights my-bert=FILE.*extract"):
        request_of(ours, {})
    assert request_of(ours, {"my-bert": tmp_path}).weights_file == tmp_path
    from_hub = described({"weights_source": "hub", "weights_sha256": "hub"}, name="my-bert")
    assert request_of(from_hub, {}).weights_file is None


def test_vectors_of_a_gpu_need_one(described: Callable[..., SpaceInfo], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    words = r"on a GPU.*\(python -m embed\.extract POSTS --text all-MiniLM-L6-v2:cls --tokens 64 --dtype float32\)"
    with pytest.raises(InputError, match=words):
        request_of(described(compute_dtype="float16"), {})


def test_other_weights_under_the_name_are_refused(
    described: Callable[..., SpaceInfo], cache: Path, tmp_path: Path
) -> None:
    posts = open_posts(PostsOptions(posts=cache.with_name("posts.csv")))
    other = described(weights="ab" * 32)
    with pytest.raises(InputError, match=r"has weights .* here, expected abab…: pass --weights all-MiniLM-L6-v2=FILE"):
        embed_again(posts, [Lacking(other, frozenset())], tmp_path / "new.h5", {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [{"spec": {}}, {"spec": {"kind": "text"}}, {"fingerprint": "0" * 64}],
    ids=["empty", "other", "fingerprint"],
)
def test_a_description_that_was_changed_is_refused(info: SpaceInfo, change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="not described as this version does it"):
        request_of(replace(info, **change), {})


def test_a_family_of_another_version_is_refused(described: Callable[..., SpaceInfo]) -> None:
    with pytest.raises(InputError, match="not described as this version does it"):
        request_of(described(family="sounds"), {})


def test_a_place_is_writable_if_its_nearest_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(again.os, "access", lambda path, _: asked.append(path) or False)
    assert not is_writable(tmp_path / "new" / "deep" / "cache.h5")
    assert asked == [tmp_path]
