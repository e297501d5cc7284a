"""Pictures that break readers: the right status each, no noise, and not a bit of the good rows changed."""

import base64
import io
import os
import subprocess
import sys
import zlib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import ExifTags, Image
from safetensors.torch import save_file

from embed.encoder import UnreadableContent
from embed.extract import Extract, run
from embed.images import decode

ROOT = Path(__file__).parents[2]
MODEL = "test_resnet"
# 8 × 8 grey JPEGs that PIL cannot write: arithmetic coding (jpegtran -arithmetic), lossless Huffman (SOF3)
ARITHMETIC = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8X"
    "GBYUGBIUFRT/yQALCAAIAAgBAREA/8wABgAQEAX/2gAIAQEAAD8A/uz/2Q=="
)
LOSSLESS = "/9j/4AAQSkZJRgABAQAAAQABAAD/wwALCAAIAAgBAREA/8QAFQABAQAAAAAAAAAAAAAAAAAAAAT/2gAIAQEAAQAAnAAAAAAAAAAH/9k="


def photo(width: int = 96, height: int = 64, seed: int = 0) -> Image.Image:
    """Smooth colours, texture and a camera's noise."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 17 + seed) + np.cos(y / 11), np.sin((x + y) / 7), np.cos(x / 5) * np.sin(y / 23)]
    noise = np.random.default_rng(seed).normal(0, 6, (height, width, 3))
    return Image.fromarray((128 + 50 * np.stack(waves, 2) + noise).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def chunk(name: bytes, body: bytes, crc: int | None = None) -> bytes:
    check = zlib.crc32(name + body) if crc is None else crc
    return len(body).to_bytes(4, "big") + name + body + check.to_bytes(4, "big")


def png_with(extra: bytes) -> bytes:
    """A good PNG with chunks put in behind its header."""
    data = encoded(photo(), "PNG")
    return data[:33] + extra + data[33:]


def bomb() -> bytes:
    """A PNG of 1 kB that claims 50,000 × 50,000 pixels: 7.5 GB for who believes it."""
    header = (50_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    body = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def jpeg_declaring(height: int, width: int) -> bytes:
    """A JPEG of 96 × 64 whose header says otherwise."""
    data = bytearray(encoded(photo(), "JPEG", quality=85))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


def endless_scans() -> bytes:
    """A progressive JPEG that goes over all of its 25 megapixels 2,000 times: 75 s for who obeys."""
    data = encoded(Image.new("L", (5000, 5000), 90), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * 2000 + data[-2:]


def ycck() -> bytes:
    """Four inks as YCCK: PIL writes them plainly, Adobe's marker makes them YCCK."""
    data = bytearray(encoded(photo().convert("CMYK"), "JPEG"))
    at = data.index(b"Adobe")
    data[at + 11] = 2
    return bytes(data)


def sixteen_bit() -> Image.Image:
    return Image.fromarray(np.asarray(photo().convert("L")).astype(np.uint16) * 257)


def palette(**options: Any) -> bytes:
    return encoded(photo().quantize(32), "PNG", **options)


def animated(file_format: str) -> bytes:
    return encoded(photo(), file_format, save_all=True, append_images=[photo(seed=1), photo(seed=2)])


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


