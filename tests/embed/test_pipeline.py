"""The flow of contents: bounded, longest texts first, one decode for all encoders, the backend that a cache began with.

Real encoders of seeded weights; what a kill or a bad picture does is tested in test_extract.py.
"""

import io
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from data.config import InputError
from data.posts import PostsOptions, open_posts
from embed import backends, pipeline, slot
from embed.cache import CacheWriter, open_cache
from embed.content import read_keys
from embed.encoder import UnreadableContent
from embed.extract import Extract, run
from embed.pipeline import embed_posts
from embed.requests import EncoderOptions, build
from embed.seconds import Seconds
from embed.slot import Item, Slot
from regress.features import read_features
from regress.heads import Attention
from regress.losses import Loss
from regress.models import Training

NAMES = ("test_resnet", "test_convnext")


def picture(seed: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    folder = tmp_path_factory.mktemp("weights")
    for name in NAMES:
        torch.manual_seed(0)
        save_file(timm.create_model(name).state_dict(), folder / f"{name}.safetensors")
    return tuple(f"{name}={folder / name}.safetensors" for name in NAMES)


def extract(folder: Path, weights: tuple[str, ...], **more: Any) -> dict[str, Any]:
    flags = {
        "image": NAMES[:1],
        "weights": weights[: len(more.get("image", "1"))],
        "backend": "eager",
        "device": "cpu",
        **more,
    }
    return run(Extract(posts=folder / "posts.parquet", cache=folder / "cache.h5", **flags)).to_json()


def posts(folder: Path, n: int, **columns: list[Any]) -> None:
    folder.mkdir(exist_ok=True)
    pd.DataFrame(columns or {"photo": [picture(seed) for seed in range(n)]}).to_parquet(folder / "posts.parquet")


def test_a_content_is_decoded_once_for_all_encoders(
    tmp_path: Path, weights: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    posts(tmp_path, 0, photo=[picture(seed % 9) for seed in range(40)])
    decoded, lock, real = [], threading.Lock(), slot.decode

    def counted(data: bytes) -> Any:
        with lock:
            decoded.append(data)
        return real(data)

    monkeypatch.setattr(slot, "decode", counted)
    report = extract(tmp_path, weights, image=NAMES, views=2)
    assert {label: counts["embedded"] for label, counts in report["encoders"].items()} == dict.fromkeys(
        ["test_resnet", "test_convnext", "test_resnet@2views", "test_convnext@2views", "image_statistics"], 9
    )
    assert len(decoded) == 9


def test_rows_are_the_same_bytes_whatever_the_order_and_the_threads(
    tmp_path: Path, weights: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [picture(seed) for seed in range(37)]
    for name, order, threads in (("a", 1, 1), ("b", -1, 7)):
        posts(tmp_path / name, 0, photo=pictures[::order])
        monkeypatch.setattr(pipeline, "THREADS", threads)
        extract(tmp_path / name, weights, views=2)
    with h5py.File(tmp_path / "a/cache.h5") as a, h5py.File(tmp_path / "b/cache.h5") as b:
        for label in ("test_resnet", "test_resnet@2views", "image_statistics"):
            for array in ("key", "embedding"):
                assert np.array_equal(a[label][array][:], b[label][array][:])


def test_a_resume_stays_with_the_backend_that_made_the_rows(
    tmp_path: Path, weights: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "RACE_SECONDS", 0.02)
    posts(tmp_path, 5)
    extract(tmp_path, weights, backend="channels_last")
    posts(tmp_path, 7)
    resumed = extract(tmp_path, weights, backend="auto")
    counts = resumed["encoders"]["test_resnet"]
    assert (counts["embedded"], counts["cached"], counts["backend"]) == (2, 5, "channels_last")
    assert counts["race"] == {}
    with pytest.raises(InputError, match=r"made with backend 'channels_last', this run has 'eager': .*--rebuild"):
        extract(tmp_path, weights, backend="eager")
    rebuilt = extract(tmp_path, weights, backend="eager", rebuild=NAMES[:1])
    assert rebuilt["encoders"]["test_resnet"]["embedded"] == 7


def test_the_race_s_winner_is_in_the_cache_and_in_the_report(
    tmp_path: Path, weights: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "RACE_SECONDS", 0.02)
    posts(tmp_path, 3)
    counts = extract(tmp_path, weights, backend="auto")["encoders"]["test_resnet"]
    assert set(counts["race"]) == {"eager", "channels_last", "openvino", "onnxruntime"}
    with h5py.File(tmp_path / "cache.h5") as file:
        assert f'"backend":"{counts["backend"]}"' in file["test_resnet"].attrs["spec"].decode()


def text_slot(tmp_path: Path, **more: Any) -> Slot:
    (request,) = build(EncoderOptions(text=("all-MiniLM-L6-v2",), statistics=False, device="cpu", backend="eager"))
    return Slot(request, CacheWriter(tmp_path / "cache.h5"), Seconds(), **more)


def test_longest_texts_first_once_a_window_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = text_slot(tmp_path)
    encoder = one.load()
    monkeypatch.setattr(encoder, "window", 100)
    lengths = np.random.default_rng(0).integers(1, 60, 130).tolist()
    batches = []
    for row, length in enumerate(lengths):
        item = Item(bytes([row]) * 32, row, str(row), "")
        taken = one.add(item, np.full(length, 5, np.int32))
        assert not taken or row >= 99
        batches.append(taken)
    first = next(taken for taken in batches if taken)
    rest = one.rest()
    for group in (first, rest):
        buckets = [encoder.bucket(batch[0][1]) for batch in group]
        assert buckets == sorted(buckets, reverse=True)
    assert all(len(batch) == encoder.batch_rows(encoder.bucket(batch[0][1])) for batch in first)
    everything = [item.row for group in [*batches, rest] for batch in group for item, _ in batch]
    assert sorted(everything) == list(range(130))
    one.writer.close()


def test_the_first_post_with_a_fault_is_the_first_in_the_table(tmp_path: Path) -> None:
    one = text_slot(tmp_path)
    one.load()
    for row in (7, 3, 5):
        one.add(Item(bytes([row]) * 32, row, f"post {row}", ""), UnreadableContent("no tokens"))
    assert one.failures == {"no tokens": 3}
    assert one.first_failed == {"no tokens": "post 3"}
    one.writer.close()


def test_an_error_while_encoding_ends_the_run_and_keeps_what_was_committed(
    tmp_path: Path, weights: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    posts(tmp_path, 150)
    calls, real = [], CacheWriter.append

    def append(self: CacheWriter, name: str, keys: Any, rows: Any) -> None:
        calls.append(name)
        if len(calls) == 4:
            raise InputError("disk full while writing")
        real(self, name, keys, rows)

    monkeypatch.setattr(CacheWriter, "append", append)
    before = threading.active_count()
    with pytest.raises(InputError, match="disk full"):
        extract(tmp_path, weights, statistics=False)
    assert threading.active_count() == before
    monkeypatch.setattr(CacheWriter, "append", real)
    report = extract(tmp_path, weights, statistics=False)
    assert report["cached"] == 3 * 16
    assert report["embedded"] == 150 - 3 * 16


def test_memory_holds_a_bounded_number_of_pictures(tmp_path: Path, weights: tuple[str, ...]) -> None:
    """The reader must not run ahead of slow encoders: at no time are more contents alive than the queues allow."""
    posts(tmp_path, 400)
    (request,) = build(EncoderOptions(image=NAMES[:1], weights=weights[:1], statistics=False, backend="eager"))
    alive, most, lock = 0, 0, threading.Lock()

    class Counted(Slot):
        def add(self, item: Item, outcome: Any) -> Any:
            nonlocal alive, most
            with lock:
                alive += 1
                most = max(most, alive)
            return super().add(item, outcome)

        def encode(self, batch: Any) -> None:
            nonlocal alive
            super().encode(batch)
            with lock:
                alive -= len(batch)

    with CacheWriter(tmp_path / "cache.h5") as writer:
        table = open_posts(PostsOptions(posts=tmp_path / "posts.parquet"))
        one = Counted(request, writer, Seconds())
        embed_posts(table, [one], Seconds())
        assert one.embedded == 400
    batches_at_once = pipeline.ENCODE_AHEAD + 1 + pipeline.THREADS + 1  # waiting, computed, held by decoders, filling
    assert most <= 16 * batches_at_once


def test_seconds_say_what_was_idle() -> None:
    seconds = Seconds(decode=6.0, encode=19.0, total=12.0, working=10.0, threads={"decode": 2, "encode": 2})
    assert (seconds.busy("decode"), seconds.busy("encode"), seconds.limit) == (0.3, 0.95, "encode")
    assert "decode 6.0 in 2 threads (30% busy)" in str(seconds)
    assert str(seconds).endswith("encoding limits")
    assert Seconds(decode=1, encode=2, working=10, threads={"decode": 2, "encode": 1}).limit == "read"
    assert Seconds(total=1.0).limit == ""
    assert seconds.to_json()["busy"] == {"decode": 0.3, "encode": 0.95}


def test_views_are_features_only_where_they_are_named(tmp_path: Path, weights: tuple[str, ...]) -> None:
    posts(tmp_path, 12)
    extract(tmp_path, weights, views=2, statistics=False)
    keys = read_keys(open_posts(PostsOptions(posts=tmp_path / "posts.parquet")))
    sets, notes = read_features(tmp_path / "cache.h5", keys, ["all", "image", "test_resnet@2views"], "posts.parquet")
    assert [one.names for one in sets] == [["test_resnet"], ["test_resnet"], ["test_resnet@2views"]]
    assert sets[2].X.shape[1] == 2 * sets[0].X.shape[1]
    assert [one.views for one in sets] == [(1,), (1,), (2,)]
    assert not notes
    data = Training(sets[2].X, np.linspace(0, 1, 12), np.ones(12), None, sets[2].slices, np.zeros(12, bool))
    model = Attention(epochs=1)
    model.fit(replace(data, views=sets[2].views), Loss.parse("bce"), 0, None)
    assert model.layout_.widths == [sets[0].X.shape[1]]


def test_a_resume_that_computes_other_vectors_is_refused(tmp_path: Path, weights: tuple[str, ...]) -> None:
    """As after an update of a library that changes results: same Spec, other numbers."""
    posts(tmp_path, 5)
    extract(tmp_path, weights, statistics=False)
    path = tmp_path / "cache.h5"
    with open_cache(path) as cache:
        space = cache.spaces["test_resnet"]
        info, keys, rows = space.info, space.keys.copy(), space.read(np.arange(5))
    path.unlink()
    with CacheWriter(path) as writer:
        writer.open(info)
        writer.append("test_resnet", [key.tobytes() for key in keys], np.roll(rows, 1, axis=1))
        writer.checkpoint()
    before = path.read_bytes()
    posts(tmp_path, 7)
    with pytest.raises(InputError, match=r"differs by .*%: install what made it \(timm .* prune .* test_resnet$"):
        extract(tmp_path, weights, statistics=False)
    assert path.read_bytes() == before
