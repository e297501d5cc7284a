"""Pictures of any kind → upright RGB on white, an ordinary JPEG to the last bit as PIL reads it."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import ExifTags, Image

from embed import images
from embed.images import decode

RNG = np.random.default_rng(7)
LOSSLESS = ["PNG", "BMP", "TIFF", "GIF", "WEBP"]


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def corners(width: int = 6, height: int = 4) -> Image.Image:
    """Red top left, green top right, blue bottom left, white bottom right."""
    array = np.zeros((height, width, 3), np.uint8)
    w, h = width // 2, height // 2
    array[:h, :w], array[:h, w:], array[h:, :w], array[h:, w:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255,) * 3
    return Image.fromarray(array)


def noise(width: int = 64, height: int = 48) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("file_format", LOSSLESS)
def test_lossless_formats_give_the_pixels_back(file_format: str) -> None:
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encoded(corners(), file_format, **options)
    picture = decode(data)
    assert (picture.width, picture.height, picture.nbytes) == (6, 4, len(data))
    assert (picture.pixels.dtype, picture.pixels.shape) == (np.uint8, (picture.height, picture.width, 3))
    assert picture.pixels.flags.carray
    assert np.array_equal(picture.pixels, np.asarray(corners()))


def test_jpeg_is_close() -> None:
    picture = decode(encoded(corners(64, 48), "JPEG", quality=95))
    assert np.abs(picture.pixels[::47, ::63].astype(int) - np.asarray(corners(64, 48))[::47, ::63]).max() <= 8


@pytest.mark.parametrize("size", [(640, 427), (33, 47), (1, 1), (50, 1), (7, 90)])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}, {"restart_marker_blocks": 2}])
@pytest.mark.parametrize("sampling", [0, 1, 2, "grey"])
def test_an_ordinary_jpeg_has_the_pixels_pil_gives_it(
    size: tuple[int, int], options: dict[str, Any], sampling: int | str
) -> None:
    image = noise(*size).resize(size).convert("L" if sampling == "grey" else "RGB")
    data = encoded(image, "JPEG", **options, **({} if sampling == "grey" else {"subsampling": sampling}))
    with Image.open(io.BytesIO(data)) as opened:
        assert images._jpeg(data, opened) is not None  # it does go the fast way
        assert np.array_equal(decode(data).pixels, np.asarray(opened.convert("RGB")))


@pytest.mark.parametrize("sampling", ["440", "411"])  # which PIL cannot write
def test_rare_samplings(sampling: str) -> None:
    data = simplejpeg.encode_jpeg(np.asarray(noise(70, 50)), colorsubsampling=sampling)
    assert np.array_equal(decode(data).pixels, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_a_mpo_is_a_jpeg_and_gives_its_first_picture() -> None:
    data = encoded(corners(64, 48), "MPO", save_all=True, append_images=[noise()])
    assert np.array_equal(decode(data).pixels[0, 0] > 128, [True, False, False])


def upright_by(orientation: int) -> Callable[[np.ndarray], np.ndarray]:
    """EXIF 2.3, tag 0x0112: what a reader does to the rows and columns as they lie in the file."""
    return {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: np.rot90,
    }[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_turned_camera_changes_nothing(file_format: str, orientation: int) -> None:
    """To the last bit the picture without the tag, turned."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = noise()
    lying = decode(encoded(stored, file_format, quality=90))
    turned = decode(encoded(stored, file_format, quality=90, exif=exif))
    assert np.array_equal(turned.pixels, upright_by(orientation)(lying.pixels))
    assert turned.pixels.flags.carray


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
    assert np.array_equal(decode(encoded(Image.fromarray(rgba), "PNG")).pixels, expected)
    assert np.array_equal(decode(encoded(Image.fromarray(rgba), "WEBP", lossless=True, exact=True)).pixels, expected)


def test_transparent_grey_and_palettes() -> None:
    grey = Image.new("LA", (2, 1), (0, 255))
    grey.putpixel((1, 0), (0, 0))
    assert np.array_equal(decode(encoded(grey, "PNG")).pixels, [[(0, 0, 0), (255, 255, 255)]])
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    for file_format in ("PNG", "GIF"):
        assert np.array_equal(decode(encoded(palette, file_format)).pixels, [[(10, 20, 30), (40, 50, 60)]])
        shown = decode(encoded(palette, file_format, transparency=1)).pixels
        assert np.array_equal(shown, [[(10, 20, 30), (255, 255, 255)]])


def test_a_transparent_colour_of_an_rgb_picture() -> None:
    data = encoded(corners(), "PNG", transparency=(255, 0, 0))
    assert np.array_equal(decode(data).pixels[0, 0], [255, 255, 255])


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(file_format: str) -> None:
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    picture = decode(encoded(Image.fromarray(values), file_format))
    assert np.array_equal(picture.pixels[0, :, 0], [0, 1, 128, 255])
    assert np.array_equal(picture.pixels[..., 0], picture.pixels[..., 2])


def test_a_dark_sixteen_bit_picture_stays_dark() -> None:
    assert decode(encoded(Image.fromarray(np.full((2, 2), 2570, np.uint16)), "PNG")).pixels.max() == 10


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
    assert np.array_equal(decode(encoded(Image.fromarray(values), "TIFF")).pixels[0, :, 0], expected)


def test_cmyk_and_bilevel() -> None:
    cmyk = decode(encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "TIFF"))  # cyan
    assert np.array_equal(cmyk.pixels[0, 0], [0, 255, 255])
    jpeg = decode(encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG"))
    assert np.abs(jpeg.pixels[0, 0].astype(int) - [0, 255, 255]).max() <= 8
    bilevel = Image.new("1", (2, 1))
    bilevel.putpixel((1, 0), 1)
    assert np.array_equal(decode(encoded(bilevel, "PNG")).pixels, [[(0,) * 3, (255,) * 3]])


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation(file_format: str) -> None:
    options = {"lossless": True} if file_format == "WEBP" else {}
    frames = [Image.new("RGB", (5, 5), "red"), Image.new("RGB", (5, 5), "blue")]
    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
    assert np.array_equal(decode(data).pixels[2, 2], [255, 0, 0])
