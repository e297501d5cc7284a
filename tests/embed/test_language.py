"""Text encoders: against a hand-written forward and pooling, bit for bit in any batch, models of several kinds."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from data.config import InputError
from data.text import CLEANING_VERSION
from embed import hub, language, packaged
from embed.encoder import UnreadableContent
from embed.language import STEP, TransformersEncoder
from embed.requests import EncoderOptions, build

hf: Any = transformers  # partly typed, differently in each version

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = ["кот", "##ики", "пёс", "дом", "кофе", "утро", "a", "b", "##c", "!"]
KEY = bytes(32)
VOCABULARY = {word: number for number, word in enumerate(SPECIAL + WORDS)}
SMALL: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network and an empty cache, whatever this machine has."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("no_proxy", "*")


def tokenizer(*, special: bool = True, pad: bool = True) -> Any:
    """A WordPiece tokenizer over 14 pieces, with or without [CLS] … [SEP] and a padding token."""
    made = Tokenizer(models.WordPiece(VOCABULARY, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if special:
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    names = {"pad_token": "[PAD]"} if pad else {}
    return hf.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", eos_token="[SEP]", **names)


def save(folder: Path, model: Any, words: Any = None) -> Path:
    model.save_pretrained(folder)
    (words or tokenizer()).save_pretrained(folder)
    return folder


def bert(**options: Any) -> Any:
    torch.manual_seed(0)
    return hf.BertModel(hf.BertConfig(**SMALL, **options)).eval()


@pytest.fixture
def folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Path:
    path = save(tmp_path / "tiny-bert", bert())
    capfd.readouterr()  # the bar that saving draws
    return path


def load(text: str, **flags: Any) -> TransformersEncoder:
    """With eager PyTorch unless `backend` says otherwise: a race takes seconds."""
    options = {"device": "cpu", "statistics": False, "backend": "eager"} | flags
    (request,) = build(EncoderOptions(text=(text,), **options))
    return TransformersEncoder(request, request.backend)


def embed(encoder: TransformersEncoder, *texts: str) -> np.ndarray:
    """Each text in a batch of its own bucket, in order."""
    return np.concatenate([encoder.encode([encoder.prepare(text, KEY)]) for text in texts])


@cache
def minilm() -> TransformersEncoder:
    return load("all-MiniLM-L6-v2")


# the packaged MiniLM


def own_minilm() -> Any:
    with hub.quiet():
        return hf.AutoModel.from_pretrained(packaged.find(packaged.TEXT)).eval()


SENTENCES = [
    "A cat sleeps on the warm windowsill.",
    "The kitten is napping by the window.",
    "Central banks raised interest rates again this quarter.",
    "Monetary policy was tightened, and borrowing became more expensive for households and for firms.",
]


@torch.inference_mode()
def test_mean_pooling_of_real_sentences() -> None:
    model = own_minilm()
    for sentence in SENTENCES:
        ids = minilm().prepare(sentence, KEY)
        hidden = model(input_ids=torch.tensor(ids[None], dtype=torch.long)).last_hidden_state[0]  # no padding, no mask
        assert np.allclose(embed(minilm(), sentence)[0], hidden.mean(0).numpy(), rtol=1e-3, atol=1e-5)


def test_what_means_the_same_is_nearer() -> None:
    rows = embed(minilm(), *SENTENCES)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosine = rows @ rows.T
    assert min(cosine[0, 1], cosine[2, 3]) > 0.4
    assert cosine[:2, 2:].max() < 0.2


def test_tokens_are_what_the_tokenizer_itself_gives() -> None:
    own = hf.AutoTokenizer.from_pretrained(packaged.find(packaged.TEXT))
    for text in [*SENTENCES, "кот 😻 #tag", "word " * 900]:
        assert minilm().prepare(text, KEY).tolist() == own(text, truncation=True, max_length=512)["input_ids"]


def test_the_spec_of_the_packaged_model() -> None:
    spec = minilm().spec
    assert (spec.kind, spec.family, spec.name, spec.pooling) == ("text", "transformers", "all-MiniLM-L6-v2", "mean")
    assert (spec.max_tokens, spec.text_cleaning, spec.compute_dtype) == (512, CLEANING_VERSION, "float32")
    assert minilm().dim == 384
    assert json.loads(json.dumps(spec.to_json())) == spec.to_json()


# pooling


@torch.inference_mode()
@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_poolings(pooling: str, folder: Path) -> None:
    encoder = load(f"{folder}:{pooling}")
    texts = ["кот", "Котики пёс! утро", "кофе " * 20]
    for row, text in zip(embed(encoder, *texts), texts, strict=True):
        output = bert()(input_ids=torch.tensor([encoder.prepare(text, KEY).tolist()]))
        hidden = output.last_hidden_state[0]
        expected = {"mean": hidden.mean(0), "cls": hidden[0], "pooler": output.pooler_output[0]}[pooling]
        assert np.allclose(row, expected.numpy(), atol=1e-5)
    assert encoder.dim == 32


def test_poolings_are_different_specs(folder: Path) -> None:
    specs = [load(f"{folder}:{pooling}").spec for pooling in ("mean", "cls", "pooler")]
    assert len({spec.key for spec in specs}) == 3
    assert [spec.pooling for spec in specs] == ["mean", "cls", "pooler"]


def test_a_checkpoint_without_a_pooler(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    bare = save(tmp_path / "bare" / "tiny-bert", hf.BertModel(bert().config, add_pooling_layer=False))
    state = {k: v for k, v in bert().state_dict().items() if not k.startswith("pooler.")}
    save_file(state, bare / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        InputError, match=r"the weights of 'tiny-bert' lack 'pooler.dense.bias' .*: use the mean or :cls"
    ):
        load(f"{bare}:pooler")
    assert load(str(bare)).spec.key == load(str(bare)).spec.key == load(str(folder)).spec.key  # its pooler is random


def test_a_model_that_has_no_pooler(tmp_path: Path) -> None:
    folder = save(tmp_path / "gpt", gpt(), tokenizer(special=False, pad=False))
    with pytest.raises(InputError, match=r"'gpt' gives no 'pooler' vector of a text .*: use another pooling or model"):
        load(f"{folder}:pooler")


# batches and lengths


def words(count: int) -> str:
    return " ".join(WORDS[number % 5] for number in range(count)).replace("##", "")


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
@pytest.mark.parametrize("tokens", [3, 8, 13, 16, 24, 40, 44])
def test_a_row_s_bytes_depend_on_its_text_alone(tokens: int, pooling: str, folder: Path) -> None:
    check_rows(load(f"{folder}:{pooling}"), tokens)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_the_same_with_other_backends(backend: str, folder: Path) -> None:
    encoder = load(str(folder), backend=backend)
    for tokens in (3, 8, 13, 40, 64):
        check_rows(encoder, tokens)


def check_rows(encoder: TransformersEncoder, tokens: int) -> None:
    generator = np.random.default_rng(tokens)
    step = STEP["cpu"]
    bucket = -(-tokens // step) * step
    rows = encoder.batch_rows(bucket)
    mates = [
        list(generator.integers(4, 14, generator.integers(max(1, bucket - step + 1), bucket + 1))) for _ in range(rows)
    ]
    mates = [[int(token) for token in mate] for mate in mates]
    mates[3] = mates[3][:1] * tokens
    whole = [mate + [5] * (bucket - len(mate)) for mate in mates]  # no padding anywhere: attention drops its mask
    whole[3] = mates[3]
    full = encoder.encode(mates)
    assert full.shape == (rows, 32)
    assert full.dtype == np.float32
    assert np.array_equal(encoder.encode([mates[3]])[0], full[3])
    assert np.array_equal(encoder.encode(mates[::-1])[::-1], full)
    assert np.array_equal(encoder.encode(whole)[3], full[3])


def test_the_same_for_the_packaged_model() -> None:
    texts = [f"{word} text number {number}" for number, word in enumerate(SENTENCES * 3)]
    prepared = [minilm().prepare(text, KEY) for text in texts]
    buckets = {minilm().bucket(tokens) for tokens in prepared}
    for bucket in buckets:
        rows = [tokens for tokens in prepared if minilm().bucket(tokens) == bucket]
        full = minilm().encode(rows)
        for place in {0, len(rows) - 1}:
            assert np.array_equal(minilm().encode([rows[place]])[0], full[place])


@pytest.mark.parametrize(
    ("tokens", "padded"), [(1, 8), (8, 8), (9, 16), (128, 128), (129, 160), (481, 500), (500, 500)]
)
def test_buckets_of_a_gpu(folder: Path, tokens: int, padded: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few lengths; the model's limit is one, whatever it is."""
    encoder = load(str(folder))
    for name, value in {"_device": "cuda", "_step": STEP["cuda"], "_limit": 500}.items():
        monkeypatch.setattr(encoder, name, value)
    assert encoder.bucket(np.full(tokens, 5, np.int32)) == padded


