"""What is no readable picture gets one of a few reasons; the fast way for JPEGs judges as PIL does."""

import io
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from embed import images
from embed.encoder import UnreadableContent
from embed.images import FORMATS, MAX_PIXELS, decode

RNG = np.random.default_rng(7)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def noise(width: int = 64, height: int = 48) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


def reason(data: bytes) -> str:
    with pytest.raises(UnreadableContent) as caught:
        decode(data)
    return caught.value.reason


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
        encoded(noise(), "PPM"),
        encoded(noise(), "ICO"),
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


@settings(max_examples=300, deadline=None)
@given(seed=st.sampled_from(SEEDS[:2]), edits=edits, length=st.floats(0.8, 1.2))
def test_a_damaged_jpeg_is_what_pil_makes_of_it(seed: bytes, edits: list[tuple[float, int]], length: float) -> None:
    """Without the fast way: the same pixels or the same reason."""
    data = bytearray(seed)
    for place, value in edits:
        data[int(place * len(data))] = value
    data = data[: int(length * len(data))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "_jpeg", lambda data, opened: None)
        slow = seen(bytes(data))
    assert seen(bytes(data)) == slow


def seen(data: bytes) -> bytes | str:
    try:
        picture = decode(data)
    except UnreadableContent as why:
        return why.reason
    return b"%d " % picture.width + picture.pixels.tobytes()


def test_threads_see_what_one_thread_sees() -> None:
    broken = [seed[: len(seed) // 2] for seed in SEEDS]
    work: list[bytes] = (SEEDS + broken) * 20

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(seen, work)) == [seen(data) for data in work]
