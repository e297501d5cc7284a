"""Beside timm's own evaluation transform: the same shapes, the same pixels within rounding, the same embeddings."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_sample_images

from embed import packaged
from embed.images import DECODE_MODE, Picture
from embed.transforms import MAX_ASPECT, Transform, middle, resize, resize_as_float
from embed.weights import read_state

data: Any = timm.data  # untyped
HALF = (0.5, 0.5, 0.5)


def config(**changes: Any) -> dict[str, Any]:
    plain = {"input_size": (3, 224, 224), "interpolation": "bicubic", "crop_pct": 0.875, "crop_mode": "center"}
    return {**plain, "mean": HALF, "std": HALF, **changes}


def noise(height: int, width: int, seed: int = 0) -> Picture:
    """Not up to black and white: PIL may filter columns first, and the clipping between the passes would differ."""
    return Picture(np.random.default_rng(seed).integers(64, 192, (height, width, 3), dtype=np.uint8), 1)


def reference(settings: dict[str, Any], picture: Picture) -> torch.Tensor:
    tensor: torch.Tensor = data.create_transform(**settings, is_training=False, normalize=False)(picture.image)
    return tensor


def photographs() -> list[Picture]:
    """Two real photographs and parts of them, from 100 × 100 to 427 × 640."""
    whole: list[np.ndarray] = load_sample_images().images
    parts = [
        photo[top : top + side, left : left + 2 * side]
        for photo in whole
        for top, left, side in ((0, 0, 100), (90, 60, 200), (30, 300, 333))
    ]
    parts += [photo[:, 100:250] for photo in whole]
    return [Picture(np.array(part), 1) for part in whole + parts]


@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(1, 120),
    width=st.integers(1, 120),
    size=st.tuples(st.integers(16, 48), st.integers(16, 48)),
    crop_mode=st.sampled_from(["center", "squash", "border", None]),
    crop_pct=st.sampled_from([0.875, 0.95, 1.0, 1.2]),
    mode=st.sampled_from(["bicubic", "bilinear", "lanczos", "nearest"]),
)
def test_the_pixels_are_timm_s(
    height: int, width: int, size: tuple[int, int], crop_mode: str | None, crop_pct: float, mode: str
) -> None:
    options = config(input_size=(3, *size), crop_mode=crop_mode, crop_pct=crop_pct, interpolation=mode, mean=(0.4,) * 3)
    picture = Picture(middle(noise(height, width).pixels), 1)
    ours, theirs = Transform(options)(picture), reference(options, picture)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype == torch.uint8
    assert (ours.int() - theirs.int()).abs().max() <= (2 if mode in ("bicubic", "bilinear") else 0)


@torch.inference_mode()
def test_the_embeddings_of_photographs_are_those_after_timm_s_transform() -> None:
    model: Any = timm.create_model(packaged.IMAGE, num_classes=0).eval()
    path = packaged.find(packaged.IMAGE)
    assert path is not None
    state = packaged.rename(packaged.IMAGE, read_state(path), list(model.state_dict()))
    model.load_state_dict({name: state[name] for name in model.state_dict()})
    pictures, transform = photographs(), Transform(config())
    ours = torch.stack([transform(picture) for picture in pictures])
    theirs = torch.stack([reference(config(), picture) for picture in pictures])
    assert (ours.float() - theirs.float()).abs().mean() < 0.3  # of 255: rounding, not another filter
    cosines = torch.cosine_similarity(model(ours / 127.5 - 1), model(theirs / 127.5 - 1))
    assert cosines.min() >= 0.9995


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(256, 341), (40, 30), (700, 900)])
def test_what_a_gpu_resizes_in_float_is_the_same_picture(mode: str, size: tuple[int, int]) -> None:
    """To a level, but where bicubic leaves the range: the kernel for uint8 cuts that off once more half-way."""
    for picture in photographs():
        pixels = torch.as_tensor(picture.pixels)
        as_float = resize_as_float(pixels.permute(2, 0, 1), size, mode)
        assert as_float.dtype == torch.uint8
        difference = (as_float.int() - resize(pixels, size, mode).int()).abs()
        assert difference.float().mean() < 0.2
        assert (difference > 1).float().mean() < (0.001 if mode == "bicubic" else 1e-9)


def test_nothing_is_resized_that_has_the_size() -> None:
    picture = noise(256, 256)
    assert np.array_equal(Transform(config())(picture).permute(1, 2, 0).numpy(), picture.pixels[16:240, 16:240])


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 60_000), (60_000, 1), (37, 256)])
def test_any_shape_of_picture(shape: tuple[int, int], crop_mode: str) -> None:
    white = Picture(np.full((*shape, 3), 255, np.uint8), 1)
    tensor = Transform(config(crop_mode=crop_mode, mean=(1.0, 1.0, 1.0)))(white)
    assert tensor.shape == (3, 224, 224)
    assert tensor.min() == 255


def test_the_middle_of_a_long_picture_is_what_is_seen() -> None:
    strip = noise(10, 2001)
    part = np.ascontiguousarray(strip.pixels[:, 1000 - 5 * MAX_ASPECT : 1000 + 5 * MAX_ASPECT])
    assert torch.equal(Transform(config())(strip), Transform(config())(Picture(part, 1)))
    assert middle(part) is part
    assert np.array_equal(middle(strip.pixels.swapaxes(0, 1)), part.swapaxes(0, 1))


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_what_waits_to_be_encoded_is_small_and_channels_last(mode: str) -> None:
    for picture in (noise(20, 320), noise(320, 20), noise(300, 400)):
        tensor = Transform(config(interpolation=mode))(picture)
        assert tensor.untyped_storage().nbytes() == 3 * 224 * 224
        assert tensor[None].is_contiguous(memory_format=torch.channels_last)


def test_the_picture_is_left_as_it_is() -> None:
    picture = noise(256, 256)
    before = picture.pixels.copy()
    Transform(config(input_size=(3, 256, 256), crop_pct=1.0))(picture).zero_()
    assert np.array_equal(picture.pixels, before)


def test_threads_see_what_one_thread_sees() -> None:
    transform = Transform(config())
    pictures = [noise(100 + 10 * number, 150, number) for number in range(40)]
    with ThreadPoolExecutor(8, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        assert all(map(torch.equal, pool.map(transform, pictures), map(transform, pictures)))


def test_the_description_is_json_and_tells_transforms_apart() -> None:
    changes: list[dict[str, Any]] = [{}, {"interpolation": "lanczos"}, {"crop_pct": 0.9}, {"mean": (0.4,) * 3}]
    described = [Transform(config(**change)).describe() for change in changes]
    assert len({json.dumps(one) for one in described}) == 4
    assert [one["resize"] for one in described[:2]] == ["torch-uint8-1", "pil-1"]
    assert described[0]["decode"] == DECODE_MODE
    assert described[0]["max_aspect"] == MAX_ASPECT
    assert Transform(config()).describe("gpu")["decode"] == f"nvjpeg-1+{DECODE_MODE}"
