"""Augmented views of a picture, the same ones in any order, thread or rerun: heads train on them, not on one crop.

A view is a random part of the picture, flipped half of the time, its colours a little off. Its random numbers come
from SHA-256 of the seed, the view's number and the content's key, so nothing has to be remembered. A view costs one
resize of a part of the picture and 0.3 ms for the colours, against 3 ms for decoding it.
"""

import hashlib
import math
from typing import Any

import numpy as np
import torch

from embed.images import Picture, Pixels
from embed.transforms import INTERPOLATIONS, middle, resize

VERSION = 1  # part of the Spec: raise it when a view may change
SCALE = (0.35, 1.0)  # the part of the picture's area that a view shows
RATIO = (3 / 4, 4 / 3)
JITTER = {"brightness": 0.25, "contrast": 0.25, "saturation": 0.25}
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601


class Views:
    """The recipe of `k` views of every picture."""

    def __init__(self, k: int, seed: int) -> None:
        self._k, self._seed = k, seed

    def __call__(self, picture: Picture, config: dict[str, Any], key: bytes) -> list[torch.Tensor]:
        """`k` tensors, uint8 (3, height, width) by the model's data config, channels last in memory, not normalised."""
        size = tuple(config["input_size"][1:])
        mode = config["interpolation"] if config["interpolation"] in INTERPOLATIONS else "bicubic"
        pixels = middle(picture.pixels)
        return [_view(pixels, size, mode, _generator(self._seed, number, key)) for number in range(self._k)]

    def describe(self) -> dict[str, Any]:
        """All that changes a pixel, as JSON for the Spec."""
        return {"version": VERSION, "k": self._k, "seed": self._seed, "scale": SCALE, "ratio": RATIO, "jitter": JITTER}


def _generator(seed: int, number: int, key: bytes) -> np.random.Generator:
    digest = hashlib.sha256(b"%d %d " % (seed, number) + key).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def _view(pixels: Pixels, size: tuple[int, int], mode: str, rng: np.random.Generator) -> torch.Tensor:
    top, left, height, width = _part(pixels.shape[0], pixels.shape[1], rng)
    view = resize(pixels[top : top + height, left : left + width], size, mode)
    if rng.random() < 0.5:
        view = view.flip(2)
    return _jittered(view, rng)


def _part(height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of a part of random area and ratio, cut to the picture where it would stick out."""
    area = rng.uniform(*SCALE) * height * width
    ratio = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
    wide = min(width, max(1, round(math.sqrt(area * ratio))))
    tall = min(height, max(1, round(math.sqrt(area / ratio))))
    return int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1)), tall, wide


def _jittered(view: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Brightness, contrast about the mean grey and saturation, as one affine map of the colours."""
    brightness, contrast, saturation = (1 + rng.uniform(-width, width) for width in JITTER.values())
    grey = np.tile(GREY, (3, 1))
    colours = brightness * contrast * (saturation * np.eye(3) + (1 - saturation) * grey)
    means = view.float().mean((1, 2)).numpy()
    shift = brightness * (1 - contrast) * float(np.dot(GREY, means))
    matrix = torch.from_numpy(colours.astype(np.float32))
    flat = view.permute(1, 2, 0).reshape(-1, 3).float()
    mixed = torch.addmm(torch.tensor(shift, dtype=torch.float32), flat, matrix.T)
    return mixed.round_().clamp_(0, 255).to(torch.uint8).view(*view.shape[1:], 3).permute(2, 0, 1)
