"""Pictures → the size a network reads, on uint8 tensors: timm's evaluation transform without PIL.

Resize with antialiasing, crop the middle. PIL's resize, not the decoder, is what limits timm's own transform; torch's
uint8 kernel on channels-last memory computes the same filter at 6 times its speed, and the embeddings of
`tf_efficientnet_lite0` keep a cosine of 0.9997 at worst. What the kernel cannot do (Lanczos) goes through timm's own.
To resize only what the crop sees was tried: 4 % faster, and the cosine falls to 0.9988.

Pictures that are on a GPU are resized there, in float32 since its kernel knows no uint8: 0.16 of 255 apart,
15 at worst where bicubic overshoots.
"""

import math
from collections.abc import Callable
from typing import Any

import timm.data
import torch
from torch.nn.functional import interpolate

from embed.cuda import enough_memory
from embed.encoder import Decode
from embed.images import RESIZE_VERSION, AnyPixels, Picture, decode_mode

_data: Any = timm.data  # untyped
INTERPOLATIONS = ("bicubic", "bilinear")  # those that torch has an antialiased uint8 kernel for
MAX_ASPECT = 16  # a strip of 1 × 60,000 pixels, its short side enlarged to 256, would take 11 GB
MAX_SCALE = 40  # of the GPU's kernel, whose 48 kB of shared memory hold the weights of 189 rows and columns

Size = tuple[int, int]  # height, width


class Transform:
    """timm's evaluation transform of a model's data config (`timm.data.resolve_data_config`), less the normalisation.

    Safe to call from several threads.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._size: Size = tuple(config["input_size"][1:])
        self._mode: str = config["interpolation"]
        self._crop = config.get("crop_mode") or "center"
        self._scaled = _scaled_size(self._size, config.get("crop_pct") or timm.data.DEFAULT_CROP_PCT)
        self._fill = [round(255 * value) for value in config["mean"]] if self._crop == "border" else [0, 0, 0]
        self._timm: Callable[[Any], torch.Tensor] | None = None
        if self._mode not in INTERPOLATIONS:
            self._timm = _data.create_transform(**config, is_training=False, normalize=False)

    def __call__(self, picture: Picture) -> torch.Tensor:
        """uint8 (3, height, width), channels last in memory, not normalised."""
        pixels = middle(picture.pixels)
        if self._timm is not None:
            return self._timm(Picture(pixels, picture.nbytes).image)
        height, width = pixels.shape[:2]
        resized = resize(pixels, self._resized_size(height, width), self._mode)
        return _center_crop(resized, self._size, self._fill)

    def describe(self, decode: Decode = "cpu") -> dict[str, Any]:
        """All that changes a pixel, as JSON for the Spec."""
        path = f"torch-uint8-{RESIZE_VERSION}" if self._timm is None else "pil-1"
        own = {"decode": decode_mode(decode), "max_aspect": MAX_ASPECT, "resize": path, "antialias": True}
        return own | self._config

    def _resized_size(self, height: int, width: int) -> Size:
        """The size before the crop, rounded as torchvision's Resize and timm's ResizeKeepRatio round it."""
        tall, wide = self._scaled
        if self._crop == "squash":
            return tall, wide
        if self._crop != "border" and tall == wide:
            short, long = min(height, width), max(height, width)
            other = int(tall * long / short)
            return (tall, other) if height <= width else (other, tall)
        pick = max if self._crop == "border" else min
        ratio = pick(height / tall, width / wide)
        return round(height / ratio), round(width / ratio)


def middle(pixels: AnyPixels) -> AnyPixels:
    """An extremely long picture's middle: the centre crop sees no more of it, and resizing all of it may take GB."""
    height, width = pixels.shape[:2]
    limit = MAX_ASPECT * min(height, width)
    if max(height, width) <= limit:
        return pixels
    top, left = max(0, height - limit) // 2, max(0, width - limit) // 2
    return pixels[top : top + limit, left : left + limit]


def resize(pixels: AnyPixels, size: Size, mode: str) -> torch.Tensor:
    """uint8 (height, width, 3) → uint8 (3, *size), antialiased; channels last in memory if the pixels were."""
    tensor = (pixels if isinstance(pixels, torch.Tensor) else torch.from_numpy(pixels)).permute(2, 0, 1)
    if tensor.shape[1:] == size:
        return tensor
    if tensor.is_cuda and all(have <= MAX_SCALE * want for have, want in zip(tensor.shape[1:], size, strict=True)):
        return resize_as_float(tensor, size, mode)
    return interpolate(tensor.cpu()[None], size, mode=mode, align_corners=False, antialias=True)[0]


def resize_as_float(tensor: torch.Tensor, size: Size, mode: str) -> torch.Tensor:
    """uint8 (3, height, width) → uint8 (3, *size): the same filter where there is no kernel for uint8."""
    with enough_memory(f"a picture of {tensor.shape[2]} × {tensor.shape[1]}"):
        resized = interpolate(tensor[None].float(), size, mode=mode, align_corners=False, antialias=True)[0]
        return resized.round_().clamp_(0, 255).to(torch.uint8)


def _scaled_size(size: Size, crop_pct: float) -> Size:
    return math.floor(size[0] / crop_pct), math.floor(size[1] / crop_pct)


def _center_crop(tensor: torch.Tensor, size: Size, fill: list[int]) -> torch.Tensor:
    """The middle of a picture, filled up where it is smaller."""
    spare = [have - want for have, want in zip(tensor.shape[1:], size, strict=True)]
    top, left = (round(max(0, n) / 2) for n in spare)
    cropped = tensor[:, top : top + size[0], left : left + size[1]]
    if min(spare) >= 0:  # copied: a view would keep all of a long strip in memory while it waits to be encoded
        return cropped.permute(1, 2, 0).clone(memory_format=torch.contiguous_format).permute(2, 0, 1)
    canvas = torch.tensor(fill, dtype=torch.uint8, device=tensor.device).expand(*size, 3).contiguous().permute(2, 0, 1)
    top, left = (max(0, -n) // 2 for n in spare)
    canvas[:, top : top + cropped.shape[1], left : left + cropped.shape[2]] = cropped
    return canvas
