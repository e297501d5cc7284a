"""JPEG bytes → what the network reads: our decode and resize beside timm's own transform, and what becomes of vectors.

    python tests/benchmarks/decode.py [FOLDER]

The pictures are the JPEGs of FOLDER, or 96 made from the two photographs inside scikit-learn: tiled by reflection, so
that their texture stays a camera's, cut to 400 to 1,600 pixels a side, quality 85. They are heavy, 237 kB each: the
more of the time goes to the decoder's arithmetic, which all share, the lower the ratio (3.2 to 3.5 on wallpapers scaled
to the same sizes, 99 kB each). CPU seconds of one thread, each picture's best of five interleaved rounds. The cosine is
that of `tf_efficientnet_lite0`'s embeddings to those after timm's transform; its weights lie in a package of the demo
extra. Two threads over one is wall time, the median of five, and means something on an idle machine only.
"""

import io
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from embed import packaged
from embed.augment import Views
from embed.images import decode
from embed.transforms import Transform
from embed.weights import read_state

ROUNDS = 5
PICTURES = 96
CONFIG: dict[str, Any] = {
    "input_size": (3, 224, 224),
    "interpolation": "bicubic",
    "crop_pct": 0.875,
    "crop_mode": "center",
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
}

data: Any = timm.data  # untyped


def photographs() -> list[bytes]:
    rng = np.random.default_rng(0)
    sources = [np.pad(photo, ((0, 1600), (0, 1600), (0, 0)), "symmetric") for photo in load_sample_images().images]
    files = []
    for number in range(PICTURES):
        height, width = rng.integers(400, 1601, 2)
        top, left = rng.integers(0, 427, 2)
        part = sources[number % 2][top : top + height, left : left + width]
        file = io.BytesIO()
        Image.fromarray(part).save(file, "JPEG", quality=85)
        files.append(file.getvalue())
    return files


def best_seconds(runs: dict[str, Callable[[bytes], object]], files: list[bytes]) -> dict[str, float]:
    """CPU seconds for all files, each file's best of the rounds."""
    best = {name: np.full(len(files), np.inf) for name in runs}
    for _ in range(ROUNDS):
        for place, file in enumerate(files):
            for name, run in runs.items():
                start = time.thread_time()
                run(file)
                best[name][place] = min(best[name][place], time.thread_time() - start)
    return {name: float(seconds.sum()) for name, seconds in best.items()}


def two_threads_over_one(run: Callable[[bytes], object], files: list[bytes]) -> float:
    def seconds(threads: int) -> float:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            start = time.perf_counter()
            list(pool.map(run, files))
            return time.perf_counter() - start

    return statistics.median(seconds(1) / seconds(2) for _ in range(ROUNDS))


@torch.inference_mode()
def cosines(ours: Transform, reference: Callable[[Any], torch.Tensor], files: list[bytes]) -> torch.Tensor:
    model: Any = timm.create_model(packaged.IMAGE, num_classes=0).eval()
    path = packaged.find(packaged.IMAGE)
    if path is None:
        raise SystemExit("the cosine needs the demo extra: pip install 'embed-regress[demo]'")
    state = packaged.rename(packaged.IMAGE, read_state(path), list(model.state_dict()))
    model.load_state_dict({name: state[name] for name in model.state_dict()})
    pairs = [(ours(decode(file)).float() / 127.5 - 1, reference(decode(file).image)) for file in files]
    return torch.cat([torch.cosine_similarity(*model(torch.stack(pair)).split(1)) for pair in pairs])


def main(folder: str | None = None) -> None:
    torch.set_num_threads(1)
    files = [path.read_bytes() for path in sorted(Path(folder).glob("*.jp*g"))] if folder else photographs()
    reference = data.create_transform(**CONFIG, is_training=False)
    transform, views = Transform(CONFIG), Views(1, seed=0)
    runs: dict[str, Callable[[bytes], object]] = {
        "timm's transform": lambda file: reference(Image.open(io.BytesIO(file)).convert("RGB")),
        "PIL, decode alone": lambda file: Image.open(io.BytesIO(file)).convert("RGB"),
        "ours": lambda file: transform(decode(file)),
        "ours, decode alone": decode,
        "ours, and one view": lambda file: (picture := decode(file), transform(picture), views(picture, CONFIG, b"")),
    }
    seconds = best_seconds(runs, files)
    baseline = next(iter(seconds.values()))
    print(f"{len(files)} JPEGs, {sum(map(len, files)) / len(files) / 1000:,.0f} kB each, one thread")
    print(f"{'':24}{'pictures/CPU-s':>16}{'× timm':>9}")
    for name, value in seconds.items():
        print(f"{name:24}{len(files) / value:16.1f}{baseline / value:9.2f}")
    print(f"ours over timm's transform, per core: {baseline / seconds['ours']:.2f} (target: at least 3)")
    alike = cosines(transform, reference, files)
    print(f"cosine to timm's transform: mean {alike.mean():.6f}, worst {alike.min():.6f} (target: at least 0.9995)")
    print(f"two threads over one: {two_threads_over_one(runs['ours'], files):.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
