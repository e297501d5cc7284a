"""Picture encoders: any timm model, its pooled features in place of its classes.

A forward pass always has the same number of rows, so that a picture's vector does not depend on what it was batched
with; the last, part-filled batch pays for it. On two CPU cores `tf_efficientnet_lite0` reads about 40 pictures/s.
"""

import contextlib
import difflib
from typing import TYPE_CHECKING, Any

import numpy as np
import timm
import timm.data
import torch

from data.config import InputError
from embed import hub, packaged
from embed.encoder import Spec, pick_device
from embed.images import Picture
from embed.transforms import Transform
from embed.weights import first_line, load_strictly, read_state, state_digest

if TYPE_CHECKING:
    from embed.requests import Request

_data: Any = timm.data  # untyped
SIZE = (3, 224, 224)
ROWS = {"cpu": 16, "cuda": 64}


class TimmEncoder:
    """A timm model in eval mode, on the GPU in half precision when there is one.

    Raises:
        InputError: timm knows no such model, its weights cannot be had, or the file given does not fit it.
    """

    def __init__(self, request: "Request") -> None:
        self._device = pick_device(request.device)
        model = _load(request).eval()
        config: dict[str, Any] = _data.resolve_data_config({"input_size": _input_size(model)}, model=model)
        self._transform = Transform(config)
        self._shape: tuple[int, int, int] = config["input_size"]
        self._mean, self._std = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))
        self.dim = int(model.head_hidden_size)
        self.spec = Spec(
            kind="image",
            family="timm",
            name=request.name,
            weights=state_digest(model.state_dict()),
            preprocessing=self._transform.describe(),
            compute_dtype="float16" if self._device == "cuda" else "float32",
            storage_dtype=request.storage_dtype,
        )
        self._model = model.to(self._device, memory_format=torch.channels_last)

    def prepare(self, content: Picture) -> torch.Tensor:
        """Resize, crop and normalise as the model was trained: float32 (3, height, width)."""
        return (self._transform(content) / 255 - self._mean) / self._std

    def bucket(self, _prepared: torch.Tensor) -> int:
        return 0

    def batch_rows(self, _bucket: int) -> int:
        return ROWS[self._device]

    @torch.inference_mode()
    def encode(self, prepared: list[torch.Tensor]) -> np.ndarray:
        """float32 (n, dim), padded with black pictures to a full batch inside."""
        batch = torch.zeros(ROWS[self._device], *self._shape).contiguous(memory_format=torch.channels_last)
        torch.stack(prepared, out=batch[: len(prepared)])
        with torch.autocast("cuda", torch.float16, enabled=self._device == "cuda"):
            features = self._model(batch.to(self._device))
        rows: np.ndarray = features[: len(prepared)].float().cpu().numpy()
        return rows


def _load(request: "Request") -> Any:
    """The model with its weights and without its classifier."""
    name, path = request.name, request.weights_file
    if not name.startswith("hf-hub:") and not (":" not in name and timm.is_model(name)):
        raise InputError(_unknown(name))
    online = path is None or name.startswith("hf-hub:")
    try:
        with hub.quiet(), hub.access() if online else contextlib.nullcontext():
            model = _create(name, pretrained=path is None)
    except OSError as error:
        raise InputError(
            f"cannot fetch the weights of {name!r}: {first_line(error)}: "
            f"check the network or pass --weights {name}=FILE"
        ) from error
    except (RuntimeError, ValueError, KeyError) as error:  # no such tag; never trained; a hub page of another library
        raise InputError(
            f"timm cannot make {name!r}: {first_line(error)}: pick another, or pass --weights {name}=FILE"
        ) from error
    if path is not None:
        state = packaged.rename(name, read_state(path), list(model.state_dict()))
        load_strictly(model, _without_classifier(state, model), path, name)
    return model


def _create(name: str, *, pretrained: bool) -> torch.nn.Module:
    model: torch.nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0)
    return model


def _without_classifier(state: dict[str, Any], model: Any) -> dict[str, Any]:
    """Drop the class scores' layers: they say which of the training set's classes it is, and play no part here."""
    heads = model.pretrained_cfg.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else heads
    return {key: value for key, value in state.items() if not key.startswith(tuple(f"{head}." for head in heads))}


def _input_size(model: Any) -> tuple[int, int, int]:
    """224 × 224, or the model's own size where its architecture allows no other."""
    own: tuple[int, int, int] = tuple(model.pretrained_cfg["input_size"])
    if own == SIZE or model.pretrained_cfg.get("fixed_input_size"):
        return own
    try:
        with torch.inference_mode():
            model(torch.zeros(1, *SIZE))
    except (AssertionError, RuntimeError):  # a few, such as halonet26t, do not declare it and fail
        return own
    return SIZE


def _unknown(name: str) -> str:
    names = timm.list_models()
    near = difflib.get_close_matches(name.lower().rpartition("/")[2], names, n=3)
    question = f": did you mean {' or '.join(map(repr, near))}?" if near else ":"
    return f"unknown timm model {name!r}{question} timm.list_models() lists all {len(names):,}"
