"""Any bytes → an upright RGB picture on white, or a reason; never another exception, never a warning."""

import io
import re
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from embed.encoder import UnreadableContent
from embed.images import FORMATS, MAX_PIXELS, Picture, decode

RNG = np.random.default_rng(7)
LOSSLESS = ["PNG", "BMP", "TIFF", "GIF", "WEBP"]


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def pixels(picture: Picture) -> np.ndarray:
    return picture.pixels


def corners(width: int = 6, height: int = 4) -> Image.Image:
    """Red top left, green top right, blue bottom left, white bottom right."""
    array = np.zeros((height, width, 3), np.uint8)
    w, h = width // 2, height // 2
    array[:h, :w], array[:h, w:], array[h:, :w], array[h:, w:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255,) * 3
    return Image.fromarray(array)


def noise(width: int = 64, height: int = 48) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


def reason(data: bytes) -> str:
    with pytest.raises(UnreadableContent) as caught:
        decode(data)
    return caught.value.reason


@pytest.mark.parametrize("file_format", LOSSLESS)
def test_lossless_formats_give_the_pixels_back(file_format: str) -> None:
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encoded(corners(), file_format, **options)
    picture = decode(data)
    assert (picture.width, picture.height, picture.nbytes) == (6, 4, len(data))
    assert (picture.pixels.dtype, picture.pixels.shape) == (np.uint8, (picture.height, picture.width, 3))
    assert picture.pixels.flags.carray
    assert np.array_equal(pixels(picture), np.asarray(corners()))


def test_jpeg_is_close() -> None:
    picture = decode(encoded(corners(64, 48), "JPEG", quality=95))
    assert np.abs(pixels(picture)[::47, ::63].astype(int) - np.asarray(corners(64, 48))[::47, ::63]).max() <= 8


def test_a_mpo_is_a_jpeg_and_gives_its_first_picture() -> None:
    data = encoded(corners(64, 48), "MPO", save_all=True, append_images=[noise()])
    assert np.array_equal(pixels(decode(data))[0, 0] > 128, [True, False, False])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_camera_s_rotation_is_undone(file_format: str, orientation: int) -> None:
    stored_by: dict[
        int, Callable[[np.ndarray], np.ndarray]
    ] = {  # EXIF 2.3, tag 0x0112: how an upright picture lies in the file
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: np.rot90,
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    upright = np.asarray(corners(96, 64))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = Image.fromarray(np.ascontiguousarray(stored_by[orientation](upright)))
    picture = decode(encoded(stored, file_format, exif=exif, quality=95))
    assert (picture.width, picture.height) == (96, 64)
    assert np.abs(pixels(picture)[::63, ::95].astype(int) - upright[::63, ::95]).max() <= 8


def test_broken_metadata_is_no_reason_to_lose_a_picture() -> None:
    data = encoded(corners(64, 48), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01garbage")
    assert decode(data).width == 64


def test_a_nonsense_orientation_is_ignored() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 77
    assert decode(encoded(corners(), "PNG", exif=exif)).width == 6


def test_transparency_lies_on_white() -> None:
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[:, 0] = (255, 0, 0, 255)
    rgba[:, 1] = (255, 0, 0, 0)
    rgba[:, 2] = (0, 0, 0, 51)  # 20 % black
    expected = [[(255, 0, 0), (255, 255, 255), (204, 204, 204)]] * 2
    assert np.array_equal(pixels(decode(encoded(Image.fromarray(rgba), "PNG"))), expected)
    assert np.array_equal(pixels(decode(encoded(Image.fromarray(rgba), "WEBP", lossless=True, exact=True))), expected)


def test_transparent_grey_and_palettes() -> None:
    grey = Image.new("LA", (2, 1), (0, 255))
    grey.putpixel((1, 0), (0, 0))
    assert np.array_equal(pixels(decode(encoded(grey, "PNG"))), [[(0, 0, 0), (255, 255, 255)]])
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    for file_format in ("PNG", "GIF"):
        assert np.array_equal(pixels(decode(encoded(palette, file_format))), [[(10, 20, 30), (40, 50, 60)]])
        shown = pixels(decode(encoded(palette, file_format, transparency=1)))
        assert np.array_equal(shown, [[(10, 20, 30), (255, 255, 255)]])


def test_a_transparent_colour_of_an_rgb_picture() -> None:
    data = encoded(corners(), "PNG", transparency=(255, 0, 0))
    assert np.array_equal(pixels(decode(data))[0, 0], [255, 255, 255])


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(file_format: str) -> None:
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    picture = decode(encoded(Image.fromarray(values), file_format))
    assert np.array_equal(pixels(picture)[0, :, 0], [0, 1, 128, 255])
    assert np.array_equal(pixels(picture)[..., 0], pixels(picture)[..., 2])


def test_a_dark_sixteen_bit_picture_stays_dark() -> None:
    assert pixels(decode(encoded(Image.fromarray(np.full((2, 2), 2570, np.uint16)), "PNG"))).max() == 10


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 50.0, 100.0]], np.float32), [0, 128, 255]),
        (np.array([[np.nan, -3.0, 1.0]], np.float32), [0, 0, 255]),
        (np.array([[0, 1 << 29, 1 << 30]], np.int32), [0, 128, 255]),
        (np.array([[-5, 0, 65535]], np.int32), [0, 0, 255]),
    ],
)
def test_thirty_two_bit_grey(values: np.ndarray, expected: list[int]) -> None:
    assert np.array_equal(pixels(decode(encoded(Image.fromarray(values), "TIFF")))[0, :, 0], expected)


