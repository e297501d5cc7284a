"""Extraction against its own limits and against what others do, each pair in one run.

    python tests/benchmarks/extraction.py [forward decode stream text encoders warm memory]

Pictures are photographs of 400 to 1,600 pixels a side (see decode.py), texts the docstrings of installed libraries:
real English of 3 to 10,000 tokens. The weights of EfficientNet-Lite0 and MiniLM lie in packages of the demo extra.
Rates are medians; run it on a quiet machine. About 5 minutes on two cores, 3 GB of disk for `warm`.
"""

import inspect
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import timm
import torch
from decode import best_seconds, photographs
from PIL import Image

from embed import packaged
from embed.backends import Torch, rate
from embed.cache import CacheWriter
from embed.content import content_keys
from embed.extract import Extract, run
from embed.images import decode
from embed.language import TransformersEncoder
from embed.pipeline import THREADS
from embed.requests import EncoderOptions, Request, build
from embed.slot import space_info
from embed.vision import TimmEncoder, _Normalised

PICTURES = 768
EAGER = 128  # pictures of the loops that are several times as slow
ROUNDS = 3
ROWS = 25_000

data: Any = timm.data  # untyped


def say(what: str, ratio: float, target: str, detail: str = "") -> None:
    print(f"{what:58}{ratio:9.3g}   {target:18}{detail}", flush=True)


def median_seconds(job: Callable[[], object], rounds: int = ROUNDS) -> float:
    def once() -> float:
        start = time.perf_counter()
        job()
        return time.perf_counter() - start

    return statistics.median(once() for _ in range(rounds))


def request(kind: str, backend: str = "auto", **more: Any) -> Request:
    requests = build(EncoderOptions(statistics=False, device="cpu", backend=backend, **more))  # type: ignore[arg-type]
    return next(one for one in requests if one.kind == kind)


def numbered(files: Sequence[bytes], n: int) -> list[bytes]:
    """n different files of the same pictures: a JPEG comment with a number follows the first marker."""
    return [file[:2] + b"\xff\xfe\0\x0a%08d" % i + file[2:] for i in range(n) if (file := files[i % len(files)])]


def table(folder: Path, files: Sequence[bytes], texts: Sequence[str] | None = None) -> Path:
    columns: dict[str, Any] = {"photo": pa.array(files, pa.binary())}
    path = folder / f"{len(files)}.parquet"
    pq.write_table(pa.table(columns | ({"text": list(texts)} if texts else {})), path, row_group_size=1024)
    return path


def docstrings(n: int = 3000) -> list[str]:
    """Of everything public in numpy, scipy, scikit-learn, pandas and torch, in a fixed order."""
    found: dict[str, None] = {}
    for name in ("numpy", "pandas", "torch", "scipy.stats", "scipy.signal", "sklearn.metrics", "sklearn.linear_model"):
        module = __import__(name, fromlist=["x"])
        for member in (getattr(module, each, None) for each in sorted(dir(module)) if not each.startswith("_")):
            for thing in [member, *(vars(member).values() if inspect.isclass(member) else ())]:
                text = getattr(thing, "__doc__", None)
                if isinstance(text, str) and len(text) > 20:
                    found.update(dict.fromkeys(part for part in map(str.strip, text.split("\n\n")) if len(part) > 20))
    texts = list(found)
    np.random.default_rng(0).shuffle(texts)
    return texts[:n]


# the sections


def forward() -> float:
    """Forward passes alone; returns pictures a second of the default backend."""
    encoder = TimmEncoder(request("image"))
    best, model = encoder._model.choice.forward, encoder._model
    plain: Any = timm.create_model(packaged.IMAGE, num_classes=0).eval()
    eager = Torch(_Normalised(plain, (0.5,) * 3, (0.5,) * 3).eval(), channels_last=False)
    batch = (torch.randint(256, (16, *model.config["input_size"]), dtype=torch.uint8),)
    pairs = [(16 * rate(best, batch, 2), 16 * rate(eager, batch, 2)) for _ in range(ROUNDS)]
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    fastest = statistics.median(ours for ours, _ in pairs)
    say("default backend over eager, tf_efficientnet_lite0", ratio, ">= 4.5", f"{best.name}, {fastest:.0f} pictures/s")
    return fastest


def decoding(files: list[bytes]) -> None:
    config = TimmEncoder(request("image", "eager"))._model.config
    reference, transform = data.create_transform(**config, is_training=False), TimmEncoder(request("image", "eager"))
    runs: dict[str, Callable[[bytes], object]] = {
        "timm": lambda file: reference(Image.open(io.BytesIO(file)).convert("RGB")),
        "ours": lambda file: transform.prepare(decode(file), b""),
    }
    torch.set_num_threads(1)
    seconds = best_seconds(runs, files)
    torch.set_num_threads(THREADS)
    detail = f"{len(files) / seconds['ours']:.0f} pictures/CPU-s"
    say("decode and resize per core over timm's transform", seconds["timm"] / seconds["ours"], ">= 3", detail)


