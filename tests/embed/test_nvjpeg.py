"""The way of JPEGs to the GPU, walked with torchvision's CPU decoder: the same pixels, and ordinary files alone."""

import base64
import io
from typing import Any

import numpy as np
import pytest
import simplejpeg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from sklearn.datasets import load_sample_images

from data.config import InputError
from embed import nvjpeg
from embed.augment import Views
from embed.encoder import UnreadableContent
from embed.images import Picture, decode
from embed.transforms import Transform

NO_GPU = "needs a CUDA device"
# 8 × 8 grey JPEGs that PIL cannot write: arithmetic coding (jpegtran -arithmetic), lossless Huffman (SOF3)
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8X"
    "GBYUGBIUFRT/yQALCAAIAAgBAREA/8wABgAQEAX/2gAIAQEAAD8A/uz/2Q=="
)
LOSSLESS = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/wwALCAAIAAgBAREA/8QAFQABAQAAAAAAAAAAAAAAAAAAAAT/2gAIAQEAAQAAnAAAAAAAAAAH/9k="
)
CONFIG: dict[str, Any] = {
    "input_size": (3, 224, 224),
    "interpolation": "bicubic",
    "crop_pct": 0.875,
    "crop_mode": "center",
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
}


def photo(width: int = 96, height: int = 64, number: int = 0) -> Image.Image:
    """A part of a photograph."""
    pixels: np.ndarray = load_sample_images().images[number % 2]
    top, left = min(200 + 17 * number % 100, 427 - height), min(250 + 29 * number % 100, 640 - width)
    return Image.fromarray(pixels[top : top + height, left : left + width])


