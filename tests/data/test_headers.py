"""Headers of pictures: what PIL says of them once it has decoded them, and never an exception, whatever the bytes."""

import functools
import io
import resource
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from data.headers import FORMATS, MAX_PIXELS, Header, is_whole, read_header

MODES = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("P", "L"),
    "BMP": ("1", "L", "P", "RGB"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"),
}
ROTATED = ("JPEG", "PNG", "WEBP", "TIFF")  # formats that EXIF's orientation is written into


def encoded(kind: str, mode: str = "RGB", size: tuple[int, int] = (50, 37), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **options)
    return file.getvalue()


def rotated(kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(kind, exif=exif)


@functools.cache
def samples() -> list[bytes]:
    """A picture of each kind and mode, and of each rotation."""
    plain = [encoded(kind, mode) for kind, modes in MODES.items() for mode in modes]
    return plain + [rotated(kind, orientation) for kind in ROTATED for orientation in (3, 6)]


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG of 8-bit RGB by its header alone."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind in FORMATS for mode in MODES[kind]])
def test_a_header_is_what_pil_says(kind: str, mode: str) -> None:
    data = encoded(kind, mode)
    with Image.open(io.BytesIO(data)) as image:
        expected = Header(str(image.format), image.mode, *image.size, len(data), True)
    assert read_header(data) == expected
    assert (expected.format, expected.width, expected.height) == (kind, 50, 37)


@pytest.mark.parametrize("kind", ROTATED)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_picture_as_shown(kind: str, orientation: int) -> None:
    data = rotated(kind, orientation)
    header = read_header(data)
    assert isinstance(header, Header)
    with Image.open(io.BytesIO(data)) as image:
        assert (header.width, header.height) == ImageOps.exif_transpose(image).size
    assert (header.width, header.height) == ((37, 50) if orientation >= 5 else (50, 37))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_cut_file_has_a_header_and_is_not_whole(kind: str) -> None:
    data = encoded(kind, size=(300, 200))
    header = read_header(data[:-100] if kind == "TIFF" else data[: len(data) - 20])
    if isinstance(header, Header):
        assert not header.whole or kind == "TIFF"  # whose header may lie at its end, or its pixels
        assert (header.width, header.height) == (300, 200)
    assert is_whole(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"hello", "not an image"),
        (b"\xff\xd8\xff", "truncated"),
        (b"\xff\xd8\xff\xff\xd9", "damaged"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (png(0, 5), "damaged"),
        (png(8000, 8001), "too large: more than 64 megapixels"),
        (png(100_000, 100_000), "too large: more than 64 megapixels"),
        (png(2**31 - 1, 2**31 - 1), "too large: more than 64 megapixels"),
    ],
    ids=["empty", "text", "magic", "nothing inside", "svg", "zero", "just too large", "bomb", "largest"],
)
def test_why_there_is_no_header(data: bytes, reason: str) -> None:
    assert read_header(data) == reason


def test_a_picture_as_large_as_allowed_has_one() -> None:
    header = read_header(png(8000, MAX_PIXELS // 8000))
    assert isinstance(header, Header)
    assert header.width * header.height == MAX_PIXELS


def bombs() -> dict[str, bytes]:
    """Small files that unpack, or claim, to be large."""
    webp = bytearray(encoded("WEBP", "RGBA", lossless=True))
    vp8x = b"VP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + (16382).to_bytes(3, "little") * 2
    body = b"WEBP" + vp8x + bytes(webp[webp.index(b"VP8", 12) :])
    gif = bytearray(encoded("GIF", "P"))
    gif[6:10] = b"\xff" * 4
    bmp = bytearray(encoded("BMP"))
    bmp[18:26] = struct.pack("<ii", 100_000, 100_000)
    packed = zlib.compress(bytes(200_000_000), 9)
    return {
        "webp": b"RIFF" + struct.pack("<I", len(body)) + body,
        "gif": bytes(gif),
        "bmp": bytes(bmp),
        "zTXt": png(5, 5, chunk(b"zTXt", b"a\0\0" + packed)),
        "iCCP": png(5, 5, chunk(b"iCCP", b"a\0\0" + packed)),
        "many chunks": png(5, 5, *[chunk(b"tEXt", b"a\0b")] * 50_000),
        "TIFF tags": b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 0x100, 3, 2**31, 8) * 0xFFFF,
        "EXIF loop": b"\xff\xd8\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0"
        + struct.pack("<HHII", 0x8769, 4, 1, 8)
        + b"\x08\0\0\0",
    }


@pytest.mark.parametrize("name", bombs())
def test_bombs_take_no_memory(name: str) -> None:
    data = bombs()[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = read_header(data)
    assert isinstance(found, str) or found.width * found.height <= MAX_PIXELS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@given(st.binary(max_size=2000), st.sampled_from(FORMATS))
def test_no_bytes_raise(data: bytes, kind: str) -> None:
    for start in (b"", encoded(kind)[:12]):
        assert isinstance(read_header(start + data), (str, Header))


@pytest.mark.timeout(100)  # no loop without an end
@settings(max_examples=500)
@given(st.data())
def test_no_damaged_picture_raises(draw: st.DataObject) -> None:
    """Cut anywhere, and with bytes anywhere replaced by any."""
    data = bytearray(draw.draw(st.sampled_from(samples())))
    for at in draw.draw(st.lists(st.integers(0, len(data) - 1), max_size=8)):
        data[at] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.integers(0, len(data)))
    found = read_header(bytes(data[:cut]))
    assert isinstance(found, str) or 0 < found.width * found.height <= MAX_PIXELS
