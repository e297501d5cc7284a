"""What an encoder is, and the Spec that names everything its embeddings depend on.

Nothing heavy is imported here: a run that finds every embedding in the cache answers in about a second, where torch
alone would take two to seven.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from data.config import InputError, canonical_json

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["image", "text"]
Family = Literal["timm", "transformers", "statistics"]
Dtype = Literal["float16", "float32"]
Device = Literal["auto", "cpu", "cuda"]
Decode = Literal["cpu", "gpu"]
Backend = Literal["eager", "channels_last", "openvino", "onnxruntime"]


class UnreadableContent(Exception):  # noqa: N818 — a state of a content, not a fault of the program
    """A picture or text that cannot be embedded; `reason` is kept in the cache in place of its vector.

    Reasons are counted, so they are few and short and hold nothing of the content itself.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Everything that changes an embedding; two encoders with one `key` give the same vectors.

    Where the weights came from (hub, file, package) is not part of it, only what they are.
    """

    kind: Kind
    family: Family
    name: str
    weights: str  # SHA-256 of the loaded parameters and buffers, see embed.weights.state_digest; "" for statistics
    preprocessing: dict[str, Any]
    pooling: str = ""
    max_tokens: int = 0  # 0 for pictures
    text_cleaning: int = 0  # data.text.CLEANING_VERSION; 0 for pictures
    compute_dtype: Dtype
    storage_dtype: Dtype
    backend: Backend = "eager"
    views: int = 0  # augmented copies of a picture, their vectors side by side; 0 for the picture itself

    @property
    def key(self) -> str:
        """Hexadecimal SHA-256 of the canonical JSON."""
        return hashlib.sha256(canonical_json(self.to_json()).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        plain: dict[str, Any] = json.loads(canonical_json(asdict(self)))  # tuples become lists, as in a file
        return plain


class Encoder(Protocol):
    """Contents → vectors. `prepare` runs in decode threads, `encode` in up to `parallel` others at once."""

    @property
    def spec(self) -> Spec: ...

    @property
    def dim(self) -> int: ...

    @property
    def parallel(self) -> int: ...

    @property
    def window(self) -> int: ...  # contents to collect before the longest are encoded first; 0: none

    @property
    def race(self) -> dict[str, float | str]: ...  # the other backends, see embed.backends.Choice

    def prepare(self, content: Any, key: bytes, /) -> Any:
        """A decoded `Picture`, or a cleaned text that is not empty, by `spec.kind` → what `encode` takes.

        Raises:
            UnreadableContent: there is nothing in it to embed.
        """

    def bucket(self, prepared: Any, /) -> int:
        """Contents of one bucket share a batch: the padded token count of a text, 0 for a picture."""

    def batch_rows(self, bucket: int, /) -> int:
        """The fixed number of rows of a forward pass; a smaller batch is padded to it."""

    def encode(self, prepared: list[Any], /) -> "np.ndarray":
        """Up to `batch_rows` prepared contents of one bucket → float32 (n, dim).

        The shape of the forward pass depends on the bucket alone, so a row's bytes depend neither on its batch
        mates nor on how full the batch is.
        """


def pick_device(name: Device) -> Literal["cpu", "cuda"]:
    """ "auto" → "cuda" where torch sees a CUDA device, else "cpu". Imports torch unless the answer is "cpu".

    Raises:
        InputError: "cuda" was asked for and torch sees none.
    """
    if name == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise InputError("--device 'cuda': torch sees no CUDA device: expected a GPU and its driver: use --device cpu")
    return "cpu"


def gpu_expected(name: Device) -> bool:
    """What `pick_device` will most likely answer, without importing torch: is there an NVIDIA GPU it may use?"""
    if name != "auto":
        return name == "cuda"
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    return Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()  # bare Linux or container; WSL
