"""Decode a picture's bytes into upright RGB pixels, or say in a few words why that cannot be done.

Whatever the bytes are, `decode` returns a `Picture` or raises `UnreadableContent`; it never lets another exception
or a warning out. Only six raster formats are tried, and a picture of more than 64 megapixels is refused before its
pixels are touched: PIL takes 4 bytes a pixel or more and the result 3, so that is 450 MB for one post.

PIL reads every header; the pixels of an ordinary JPEG come from simplejpeg, the same libjpeg-turbo without PIL's four
bytes a pixel and without the copy out of them: 1.3 to 1.5 times as fast, and equal in every pixel. Where simplejpeg
objects to anything at all, PIL decides what becomes of the file. torchcodec reads PNG 1.2 and WebP 1.4 times as fast
as PIL, but would import torch wherever a picture is read; pyspng's 1.8 for PNG holds the GIL: nothing on two threads.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image

from data.headers import FORMATS, MAX_PIXELS, WHOLE
from embed.encoder import Decode, UnreadableContent

if TYPE_CHECKING:
    import torch

DECODE_MODE = "simplejpeg+pil-1"  # part of every picture encoder's Spec: raise the number when a pixel may change
GPU_DECODE_MODE = "nvjpeg-1"  # of embed.nvjpeg, the same
RESIZE_VERSION = 1  # of embed.transforms, the same; here, since a warm run asks for it and imports no torch
VIEWS_VERSION = 1  # of embed.augment
STRIP = 1 << 18  # pixels converted to RGB at once: 1 MB, which stays in a core's cache
MAX_SCANS = 100  # libtiff's limit; a progressive JPEG has about ten

_IGNORE = ("ignore", None, Warning, re.compile(r"PIL\.|torchvision\.io\."), 0)  # as warnings.filterwarnings() writes it

Pixels = NDArray[np.uint8]
AnyPixels: TypeAlias = "Pixels | torch.Tensor"
P = TypeVar("P", Pixels, "torch.Tensor")

# A scan's header in a JPEG, with the one length that libjpeg takes for so many components
_SCAN = re.compile(rb"\xff\xda\0(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
_ROTATIONS: dict[int, tuple[tuple[int, ...], bool]] = {  # EXIF orientation → axes to flip, and then to swap
    2: ((1,), False),
    3: ((0, 1), False),
    4: ((0,), False),
    5: ((), True),
    6: ((0,), True),
    7: ((0, 1), True),
    8: ((1,), True),
}


@dataclass(frozen=True, eq=False)
class Picture:
    """One decoded picture: uint8 (height, width, 3) RGB, upright; `nbytes` of the file.

    From `decode` an array, C-contiguous and writable; from `embed.nvjpeg` a tensor, perhaps on a GPU.
    """

    pixels: AnyPixels
    nbytes: int

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def image(self) -> Image.Image:
        """A copy for what only PIL can do."""
        return Image.fromarray(self.pixels if isinstance(self.pixels, np.ndarray) else self.pixels.cpu().numpy())


def decode_mode(decode: Decode) -> str:
    """What a picture encoder's Spec says of its pixels; on a GPU also what is not JPEG goes the ordinary way."""
    return DECODE_MODE if decode == "cpu" else f"{GPU_DECODE_MODE}+{DECODE_MODE}"


def decode(data: bytes) -> Picture:
    """Bytes of a JPEG, PNG, WebP, GIF, BMP or TIFF → RGB pixels: the first frame, upright, transparency on white.

    Safe to call from several threads.

    Raises:
        UnreadableContent: "empty file", "not an image", "too large: …", "truncated" or "damaged".
    """
    with opened(data) as image:
        _check_scans(data)
        pixels = _jpeg(data, image)
        if pixels is None:
            image.load()
            pixels = _rgb(image)
        return Picture(np.ascontiguousarray(upright(pixels, orientation(image), np.flip)), len(data))


@contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """A picture whose header PIL has read and whose size is within the limits; its pixels are not touched.

    Raises:
        UnreadableContent: as `decode`, also for whatever goes wrong inside the `with`.
    """
    if not data:
        raise UnreadableContent("empty file")
    _silence()
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(*image.size)
            yield image
    except UnreadableContent:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableContent(f"too large: more than {MAX_PIXELS // 1_000_000} megapixels") from error
    except Exception as error:  # a broken file makes PIL's plugins raise almost anything; all of it means this
        raise UnreadableContent(_what_is_wrong(data, error)) from error


def _silence() -> None:
    """Ignore what PIL's own modules warn about broken metadata: a picture's fate is told by its status.

    And that torchvision's decoder for GPUs is to move to torchcodec.

    `warnings.catch_warnings` would be tidier and is not safe while other threads decode.
    """
    if _IGNORE not in warnings.filters:
        warnings.filterwarnings("ignore", module=_IGNORE[3].pattern)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        limit = MAX_PIXELS // 1_000_000
        raise UnreadableContent(f"too large: {width} × {height} is more than {limit} megapixels")
    if width * height == 0:
        raise UnreadableContent("damaged")


def _check_scans(data: bytes) -> None:
    """A JPEG of 0.5 MB can ask for 1,000 passes over 64 megapixels: a minute and a half."""
    if any(True for _ in islice(_SCAN.finditer(data), MAX_SCANS, None)):
        raise UnreadableContent(f"too large: more than {MAX_SCANS} scans")


def _jpeg(data: bytes, opened: Image.Image) -> Pixels | None:
    """The pixels of a whole grey or YCbCr JPEG as it lies in the file; None for any other, which PIL shall judge."""
    if opened.format not in ("JPEG", "MPO") or opened.mode not in ("RGB", "L"):
        return None
    pixels = np.empty((opened.height, opened.width, 3), np.uint8)
    try:
        # Into memory of the size checked above: a file with a second, larger header is refused, not obeyed.
        decoded = simplejpeg.decode_jpeg(data, "RGB", buffer=pixels, strict=True)
    except ValueError:
        return None
    return pixels if decoded.shape == pixels.shape else None


def orientation(image: Image.Image) -> int:
    """EXIF's; 1, upright, where there is none. Metadata that cannot be read is no metadata, not a bad picture."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # as above: EXIF is the most broken part of pictures in the wild
        return 1
    return found if isinstance(found, int) else 1


def upright(pixels: P, exif: int, flip: Callable[[P, tuple[int, ...]], P]) -> P:
    """Undo the camera's rotation of (height, width, 3); `flip` is NumPy's or torch's."""
    axes, swap = _ROTATIONS.get(exif, ((), False))
    turned = flip(pixels, axes) if axes else pixels
    return turned.swapaxes(0, 1) if swap else turned


def _rgb(image: Image.Image) -> Pixels:
    """Any mode of PIL → RGB, in strips: 1.4 times as fast as the whole, and 0.4 GB in place of 1.2 for 64 MP."""
    if image.mode[0] in "IF":
        image = _eight_bit(image)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        pixels[top:bottom] = np.asarray(_opaque(image.crop((0, top, image.width, bottom))))
    return pixels


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """16- or 32-bit grey → 8-bit grey, scaled; PIL's own conversion clips everything above 255 to white.

    The range is what the format means (65,535 for integers, 1 for floats), else the brightest pixel.
    """
    grey = np.asarray(image).astype(np.float32)
    grey = np.nan_to_num(grey, nan=0.0, posinf=0.0, neginf=0.0).clip(0)
    full = 1.0 if image.mode == "F" else 65535.0
    return Image.fromarray(np.rint(grey * (255.0 / max(full, float(grey.max())))).astype(np.uint8))


def _what_is_wrong(data: bytes, error: Exception) -> str:
    for magic, whole in WHOLE.items():
        if data.startswith(magic):
            return "truncated" if "truncated" in str(error) or not whole(data) else "damaged"
    return "not an image"