def encoded(image: Image.Image, file_format: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def changed(data: bytes, marker: bytes, at: int, new: bytes) -> bytes:
    """`new` in place of what lies `at` bytes behind a marker."""
    place = data.index(marker) + at
    return data[:place] + new + data[place + len(new) :]


def with_bad_table() -> bytes:
    """Nothing is wrong but a Huffman table: more codes of one bit than there are."""
    return changed(encoded(photo()), b"\xff\xc4", 5, b"\x09")


JPEG = encoded(photo(), quality=85)
SCAN = JPEG.index(b"\xff\xda")
ORDINARY = {
    **{f"sampling {n}": encoded(photo(), subsampling=n) for n in (0, 1, 2)},
    "4:4:0": simplejpeg.encode_jpeg(np.array(photo(70, 50)), colorsubsampling="440"),
    "grey": encoded(photo().convert("L")),
    "restart markers": encoded(photo(), restart_marker_blocks=2),
    "one pixel": encoded(photo(1, 1)),
    "odd": encoded(photo(51, 33)),
    "a photograph": encoded(photo(640, 427), quality=90),
    "optimised": encoded(photo(), optimize=True),
    "a comment": encoded(photo(), comment=b"\xff\xc0\xff\xda not a marker"),
    "a colour profile": encoded(photo(), icc_profile=bytes(70_000)),
    "a thumbnail in EXIF": encoded(photo(), exif=b"Exif\0\0" + encoded(photo(16, 16))),
    "garbage behind": JPEG + b"<script>alert(1)</script>",
    "another header behind": JPEG + ARITHMETIC,
    "several pictures": encoded(photo(), "MPO", save_all=True, append_images=[photo(number=1)]),
    **{f"orientation {n}": encoded(photo(), exif=exif_of(n)) for n in (*range(1, 9), 99)},
}
OTHERS = {
    "PNG": encoded(photo(), "PNG"),
    "WebP": encoded(photo(), "WEBP"),
    "progressive": encoded(photo(), progressive=True),
    "four inks": encoded(photo().convert("CMYK")),
    "RGB by Adobe's marker": encoded(photo(), keep_rgb=True),
    "RGB by its components' names": simplejpeg.encode_jpeg(np.array(photo()), colorspace="RGB")
    .replace(b"\x01\x11\0", b"R\x11\0")
    .replace(b"\x02\x11\x01", b"G\x11\x01"),
    "4:1:1": simplejpeg.encode_jpeg(np.array(photo()), colorsubsampling="411"),
    "arithmetic": ARITHMETIC,
    "lossless": LOSSLESS,
    "no tables": JPEG[:2] + JPEG[JPEG.index(b"\xff\xc0") : JPEG.index(b"\xff\xc4")] + JPEG[SCAN:],
    "a second header": JPEG[:SCAN] + JPEG[JPEG.index(b"\xff\xc0") :],
    "a second header in the scan": JPEG[:-2] + changed(JPEG, b"\xff\xc0", 5, b"\x7f\xff")[2:],
    "a second scan": JPEG[:-2] + JPEG[SCAN:],
    "one component of three in the scan": changed(JPEG, b"\xff\xda", 4, b"\x01"),
    "no height": changed(JPEG, b"\xff\xc0", 5, b"\0\0"),
    "a bomb": changed(JPEG, b"\xff\xc0", 5, b"\xff\xff\xff\xff"),
    "twelve bits": changed(JPEG, b"\xff\xc0", 4, b"\x0c"),
    "a segment without end": changed(JPEG, b"\xff\xdb", 2, b"\xff\xff"),
    "a segment of no length": changed(JPEG, b"\xff\xdb", 2, b"\0\0"),
    "nothing": b"",
    "two bytes": b"\xff\xd8",
    "a page": b"<!DOCTYPE html><title>404 Not Found</title>",
    **{f"{n}0 percent": JPEG[: n * len(JPEG) // 10] for n in range(1, 10)},
    "all but the end": JPEG[:-1],
}


def seen(picture: Picture | UnreadableContent) -> tuple[Any, ...]:
    """All that a picture or the lack of it is, comparable."""
    if isinstance(picture, UnreadableContent):
        return (picture.reason,)
    pixels = np.asarray(picture.pixels)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (picture.height, picture.width, 3)
    return (pixels.shape, pixels.tobytes(), picture.nbytes)


def ordinarily(data: bytes) -> tuple[Any, ...]:
    try:
        return seen(decode(data))
    except UnreadableContent as why:
        return seen(why)


def read(*files: bytes) -> list[tuple[Any, ...]]:
    return [seen(picture) for picture in nvjpeg.read(list(files), "cpu")]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each call of the decoder had."""
    counts: list[int] = []
    real = nvjpeg.decode_jpeg

    def counted(encoded: list[torch.Tensor], **more: Any) -> list[torch.Tensor]:
        counts.append(len(encoded))
        pictures: list[torch.Tensor] = real(encoded, **more)
        return pictures

    monkeypatch.setattr(nvjpeg, "decode_jpeg", counted)
    return counts


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_jpeg_goes_to_the_device_and_has_the_pixels_of_decode(name: str, calls: list[int]) -> None:
    (picture,) = nvjpeg.read([ORDINARY[name]], "cpu")
    assert calls == [1]
    assert isinstance(picture, Picture)
    assert isinstance(picture.pixels, torch.Tensor)
    assert seen(picture) == ordinarily(ORDINARY[name])


@pytest.mark.parametrize("name", OTHERS)
def test_anything_else_does_not(name: str, calls: list[int]) -> None:
    assert read(OTHERS[name]) == [ordinarily(OTHERS[name])]
    assert calls == []


def test_what_lies_behind_the_picture_stays_behind() -> None:
    jpeg = nvjpeg._ordinary(ORDINARY["garbage behind"])
    assert jpeg is not None
    assert bytes(jpeg.data.tolist()) == JPEG


def test_a_large_picture_is_left_to_the_cpu(monkeypatch: pytest.MonkeyPatch, calls: list[int]) -> None:
    monkeypatch.setattr(nvjpeg, "MAX_PIXELS", 96 * 64 - 1)
    assert read(JPEG) == [ordinarily(JPEG)]
    assert calls == []


def test_a_call_has_so_many_pixels_and_no_more(monkeypatch: pytest.MonkeyPatch, calls: list[int]) -> None:
    monkeypatch.setattr(nvjpeg, "BATCH_PIXELS", 3 * 96 * 64)
    files = [encoded(photo(number=n)) for n in range(7)]
    assert read(*files[:4], OTHERS["PNG"], *files[4:]) == [
        ordinarily(data) for data in (*files[:4], OTHERS["PNG"], *files[4:])
    ]
    assert calls == [3, 3, 1]


def test_a_file_that_the_decoder_objects_to_fails_alone(calls: list[int]) -> None:
    bad = with_bad_table()
    assert nvjpeg._ordinary(bad) is not None
    good = [encoded(photo(number=n)) for n in range(3)]
    assert read(good[0], bad, *good[1:]) == [ordinarily(data) for data in (good[0], bad, *good[1:])]
    assert ordinarily(bad) == ("damaged",)
    assert calls[:2] == [4, 1]


def test_nothing_is_nothing() -> None:
    assert read() == []


everything = [*ORDINARY.values(), *OTHERS.values(), with_bad_table()]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(everything), max_size=12))
def test_a_picture_does_not_depend_on_the_others(files: list[bytes]) -> None:
    assert read(*files) == [ordinarily(data) for data in files]


edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12)


@settings(max_examples=300, deadline=None)
@given(seed=st.sampled_from([JPEG, ORDINARY["grey"]]), edits=edits, header=st.booleans(), length=st.floats(0.9, 1))
def test_whatever_the_bytes_the_outcome_is_that_of_decode(
    seed: bytes, edits: list[tuple[float, int]], header: bool, length: float
) -> None:
    """libjpeg-turbo is behind both, here; what nvJPEG makes of a damaged scan nobody has seen."""
    data = bytearray(seed)
    for place, value in edits:
        data[int(place * (seed.index(b"\xff\xda") + 10 if header else len(data)))] = value
    data = data[: int(length * len(data))]
    assert read(bytes(data)) == [ordinarily(bytes(data))]


@pytest.mark.parametrize("name", ["a photograph", "orientation 6", "4:4:0", "one pixel"])
@pytest.mark.parametrize("mode", ["bicubic", "lanczos"])
def test_tensors_take_the_way_of_arrays(name: str, mode: str) -> None:
    (picture,) = nvjpeg.read([ORDINARY[name]], "cpu")
    assert isinstance(picture, Picture)
    array, config, key = decode(ORDINARY[name]), CONFIG | {"interpolation": mode}, bytes(range(32))
    assert torch.equal(Transform(config)(picture), Transform(config)(array))
    views = Views(3, 0)
    assert all(map(torch.equal, views(picture, config, key), views(array, config, key)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_cannot_decode_ends_the_run_in_one_line() -> None:
    """And is not taken for a fault of the pictures, which would then all come from the CPU."""
    with pytest.raises(InputError, match=r"^the GPU cannot decode JPEGs \(.*\): .*: use --decode cpu$") as caught:
        list(nvjpeg.read([JPEG], "cuda"))
    assert "\n" not in str(caught.value)


def test_a_full_memory_is_not_the_picture_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture from the CPU in its place would make the row depend on what else used the GPU."""
    real = nvjpeg.decode_jpeg

    def small_only(encoded: list[torch.Tensor], **more: Any) -> Any:
        if len(encoded[0]) > 1000:
            raise RuntimeError("Error while decoding JPEG images: CUDA out of memory. Tried to allocate 9.00 GiB")
        return real(encoded, **more)

    monkeypatch.setattr(nvjpeg, "decode_jpeg", small_only)
    with pytest.raises(InputError, match="CUDA out of memory"):
        read(JPEG)


@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_GPU)
def test_a_gpu_decodes_about_the_same_pixels_in_any_company() -> None:
    """Other arithmetic for the colours: a few levels, not another picture."""
    pictures = list(nvjpeg.read(everything, "cuda"))
    for picture, data in zip(pictures, everything, strict=True):
        (alone,) = nvjpeg.read([data], "cuda")
        if isinstance(picture, Picture) and isinstance(alone, Picture):
            ours = torch.as_tensor(picture.pixels).cpu()
            assert torch.equal(ours, torch.as_tensor(alone.pixels).cpu())
            assert (ours.int() - torch.from_numpy(decode(data).pixels).int()).abs().float().mean() < 3
        else:
            assert seen(picture) == seen(alone) == ordinarily(data)  # type: ignore[arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_GPU)
@pytest.mark.parametrize("mode", ["bicubic", "bilinear", "lanczos"])
def test_a_gpu_prepares_about_the_same_picture(mode: str) -> None:
    data = ORDINARY["a photograph"]
    (picture,) = nvjpeg.read([data], "cuda")
    assert isinstance(picture, Picture)
    transform = Transform(CONFIG | {"interpolation": mode})
    assert (transform(picture).cpu().int() - transform(decode(data)).int()).abs().float().mean() < 2
