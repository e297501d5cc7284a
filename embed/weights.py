"""Weights files: read one without running what is in it, check that it fits a model, and name what was loaded.

The name is the SHA-256 of the loaded tensors, at 1.6 GB/s: one vector space whether the weights came from a hub, a
package or a file, in one format or another.
"""

import hashlib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from data.config import InputError
from embed import packaged

_PREFIXES = ("module.", "_orig_mod.")  # DataParallel, torch.compile
_COUNTER = "num_batches_tracked"  # of a batch norm in training: no part of any vector, and some files lack it
_SHOWN = 3


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a `.safetensors` file.

    Pickles are refused, `weights_only` or not: torch's restricted unpickler ran code up to 2.5 (CVE-2025-32434) and
    wrote outside its memory up to 2.9 (CVE-2026-24747). The one exception is the file inside the demo's package, which
    is known by its SHA-256.

    Raises:
        InputError: the file is of another format, is damaged or cannot be read, or holds no tensors.
    """
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _packaged(path, path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}: check the file") from error
    except SafetensorError as error:
        raise InputError(f"{path} holds no weights ({first_line(error)}): expected a .safetensors file") from error
    if not state:
        raise InputError(f"{path} holds no tensors: expected a model's weights")
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _packaged(path: Path, data: bytes) -> dict[str, torch.Tensor]:
    if hashlib.sha256(data).hexdigest() != packaged.PICKLE_SHA256:
        raise InputError(
            f"{path} is no .safetensors file: expected one, since a pickle can run code: "
            "convert what you trust with safetensors.torch.save_file"
        )
    state: dict[str, torch.Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state


def load_strictly(model: torch.nn.Module, state: Mapping[str, torch.Tensor], path: Path, name: str) -> None:
    """Copy `state` into `model`: every parameter and buffer, nothing left over.

    Raises:
        InputError: a name is missing or unknown, or a shape differs; the first few are named.
    """
    own = model.state_dict()
    state = {key: value for key, value in own.items() if key.endswith(_COUNTER)} | dict(state)
    faults = [
        _some("lacks", own.keys() - state.keys()),
        _some("has unknown", state.keys() - own.keys()),
        _some("has another shape for", (k for k in own.keys() & state.keys() if own[k].shape != state[k].shape)),
    ]
    if any(faults):
        raise InputError(
            f"{path} does not fit {name!r}: it {', '.join(filter(None, faults))}: expected this model's own weights"
        )
    model.load_state_dict(state)


def _some(verb: str, keys: Iterable[str]) -> str:
    keys = sorted(keys)
    more = f" and {len(keys) - _SHOWN:,} more" if len(keys) > _SHOWN else ""
    return f"{verb} {', '.join(map(repr, keys[:_SHOWN]))}{more}" if keys else ""


def first_line(error: Exception) -> str:
    """The first sentence of what an exception of another library says, short enough for a line of ours."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].partition(". ")[0].rstrip(".:")


def state_digest(state: Mapping[str, torch.Tensor]) -> str:
    """Hexadecimal SHA-256 over the tensors in order of their names: name, dtype, shape, bytes."""
    digest = hashlib.sha256()
    for key in sorted(key for key in state if not key.endswith(_COUNTER)):
        tensor = state[key].detach().cpu().contiguous()
        digest.update(f"{key}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