def stream(folder: Path, files: list[bytes]) -> None:
    """End to end against 1 / (1/F + 1/D), and against a DataLoader in front of eager PyTorch."""
    pictures = numbered(files, PICTURES)
    posts, encoder = table(folder, pictures), TimmEncoder(request("image"))

    def decode_all() -> None:
        with ThreadPoolExecutor(THREADS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(lambda file: encoder.prepare(decode(file), b""), pictures[::2]))

    batch = (torch.stack([encoder.prepare(decode(file), b"")[0] for file in files[:16]]),)
    ours, limits = [], []
    for number in range(ROUNDS):
        forwards = 16 * rate(encoder._model.choice.forward, batch, 2)
        decodes = PICTURES / 2 / median_seconds(decode_all, 1)
        limits.append(1 / (1 / forwards + 1 / decodes))
        config = Extract(posts=posts, cache=folder / f"stream{number}.h5", statistics=False, image=(packaged.IMAGE,))
        ours.append(PICTURES / run(config).seconds.working)
    ratio = statistics.median(rate / limit for rate, limit in zip(ours, limits, strict=True))
    pace = statistics.median(ours)
    say(
        "end to end over 1 / (1/F + 1/D)", ratio, ">= 0.95", f"{pace:.0f} of {statistics.median(limits):.0f} pictures/s"
    )
    for name, loop in {"DataLoader and eager": peers_batches, "one picture a forward (embetter)": peers_single}.items():
        theirs = EAGER / median_seconds(lambda loop=loop: loop(pictures[:EAGER]), 1)  # type: ignore[misc]
        say(f"end to end over {name}", pace / theirs, ">= 4", f"{theirs:.0f} pictures/s")


class _Files(torch.utils.data.Dataset[torch.Tensor]):
    def __init__(self, files: list[bytes]) -> None:
        self.files, self.transform = files, data.create_transform(**peers_config(), is_training=False)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        tensor: torch.Tensor = self.transform(Image.open(io.BytesIO(self.files[index])).convert("RGB"))
        return tensor


def peers_config() -> dict[str, Any]:
    model = timm.create_model(packaged.IMAGE)
    resolved: dict[str, Any] = data.resolve_data_config({}, model=model)
    return resolved


@torch.inference_mode()
def peers_batches(files: list[bytes]) -> None:
    """clip-retrieval, thingsvision, FiftyOne: worker processes with PIL, eager PyTorch in batches."""
    model = timm.create_model(packaged.IMAGE, num_classes=0).eval()
    for batch in torch.utils.data.DataLoader(_Files(files), 16, num_workers=THREADS):
        model(batch)


@torch.inference_mode()
def peers_single(files: list[bytes]) -> None:
    """embetter: PIL and a forward pass for each picture."""
    model = timm.create_model(packaged.IMAGE, num_classes=0).eval()
    dataset = _Files(files)
    for index in range(len(files)):
        model(dataset[index][None])


def text(folder: Path) -> None:
    texts = docstrings()
    encoder = TransformersEncoder(request("text"))
    tokens = [len(encoder.prepare(each, b"")) for each in texts]
    buckets = [encoder.bucket(np.zeros(n)) for n in tokens]
    padded = sum(
        -(-buckets.count(length) // encoder.batch_rows(length)) * encoder.batch_rows(length) * length
        for length in set(buckets)
    )
    lengths = f"{len(texts):,} texts, {statistics.median(tokens):.0f} tokens in the middle, {max(tokens)} at most"
    say("padded over real tokens", padded / sum(tokens), "<= 1.07", lengths)
    path = folder / "texts.parquet"
    pq.write_table(pa.table({"text": texts}), path)
    config = Extract(posts=path, cache=folder / "text.h5", statistics=False, text=(packaged.TEXT,))
    pace = len(texts) / run(config).seconds.working
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(packaged.find(packaged.TEXT)), device="cpu")
    theirs.max_seq_length = 512
    rate_theirs = len(texts) / median_seconds(lambda: theirs.encode(texts, show_progress_bar=False), 1)
    say("texts over SentenceTransformer.encode", pace / rate_theirs, "", f"{pace:.0f} over {rate_theirs:.0f} texts/s")


