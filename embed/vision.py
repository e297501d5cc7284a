"""Picture encoders: any timm model, its pooled features in place of its classes.

A forward pass always has the same number of rows, so that a picture's vector does not depend on what it was batched
with; the last, part-filled batch pays for it. Pictures travel as uint8 and are normalised inside the network: a
quarter of the memory and of the way to a GPU. On two CPU cores `tf_efficientnet_lite0` reads 190 pictures/s.
"""

import contextlib
import difflib
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import timm
import timm.data
import torch

from data.config import InputError
from embed import hub, packaged
from embed.augment import Views
from embed.backends import Choice, Network, choose
from embed.encoder import Backend, Spec, pick_device
from embed.images import Picture
from embed.transforms import Transform
from embed.weights import first_line, load_strictly, read_state, state_digest

if TYPE_CHECKING:
    from embed.requests import Request

_data: Any = timm.data  # untyped
SIZE = (3, 224, 224)
ROWS = {"cpu": 16, "cuda": 64}
VIEWS_SEED = 0


class TimmEncoder:
    """A timm model in eval mode, on the GPU in half precision when there is one.

    With `request.views` a row holds the vectors of that many augmented copies of the picture, side by side.

    Raises:
        InputError: timm knows no such model, its weights cannot be had, the file given does not fit it, or `backend`,
            which made the rows that the cache has, cannot run it.
    """

    window = 0

    def __init__(self, request: "Request", backend: Backend | None = None) -> None:
        self._model = model = _shared(request, backend)
        self._rows = ROWS[model.device]
        self._place = "cuda" if model.device == "cuda" and request.decode == "gpu" else "cpu"
        self._views = Views(request.views, VIEWS_SEED) if request.views else None
        self.dim = model.dim * max(1, request.views)
        self.parallel = model.choice.forward.parallel
        self.race = model.choice.race
        views = {"views": self._views.describe()} if self._views else {}
        self.spec = Spec(
            kind="image",
            family="timm",
            name=request.name,
            weights=model.digest,
            preprocessing=model.transform.describe(request.decode) | views,
            compute_dtype="float16" if model.device == "cuda" else "float32",
            storage_dtype=request.storage_dtype,
            backend=model.choice.forward.name,
            views=request.views,
        )

    def prepare(self, content: Picture, key: bytes) -> torch.Tensor:
        """The picture or its views as the model reads them, not normalised: uint8 (views or 1, 3, height, width).

        On the GPU if `request.decode` says so, and then perhaps still in the making: `embed.pipeline` waits for the
        thread's stream.
        """
        if self._views is None:
            return self._model.transform(content)[None].to(self._place)
        return torch.stack(self._views(content, self._model.config, key)).to(self._place)

    def bucket(self, _prepared: torch.Tensor) -> int:
        return 0

    def batch_rows(self, _bucket: int) -> int:
        return self._rows

    def encode(self, prepared: list[torch.Tensor]) -> np.ndarray:
        """float32 (n, dim), padded with black pictures to a full batch inside."""
        forward, batch = self._model.choice.forward, self._empty()
        parts = []
        for view in range(len(prepared[0])):
            torch.stack([each[view] for each in prepared], out=batch[: len(prepared)])
            parts.append(forward((batch,))[: len(prepared)])
        return np.concatenate(parts, axis=1)

    def _empty(self) -> torch.Tensor:
        """A batch of black pictures. Where a GPU reads it, laid out as the pictures are and in memory it can fetch."""
        channels, height, width = self._model.config["input_size"]
        if self._model.device == "cpu":
            return torch.zeros(self._rows, channels, height, width, dtype=torch.uint8)
        torch.set_num_threads(1)  # of this thread: the decode threads have all cores
        shape, pinned = (self._rows, height, width, channels), self._place == "cpu"
        return torch.zeros(shape, dtype=torch.uint8, device=self._place, pin_memory=pinned).permute(0, 3, 1, 2)


class _Model:
    """A loaded network and how it wants its pictures; encoders with and without views share one."""

    def __init__(self, request: "Request", backend: Backend | None) -> None:
        self.device = pick_device(request.device)
        model = _load(request).eval()
        self.config: dict[str, Any] = _data.resolve_data_config({"input_size": _input_size(model)}, model=model)
        self.transform = Transform(self.config)
        self.dim = int(model.head_hidden_size)
        self.digest = state_digest(model.state_dict())
        example = _example(ROWS[self.device], self.config["input_size"])
        network = Network(_Normalised(model, self.config["mean"], self.config["std"]).eval(), (example,), pictures=True)
        self.choice: Choice = choose(network, self.device, backend)


_alive: "weakref.WeakValueDictionary[tuple[object, ...], _Model]" = weakref.WeakValueDictionary()


def _shared(request: "Request", backend: Backend | None) -> _Model:
    """The model of a request, loaded once as long as an encoder uses it."""
    key = (request.name, request.weights_file, request.weights, request.device)
    model = _alive.get(key)
    if model is None or backend not in (None, model.choice.forward.name):
        _alive[key] = model = _Model(request, backend)
    return model


class _Normalised(torch.nn.Module):
    """uint8 pictures (n, 3, height, width) → the model's features: (x / 255 − mean) / std comes first."""

    def __init__(self, model: torch.nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.model = model
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.model((x.float() - self.mean) / self.std)
        return features


def _example(rows: int, shape: tuple[int, int, int]) -> torch.Tensor:
    """Smooth coloured noise: more like pictures than white noise is, and the same every time."""
    noise = torch.rand(rows, shape[0], 14, 14, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(noise, shape[1:], mode="bicubic")
    return smooth.mul(255).clamp(0, 255).to(torch.uint8)


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
