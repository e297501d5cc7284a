"""Extraction on an NVIDIA GPU: are the vectors right, and how near do pictures and texts come to their limits?

    python tests/benchmarks/gpu.py [vectors repeat forward texts decoders stream]

Pictures are photographs of 400 to 1,600 pixels a side and 237 kB (see decode.py), texts the docstrings of installed
libraries. EfficientNet-Lite0 and MiniLM have the weights of the demo extra; ConvNeXt and BERT-base have seeded random
ones, which compute as fast. The limit of a forward pass is the best rate of its kernels at any of some numbers of
rows, in half precision, fed from the GPU's own memory; that of a run is the slower of its decoding and its forward
passes, each alone. About 5 minutes on an H100 with 16 cores.
"""

import copy
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import timm
import torch
from decode import photographs
from extraction import docstrings, numbered, say, table
from safetensors.torch import save_file
from transformers import AutoTokenizer, BertConfig, BertModel

from embed import nvjpeg, packaged
from embed.backends import rate
from embed.cache import CacheWriter, open_cache
from embed.extract import Extract, run
from embed.images import decode
from embed.pipeline import GPU_THREADS, THREADS, TOGETHER, _begin, _wait_for_gpu
from embed.requests import EncoderOptions, build

CONVNEXT, BERT = "convnext_tiny", "bert-base"
PICTURES, TEXTS, SECONDS = 6_000, 20_000, 2.0  # of a run; of a rate
ROWS = (64, 256, 1024)  # of a forward pass, in the search for its limit


class Models:
    """The encoders that are measured, as flags; weights are made where no package has them."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(0)
        weights = folder / f"{CONVNEXT}.safetensors"
        save_file(timm.create_model(CONVNEXT).state_dict(), weights)
        self.images: dict[str, dict[str, Any]] = {}
        self.texts: dict[str, dict[str, Any]] = {}
        if packaged.find(packaged.IMAGE):
            self.images[packaged.IMAGE] = {"image": (packaged.IMAGE,)}
        self.images[CONVNEXT] = {"image": (CONVNEXT,), "weights": (f"{CONVNEXT}={weights}",)}
        if words := packaged.find(packaged.TEXT):
            self.texts[packaged.TEXT] = {"text": (packaged.TEXT,)}
            BertModel(BertConfig()).save_pretrained(folder / BERT)
            AutoTokenizer.from_pretrained(words).save_pretrained(folder / BERT)
            self.texts[BERT] = {"text": (str(folder / BERT),)}


def load(flags: dict[str, Any], device: str = "cuda", **more: Any) -> Any:
    options: Any = {"statistics": False, "device": device, "backend": "eager" if device == "cpu" else "auto"}
    return build(EncoderOptions(**(options | flags | more)))[0].load()


def rows_of(encoder: Any, contents: Sequence[Any]) -> np.ndarray:
    """float32 (contents, dim), in their order."""
    rows = np.empty((len(contents), encoder.dim), np.float32)
    prepared = [encoder.prepare(each, bytes(32)) for each in contents]
    buckets: dict[int, list[int]] = {}
    for number, each in enumerate(prepared):
        buckets.setdefault(encoder.bucket(each), []).append(number)
    for bucket, numbers in buckets.items():
        for start in range(0, len(numbers), step := encoder.batch_rows(bucket)):
            part = numbers[start : start + step]
            rows[part] = encoder.encode([prepared[number] for number in part])
    return rows


def distances(found: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """The worst row's relative error and cosine."""
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    lengths = np.linalg.norm(expected, axis=1)
    cosine = (found * expected).sum(1) / lengths / np.linalg.norm(found, axis=1)
    return float((np.linalg.norm(found - expected, axis=1) / lengths).max()), float(cosine.min())


def spaces(cache: Path) -> dict[str, tuple[bytes, bytes, dict[bytes, str]]]:
    with open_cache(cache) as opened:
        return {n: (s.keys.tobytes(), s.embedding.tobytes(), dict(s.failures)) for n, s in opened.spaces.items()}


def vectors(models: Models) -> None:
    pictures, texts = [decode(file) for file in photographs()[:32]], docstrings(256)
    for name, flags in (models.images | models.texts).items():
        contents = pictures if name in models.images else texts
        error, cosine = distances(*(rows_of(load(flags, device), contents) for device in ("cuda", "cpu")))
        say(f"{name}: relative error to float32 on the CPU", error, "<= 0.01", f"the worst row; cosine {cosine:.6f}")
    for name, flags in models.images.items():
        files, card = photographs()[:64], load(flags, decode="gpu")
        found = rows_of(card, list(nvjpeg.read(files, "cuda")))
        error, cosine = distances(found, rows_of(load(flags), [decode(file) for file in files]))
        say(f"{name}: cosine of --decode gpu to --decode cpu", cosine, ">= 0.999", f"the worst row; error {error:.4f}")