def test_buckets(folder: Path) -> None:
    encoder = load(str(folder))
    assert [encoder.bucket([5] * n) for n in (1, 4, 5, 16, 57, 64)] == [4, 4, 8, 16, 60, 64]
    assert [encoder.batch_rows(bucket) for bucket in (8, 16, 64)] == [32, 16, 4]
    assert minilm().batch_rows(512) == 1


@pytest.mark.parametrize(("tokens", "limit"), [(512, 64), (64, 64), (20, 20)])
def test_texts_are_cut_at_the_flag_or_the_model_s_positions(tokens: int, limit: int, folder: Path) -> None:
    encoder = load(str(folder), tokens=tokens)
    long = encoder.prepare(words(500), KEY)
    assert encoder.spec.max_tokens == len(long) == limit
    assert (long[0], long[-1]) == (2, 3)  # [CLS] and [SEP] survive
    assert np.isfinite(encoder.encode([long])).all()
    assert np.array_equal(embed(encoder, words(500)), embed(encoder, words(501)))


def test_a_limit_that_is_no_multiple_of_eight(tmp_path: Path) -> None:
    config = hf.BertConfig(**(SMALL | {"max_position_embeddings": 30}))
    encoder = load(str(save(tmp_path / "b", hf.BertModel(config))))
    assert encoder.bucket(encoder.prepare(words(100), KEY)) == 30
    assert encoder.encode([encoder.prepare(words(100), KEY)]).shape == (1, 32)


