"""Others at the same cache: a second extraction, and readers before, during and after every checkpoint."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from workload import MANY, SPACES, Contents, arrays

from embed.cache import CacheCommand, open_cache, run

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def extraction(posts: Path, cache: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, str(HERE / "company.py"), str(posts), "--cache", str(cache), "--json"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_extractions_at_once_make_the_arrays_of_one(tmp_path: Path) -> None:
    """Two tables with half of the texts in common, in two orders."""
    texts = [f"post {number} " + "word " * (number % 50) for number in range(3000)]
    tables = {"first": texts[:2000], "second": texts[:999:-1], "both": texts}
    for name, column in tables.items():
        (tmp_path / f"{name}.csv").write_text("text\n" + "\n".join(column) + "\n")
    both = [extraction(tmp_path / f"{name}.csv", tmp_path / "shared.h5") for name in ("first", "second")]
    ends = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    counts = [json.loads(out)["encoders"]["text_statistics"] for out, _ in ends]
    assert [count["embedded"] + count["cached"] for count in counts] == [2000, 2000]
    alone = extraction(tmp_path / "both.csv", tmp_path / "alone.h5")
    assert alone.communicate(timeout=120)[1] == ""
    assert arrays(tmp_path / "shared.h5") == arrays(tmp_path / "alone.h5")
    assert not list(tmp_path.glob("shared.h5?*"))


def test_a_reader_sees_a_whole_file_whenever_it_looks(tmp_path: Path) -> None:
    path, contents = tmp_path / "cache.h5", Contents(**MANY)
    writer = subprocess.Popen([sys.executable, str(HERE / "workload.py"), str(path)], cwd=ROOT)
    sizes, first, kept = [0], None, None
    while (running := writer.poll() is None) or sizes[-1] < len(contents.items):
        found = contents.check(path)
        assert len(found) >= sizes[-1]  # nothing goes away
        sizes.append(len(found))
        if found:
            with open_cache(path) as cache:
                assert [fault for space in cache.spaces.values() for fault in space.faults()] == []
            run(CacheCommand(action="info", cache=path))
        if found and first is None:
            first = open_cache(path)  # and stays open to the end
            kept = {name: first.spaces[name].embedding.copy() for name in SPACES if name in first.spaces}
        assert running or sizes[-1] == len(contents.items)
    assert writer.returncode == 0
    assert len(set(sizes)) > 5, "the reader came too late"
    assert first is not None
    assert kept
    for name, rows in kept.items():
        assert np.array_equal(first.spaces[name].embedding, rows)