def repeat(models: Models, folder: Path) -> None:
    """Another order, and a run that is killed again and again, against one that is left alone."""
    flags = next(iter(models.images.values())) | next(iter(models.texts.values()), {})
    rows = pd.DataFrame({"photo": numbered(photographs(), 2000), "text": docstrings(2000)})
    options = {"device": "cuda", "statistics": False, **flags}
    for where in TOGETHER:
        left = []
        for name, part in (("straight", rows), ("turned", rows[::-1])):
            part.to_parquet(folder / f"{name}.parquet")
            cache = folder / f"{name}-{where}.h5"
            run(Extract(posts=folder / f"{name}.parquet", cache=cache, decode=where, **options))
            left.append(spaces(cache))
        kills, cache = 0, folder / f"killed-{where}.h5"
        config = Extract(posts=folder / "straight.parquet", cache=cache, decode=where, **options)
        held, label = -1, next(iter(models.images))
        while kills < 3 and held < len(rows):
            held, killed = killed_run(config, label)
            kills += killed
        run(config)
        equal = sum(one == left[0] for one in (left[1], spaces(cache)))
        say(f"--decode {where}: runs with the bytes of the first", equal, "2", f"another order; {kills} kill -9")


def killed_run(config: Extract, label: str) -> tuple[int, bool]:
    """A run in a process of its own, killed once it has committed 200 kB; how many rows are held, and was it killed."""
    values = {"cache": [str(config.cache)], "device": [config.device], "decode": [config.decode]}
    values |= {name: list(getattr(config, name)) for name in ("image", "text", "weights") if getattr(config, name)}
    flags = [word for name, words in values.items() for word in (f"--{name}", *words)]
    child = subprocess.Popen([sys.executable, "-m", "embed.extract", str(config.posts), "--no-statistics", *flags])
    journal = config.cache.with_name(config.cache.name + ".journal")
    before = sum(file.stat().st_size for file in journal.glob("*"))
    while child.poll() is None:
        if sum(file.stat().st_size for file in journal.glob("*")) > before + 200_000:
            os.kill(child.pid, signal.SIGKILL)
        time.sleep(0.01)
    if child.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"python -m embed.extract ended with {child.returncode}")
    with CacheWriter(config.cache) as writer:
        return len(writer.done(label)), child.returncode == -signal.SIGKILL


@torch.inference_mode()
def kernels(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> float:
    """Passes a second of a recorded forward pass whose inputs lie on the GPU."""
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):
        for _ in range(2):
            module(*inputs)
        torch.cuda.synchronize()
        graph.capture_begin(capture_error_mode="thread_local")
        module(*inputs)
        graph.capture_end()
        calls, start = 0, time.perf_counter()
        while time.perf_counter() - start < SECONDS / 4:
            for _ in range(4):
                graph.replay()
            stream.synchronize()
            calls += 4
        return calls / (time.perf_counter() - start)


