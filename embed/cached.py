"""The cache inside anyone's scikit-learn pipeline: posts in, float32 vectors out, each content embedded once.

A transformer that called an encoder would embed every post again in each fold and for each setting of a search; this
one looks 969 posts up in 0.03 s. Nothing is learned from the posts, so nothing leaks between folds.
"""

import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from data.config import InputError
from data.names import unknown
from data.posts import Posts
from embed.again import is_writable
from embed.cache import open_cache
from embed.columns import PLURAL, REMEDY, Columns, kinds_of
from embed.content import KINDS, Kind
from embed.extract import embed_into
from embed.requests import EncoderOptions, build
from embed.seconds import Seconds
from embed.spaces import DEFAULT_CACHE, SpaceInfo
from embed.vectors import Embedding

WHO = "this CachedEmbeddings"


class CachedEmbeddings(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Frozen encoders' vectors of pictures and texts, from a cache; what it lacks is embedded, and kept there.

    X is a DataFrame (or a list of dicts) with a column of pictures (bytes, base64 or paths) or of texts or both; an
    array of two columns, pictures and texts in this order; or one column or list of either.

    Args:
        image: names of picture encoders, one or several. With `text` None as well: all that the cache has for X.
        text: names of text encoders, likewise. A column that is read alone is of texts, unless only `image` is named.
        cache: the HDF5 file of `python -m embed.extract`; it is made where it is not there.
        embed: embed what the cache lacks. Where the cache cannot be written, that is done again by every call.
        missing: rows of a post without a content, or with one that cannot be read: "nan", for SimpleImputer or trees,
            or "zero".
        image_column: the column of pictures, if it is not called photo, image or picture.
        text_column: the column of texts, if it is not called text.
        image_root: folder that picture paths start from and may not leave; None: the working directory.
        weights: name → file, of encoders whose weights come from one.

    Attributes:
        encoders_: how the vectors are made; their columns stand side by side in this order.
        n_features_out_: the number of these columns.
    """

    encoders_: tuple[SpaceInfo, ...]
    n_features_out_: int

    def __init__(  # noqa: PLR0913 - an estimator's settings
        self,
        *,
        image: str | Sequence[str] | None = None,
        text: str | Sequence[str] | None = None,
        cache: str | Path = DEFAULT_CACHE.name,
        embed: bool = True,
        missing: Literal["nan", "zero"] = "nan",
        image_column: str | None = None,
        text_column: str | None = None,
        image_root: str | Path | None = None,
        weights: Mapping[str, str | Path] | None = None,
    ) -> None:
        self.image = image
        self.text = text
        self.cache = cache
        self.embed = embed
        self.missing = missing
        self.image_column = image_column
        self.text_column = text_column
        self.image_root = image_root
        self.weights = weights

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Find the encoders in the cache; those that it does not have yet embed X, which makes them known to it.

        Raises:
            InputError: X has no column for an encoder, or there is no such encoder.
        """
        if self.missing not in ("nan", "zero"):
            raise InputError(f"missing={self.missing!r}: expected 'nan' or 'zero'")
        with self._target() as target:
            self.encoders_ = self._encoders(self._columns().posts(X), target)
        self.n_features_out_ = sum(info.dim for info in self.encoders_)
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """The vectors of the posts, float32 (n, n_features_out_).

        Raises:
            InputError: X has no column for an encoder, the cache holds another model's vectors by now, or it lacks
                some and `embed` is False.
        """
        check_is_fitted(self)
        posts, files = self._columns().posts(X), {name: Path(file) for name, file in (self.weights or {}).items()}
        with self._target() as target:
            found, _ = Embedding(Path(self.cache), target, files).read(posts, self.encoders_, WHO)
        unread: Counter[str] = Counter()
        for each in found:
            unread |= each.failures + each.keys.faults
        if unread:
            why = ", ".join(f"{n:,} × {reason}" for reason, n in unread.most_common())
            warnings.warn(f"contents that cannot be read: {why}", stacklevel=2)
        values = np.concatenate([each.values for each in found], axis=1)
        return np.nan_to_num(values, copy=False, nan=0.0) if self.missing == "zero" else values

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:  # noqa: ARG002
        """object (n_features_out_,): the encoder's name and the number of its column."""
        check_is_fitted(self)
        return np.array([f"{info.name}_{i}" for info in self.encoders_ for i in range(info.dim)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # numbers are no posts
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    @contextmanager
    def _target(self) -> Iterator[Path | None]:
        """Where new embeddings go: the cache, or where it cannot be written one that is thrown away."""
        if not self.embed or is_writable(Path(self.cache)):
            yield Path(self.cache) if self.embed else None
            return
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch) / "cache.h5"

    def _columns(self) -> Columns:
        named = self._named()
        alone: Kind = "image" if named["image"] and not named["text"] else "text"
        root = Path.cwd() if self.image_root is None else Path(self.image_root)
        return Columns({"image": self.image_column, "text": self.text_column}, root, alone)

    def _named(self) -> dict[Kind, list[str]]:
        given: dict[Kind, Any] = {"image": self.image, "text": self.text}
        return {kind: [names] if isinstance(names, str) else list(names or ()) for kind, names in given.items()}

    def _encoders(self, posts: Posts, target: Path | None) -> tuple[SpaceInfo, ...]:
        """The encoders asked for, pictures' first, as caches describe them."""
        named, known = self._named(), _spaces(Path(self.cache))
        if not any(named.values()):
            return self._all(known, kinds_of(posts))
        for kind in KINDS:
            if named[kind] and kind not in kinds_of(posts):
                raise InputError(f"X has no column of {PLURAL[kind]} for {named[kind][0]!r}: {REMEDY[kind]}")
        new = {kind: [name for name in names if name not in known] for kind, names in named.items()}
        labels: dict[str, str] = {}
        if lacking := [*new["image"], *new["text"]]:
            if target is None:
                raise InputError(f"{self.cache}: {unknown(lacking[0], known, 'encoder')}: or pass embed=True")
            labels = self._make(new, posts, target)
            known |= _spaces(target)
        return tuple(_described(labels.get(name, name), kind, known) for kind in KINDS for name in named[kind])

    def _all(self, known: Mapping[str, SpaceInfo], kinds: Sequence[Kind]) -> tuple[SpaceInfo, ...]:
        """Every encoder of the cache that can read X; augmented views are copies of what the plain ones say."""
        plain = [info for info in known.values() if not info.spec.get("views")]
        found = tuple(info for kind in kinds for info in plain if info.spec.get("kind") == kind)
        if not found:
            what = " or ".join(PLURAL[kind] for kind in kinds)
            raise InputError(f"{self.cache} holds no encoder of {what}: name one with image= or text=")
        return found

    def _make(self, new: Mapping[Kind, Sequence[str]], posts: Posts, target: Path) -> dict[str, str]:
        """Embed X with encoders that the cache does not have; name → label of the space."""
        models = {kind: [name for name in new[kind] if name != f"{kind}_statistics"] for kind in KINDS}
        names = [*models["image"], *models["text"]]
        statistics = {*new["image"], *new["text"]} - set(names)
        files = tuple(f"{name}={file}" for name, file in (self.weights or {}).items() if name in names)
        options = EncoderOptions(image=tuple(models["image"]), text=tuple(models["text"]), weights=files)
        requests = build(options)
        labels = dict(zip(names, (request.label for request in requests), strict=False))
        wanted = {*labels.values(), *statistics}
        embed_into(target, posts, [request for request in requests if request.label in wanted], Seconds())
        return labels


def _described(label: str, kind: Kind, known: Mapping[str, SpaceInfo]) -> SpaceInfo:
    if label not in known:  # nothing was embedded with it
        raise InputError(f"X has no {kind} that {label!r} could read: expected one or more, to know the encoder by")
    if known[label].spec.get("kind") != kind:
        raise InputError(f"{label!r} does not read {PLURAL[kind]}: expected an encoder of them in {kind}=")
    return known[label]


def _spaces(cache: Path) -> dict[str, SpaceInfo]:
    if not cache.exists():
        return {}
    with open_cache(cache) as opened:
        return {name: space.info for name, space in opened.spaces.items()}
