"""Augmented views of a picture, the same ones in any order, thread or rerun: heads train on them, not on one crop.

A view is a random part of the picture, flipped half of the time, its colours a little off. Its eight random numbers are
the SHA-256 of the seed, the view's number and the content's key: there is no generator whose state or version matters.
A view costs 1.0 ms, the plain resize 1.2 and decoding 2.1 (one core, pictures of a megapixel).
"""

import hashlib
import math
from typing import Any

import torch

from embed.images import VIEWS_VERSION, AnyPixels, Picture
from embed.transforms import INTERPOLATIONS, Size, middle, resize

SCALE = (0.35, 1.0)  # the part of the picture's area that a view shows
RATIO = (3 / 4, 4 / 3)  # width over height of that part
JITTER = 0.25  # brightness, contrast and saturation are multiplied by 1 ± this
GREY = (77, 150, 29)  # ITU-R BT.601 in 256ths
ONE = 1 << 16  # colours are mixed in 65,536ths


class Views:
    """The recipe of `k` views of every picture. Safe to call from several threads."""

    def __init__(self, k: int, seed: int) -> None:
        self._k, self._seed = k, seed

    def __call__(self, picture: Picture, config: dict[str, Any], key: bytes) -> list[torch.Tensor]:
        """`k` uint8 tensors (3, height, width) for a model of this data config, channels last, not normalised."""
        size: Size = tuple(config["input_size"][1:])
        mode = config["interpolation"] if config["interpolation"] in INTERPOLATIONS else "bicubic"
        pixels = middle(picture.pixels)
        return [_view(pixels, size, mode, _chances(self._seed, number, key)) for number in range(self._k)]

    def describe(self) -> dict[str, Any]:
        """All that changes a pixel, as JSON for the Spec."""
        settings = {"scale": list(SCALE), "ratio": list(RATIO), "jitter": JITTER, "flip": 0.5}
        return {"version": VIEWS_VERSION, "k": self._k, "seed": self._seed, **settings}


def _chances(seed: int, number: int, key: bytes) -> list[float]:
    """Eight numbers from [0, 1)."""
    digest = hashlib.sha256(b"%d %d " % (seed, number) + key).digest()
    return [int.from_bytes(digest[place : place + 4], "little") / 2**32 for place in range(0, 32, 4)]


def _view(pixels: AnyPixels, size: Size, mode: str, chances: list[float]) -> torch.Tensor:
    top, left, height, width = _part(pixels.shape[0], pixels.shape[1], chances[:4])
    view = resize(pixels[top : top + height, left : left + width], size, mode)
    if chances[4] < 0.5:
        view = view.flip(2)
    return _jittered(view, *(1 + JITTER * (2 * chance - 1) for chance in chances[5:]))


def _part(height: int, width: int, chances: list[float]) -> tuple[int, int, int, int]:
    """Top, left, height and width of a part of random area and ratio, cut off where it is wider than the picture."""
    area = height * width * (SCALE[0] + chances[0] * (SCALE[1] - SCALE[0]))
    ratio = RATIO[0] * (RATIO[1] / RATIO[0]) ** chances[1]
    tall = min(height, max(1, round(math.sqrt(area / ratio))))
    wide = min(width, max(1, round(math.sqrt(area * ratio))))
    return int(chances[2] * (height - tall + 1)), int(chances[3] * (width - wide + 1)), tall, wide


def _jittered(view: torch.Tensor, brightness: float, contrast: float, saturation: float) -> torch.Tensor:
    """Brightness, contrast about the mean grey and saturation at once, in integers: float sums vary with threads."""
    colours = view.int()
    grey = (GREY[0] * colours[0] + GREY[1] * colours[1] + GREY[2] * colours[2]) >> 8
    gain = brightness * contrast * ONE
    shift = brightness * (1 - contrast) * ONE * int(grey.sum()) / grey.numel()
    common = grey * round(gain * (1 - saturation)) + round(shift + ONE / 2)
    return ((colours * round(gain * saturation) + common) >> 16).clamp_(0, 255).to(torch.uint8)
