"""`--decode gpu` through the whole pipeline, on the CPU: the rows of the ordinary way under a Spec of their own."""

import io
import os
import subprocess
import sys
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
from sklearn.datasets import load_sample_images

from data.config import InputError
from data.posts import PostsOptions, open_posts
from embed import nvjpeg
from embed.cache import CacheWriter, open_cache
from embed.encoder import Decode
from embed.extract import Extract, run
from embed.pipeline import TOGETHER, embed_posts
from embed.requests import EncoderOptions, Request, build
from embed.seconds import Seconds
from embed.slot import Slot

ROOT = Path(__file__).parents[2]
MODEL = "test_resnet"
SPACES = (MODEL, f"{MODEL}@2views", "image_statistics")


def picture(number: int) -> bytes:
    """A part of a photograph, in one of the ways that pictures come in; every fifth is cut short."""
    pixels: np.ndarray = load_sample_images().images[number % 2]
    image = Image.fromarray(pixels[number % 200 :, 2 * number % 300 :][: 60 + number, :150])
    out = io.BytesIO()
    image.save(out, ["JPEG", "JPEG", "JPEG", "PNG"][number % 4], progressive=number % 7 == 0, quality=90)
    return out.getvalue()[: 300 if number % 5 == 4 else None]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / f"{MODEL}.safetensors"
    save_file(timm.create_model(MODEL).state_dict(), path)
    return path


def options(weights: Path) -> dict[str, Any]:
    return {"image": (MODEL,), "weights": (f"{MODEL}={weights}",), "backend": "eager", "views": 2}


def requests(weights: Path, decode: Decode) -> list[Request]:
    """Of the flags, and past the check that keeps users from decoding "on the GPU" of a CPU."""
    flags = EncoderOptions(device="cpu", **options(weights))
    return [replace(request, decode=decode) for request in build(flags) if request.kind == "image"]


def posts(folder: Path, numbers: range) -> Path:
    path = folder / "posts.parquet"
    pd.DataFrame({"photo": [picture(number) for number in numbers]}).to_parquet(path)
    return path


def embed(cache: Path, table: Path, wanted: list[Request]) -> list[Slot]:
    with CacheWriter(cache) as writer:
        slots = [Slot(request, writer, Seconds()) for request in wanted]
        embed_posts(open_posts(PostsOptions(posts=table)), slots, Seconds())
        writer.checkpoint()
    return slots


def arrays(path: Path) -> dict[str, tuple[Any, ...]]:
    with open_cache(path) as cache:
        return {
            name: (space.keys.tobytes(), space.embedding.tobytes(), sorted(space.failures.items()))
            for name, space in cache.spaces.items()
        }


def test_the_rows_are_those_of_the_ordinary_way_and_taken_together(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in another order, with other pictures in a call of the decoder."""
    calls, real = [], nvjpeg.decode_jpeg

    def counted(encoded: list[torch.Tensor], **more: Any) -> Any:
        calls.append(len(encoded))
        return real(encoded, **more)

    monkeypatch.setattr(nvjpeg, "decode_jpeg", counted)
    for name, decode, numbers in (
        ("cpu", "cpu", range(90)),
        ("gpu", "gpu", range(90)),
        ("turned", "gpu", range(89, -1, -1)),
    ):
        slots = embed(tmp_path / name, posts(tmp_path, numbers), requests(weights, decode))  # type: ignore[arg-type]
        assert [slot.failures for slot in slots] == [{"truncated": 18}] * 3
    ordinary = [n for n in range(90) if n % 4 != 3 and n % 7 and n % 5 != 4]
    assert sum(calls) == 2 * len(ordinary)
    assert max(calls) > 10
    assert arrays(tmp_path / "cpu") == arrays(tmp_path / "gpu") == arrays(tmp_path / "turned")
    assert set(arrays(tmp_path / "gpu")) == set(SPACES)


def test_other_pixels_are_another_spec_and_another_digest(tmp_path: Path, weights: Path) -> None:
    table = posts(tmp_path, range(3))
    cpu, gpu = (embed(tmp_path / decode, table, requests(weights, decode)) for decode in TOGETHER)
    for one, other in zip(cpu, gpu, strict=True):
        assert one.request.label == other.request.label
        assert one.request.digest != other.request.digest
        assert one.load().spec.key != other.load().spec.key
        assert other.load().spec.preprocessing["decode"] == "nvjpeg-1+simplejpeg+pil-1"
        assert "torchvision" in other.request.provenance()["versions"]
    with pytest.raises(InputError, match=r"--rebuild test_resnet$"):
        embed(tmp_path / "cpu", table, requests(weights, "gpu"))


def test_a_resumed_run_embeds_only_what_is_new(tmp_path: Path, weights: Path) -> None:
    embed(tmp_path / "cache", posts(tmp_path, range(20)), requests(weights, "gpu"))
    slots = embed(tmp_path / "cache", posts(tmp_path, range(25)), requests(weights, "gpu"))
    assert [(slot.cached, slot.embedded) for slot in slots] == [(16, 4)] * 3


@pytest.mark.parametrize("flags", [["--device", "cpu"], []])
def test_without_a_gpu_it_is_refused_in_one_line(tmp_path: Path, flags: list[str]) -> None:
    command = [sys.executable, "-m", "embed.extract", "--decode", "gpu", *flags, str(posts(tmp_path, range(1)))]
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=hidden, capture_output=True, text=True, check=False)
    device = flags[1] if flags else "auto"
    line = f"error: --decode gpu with --device {device}: expected an NVIDIA GPU: leave --decode out\n"
    assert (done.returncode, done.stderr) == (2, line)
    assert not (tmp_path / "cache.h5").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_torch_does_not_see(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(InputError, match="torch sees no CUDA device"):
        run(
            Extract(
                posts=posts(tmp_path, range(1)),
                cache=tmp_path / "cache.h5",
                decode="gpu",
                device="cuda",
                **options(weights),
            )
        )
    assert not (tmp_path / "cache.h5").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_about_the_same_rows(tmp_path: Path, weights: Path) -> None:
    table = posts(tmp_path, range(60))
    rows = []
    for decode in TOGETHER:
        cache = tmp_path / f"{decode}.h5"
        run(Extract(posts=table, cache=cache, decode=decode, device="cuda", **options(weights)))
        with h5py.File(cache) as file:
            rows.append((file[MODEL]["key"][:], file[MODEL]["embedding"][:].astype(np.float32)))
    (keys, cpu), (same, gpu) = rows
    assert np.array_equal(keys, same)
    cosine = (cpu * gpu).sum(1) / np.linalg.norm(cpu, axis=1) / np.linalg.norm(gpu, axis=1)
    assert cosine.min() > 0.999