@cache
def pictures() -> dict[str, tuple[bytes, str]]:
    """Name → the file and what becomes of it: "read" or the reason why not."""
    jpeg, png = encoded(photo(), "JPEG", quality=85), encoded(photo(), "PNG")
    whole = {
        "cmyk.jpg": encoded(photo().convert("CMYK"), "JPEG"),
        "ycck.jpg": ycck(),
        "progressive.jpg": encoded(photo(), "JPEG", progressive=True),
        "grey.jpg": encoded(photo().convert("L"), "JPEG"),
        "arithmetic.jpg": base64.b64decode(ARITHMETIC),
        "lossless.jpg": base64.b64decode(LOSSLESS),
        "trailing_garbage.jpg": jpeg + b"<script>alert(1)</script>" * 4,
        "trailing_film.jpg": jpeg + b"\xff\xda\x8f" * 200,
        "taller_than_its_data.jpg": jpeg_declaring(640, 96),
        "shorter_than_its_data.jpg": jpeg_declaring(32, 96),
        "several.mpo": encoded(photo(), "MPO", save_all=True, append_images=[photo(seed=1)]),
        "broken_exif.jpg": encoded(photo(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01garbage"),
        "endless_exif.jpg": encoded(photo(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\0\0\0\0\0\0\0\0\0\0\0\x08"),
        "exif_orientation_99.jpg": encoded(photo(), "JPEG", exif=exif_of(99)),
        "sixteen_bit.png": encoded(sixteen_bit(), "PNG"),
        "sixteen_bit.tiff": encoded(sixteen_bit(), "TIFF"),
        "palette.png": palette(),
        "transparent_palette.png": palette(transparency=bytes(range(32))),
        "animated.gif": animated("GIF"),
        "animated.webp": animated("WEBP"),
        "row.png": encoded(Image.new("RGB", (50_000, 1), "red"), "PNG"),
        "column.png": encoded(Image.new("RGB", (1, 50_000), "red"), "PNG"),
        "row.jpg": encoded(Image.new("RGB", (50_000, 1), "red"), "JPEG"),
        "column.jpg": encoded(Image.new("RGB", (1, 50_000), "red"), "JPEG"),
        "one_pixel.png": encoded(Image.new("RGB", (1, 1), "red"), "PNG"),
        "long_text.png": png_with(chunk(b"tEXt", b"Comment\0" + b"x" * 500_000)),
        "unknown_chunk.png": png_with(chunk(b"huGe", bytes(100_000))),
    }
    refused = {
        "empty.jpg": (b"", "empty file"),
        "one_byte.jpg": (b"\xff", "not an image"),
        "html.jpg": (b"<!DOCTYPE html><title>404 Not Found</title>", "not an image"),
        "vector.svg": (
            b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
            "not an image",
        ),
        "icon.ico": (encoded(photo(), "ICO"), "not an image"),
        "layers.psd": (b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\1\0\0\0\1\0\x08\0\3" + bytes(20), "not an image"),
        "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/etc/passwd) run\n", "not an image"),
        "bomb.png": (bomb(), "too large: more than 64 megapixels"),
        "large.jpg": (jpeg_declaring(65_500, 1000), "too large: 1000 × 65500 is more than 64 megapixels"),
        "scans.jpg": (endless_scans(), "too large: more than 100 scans"),
        "no_pixels.jpg": (jpeg_declaring(0, 96), "damaged"),
        "text_bomb.png": (png_with(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000)))), "damaged"),
        "wrong_check_sum.png": (png_with(chunk(b"gAMA", b"\0\0\xb1\x8f", crc=1)), "damaged"),
        "no_header.png": (png[:8] + png[33:], "damaged"),
    }
    cut = {
        f"{n}0_percent.{name}": (data[: n * len(data) // 10], "truncated")
        for name, data in (("jpg", jpeg), ("png", png))
        for n in range(1, 10)
    }
    return {name: (data, "read") for name, data in whole.items()} | refused | cut


def outcome(data: bytes) -> str:
    try:
        decode(data)
    except UnreadableContent as why:
        return why.reason
    return "read"


def test_there_are_more_than_forty() -> None:
    assert len(pictures()) >= 55
    assert len({data for data, _ in pictures().values()}) == len(pictures())


@pytest.mark.parametrize("name", pictures())
def test_status(name: str) -> None:
    data, expected = pictures()[name]
    assert outcome(data) == expected


READER = """
import resource, sys
from pathlib import Path
from embed.images import decode
from embed.encoder import UnreadableContent
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        decode(path.read_bytes())
    except UnreadableContent:
        pass
print(peak() - before)
"""


def megabytes_to_read(folder: Path) -> float:
    """Growth of a fresh process that reads all files of a folder; it must not say a word."""
    command = [sys.executable, "-W", "default", "-c", READER, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return float(done.stdout)


def test_all_of_them_in_one_process(tmp_path: Path) -> None:
    for name, (data, _) in pictures().items():
        (tmp_path / name).write_bytes(data)
    assert megabytes_to_read(tmp_path) < 100


def test_a_large_picture_is_in_memory_twice_and_no_more(tmp_path: Path) -> None:
    """25 megapixels with transparency: 4 bytes for PIL, 3 for us."""
    Image.new("RGBA", (5000, 5000), (9, 9, 9, 128)).save(tmp_path / "large.png", compress_level=1)
    assert megabytes_to_read(tmp_path) < 1.3 * 7 * 25


# through the whole extraction


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / f"{MODEL}.safetensors"
    save_file(timm.create_model(MODEL).state_dict(), path)
    return path


def extract(folder: Path, weights: Path, cells: dict[str, list[str | None]]) -> dict[str, Any]:
    pd.DataFrame(cells).to_parquet(folder / "posts.parquet")
    options: dict[str, Any] = {"image": (MODEL,), "weights": (f"{MODEL}={weights}",), "backend": "eager"}
    return run(Extract(posts=folder / "posts.parquet", cache=folder / "cache.h5", **options)).to_json()


def rows(folder: Path, space: str) -> dict[bytes, bytes]:
    """Content key → the bytes of its vector."""
    with h5py.File(folder / "cache.h5") as file:
        keys, vectors = file[space]["key"][:], file[space]["embedding"][:]
    return {key.tobytes(): vector.tobytes() for key, vector in zip(keys, vectors, strict=True)}


def lay_traps(folder: Path) -> dict[str, str]:
    """Cell → why it is no picture. Outside of the folder lies a good one that must not be read."""
    outside = folder.parent / f"{folder.name}_outside.png"
    outside.write_bytes(encoded(photo(seed=9), "PNG"))
    (folder / "link.png").symlink_to(outside)
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "fifo.png")  # opening it for reading would wait for ever
    leaves = "path leaves the picture folder"
    return {
        f"../{outside.name}": leaves,
        f"./x/../../{outside.name}": leaves,
        str(outside): leaves,
        "/etc/passwd": leaves,
        "link.png": leaves,
        "folder.png": "not a regular file",
        "fifo.png": "not a regular file",
        "/dev/zero": leaves,
        "missing.png": "no such file",
        "cut\0short.png": "not a file name",
        "https://example.org/a.png": "a web address, not a file",
        "data:image/png,plain": "a data: address that is not base64",
    }


def test_good_rows_keep_every_bit_among_bad_ones(tmp_path: Path, weights: Path) -> None:
    good = {f"good_{seed}.png": encoded(photo(seed=seed), "PNG") for seed in range(3, 10)}
    readable = {name: data for name, (data, status) in pictures().items() if status == "read"}
    clean, mixed = tmp_path / "clean", tmp_path / "mixed"
    for folder, files in ((clean, good | readable), (mixed, good | {n: data for n, (data, _) in pictures().items()})):
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
    extract(clean, weights, {"photo": [*good, *readable]})
    traps = lay_traps(mixed)
    cells = [*good, *pictures(), *traps]
    order = np.random.default_rng(0).permutation(len(cells))
    report = extract(mixed, weights, {"photo": [cells[place] for place in order]})

    expected = Counter(status for _, status in pictures().values() if status != "read")
    assert report["encoders"][MODEL]["reasons"] == expected
    assert report["encoders"]["image_statistics"]["reasons"] == expected
    assert report["unread"]["image"] == Counter(traps.values())
    for space in (MODEL, "image_statistics"):
        assert len(rows(clean, space)) == len(good) + len(readable)
        assert rows(mixed, space) == rows(clean, space)
