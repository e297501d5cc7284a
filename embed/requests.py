"""From flags to encoders: what the user asked for, known and named before anything heavy is imported.

Only the standard library is imported, so that the flags' `--help` is light and a run that finds every embedding in
the cache loads no model. The cost is one SHA-256 of each weights file: 0.07 s for the two packaged models.
"""

import hashlib
import importlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from data.config import InputError, canonical_json, option
from data.files import sha256_file
from data.names import pick
from embed import packaged
from embed.encoder import Backend, Decode, Device, Dtype, Encoder, Family, Kind, gpu_expected

POOLINGS = {pooling: pooling for pooling in ("mean", "cls", "pooler")}
HUB = "hub"
MIN_TOKENS = 8
MAX_VIEWS = 64
TABLES = (".csv", ".tsv", ".parquet")
CONFIG = "config.json"
_SETTINGS = (".json", ".txt", ".model")  # configuration and tokenizer
_ENCODERS: dict[Family, str] = {
    "timm": "embed.vision:TimmEncoder",
    "transformers": "embed.language:TransformersEncoder",
    "statistics": "embed.statistics:Statistics",
}
_LIBRARIES: dict[Family, tuple[str, ...]] = {
    "timm": ("timm", "torch"),
    "transformers": ("transformers", "tokenizers", "torch"),
    "statistics": (),
}


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """The flags that choose encoders; a command's dataclass inherits them."""

    image: tuple[str, ...] = option(
        "picture encoders: timm model names (none named: the packaged EfficientNet-Lite0)",
        (),
        metavar="NAME",
        commas=True,
    )
    text: tuple[str, ...] = option(
        "text encoders: a model of the hub or a folder, with :cls or :pooler for another pooling than the mean "
        "(none named: the packaged MiniLM)",
        (),
        metavar="NAME",
        commas=True,
    )
    weights: tuple[str, ...] = option(
        "take an encoder's weights from a file or, for a text, a model folder", (), metavar="NAME=FILE"
    )
    tokens: int = option("texts are cut after this many tokens, or after the model's own limit", 512, metavar="N")
    statistics: bool = option("add the hand-made statistics of pictures and texts as two more encoders", True)
    views: int = option("keep the vectors of this many augmented copies of each picture too", 0, metavar="K")
    backend: Literal["auto", "eager", "channels_last", "openvino", "onnxruntime"] = option(
        "what computes on a CPU; auto races what is installed, and stays with what made the cache's rows", "auto"
    )
    device: Literal["auto", "cpu", "cuda"] = option("where encoders run; auto is the GPU where there is one", "auto")
    decode: Literal["cpu", "gpu"] = option("where JPEGs are decoded; the GPU's own decoder gives other pixels", "cpu")
    dtype: Literal["float16", "float32"] = option(
        "how embeddings are stored; float16 keeps three digits in half the space", "float16"
    )


