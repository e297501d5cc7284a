"""Decode JPEGs on a GPU, several in one call of torchvision's nvJPEG; what is not an ordinary JPEG, on the CPU.

Built and tested with torchvision's CPU decoder in nvJPEG's place; it has never run on a GPU, so `--decode gpu` has to
be asked for. On paper 16 cores decode 4,800 pictures/s and a GPU that encodes 10,000 starves; nvJPEG is said to reach
7,800 on an A100 in batches, yet 1,700 one by one: torchvision holds one decoder, behind a lock. So a decode thread
takes 32 pictures at a time, and the price is that many encoded files in memory for each thread.

nvJPEG has no limits, reports damage in ways of its own, and takes any three components for YCbCr. So Python walks
through a file first, and only a baseline JPEG of one scan with the usual sampling gets there, cut off at its end.
Damage inside the scan itself is then nvJPEG's to judge: what it refuses, `embed.images.decode` reads or refuses.
A picture's pixels do not depend on what it was batched with: each is decoded for itself.
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

_SOF0, _DHT, _EOI, _SOS, _DQT, _DRI, _COM = 0xC0, 0xC4, 0xD9, 0xDA, 0xDB, 0xDD, 0xFE
_PLAIN = {_DHT, _DQT, _DRI, _COM, *range(0xE0, 0xF0)}
_MARKER = re.compile(rb"\xff[^\0\xd0-\xd7]")  # that ends a scan: neither a stuffed byte nor a restart
# 8 bits, height, width, and either grey or components 1, 2, 3 with the luma sampled once or twice as often
_FRAME = re.compile(rb"\x08(..)(..)(?:\x01.\x11.|\x03\x01[\x11\x12\x21\x22].\x02\x11.\x03\x11.)", re.DOTALL)
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
    if found is None or found[1][0] * found[1][1] > MAX_PIXELS:
        return None
    end, shape = found
    try:
        with opened(data) as image:
            same, ycc = (image.height, image.width) == shape, image.info.get("adobe_transform", 1) == 1
            exif = orientation(image)
    except UnreadableContent:
        return None
    if not (same and ycc):
        return None
    return _Jpeg(_tensor(memoryview(data)[:end]), shape, exif)


def _tensor(data: bytes | memoryview) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _walk(data: bytes) -> tuple[int, tuple[int, int]] | None:
    """Where a baseline JPEG of one scan ends and its (height, width), by its segments; None for anything else."""
    frame, seen, at = None, set(), 2
    if not data.startswith(b"\xff\xd8"):
        return None
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        body, at = data[at + 4 : at + 2 + length], at + 2 + length
        seen.add(marker)
        if marker == _SOF0 and frame is None:
            frame = _FRAME.fullmatch(body)
        elif marker == _SOS:
            stop = _MARKER.search(data, at)
            whole = stop is not None and data[stop.start() + 1] == _EOI
            if not (whole and stop and frame and {_DQT, _DHT} <= seen and body[:1] == frame.string[5:6]):
                return None
            return stop.end(), (int.from_bytes(frame[1]), int.from_bytes(frame[2]))
        elif marker not in _PLAIN:
            return None
    return None


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