def test_roberta_numbers_its_positions_from_the_padding(tmp_path: Path) -> None:
    config = hf.RobertaConfig(**(SMALL | {"max_position_embeddings": 34, "type_vocab_size": 1}), pad_token_id=1)
    encoder = load(str(save(tmp_path / "r", hf.RobertaModel(config))))
    assert encoder.spec.max_tokens == 34 - 1 - 1
    assert np.isfinite(embed(encoder, words(100))).all()


def test_the_token_limit_is_part_of_the_spec(folder: Path) -> None:
    assert load(str(folder), tokens=20).spec.key != load(str(folder), tokens=21).spec.key


# other architectures


def gpt() -> Any:
    torch.manual_seed(0)
    config = hf.GPT2Config(vocab_size=14, n_embd=32, n_layer=2, n_head=4, n_positions=64, eos_token_id=3)
    return hf.GPT2Model(config).eval()


@torch.inference_mode()
def test_a_decoder_without_a_padding_token(tmp_path: Path) -> None:
    encoder = load(str(save(tmp_path / "gpt", gpt(), tokenizer(special=False, pad=False))))
    ids = encoder.prepare("кот пёс дом", KEY)
    assert len(ids) == 3
    hidden = gpt()(input_ids=torch.tensor([ids.tolist()])).last_hidden_state[0]
    assert np.allclose(encoder.encode([ids])[0], hidden.mean(0).numpy(), atol=1e-5)


@torch.inference_mode()
def test_the_encoder_of_an_encoder_decoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = hf.T5Config(vocab_size=14, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)
    model = hf.T5Model(config).eval()
    encoder = load(str(save(tmp_path / "t5", model)))
    ids = encoder.prepare("кот пёс дом", KEY)
    hidden = model.get_encoder()(input_ids=torch.tensor([ids.tolist()])).last_hidden_state[0]
    assert np.allclose(encoder.encode([ids])[0], hidden.mean(0).numpy(), atol=1e-5)


def test_a_half_precision_checkpoint_is_computed_in_full(tmp_path: Path) -> None:
    half = load(str(save(tmp_path / "half" / "m", bert().half())))
    full = load(str(save(tmp_path / "full" / "m", bert().half().float())))
    assert half.spec.key == full.spec.key
    assert np.array_equal(embed(half, "кот"), embed(full, "кот"))


def test_a_model_of_pictures(tmp_path: Path) -> None:
    config = hf.ViTConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=32, image_size=32
    )
    with pytest.raises(InputError, match=r"'vit' gives no 'mean' vector of a text .*expected a text encoder"):
        load(str(save(tmp_path / "vit", hf.ViTModel(config))))


def test_a_tokenizer_in_plain_python() -> None:
    slow = hf.CanineTokenizer()
    tokenize = language._tokenize(slow, 8)
    assert tokenize("ab") == slow("ab")["input_ids"]
    assert len(tokenize("abcdefghijkl")) == 8
    assert len(language._tokenizer_digest(slow)) == 64


def test_a_text_without_tokens(tmp_path: Path) -> None:
    encoder = load(str(save(tmp_path / "gpt", gpt(), tokenizer(special=False))))
    with pytest.raises(UnreadableContent, match=r"^no tokens$"):
        encoder.prepare(" \n ", KEY)


def test_threads_tokenize_as_one_does(folder: Path) -> None:
    encoder = load(str(folder))
    texts = [words(number) for number in range(1, 200)] * 10
    with ThreadPoolExecutor(8) as pool:
        rows = pool.map(lambda text: encoder.prepare(text, KEY).tolist(), texts)
        assert list(rows) == [encoder.prepare(text, KEY).tolist() for text in texts]