def test_cmyk_and_bilevel() -> None:
    cmyk = decode(encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "TIFF"))  # cyan
    assert np.array_equal(pixels(cmyk)[0, 0], [0, 255, 255])
    jpeg = decode(encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG"))
    assert np.abs(pixels(jpeg)[0, 0].astype(int) - [0, 255, 255]).max() <= 8
    bilevel = Image.new("1", (2, 1))
    bilevel.putpixel((1, 0), 1)
    assert np.array_equal(pixels(decode(encoded(bilevel, "PNG"))), [[(0,) * 3, (255,) * 3]])


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation(file_format: str) -> None:
    options = {"lossless": True} if file_format == "WEBP" else {}
    frames = [Image.new("RGB", (5, 5), "red"), Image.new("RGB", (5, 5), "blue")]
    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
    assert np.array_equal(pixels(decode(data))[2, 2], [255, 0, 0])


# what cannot be read


def test_empty() -> None:
    assert reason(b"") == "empty file"


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE html><html><body>404</body></html>",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b"%PDF-1.7\n",
        b"\0" * 100,
        b"x",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",  # PIL would start Ghostscript for it
        encoded(corners(), "PPM"),
        encoded(corners(), "ICO"),
    ],
)
def test_not_an_image(data: bytes) -> None:
    assert reason(data) == "not an image"


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.98])
def test_truncated(file_format: str, part: float) -> None:
    data = encoded(noise(), file_format)
    assert reason(data[: int(part * len(data))]) == "truncated"


def test_damaged() -> None:
    data = bytearray(encoded(noise(), "PNG"))
    data[12:16] = b"JUNK"
    assert reason(bytes(data)) == "damaged"


def png_of(width: int, height: int) -> bytes:
    """The header of a picture of that size, and no pixels: it must be judged before they are asked for."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


@pytest.mark.parametrize("side", [8001, 9500, 13000, 60000])  # ours; PIL's warning; still; PIL's error
def test_too_large(side: int) -> None:
    assert reason(png_of(side, side)).startswith("too large: ")


def test_the_limit_itself_is_allowed() -> None:
    side = int(MAX_PIXELS**0.5)
    assert side * side == MAX_PIXELS
    assert reason(png_of(side, side)) == "truncated"


def test_a_gif_whose_frame_is_larger_than_its_screen() -> None:
    data = bytearray(encoded(Image.new("P", (1, 1)), "GIF"))
    at = data.index(b",")
    data[at + 5 : at + 9] = (10000).to_bytes(2, "little") * 2
    assert reason(bytes(data)).startswith("too large: ")


SEEDS: list[bytes] = [
    encoded(noise(16, 12), "JPEG"),
    encoded(noise(16, 12), "JPEG", progressive=True, exif=Image.Exif().tobytes()),
    encoded(noise(16, 12), "PNG"),
    encoded(noise(16, 12).convert("P"), "PNG", transparency=3),
    encoded(noise(16, 12), "WEBP"),
    encoded(noise(16, 12), "GIF", save_all=True, append_images=[noise(16, 12)]),
    encoded(noise(16, 12), "BMP"),
    encoded(noise(16, 12), "TIFF"),
    encoded(Image.fromarray(RNG.integers(0, 65536, (12, 16), dtype=np.uint16)), "PNG"),
]
edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12)


OUTCOMES = r"read|empty file|not an image|truncated|damaged|too large: .{1,60}"


def outcome(data: bytes) -> str:
    """What becomes of some bytes; any exception but the one allowed, and any warning, fails the test."""
    try:
        picture = decode(data)
    except UnreadableContent as why:
        return why.reason
    assert (picture.pixels.dtype, picture.pixels.shape) == (np.uint8, (picture.height, picture.width, 3))
    assert picture.pixels.flags.carray
    assert 0 < picture.width * picture.height <= MAX_PIXELS
    return "read"


@settings(max_examples=300, deadline=None)
@given(seed=st.sampled_from(SEEDS), edits=edits, header=st.booleans(), length=st.floats(0.5, 1.5))
def test_mutated_pictures_are_read_or_refused(
    seed: bytes, edits: list[tuple[float, int]], header: bool, length: float
) -> None:
    data = bytearray(seed)
    for place, value in edits:
        data[int(place * min(len(data), 100 if header else len(data)))] = value
    assert re.fullmatch(OUTCOMES, outcome(bytes(data[: int(length * len(data))])))


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff\xe1", b"GIF89a", b"BM", b"II*\0", b"RIFF", b"\x89PNG\r\n\x1a\n"]),
    st.binary(max_size=200),
)
def test_random_bytes_behind_a_known_magic(magic: bytes, tail: bytes) -> None:
    assert re.fullmatch(OUTCOMES, outcome(magic + tail))


def test_threads_see_what_one_thread_sees() -> None:
    broken = [seed[: len(seed) // 2] for seed in SEEDS]
    work: list[bytes] = (SEEDS + broken) * 20

    def seen(data: bytes) -> Any:
        try:
            return decode(data).pixels.tobytes()
        except UnreadableContent as why:
            return why.reason

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(seen, work)) == [seen(data) for data in work]