def limit(encoder: Any, batch: tuple[torch.Tensor, ...]) -> tuple[float, int]:
    """Rows a second at the best number of rows, as autocast computes and with weights in half precision."""
    forward, best = encoder._model.choice.forward if hasattr(encoder, "_model") else encoder._forward, (0.0, 0)
    half = copy.deepcopy(forward._module)
    half.model.half()
    if len(batch) == 1:  # the normalisation is float32; what follows reads half
        half.model.register_forward_pre_hook(lambda _, inputs: (inputs[0].half(),))
    cast = torch.autocast("cuda", torch.float16)(forward._module)
    for rows in ROWS if len(batch) == 1 else (len(batch[0]), 4 * len(batch[0])):
        given = tuple(each.repeat(-(-rows // len(each)), *[1] * (each.dim() - 1))[:rows].cuda() for each in batch)
        given = tuple(x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x for x in given)
        best = max(best, *((rows * kernels(module, given), rows) for module in (half, cast)))
        torch.cuda.empty_cache()
    return best


def forward(models: Models) -> None:
    """As a run calls it, from pinned memory, and eager PyTorch in the same way."""
    for name, flags in models.images.items():
        encoder = load(flags)
        call = encoder._model.choice.forward
        batch = torch.randint(256, (64, 224, 224, 3), dtype=torch.uint8).pin_memory().permute(0, 3, 1, 2)
        ours = 64 * rate(call, (batch,), SECONDS)
        best, rows = limit(encoder, (batch,))
        call._recordable, call._recorded = False, {}
        eager = 64 * rate(call, (batch,), 4 * SECONDS)
        say(f"{name}: forward passes of 64 / limit", ours / best, ">= 0.75", f"{ours:.0f} of {best:.0f} ({rows} rows)")
        say(f"{name}: forward passes of 64 / eager", ours / eager, ">= 1", f"{eager:.0f}/s, a thread's start in it")


def texts(models: Models, folder: Path) -> None:
    for name, flags in models.texts.items():
        encoder = load(flags)
        for tokens in (16, 40, 128, 512):
            batch = encoder._padded([np.arange(1000, 1000 + tokens)] * encoder.batch_rows(tokens), tokens)
            encoder._forward.record(batch)
            ours = len(batch[0]) * rate(encoder._forward, batch, SECONDS / 2)
            best, _ = limit(encoder, batch)
            say(
                f"{name}: passes of {tokens} tokens / limit",
                ours / best,
                ">= 0.75",
                f"{ours:.0f} of {best:.0f} texts/s",
            )
        sentences = [f"{number} {text}" for number, text in enumerate((docstrings() * 9)[:TEXTS])]
        pd.DataFrame({"text": sentences}).to_parquet(path := folder / "texts.parquet")
        report = run(Extract(posts=path, cache=folder / f"{name}.h5", device="cuda", statistics=False, **flags))
        tokens = statistics.mean(len(encoder.prepare(text, b"")) for text in sentences[:3000])
        detail = f"{tokens:.0f} tokens in the mean; {report.seconds}"
        say(f"{name}: texts/s from end to end", TEXTS / report.seconds.working, "", detail)


def pace(job: Callable[[Any], object], parts: Sequence[Any], threads: int) -> float:
    """Parts a second of threads as a run has them, the first of each not counted."""
    with ThreadPoolExecutor(threads, initializer=_begin) as pool:
        list(pool.map(job, parts[:threads]))
        start = time.perf_counter()
        list(pool.map(job, parts))
        return len(parts) / (time.perf_counter() - start)


def decode_rate(encoder: Any, where: str, pictures: Sequence[bytes], threads: int) -> float:
    """Pictures a second that are decoded and made ready, and nothing else."""

    def on_the_gpu(part: Sequence[bytes]) -> None:
        _ = [encoder.prepare(each, b"") for each in nvjpeg.read(list(part), "cuda")]
        _wait_for_gpu()

    if where == "cpu":
        return pace(lambda file: encoder.prepare(decode(file), b""), pictures, threads)
    step = TOGETHER["gpu"]
    return step * pace(on_the_gpu, [pictures[at : at + step] for at in range(0, len(pictures), step)], threads)


def decoders(models: Models) -> None:
    flags, pictures = next(iter(models.images.values())), photographs() * 16
    tensors = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in pictures[:96]]
    alone = 96 * pace(lambda _: nvjpeg._call(tensors, "cuda"), range(12), 1)
    print(f"nvJPEG alone, 96 in a call: {alone:.0f} pictures/s", flush=True)
    for where, counts in (("cpu", (1, 4, 8, THREADS)), ("gpu", (1, 2, 4, 8))):
        encoder = load(flags, decode=where)
        rates = {n: decode_rate(encoder, where, pictures[: 128 * n if where == "cpu" else None], n) for n in counts}
        print(f"decode and resize on the {where}:", ", ".join(f"{v:.0f} in {n}" for n, v in rates.items()), flush=True)


def stream(models: Models, folder: Path) -> None:
    pictures = numbered(photographs(), PICTURES)
    posts = table(folder, pictures)
    for name, flags in models.images.items():
        for where in TOGETHER:
            encoder = load(flags, decode=where)
            batch = torch.randint(256, (64, 224, 224, 3), dtype=torch.uint8).pin_memory().permute(0, 3, 1, 2)
            forwards = 64 * rate(encoder._model.choice.forward, (batch,), SECONDS)
            decodes = decode_rate(encoder, where, pictures[:2048], THREADS if where == "cpu" else GPU_THREADS)
            del encoder
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            options: dict[str, Any] = {"decode": where, "device": "cuda", "statistics": False, **flags}
            caches = (folder / f"{name}-{where}{number}.h5" for number in range(2))
            runs = [run(Extract(posts=posts, cache=cache, **options)) for cache in caches]
            ours = statistics.median(PICTURES / one.seconds.working for one in runs)
            best, both = min(forwards, decodes), 1 / (1 / forwards + 1 / decodes)
            peak = torch.cuda.max_memory_reserved() / 1e9
            detail = f"{ours:.0f} of min({forwards:.0f}, {decodes:.0f}); {ours / both:.2f} of 1 / (1/F + 1/D)"
            say(f"{name}, --decode {where}: end to end / limit", ours / best, ">= 0.95", detail)
            print(f"    GPU idle {1 - ours / forwards:.0%}, {peak:.1f} GB; {runs[-1].seconds}", flush=True)


def main(sections: list[str]) -> None:
    if not torch.cuda.is_available():
        raise SystemExit("needs an NVIDIA GPU: torch sees none")
    print(f"{torch.cuda.get_device_name()}, {len(os.sched_getaffinity(0))} cores, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = Models(folder)
        jobs: dict[str, Callable[[], object]] = {
            "vectors": lambda: vectors(models),
            "repeat": lambda: repeat(models, folder),
            "forward": lambda: forward(models),
            "texts": lambda: texts(models, folder),
            "decoders": lambda: decoders(models),
            "stream": lambda: stream(models, folder),
        }
        for section in sections or jobs:
            jobs[section]()


if __name__ == "__main__":
    main(sys.argv[1:])
