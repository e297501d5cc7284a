"""What only a GPU can show: recorded passes are eager ones bit for bit, vectors are those of the CPU, runs repeat."""

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_sample_images
from transformers import BertConfig, BertModel, BertTokenizerFast

from data.config import InputError
from embed.backends import Network, choose
from embed.cache import open_cache
from embed.cuda import RECORD_AFTER, Cuda, enough_memory
from embed.extract import Extract, run
from embed.images import decode
from embed.requests import EncoderOptions, Request, build

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
MODEL = "test_resnet"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(200))]


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A small picture and a small text encoder with random weights, as flags."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    save_file(timm.create_model(MODEL).state_dict(), folder / "picture.safetensors")
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    BertModel(BertConfig(vocab_size=len(WORDS), **sizes)).save_pretrained(folder / "bert")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    weights = (f"{MODEL}={folder / 'picture.safetensors'}",)
    return {"image": (MODEL,), "text": (str(folder / "bert"),), "weights": weights, "statistics": False}


def encoders(options: dict[str, Any], **more: Any) -> list[Any]:
    requests: tuple[Request, ...] = build(EncoderOptions(**(options | more)))
    return [request.load() for request in requests]


def picture(number: int, file_format: str = "JPEG") -> bytes:
    """A part of a photograph, each another one."""
    pixels: np.ndarray = load_sample_images().images[number % 2]
    out = io.BytesIO()
    Image.fromarray(pixels[number % 200 :, 2 * number % 300 :][: 60 + number, :150]).save(out, file_format, quality=90)
    return out.getvalue()


def sentences(n: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS[5:], rng.integers(1, 60))) for _ in range(n)]


def rows_of(encoder: Any, contents: list[Any]) -> np.ndarray:
    prepared = [encoder.prepare(content, bytes(32)) for content in contents]
    return np.concatenate([encoder.encode([each]) for each in prepared])


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))


@enough_memory("a batch of 64 × 3")
def with_memory(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    "words",
    [
        "CUDA out of memory. Tried to allocate 9.00 GiB",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate",
    ],
)
def test_a_full_memory_ends_the_run_in_one_line(words: str) -> None:
    kind = torch.OutOfMemoryError if words.startswith("CUDA out") else RuntimeError
    with pytest.raises(InputError, match=r"^the GPU's memory does not hold a batch of 64 × 3: .*--device cpu$"):
        with_memory(kind(words))


def test_another_fault_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="illegal memory access"):
        with_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