def encoders(folder: Path, files: list[bytes]) -> None:
    """Three encoders at once against one decode and the three forwards, in seconds of the same threads."""
    names = (packaged.IMAGE, "mobilenetv3_small_100", "convnext_atto")
    weights = []
    for name in names[1:]:
        torch.manual_seed(0)
        torch.save(timm.create_model(name).state_dict(), folder / f"{name}.pth")
        weights.append(f"{name}={folder / name}.pth")
    options: dict[str, Any] = {"image": names, "weights": tuple(weights), "statistics": False}
    pictures = numbered(files, PICTURES // 2)
    posts = table(folder, pictures)
    loaded = [TimmEncoder(one) for one in build(EncoderOptions(device="cpu", **options))]

    def decode_all() -> None:
        with ThreadPoolExecutor(THREADS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(
                pool.map(
                    lambda file: [one.prepare(picture, b"") for picture in [decode(file)] for one in loaded], pictures
                )
            )

    ratios = []
    for number in range(ROUNDS):
        batch = (torch.randint(256, (16, 3, 224, 224), dtype=torch.uint8),)
        forwards = sum(len(pictures) / 16 / rate(one._model.choice.forward, batch, 1) for one in loaded)
        limit = median_seconds(decode_all, 1) + forwards
        report = run(Extract(posts=posts, cache=folder / f"three{number}.h5", **options))
        ratios.append(report.seconds.working / limit)
    say("three encoders over one decode + three forwards", statistics.median(ratios), "<= 1.05")


def filled(folder: Path, n: int, pictures: Callable[[int], bytes]) -> Path:
    """A table of n posts whose embeddings are in the cache beside it, as a first run would have left them."""
    rng, step, posts = np.random.default_rng(0), 1000, folder / f"{n}.parquet"
    encoders = [(one, one.load("openvino" if one.family != "statistics" else None)) for one in build(EncoderOptions())]
    schema = pa.schema([("photo", pa.binary()), ("text", pa.string())])
    with CacheWriter(posts.with_suffix(".h5")) as writer, pq.ParquetWriter(posts, schema) as out:
        for one, encoder in encoders:
            writer.open(space_info(one, encoder))
        for start in range(0, n, step):
            photo = [pictures(i) for i in range(start, start + step)]
            text = [f"post number {i} of many, with a few words more" for i in range(start, start + step)]
            out.write_table(pa.table({"photo": photo, "text": text}, schema))
            for one, encoder in encoders:
                keys = content_keys(photo if one.kind == "image" else text)
                writer.append(one.label, keys, rng.standard_normal((step, encoder.dim), np.float32))
        writer.checkpoint()
    return posts


def warm_run(posts: Path) -> dict[str, Any]:
    """A second run in a process of its own: its report, and its peak memory in bytes."""
    code = (
        "import json, sys; from pathlib import Path; from embed.extract import Extract, run;"
        "r = run(Extract(posts=Path(sys.argv[1]), cache=Path(sys.argv[1]).with_suffix('.h5'))).to_json();"
        "r['status'] = Path('/proc/self/status').read_text(); print(json.dumps(r))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(posts)], capture_output=True, text=True, check=True)
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    report["peak"] = 1024 * int(report["status"].partition("VmHWM:")[2].split()[0])
    if report["embedded"]:
        raise SystemExit(f"not warm: {report['embedded']} embedded")
    return report


def warm(folder: Path, files: list[bytes]) -> None:
    for size in (100_000, len(max(files, key=len))):
        cut = [file[:size] for file in files]  # a warm run reads and hashes bytes, and decodes none
        report = warm_run(filled(folder, ROWS, lambda i, cut=cut: b"%08d" % i + cut[i % len(cut)]))  # type: ignore[misc]
        seconds, kilobytes = report["seconds"], statistics.mean(map(len, cut)) / 1000
        after = seconds["total"] - seconds["read"]
        detail = f"{kilobytes:.0f} kB pictures; reading {seconds['read']:.1f} s, hashing {seconds['hash']:.1f} s of it"
        say(f"seconds for {ROWS:,} cached posts, after reading", after, "<= 2", detail)


def memory(folder: Path) -> None:
    small, large = (warm_run(filled(folder, n, lambda i: b"%0100d" % i))["peak"] for n in (ROWS, 10 * ROWS))
    detail = f"{small / 1e6:.0f} MB at {ROWS:,} rows, {large / 1e6:.0f} MB at {10 * ROWS:,}"
    say("bytes of memory a row, two encoders and statistics", (large - small) / (9 * ROWS), "<= 1024", detail)


def main(sections: Iterator[str] | list[str]) -> None:
    files = photographs()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        jobs: dict[str, Callable[[], object]] = {
            "forward": forward,
            "decode": lambda: decoding(files),
            "stream": lambda: stream(folder, files),
            "text": lambda: text(folder),
            "encoders": lambda: encoders(folder, files),
            "warm": lambda: warm(folder, files),
            "memory": lambda: memory(folder),
        }
        for section in sections or jobs:
            jobs[section]()


if __name__ == "__main__":
    main(sys.argv[1:])