# weights


def in_the_hub_s_cache(folder: Path, cache_folder: Path, name: str) -> None:
    snapshot = cache_folder / f"models--{name.replace('/', '--')}" / "snapshots" / ("0" * 40)
    shutil.copytree(folder, snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)


def test_weights_have_one_name_wherever_they_come_from(folder: Path, tmp_path: Path) -> None:
    in_the_hub_s_cache(folder, tmp_path / "hub", "someone/tiny")
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (other / "model.safetensors").rename(other / "tuned.safetensors")
    encoders = [
        load("someone/tiny"),
        load("someone/tiny", weights=(f"someone/tiny={folder}",)),
        load("someone/tiny", weights=(f"someone/tiny={other / 'tuned.safetensors'}",)),
    ]
    assert len({encoder.spec.key for encoder in encoders}) == 1
    rows = [embed(encoder, "кот пёс") for encoder in encoders]
    assert all(np.array_equal(row, rows[0]) for row in rows)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", lambda config: config.update(hidden_act="relu")),
        ("config.json", lambda config: config.update(num_attention_heads=2)),  # weights of the same shapes
        ("tokenizer.json", lambda words: words.update(normalizer=None)),
        ("tokenizer.json", lambda words: words["model"]["vocab"].update({"кот": 6, "пёс": 4})),
    ],
)
def test_what_is_not_in_the_weights_is_in_the_spec_too(
    file: str, change: Callable[[dict[str, Any]], object], folder: Path
) -> None:
    before = load(str(folder)).spec
    edit(folder / file, change)
    after = load(str(folder)).spec
    assert after.weights == before.weights
    assert after.key != before.key


def test_bookkeeping_is_not(folder: Path) -> None:
    before = load(str(folder)).spec
    edit(
        folder / "config.json",
        lambda config: config.update(transformers_version="4.0", architectures=["X"], _name_or_path="/x"),
    )
    assert load(str(folder)).spec.key == before.key


def test_missing_weights_are_not_made_up(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["encoder.layer.1.output.dense.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lack 'encoder.layer.1.output.dense.weight' \(1 missing\): expected all"):
        load(str(folder))


def test_weights_of_another_shape(folder: Path) -> None:
    edit(folder / "config.json", lambda config: config.update(intermediate_size=64))
    with pytest.raises(InputError, match="cannot be loaded as 'tiny-bert'") as caught:
        load(str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[]", b'{"model_type": "no-such-type"}'])
def test_broken_files(file: str, content: bytes, folder: Path) -> None:
    (folder / file).write_bytes(content)
    if file == "tokenizer.json":
        (folder / "tokenizer_config.json").unlink()
    with pytest.raises(
        InputError, match=r"tiny-bert cannot be loaded as 'tiny-bert': .*: check the folder or pass"
    ) as caught:
        load(str(folder))
    assert "\n" not in str(caught.value)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_code_in_a_pickle_is_not_run(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"embeddings.word_embeddings.weight": Bomb(tmp_path / "run")}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"holds no weights: expected model\.safetensors"):
        load(str(folder))
    with pytest.raises(InputError, match="a pickle can run code"):
        load("tiny", weights=(f"tiny={folder / 'pytorch_model.bin'}",))
    assert not (tmp_path / "run").exists()


def test_a_hub_page_that_holds_only_a_pickle_is_not_loaded(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"embeddings.word_embeddings.weight": Bomb(tmp_path / "run")}, folder / "pytorch_model.bin")
    in_the_hub_s_cache(folder, tmp_path / "hub", "someone/tiny")
    with pytest.raises(InputError, match="cannot fetch 'someone/tiny'") as caught:
        load("someone/tiny")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_code_beside_a_model_is_not_run(folder: Path, tmp_path: Path) -> None:
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\nclass C: pass\n")
    classes = {"AutoConfig": "evil.C", "AutoModel": "evil.C"}
    edit(folder / "config.json", lambda config: config.update(auto_map=classes, model_type="evil"))
    with pytest.raises(InputError, match="cannot be loaded") as caught:
        load(str(folder))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


# the hub


def test_no_hub(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        InputError,
        match=r"cannot fetch 'bert-base-multilingual-cased': .* or pass --weights bert-base-multilingual-cased=FOLDER",
    ) as caught:
        load("bert-base-multilingual-cased")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a b", "no/such/thing", "..", "", "кот"])
def test_names_that_no_hub_could_have(name: str) -> None:
    with pytest.raises(InputError, match="cannot fetch"):
        load(name)


def test_loading_prints_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(str(folder))
    load("all-MiniLM-L6-v2")
    assert capfd.readouterr() == ("", "")
