"""Decode JPEGs on a GPU, several in one call of torchvision's nvJPEG; what is not an ordinary JPEG, on the CPU.

An H100 decodes 5,600 pictures/s of 237 kB in calls of 32 and 1,150 one by one, since torchvision has one decoder behind
a lock; so a decode thread takes 32 at a time, and holds that many files in memory. With the checks before it and the
resize behind it, some twenty calls a picture from Python, two threads reach 2,500 and eight 1,500; 16 cores decode and
resize 1,000 to 1,200. EfficientNet-Lite0's vectors keep a cosine of 0.998 to those of the CPU's pixels at worst, and
differ by 5 % of their length: other colours by 0.9 of 255. So `--decode gpu` has to be asked for.

nvJPEG has no limits, judges damage in its own way, and takes any three components for YCbCr. Only a baseline JPEG of
one scan with the usual sampling gets there, cut off at its end; damage inside the scan is then nvJPEG's to judge, and
what it refuses goes to `embed.images.decode`. No picture's pixels depend on the others in its batch.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import simplejpeg
import torch
from torchvision.io import decode_jpeg

from data.config import InputError
from embed.encoder import UnreadableContent
from embed.images import Picture, decode, opened, orientation, upright
from embed.weights import first_line

MAX_PIXELS = 1 << 24  # of a picture; 4 times that in bytes of float32 a colour while it is resized
BATCH_PIXELS = 1 << 25  # of one call: 100 MB for each decode thread
MAX_SEGMENTS = 1000  # before the scan; a colour profile may take 255

_SOF0, _DHT, _SOS, _DQT, _DRI, _COM = 0xC0, 0xC4, 0xDA, 0xDB, 0xDD, 0xFE
_KNOWN = {_SOF0, _DHT, _SOS, _DQT, _DRI, _COM, *range(0xE0, 0xF0)}
# 8 bits, height, width, and either grey or components 1, 2, 3 with the luma sampled once or twice as often
_FRAME = re.compile(rb"\x08(..)(..)(\x01.\x11.|\x03\x01[\x11\x12\x21\x22].\x02\x11.\x03\x11.)", re.DOTALL)
_DEVICE_FAULT = re.compile(r"out of memory|: 5\b")  # torch's, and NVJPEG_STATUS_ALLOCATOR_FAILURE


class _Jpeg(NamedTuple):
    data: torch.Tensor  # uint8, up to the end of the first picture
    shape: tuple[int, int]
    orientation: int


def read(contents: list[bytes], device: str) -> Iterator[Picture | UnreadableContent]:
    """The pictures of some files in their order, or why there is none; tensors on `device` where it decoded them.

    `device` is "cuda", or "cpu" to take the same way without a GPU. Safe to call from several threads.

    Raises:
        InputError: the device cannot decode at all, or its memory is full.
    """
    waiting: list[tuple[bytes, _Jpeg | None]] = []
    pixels = 0
    for data in contents:
        jpeg = _ordinary(data)
        size = jpeg.shape[0] * jpeg.shape[1] if jpeg else 0
        if pixels + size > BATCH_PIXELS:
            yield from _batch(waiting, device)
            waiting, pixels = [], 0
        waiting.append((data, jpeg))
        pixels += size
    yield from _batch(waiting, device)


def _batch(files: list[tuple[bytes, _Jpeg | None]], device: str) -> Iterator[Picture | UnreadableContent]:
    jpegs = [jpeg for _, jpeg in files if jpeg]
    decoded = iter(_decoded(jpegs, device) if jpegs else [])
    for data, jpeg in files:
        pixels = next(decoded) if jpeg else None
        if jpeg and pixels is not None and pixels.shape == (3, *jpeg.shape):
            yield Picture(upright(pixels.permute(1, 2, 0), jpeg.orientation, torch.flip), len(data))
        else:
            yield _on_the_cpu(data)


def _on_the_cpu(data: bytes) -> Picture | UnreadableContent:
    try:
        return decode(data)
    except UnreadableContent as why:
        return why


def _ordinary(data: bytes) -> _Jpeg | None:
    """A file that nvJPEG may have; None for any other, good or bad, which `decode` shall judge."""
    found = _walk(data)
    if found is None:
        return None
    end, shape = found
    try:
        with opened(data) as image:
            same, ycc = (image.height, image.width) == shape, image.info.get("adobe_transform", 1) == 1
            exif = orientation(image)
    except UnreadableContent:
        return None
    fits = same and ycc and shape[0] * shape[1] <= MAX_PIXELS
    return _Jpeg(_tensor(memoryview(data)[:end]), shape, exif) if fits else None


def _tensor(data: bytes | memoryview) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _walk(data: bytes) -> tuple[int, tuple[int, int]] | None:
    """Where a baseline JPEG of one scan ends and its (height, width), by its segments; None for anything else."""
    segments: list[tuple[int, bytes]] = []
    at = 2 if data.startswith(b"\xff\xd8") else len(data)
    while at + 4 <= len(data) and data[at] == 0xFF and len(segments) < MAX_SEGMENTS:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        segments.append((marker, data[at + 4 : at + 2 + length]))
        at += 2 + length
        if marker == _SOS:
            break
    markers = [marker for marker, _ in segments]
    if markers.count(_SOF0) != 1 or not {_DQT, _DHT, _SOS} <= set(markers) <= _KNOWN:
        return None
    frame, scan = _FRAME.fullmatch(dict(segments)[_SOF0]), segments[-1][1]
    if frame is None or scan[:1] != frame[3][:1] or not (end := _end(data, at)):
        return None
    return end, (int.from_bytes(frame[1]), int.from_bytes(frame[2]))


def _end(data: bytes, at: int) -> int:
    """Where the picture ends whose scan begins at `at`; 0 if something else than a restart comes before its end.

    NumPy lets other threads run meanwhile, which `re` and `bytes.find` do not.
    """
    scan = np.frombuffer(data, np.uint8)[at:]
    second = scan[1:]
    markers = (scan[:-1] == 0xFF) & (second != 0) & (second & 0xF8 != 0xD0)
    place = int(markers.argmax()) if len(markers) else 0
    return at + place + 2 if data[at + place : at + place + 2] == b"\xff\xd9" else 0


def _decoded(jpegs: list[_Jpeg], device: str) -> list[torch.Tensor | None]:
    """uint8 (3, height, width) each, or None for one that the decoder objects to."""
    try:
        return list(_call([jpeg.data for jpeg in jpegs], device))
    except RuntimeError as error:
        if len(jpegs) > 1:  # it gives all or nothing, and does not say which one it was
            return [each for jpeg in jpegs for each in _decoded([jpeg], device)]
        _blame(error, device)
        return [None]


def _call(encoded: list[torch.Tensor], device: str) -> list[torch.Tensor]:
    """The one place that knows the decoder.

    nvJPEG's hardware writes without regard to what is queued on the stream that owned the memory before
    (torchvision's pull request 9606), so the thread's stream is drained first.
    """
    if device == "cuda":
        torch.cuda.current_stream().synchronize()
    pictures: list[torch.Tensor] = decode_jpeg(encoded, mode="RGB", device=device)
    return pictures


def _blame(error: RuntimeError, device: str) -> None:
    """Pass over an error that is the picture's fault.

    Raises:
        InputError: it is the device's. To go on with pixels of the CPU would make rows depend on chance.
    """
    fault = error if _DEVICE_FAULT.search(str(error)) else None
    try:
        _call([_tensor(simplejpeg.encode_jpeg(np.zeros((16, 16, 3), np.uint8)))], device)
    except RuntimeError as broken:
        fault = broken
    if fault is not None:
        raise InputError(
            f"the GPU cannot decode JPEGs ({first_line(fault)}): expected a torchvision with nvJPEG and free memory: "
            "use --decode cpu"
        ) from fault
