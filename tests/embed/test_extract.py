"""The whole extraction: real encoders, a real cache, bad posts, a second run, and kill -9."""

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from data.config import InputError
from embed.cache import open_cache
from embed.extract import Extract, run

ROOT = Path(__file__).parents[2]


def picture(seed: int, kind: str = "JPEG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


@pytest.fixture(scope="session")
def convnext(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ConvNeXt with seeded random weights, through the door that users have."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "convnext_atto.safetensors"
    save_file(timm.create_model("convnext_atto").state_dict(), path)
    return path


def table(folder: Path, n: int) -> Path:
    """A table in the origin's shape: base64 pictures, texts with entities and gaps."""
    rows = {
        "photo": [base64.b64encode(picture(i % 20)).decode() for i in range(n)],
        "text": [None if i % 7 == 3 else f"Post &quot;{i % 30}&quot;<br>[club{i % 30}|@cafe] привет" for i in range(n)],
        "view": [100 + i for i in range(n)],
        "open_photo": [i % 9 for i in range(n)],
    }
    path = folder / "posts.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def extract(folder: Path, posts: Path, weights: Path, **more: Any) -> dict[str, Any]:
    flags = {"image": ("convnext_atto",), "weights": (f"convnext_atto={weights}",), "backend": "eager", **more}
    return run(Extract(posts=posts, cache=folder / "cache.h5", **flags)).to_json()


def test_each_content_is_embedded_once_and_a_second_run_embeds_nothing(tmp_path: Path, convnext: Path) -> None:
    posts = table(tmp_path, 60)
    first = extract(tmp_path, posts, convnext)
    assert first["posts"] == 60
    counts = {name: c["embedded"] for name, c in first["encoders"].items()}
    texts = len({i % 30 for i in range(60) if i % 7 != 3})
    assert counts == {"convnext_atto": 20, "image_statistics": 20, "text_statistics": texts}
    assert first["embedded"] == sum(counts.values())
    before = (tmp_path / "cache.h5").read_bytes()
    second = extract(tmp_path, posts, convnext)
    assert (second["embedded"], second["cached"], second["failed"]) == (0, first["embedded"], 0)
    assert (tmp_path / "cache.h5").read_bytes() == before
    more = extract(tmp_path, table(tmp_path, 75), convnext)
    assert more["cached"] + more["embedded"] >= second["cached"]


def test_a_warm_run_imports_no_torch(tmp_path: Path, convnext: Path) -> None:
    posts = table(tmp_path, 8)
    extract(tmp_path, posts, convnext)
    code = (
        "import sys; from pathlib import Path; from embed.extract import Extract, run;"
        f"r = run(Extract(posts=Path({str(posts)!r}), cache=Path({str(tmp_path / 'cache.h5')!r}),"
        f" image=('convnext_atto',), weights=('convnext_atto={convnext}',), backend='eager'));"
        "print(r.to_json()['embedded'], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False"]


def test_bad_pictures_get_a_status_and_the_good_rows_are_the_same_bytes(tmp_path: Path, convnext: Path) -> None:
    good = [picture(i, "PNG") for i in range(5)]
    bad = [b"", b"<html>no picture</html>", good[0][: len(good[0]) // 2]]
    clean, mixed = tmp_path / "clean", tmp_path / "mixed"
    for folder, cells in ((clean, good), (mixed, [bad[0], good[3], bad[1], *good[:3], bad[2], good[4], None])):
        folder.mkdir()
        pd.DataFrame({"photo": cells}).to_parquet(folder / "posts.parquet")
        report = extract(folder, folder / "posts.parquet", convnext)
    assert report["encoders"]["convnext_atto"]["failed"] == 3
    assert report["unread"]["image"] == {"missing": 1}
    with h5py.File(clean / "cache.h5") as a, h5py.File(mixed / "cache.h5") as b:
        for name in ("key", "embedding"):
            assert np.array_equal(a["convnext_atto"][name][:], b["convnext_atto"][name][:])
    with open_cache(mixed / "cache.h5") as cache:
        reasons = set(cache.spaces["convnext_atto"].failures.values())
        assert reasons == {"empty file", "not an image", "truncated"}
        assert np.abs(cache.spaces["convnext_atto"].read(np.arange(5))).sum(axis=1).all()


def test_other_weights_under_the_same_name_are_refused_until_rebuilt(tmp_path: Path, convnext: Path) -> None:
    posts = table(tmp_path, 6)
    extract(tmp_path, posts, convnext)
    torch.manual_seed(1)
    other = tmp_path / "other.safetensors"
    save_file(timm.create_model("convnext_atto").state_dict(), other)
    with pytest.raises(InputError, match="--rebuild convnext_atto"):
        extract(tmp_path, posts, other)
    rebuilt = extract(tmp_path, posts, other, rebuild=("convnext_atto",))
    assert rebuilt["encoders"]["convnext_atto"]["embedded"] == 6


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["missing.csv"], "missing.csv"),
        (["--image", "convnext_atoo", "--weights", "convnext_atoo=w.safetensors"], "w.safetensors"),
        (["--dtype", "float8"], "float8"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, arguments: list[str], line: str) -> None:
    command = [sys.executable, "-m", "embed.extract", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert line in done.stderr
    assert not (tmp_path / "cache.h5").exists()


def test_a_truncated_cache_is_one_line(tmp_path: Path, convnext: Path) -> None:
    posts = table(tmp_path, 6)
    extract(tmp_path, posts, convnext)
    path = tmp_path / "cache.h5"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError) as caught:
        extract(tmp_path, posts, convnext)
    assert "\n" not in str(caught.value)


def test_kill_9_at_twenty_random_moments_changes_no_byte(tmp_path: Path, convnext: Path) -> None:
    """Nothing committed is lost, and the final arrays are those of a run that nobody disturbed."""
    rows = {"photo": [picture(i, "PNG") for i in range(96)], "text": [f"text {i} " * (i % 9) for i in range(96)]}
    pd.DataFrame(rows).to_parquet(tmp_path / "posts.parquet")
    labels = ["convnext_atto", "image_statistics", "text_statistics"]
    arguments = {
        "folder": str(tmp_path),
        "posts": str(tmp_path / "posts.parquet"),
        "labels": labels,
        "image": ["convnext_atto"],
        "weights": [f"convnext_atto={convnext}"],
        "backend": "eager",
    }
    command = [sys.executable, str(Path(__file__).with_name("kill_harness.py")), json.dumps(arguments), "20", "7"]
    here = {**os.environ, "PYTHONPATH": str(ROOT)}  # this checkout's code, not an installed one's
    done = subprocess.run(command, cwd=ROOT, env=here, capture_output=True, text=True, check=True, timeout=280)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["killed"] == 20
    assert all(after >= before for before, after in report["history"])
    assert any(after > before for before, after in report["history"])  # the kills hit a run at work
    with h5py.File(tmp_path / "whole.h5") as whole:
        for name in report["caches"]:
            with h5py.File(tmp_path / name) as other:
                for label in labels:
                    for array in ("key", "embedding", "crc32"):
                        assert np.array_equal(whole[label][array][:], other[label][array][:])
