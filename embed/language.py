"""Text encoders: any transformers model, its token vectors pooled into one.

Texts are batched with others of their padded length, a multiple of 4 on a CPU, and every batch of a length has the
same number of rows: of 25,000 texts with 40 tokens in the middle 2.5 % is padding where batches in the given order
would have 75 %, and a text's vector does not depend on what it was batched with.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers

from data.config import InputError
from data.text import CLEANING_VERSION
from embed import hub
from embed.backends import Network, choose
from embed.encoder import Backend, Spec, UnreadableContent, pick_device
from embed.weights import first_line, read_state, state_digest

if TYPE_CHECKING:
    from embed.requests import Request

_hf: Any = transformers  # partly typed, differently in each version
STEP = {"cpu": 4, "cuda": 8}  # tokens; tensor cores want multiples of 8
LONG, LONG_STEP = 128, 32  # on CUDA: 28 lengths up to 512 in place of 64, since each costs 90 ms once
TOKENS_PER_BATCH = {"cpu": 256, "cuda": 16_384}  # more is no faster, and the last batch of a length may be half empty
NO_LIMIT = 1 << 30
# of a model's configuration, what says nothing about its vectors
_BOOKKEEPING = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"}


class TransformersEncoder:
    """A transformers model in eval mode, on the GPU in half precision when there is one.

    An encoder-decoder, such as T5, gives its encoder's vectors. Code that comes with a model is never run.

    Raises:
        InputError: there is no such model, it is no text encoder, has no such pooling, or the weights do not fit.
    """

    window = 16_384  # texts: at most 40 MB of token ids

    def __init__(self, request: "Request", backend: Backend | None = None) -> None:
        self._device = pick_device(request.device)
        self._step = STEP[self._device]
        model, tokenizer = _load(request)
        self._pad = next((i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0)
        self._limit: int = min(request.max_tokens, tokenizer.model_max_length, _positions(model))
        self._tokenize = _tokenize(tokenizer, self._limit)
        weights = state_digest(_used(model.state_dict(), request.pooling))
        pooled = _Pooled(model, request.pooling)
        self.dim = _probe(pooled, self._pad, request)
        choice = choose(self._network(pooled), self._device, backend)
        self._forward, self.race, self.parallel = choice.forward, choice.race, choice.forward.parallel
        self.spec = Spec(
            kind="text",
            family="transformers",
            name=request.name,
            weights=weights,
            preprocessing={"tokenizer": _tokenizer_digest(tokenizer), "config": _config_digest(model.config)},
            pooling=request.pooling,
            max_tokens=self._limit,
            text_cleaning=CLEANING_VERSION,
            compute_dtype="float16" if self._device == "cuda" else "float32",
            storage_dtype=request.storage_dtype,
            backend=choice.forward.name,
        )

    def _network(self, pooled: "_Pooled") -> Network:
        """For the race, texts of about 32 tokens, as most posts are; any number of rows and tokens later."""
        length = min(32, self._limit)
        random = torch.Generator().manual_seed(0)
        words = int(pooled.model.config.vocab_size)
        texts = [
            torch.randint(words, (length - row % self._step,), generator=random).tolist()
            for row in range(self.batch_rows(length))
        ]
        axes = {0: torch.export.Dim("rows", min=1, max=1 << 16), 1: torch.export.Dim("tokens", min=2, max=self._limit)}
        return Network(pooled, self._padded(texts, length), pictures=False, dynamic=(axes, axes))

    def prepare(self, content: str, _key: bytes) -> np.ndarray:
        """Token ids, special ones included, cut at the limit: int32 (tokens,).

        Raises:
            UnreadableContent: the tokenizer finds nothing in the text.
        """
        tokens = self._tokenize(content)
        if not tokens:
            raise UnreadableContent("no tokens")
        return np.array(tokens, np.int32)

    def bucket(self, prepared: np.ndarray) -> int:
        """The token count, rounded up to a multiple of 4 (CUDA: 8, and 32 above 128) or to the model's limit."""
        step = LONG_STEP if self._device == "cuda" and len(prepared) > LONG else self._step
        return min(-(-len(prepared) // step) * step, self._limit)

    def batch_rows(self, bucket: int) -> int:
        # A power of two: a pooler multiplies one row a text, and of 6 rows two threads' halves differ in the last bit.
        return 1 << (max(1, TOKENS_PER_BATCH[self._device] // bucket).bit_length() - 1)

    def encode(self, prepared: list[np.ndarray]) -> np.ndarray:
        """float32 (n, dim), padded with one-token texts to a full batch inside."""
        rows = self._forward(self._padded(prepared, self.bucket(max(prepared, key=len))))
        return rows[: len(prepared)]

    def _padded(self, texts: Sequence[Any], length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and their mask, int64 (rows, length)."""
        # One row more on CUDA, so that padding is never absent: without any, attention drops its mask and takes
        # another kernel, whose last bits differ. On the CPU they do not.
        rows = self.batch_rows(length) + (self._device == "cuda")
        lengths = np.ones(rows, np.int64)
        lengths[: len(texts)] = [len(tokens) for tokens in texts]
        mask = np.arange(length) < lengths[:, None]
        ids = np.full(mask.shape, self._pad, np.int64)
        ids[: len(texts)][mask[: len(texts)]] = np.concatenate(texts)
        return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


class _Pooled(torch.nn.Module):
    """Token ids and their mask, int64 (rows, length) → one vector a row."""

    def __init__(self, model: Any, pooling: str) -> None:
        super().__init__()
        self.model = model
        self._pooling = pooling

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        output = self.model(input_ids=ids, attention_mask=mask, return_dict=True)
        if self._pooling == "pooler":
            pooled: torch.Tensor = output["pooler_output"]
            return pooled
        tokens: torch.Tensor = output["last_hidden_state"].float()
        if self._pooling == "cls":
            return tokens[:, 0]
        weight = mask[:, :, None].float()
        return (tokens * weight).sum(1) / weight.sum(1)


def _probe(pooled: _Pooled, pad: int, request: "Request") -> int:
    """The number of features, from one text of one token: is this a model of text, with this pooling?"""
    one = torch.ones((1, 1), dtype=torch.long)
    try:
        with torch.inference_mode():
            return len(pooled(one * pad, one)[0])
    except (KeyError, AttributeError, TypeError, ValueError) as error:  # no such output; it wants pictures or sounds
        raise InputError(
            f"{request.name!r} gives no {request.pooling!r} vector of a text ({first_line(error)}): "
            f"expected a text encoder with that output: use another pooling or model"
        ) from error


def _load(request: "Request") -> tuple[Any, Any]:
    """The model, in float32, and its tokenizer."""
    path, name = request.weights_file, request.name
    place = name if path is None else str(path if path.is_dir() else path.parent)
    state = read_state(path) if path is not None and path.is_file() else None
    asked = {"trust_remote_code": False, "local_files_only": path is not None}
    try:
        with hub.quiet(), hub.access() if path is None else contextlib.nullcontext():
            config = _hf.AutoConfig.from_pretrained(place, **asked)
            tokenizer = _hf.AutoTokenizer.from_pretrained(place, **asked)
            model, found = _fill(place, config, state, asked)
    except Exception as error:  # broken JSON, weights, vocabularies: each library raises its own, on many lines
        what = f"cannot fetch {name!r}" if path is None else f"{path} cannot be loaded as {name!r}"
        todo = "check the name and the network" if path is None else "check the folder"
        raise InputError(f"{what}: {first_line(error)}: {todo} or pass --weights {name}=FOLDER") from error
    _check_complete(found["missing_keys"], request)
    return (model.get_encoder() if config.is_encoder_decoder else model).float().eval(), tokenizer


def _fill(place: str, config: Any, state: dict[str, torch.Tensor] | None, asked: dict[str, bool]) -> tuple[Any, Any]:
    """The model with the weights of a folder or hub page, or with `state`; and which of its weights were found."""
    if state is None:
        asked = {**asked, "use_safetensors": True}  # never a pickle: see embed.weights
        model, found = _hf.AutoModel.from_pretrained(place, config=config, output_loading_info=True, **asked)
    else:
        with torch.device("meta"):
            kind = type(_hf.AutoModel.from_config(config, trust_remote_code=False))
        model, found = kind.from_pretrained(None, config=config, state_dict=state, output_loading_info=True)
    return model, found


def _check_complete(missing: set[str], request: "Request") -> None:
    """Refuse a model that would run with random weights in the place of those that its file lacks."""
    lacking = sorted(_used(dict.fromkeys(missing), request.pooling))
    if lacking:
        hint = ": use the mean or :cls" if request.pooling == "pooler" else ""
        raise InputError(
            f"the weights of {request.name!r} lack {lacking[0]!r} ({len(lacking):,} missing): "
            f"expected all that the model and its {request.pooling!r} pooling need{hint}"
        )


def _used(state: "Mapping[str, Any]", pooling: str) -> dict[str, Any]:
    """Without the pooler where it is not used: many checkpoints have none, and it would be random."""
    return {key: value for key, value in state.items() if pooling == "pooler" or not key.startswith("pooler.")}


def _positions(model: Any) -> int:
    """How many tokens the model has positions for. RoBERTa and its kin number them from the padding's id + 1."""
    limit = getattr(model.config, "max_position_embeddings", None) or NO_LIMIT
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return int(module.num_embeddings) - int(module.padding_idx) - 1
    return int(limit) if limit > 0 else NO_LIMIT


def _tokenize(tokenizer: Any, limit: int) -> Callable[[str], list[int]]:
    """Text → token ids, cut at `limit`; callable from several threads, since truncation is set here, once."""
    if not tokenizer.is_fast:
        return lambda text: list(tokenizer(text, truncation=True, max_length=limit)["input_ids"])
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(limit, direction=tokenizer.truncation_side)
    backend.no_padding()
    return lambda text: list(backend.encode(text).ids)  # one text at a time: no threads of its own, no warning on fork


def _tokenizer_digest(tokenizer: Any) -> str:
    vocabulary = (
        tokenizer.backend_tokenizer.to_str() if tokenizer.is_fast else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    )
    return hashlib.sha256(f"{type(tokenizer).__name__}\0{vocabulary}".encode()).hexdigest()


def _config_digest(config: Any) -> str:
    """Of the settings that differ from their defaults, so that a new version's new settings change nothing."""
    default = {} if getattr(config, "has_no_defaults_at_init", False) else type(config)().to_dict()
    changed = {
        key: value
        for key, value in config.to_dict().items()
        if key not in _BOOKKEEPING and (key not in default or default[key] != value)
    }
    return hashlib.sha256(json.dumps(changed, sort_keys=True, default=str).encode()).hexdigest()
