"""What a picture's header says, without decoding it: 0.1 ms a picture where decoding takes 1 to 3.

A header may lie, and what follows it may be broken: that is only known once the picture is decoded (`embed.images`,
which takes its limits from here). Nothing here raises or warns, whatever the bytes.
"""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from PIL import ExifTags, Image, TiffImagePlugin

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 64_000_000

# First bytes of a format → is the end of the file there? PIL words a cut file differently in each format and version.
WHOLE: dict[bytes, Callable[[bytes], bool]] = {
    b"\xff\xd8\xff": lambda data: b"\xff\xd9" in data[-64:],
    b"\x89PNG\r\n\x1a\n": lambda data: b"IEND" in data[-64:],
    b"GIF8": lambda data: data.rstrip(b"\0").endswith(b";"),
    b"RIFF": lambda data: len(data) >= 8 + int.from_bytes(data[4:8], "little"),
    b"BM": lambda data: len(data) >= int.from_bytes(data[2:6], "little"),
    b"II*\0": lambda data: len(data) > int.from_bytes(data[4:8], "little"),
    b"MM\0*": lambda data: len(data) > int.from_bytes(data[4:8], "big"),
}


@dataclass(frozen=True)
class Header:
    """Format and mode in PIL's words; pixels as shown, EXIF's rotation undone; `whole` if the file's end is there."""

    format: str
    mode: str
    width: int
    height: int
    nbytes: int
    whole: bool


def read_header(data: bytes) -> Header | str:
    """A picture's header, or in a few words why there is none.

    The words are those of decoding: "empty file", "not an image", "damaged", "truncated", "too large: …".
    """
    if not data:
        return "empty file"
    limit = f"too large: more than {MAX_PIXELS // 1_000_000} megapixels"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken metadata, and of bombs
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = _stored(image)
                if width * height > MAX_PIXELS:
                    return limit
                if width * height == 0:
                    return "damaged"
                if _turned(image):
                    width, height = height, width
                return Header(str(image.format), image.mode, width, height, len(data), is_whole(data))
    except Image.DecompressionBombError:
        return limit
    except Exception:  # a broken file makes PIL's plugins raise almost anything
        return _what_is_wrong(data)


def _what_is_wrong(data: bytes) -> str:
    if not data.startswith(tuple(WHOLE)):
        return "not an image"
    return "damaged" if is_whole(data) else "truncated"


def is_whole(data: bytes) -> bool:
    """Whether a picture's last bytes are those its format ends in; True for formats that are not known."""
    return all(whole(data) for magic, whole in WHOLE.items() if data.startswith(magic))


def _stored(image: Image.Image) -> tuple[int, int]:
    """Width and height before any rotation. Of a TIFF's size Pillow undoes the rotation, but not every version."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return image.tag_v2[TiffImagePlugin.IMAGEWIDTH], image.tag_v2[TiffImagePlugin.IMAGELENGTH]
    return image.size


def _turned(image: Image.Image) -> bool:
    """Whether EXIF has it shown on its side. PIL would decode a whole PNG to look for it behind the pixels."""
    if image.format != "TIFF" and "exif" not in image.info:
        return False
    try:
        return image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    except Exception:  # metadata that cannot be read is no metadata, not a bad picture
        return False
