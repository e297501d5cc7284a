"""Weights files: read one without running what is in it, check that it fits a model, and name what was loaded.

The name is the SHA-256 of the loaded tensors, at 1.6 GB/s: one vector space whether the weights came from a hub, a
package or a file, in one format or another.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from data.config import InputError

_WRAPPERS = ("state_dict", "model")  # training scripts keep the weights under one of these
_PREFIXES = ("module.", "_orig_mod.")  # DataParallel, torch.compile
_COUNTER = "num_batches_tracked"  # of a batch norm in training: no part of any vector, and some files lack it
_SHOWN = 3


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """A `.safetensors` file, or a state dict saved by `torch.save` (read with `weights_only`: it cannot run code).

    Raises:
        InputError: the file is neither, is damaged, or holds something other than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}: check the file") from error
    except Exception as error:  # both libraries raise what a broken file makes them, and say it on many lines
        raise InputError(f"{path} holds no plain weights ({type(error).__name__}): {_EXPECTED}") from error
    return _unwrap(path, state)


_EXPECTED = "expected a .safetensors file, or a state dict written by torch.save"


def _unwrap(path: Path, state: Any) -> dict[str, torch.Tensor]:
    for key in _WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not state:
        raise InputError(f"{path} holds {type(state).__name__} and no weights: {_EXPECTED}")
    other = next((key for key, value in state.items() if not isinstance(value, torch.Tensor)), None)
    if other is not None:
        raise InputError(f"{path} holds {other!r}, which is no tensor: {_EXPECTED}")
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return dict(state)


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