class Branching(torch.nn.Module):
    """Its path depends on its data, which no graph can record."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows: torch.Tensor = self.linear(x.float())
        return rows if x.sum().item() > 0 else -rows


@gpu
def test_a_recorded_pass_is_the_eager_one_bit_for_bit(options: dict[str, Any]) -> None:
    """The first passes eager, the later ones recorded; a shape between them changes nothing."""
    torch.manual_seed(0)
    forward = Cuda(timm.create_model(MODEL, num_classes=0).eval(), channels_last=True)
    inputs = [torch.rand(rows, 3, 64, 64) for rows in (4, 7, 4)]
    eager = [forward((each,)).copy() for each in inputs[:2]]
    for _ in range(2 * RECORD_AFTER):
        assert all(np.array_equal(forward((each,)), rows) for each, rows in zip(inputs, eager, strict=False))
    assert len(forward._recorded) == 2
    assert not np.array_equal(forward((inputs[2],)), eager[0])


@gpu
def test_a_network_that_cannot_be_recorded_runs_as_it_is() -> None:
    torch.manual_seed(0)
    forward = Cuda(Branching().eval(), channels_last=False)
    one = torch.ones(3, 4)
    plus, minus = (forward((sign * one,)).copy() for sign in (1, -1))
    assert not np.array_equal(plus, minus)
    forward.record((one,))
    assert not forward._recordable
    assert np.array_equal(forward((one,)), plus)
    assert np.array_equal(forward((-one,)), minus)


@gpu
@pytest.mark.parametrize("place", ["cpu", "cuda"])
def test_many_threads_get_what_one_gets(place: str) -> None:
    """Also where a caller writes the next batch into the tensor of its last, as encoders of views do."""
    torch.manual_seed(0)
    module = timm.create_model(MODEL, num_classes=0).eval()
    example = torch.rand(4, 3, 64, 64)
    forward = choose(Network(module, (example,), pictures=True), "cuda", None).forward
    inputs = [torch.rand(4, 3, 64, 64) for _ in range(64)]
    alone = [forward((each,)).copy() for each in inputs]
    own = threading.local()

    def call(given: torch.Tensor) -> np.ndarray:
        if not hasattr(own, "batch"):
            own.batch = torch.empty(4, 3, 64, 64, device=place).to(memory_format=torch.channels_last)
        own.batch.copy_(given)
        return forward((own.batch,)).copy()

    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(call, inputs * 4))
    assert all(np.array_equal(a, b) for a, b in zip(alone * 4, together, strict=True))


@gpu
def test_vectors_are_those_of_the_cpu(options: dict[str, Any]) -> None:
    pictures, texts = [decode(picture(n)) for n in range(20)], sentences(40)
    on_cpu, on_gpu = encoders(options, device="cpu", backend="eager"), encoders(options, device="cuda")
    for contents, cpu, card in zip((pictures, texts), on_cpu, on_gpu, strict=True):
        assert (cpu.spec.compute_dtype, card.spec.compute_dtype) == ("float32", "float16")
        expected, found = rows_of(cpu, contents), rows_of(card, contents)
        error = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
        assert error.max() < 1e-2
        assert cosines(expected, found).min() > 0.9999


@gpu
def test_a_row_depends_on_its_content_alone(options: dict[str, Any]) -> None:
    pictures, texts = [decode(picture(n)) for n in range(64)], sentences(300)
    for contents, encoder in zip((pictures, texts), encoders(options, device="cuda"), strict=True):
        prepared = [encoder.prepare(content, bytes(32)) for content in contents]
        bucket = encoder.bucket(prepared[0])
        mates = [each for each in prepared if encoder.bucket(each) == bucket]
        full = encoder.encode(mates)
        assert len(mates) > 5
        assert np.array_equal(encoder.encode(mates[:1]), full[:1])
        assert np.array_equal(encoder.encode(mates[2:5]), full[2:5])
        assert np.array_equal(encoder.encode(mates[::-1]), full[::-1])


@gpu
@pytest.mark.parametrize("decode_on", ["cpu", "gpu"])
def test_two_runs_leave_the_same_bytes(tmp_path: Path, options: dict[str, Any], decode_on: Any) -> None:
    """In another order, with views, and with pictures among them that only the CPU reads."""
    files = [picture(n, ["JPEG", "JPEG", "PNG"][n % 3]) for n in range(150)]
    files[7] = files[7][:300]
    found = []
    for name, turn in (("one", 1), ("two", -1)):
        frame = pd.DataFrame({"photo": files[::turn], "text": sentences(150)[::turn]})
        frame.to_parquet(tmp_path / f"{name}.parquet")
        cache = tmp_path / f"{name}.h5"
        run(
            Extract(
                posts=tmp_path / f"{name}.parquet", cache=cache, device="cuda", decode=decode_on, views=2, **options
            )
        )
        with open_cache(cache) as spaces:
            found.append({n: (s.keys.tobytes(), s.embedding.tobytes(), s.failures) for n, s in spaces.spaces.items()})
    assert found[0] == found[1]
    assert {name: len(failures) for name, (_, _, failures) in found[0].items()} == {
        MODEL: 1,
        f"{MODEL}@2views": 1,
        "bert": 0,
    }


@gpu
def test_a_batch_that_the_memory_does_not_hold() -> None:
    forward: Callable[..., Any] = Cuda(torch.nn.Linear(4, 1 << 20).eval(), channels_last=False)
    with pytest.raises(InputError, match=r"does not hold a batch of 1048576 × 4: "):
        forward((torch.ones(1 << 20, 4),))
    assert forward((torch.ones(2, 4),)).shape == (2, 1 << 20)