@dataclass(frozen=True, kw_only=True)
class Request:
    """One encoder as asked for. Equal digests mean equal Specs, on one machine and with the same libraries."""

    kind: Kind
    family: Family
    name: str
    pooling: str = ""  # texts: mean, cls or pooler
    max_tokens: int = 0  # texts
    weights_file: Path | None = None
    weights: str = ""  # SHA-256 of the file or folder, "hub", or "" for statistics
    device: Device = "auto"
    decode: Decode = "cpu"  # pictures: what reads JPEGs
    backend: Backend | None = None  # None: the one the cache's rows were made with, or the winner of a race
    views: int = 0  # pictures: augmented copies
    storage_dtype: Dtype = "float16"
    named: bool = False  # by the user, or a default; no part of the digest

    @property
    def label(self) -> str:
        """The name of the encoder's space in the cache."""
        pooling = "" if self.pooling in ("", "mean") else f":{self.pooling}"
        return f"{self.name}{pooling}" + (f"@{self.views}views" if self.views else "")

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of all that decides about the Spec; the place of the weights does not."""
        return hashlib.sha256(canonical_json(self._recipe()).encode()).hexdigest()

    def _recipe(self) -> dict[str, Any]:
        recipe: dict[str, Any] = {
            "kind": self.kind,
            "family": self.family,
            "name": self.name,
            "pooling": self.pooling,
            "max_tokens": self.max_tokens,
            "weights": self.weights,
            "storage_dtype": self.storage_dtype,
            "views": self.views,
            "versions": self._versions(),
        }
        if self.family == "statistics":
            from embed.statistics import VERSION

            recipe["statistics"] = VERSION
        else:
            recipe |= {"gpu": gpu_expected(self.device), "backend": self.backend}
        if self.kind == "text":
            from data.text import CLEANING_VERSION

            return recipe | {"text_cleaning": CLEANING_VERSION}
        from embed.images import RESIZE_VERSION, VIEWS_VERSION, decode_mode

        if self.family == "timm":
            recipe |= {"resize": RESIZE_VERSION, "views_version": VIEWS_VERSION if self.views else 0}
        return recipe | {"decode": decode_mode(self.decode)}

    def _versions(self) -> dict[str, str]:
        import importlib.metadata

        libraries = _LIBRARIES[self.family] + (("torchvision",) if self.decode == "gpu" else ())
        return {library: importlib.metadata.version(library) for library in libraries}

    def load(self, made_with: Backend | None = None) -> Encoder:
        """Import what the encoder needs and load its weights; `made_with` is the backend of the cache's rows.

        Raises:
            InputError: the model is unknown, its weights cannot be had or do not fit, or there is no such device or
                backend.
        """
        module, _, name = _ENCODERS[self.family].partition(":")
        make = getattr(importlib.import_module(module), name)
        encoder: Encoder = make(self) if self.family == "statistics" else make(self, self.backend or made_with)
        return encoder

    def provenance(self) -> dict[str, Any]:
        """Where the vectors came from, for people: kept beside the Spec and no part of its key."""
        source = self.weights_file.name if self.weights_file else self.weights
        return {"weights_source": source, "weights_sha256": self.weights, "versions": self._versions()}


def build(options: EncoderOptions) -> tuple[Request, ...]:
    """The encoders the flags ask for: pictures', texts', then the statistics.

    Raises:
        InputError: a pooling, a weights file or a name is wrong or there twice, or nothing is named or installed.
    """
    if options.tokens < MIN_TOKENS:
        raise InputError(f"--tokens {options.tokens}: expected {MIN_TOKENS} or more: leave it out for 512")
    if not 0 <= options.views <= MAX_VIEWS:
        raise InputError(f"--views {options.views}: expected 0 to {MAX_VIEWS}: leave it out for none")
    if options.decode == "gpu" and not gpu_expected(options.device):
        raise InputError(f"--decode gpu with --device {options.device}: expected an NVIDIA GPU: leave --decode out")
    for name in (*options.image, *options.text):
        if Path(name).suffix.lower() in TABLES:
            raise InputError(f"encoder {name!r} is a table of posts: expected a model: put the table before the flags")
    files = weights_files(options.weights)
    images, texts = options.image, options.text
    if not images and not texts:
        images, texts = _installed(packaged.IMAGE), _installed(packaged.TEXT)
    if not images and not texts:
        raise InputError(
            "no encoder is named and the packaged ones are not installed: "
            "name an encoder: --image NAME or --text NAME, or pip install 'embed-regress[demo]'"
        )
    poolings = [_pooling(text) for text in texts]
    _check_used(files, [*images, *(name for name, _ in poolings)])
    requests = [_image(options, name, files.get(name)) for name in images]
    requests += [replace(request, views=options.views) for request in requests if options.views]
    requests += [_text(options, name, pooling, files.get(name)) for name, pooling in poolings]
    requests += _statistics(options.decode) if options.statistics else []
    label, count = Counter(request.label for request in requests).most_common(1)[0]
    if count > 1:
        raise InputError(f"encoder {label!r} is named {count} times: expected different names: name it once")
    return tuple(requests)


def weights_files(flags: tuple[str, ...]) -> dict[str, Path]:
    """NAME=FILE … → name → path."""
    files: dict[str, Path] = {}
    for flag in flags:
        name, equals, file = flag.partition("=")
        if not (name and equals and file):
            raise InputError(f"--weights {flag!r}: expected NAME=FILE, such as convnext_tiny=weights.safetensors")
        if name in files:
            raise InputError(f"--weights names {name!r} twice: expected one file per encoder: drop one")
        files[name] = Path(file)
        if not files[name].exists():
            raise InputError(f"--weights {flag!r}: there is no {file!r}: check the path")
    return files


def _check_used(files: dict[str, Path], names: list[str]) -> None:
    if unused := sorted(files.keys() - set(names)):
        raise InputError(
            f"--weights for {unused[0]!r}, which is none of this run's encoders ({', '.join(names)}): "
            f"name it with --image or --text too"
        )


def _installed(name: str) -> tuple[str, ...]:
    return (name,) if packaged.find(name) else ()


def _pooling(text: str) -> tuple[str, str]:
    """NAME or NAME:POOLING → (name, pooling)."""
    name, colon, pooling = text.rpartition(":")
    return (name, pick(POOLINGS, pooling, "pooling")) if colon else (text, "mean")


def _image(options: EncoderOptions, name: str, file: Path | None) -> Request:
    path = file or packaged.find(name)
    if path is not None and not path.is_file():
        raise InputError(f"--weights {name}={path}: expected a file, this is a folder: name the weights file in it")
    return Request(
        kind="image",
        family="timm",
        name=name,
        weights_file=path,
        weights=sha256_file(path) if path else HUB,
        device="cuda" if options.decode == "gpu" else options.device,  # "auto" may still turn out to be a CPU
        decode=options.decode,
        backend=None if options.backend == "auto" else options.backend,
        storage_dtype=options.dtype,
        named=name in options.image,
    )


def _text(options: EncoderOptions, name: str, pooling: str, given: Path | None) -> Request:
    local = Path(name) if (Path(name) / CONFIG).is_file() else None
    path = given or local or packaged.find(name)
    return Request(
        kind="text",
        family="transformers",
        name=local.resolve().name if local else name,  # a folder may move: its place is no part of what it is
        pooling=pooling,
        max_tokens=options.tokens,
        weights_file=path,
        weights=_model_digest(path) if path else HUB,
        device=options.device,
        backend=None if options.backend == "auto" else options.backend,
        storage_dtype=options.dtype,
        named=bool(options.text),
    )


def _statistics(decode: Decode) -> list[Request]:
    device = "cuda" if decode == "gpu" else "cpu"
    shared: dict[str, Any] = {"family": "statistics", "device": device, "storage_dtype": "float32"}
    return [
        Request(kind="image", name="image_statistics", decode=decode, **shared),
        Request(kind="text", name="text_statistics", **shared),
    ]


def _model_digest(path: Path) -> str:
    """SHA-256 over the configuration, tokenizer and weights of a model folder, or of the folder of a weights file."""
    folder = path if path.is_dir() else path.parent
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder} holds no {CONFIG}: expected a model folder as save_pretrained() writes it")
    files = {file for file in folder.iterdir() if file.suffix in _SETTINGS}
    files |= {path} if path.is_file() else set(_weights_in(folder))
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.name):
        digest.update(f"{file.name}\0{sha256_file(file)}\0".encode())
    return digest.hexdigest()


def _weights_in(folder: Path) -> list[Path]:
    """The weights that transformers would load from a folder."""
    found = list(folder.glob("*.safetensors"))
    if not found:
        raise InputError(f"{folder} holds no weights: expected model.safetensors")
    return found
