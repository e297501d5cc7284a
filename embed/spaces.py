"""What a cache says about one encoder's embeddings: the label, how they were made, their shape.

Standard library only: the commands that print it must answer `--help` in a blink.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from data.config import InputError, canonical_json

DEFAULT_CACHE = Path("cache.h5")
KEY_BYTES = 32  # an embedding is addressed by the SHA-256 of what was embedded
MAX_DIM = 1 << 20
MAX_JSON = 1 << 20  # bytes of metadata of one space; a real one has about 1,000
Dtype = Literal["float16", "float32"]


@dataclass(frozen=True)
class SpaceInfo:
    """One encoder's space in a cache. Equal fingerprints mean interchangeable embeddings."""

    name: str  # the encoder's label
    fingerprint: str  # Spec.key
    request: str  # Request.digest, or "": equal requests need no model to know that the fingerprints are equal
    spec: dict[str, Any]
    dim: int
    dtype: Dtype
    provenance: dict[str, Any]

    @property
    def group(self) -> str:
        """The name of the HDF5 group; a slash would nest groups."""
        return self.name.replace("/", "--")

    @property
    def row_bytes(self) -> int:
        return self.dim * (2 if self.dtype == "float16" else 4)

    def same_rows(self, other: "SpaceInfo") -> bool:
        """May rows of both stand in one array?"""
        return (self.fingerprint, self.dim, self.dtype) == (other.fingerprint, other.dim, other.dtype)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "SpaceInfo":
        """Raises ValueError when the values do not fit: it reads files that anybody may have written."""
        expected = {"name": str, "fingerprint": str, "request": str, "spec": dict, "dim": int, "provenance": dict}
        for name, kind in expected.items():
            if not isinstance(value.get(name), kind):
                raise ValueError(f"{name} is {value.get(name)!r}")
        if value.get("dtype") not in get_args(Dtype) or not 1 <= value["dim"] <= MAX_DIM:
            raise ValueError(f"{value['dim']} columns of {value.get('dtype')!r}")
        if not is_group_name(value["name"].replace("/", "--")):
            raise ValueError(f"name is {value['name']!r}")
        return cls(**{name: value[name] for name in expected}, dtype=value["dtype"])

    def check(self) -> "SpaceInfo":
        """Itself, if a cache can hold it. Raises InputError otherwise, before anything is written."""
        try:
            SpaceInfo.from_json(self.to_json())
            size = len(canonical_json(self.to_json()).encode())
        except (ValueError, TypeError) as error:
            raise InputError(f"encoder {self.name!r} cannot be kept in a cache: {error}") from error
        if size > MAX_JSON:
            raise InputError(f"encoder {self.name!r} is described by {size:,} bytes of JSON: at most {MAX_JSON:,}")
        return self


def is_group_name(name: str) -> bool:
    """Can an HDF5 group have this name, and be told from every other by it?"""
    return name not in ("", ".") and "\0" not in name and "/" not in name


def damaged(path: Path, what: str) -> InputError:
    """The one line about a cache file that cannot be trusted."""
    return InputError(f"{path}: {what}: restore it, or delete it and run python -m embed.extract again")
