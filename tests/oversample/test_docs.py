"""docs/oversampling.md: its code runs in order, and prints what the page says."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

import oversample
from oversample import SAMPLERS

PAGE = (Path(__file__).parents[2] / "docs/oversampling.md").read_text()
BLOCK = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)


def test_the_page_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    names: dict[str, object] = {}
    printed = ""
    for kind, text in BLOCK.findall(PAGE):
        if kind == "text":
            assert _numberless(printed) == _numberless(text)
            continue
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(text, "docs/oversampling.md", "exec"), names)
        printed = out.getvalue()
    assert (tmp_path / "more.h5").exists()


def _numberless(text: str) -> list[str]:
    """Words without digits: the last ones of a figure may differ between versions of scikit-learn."""
    return re.sub(r"[\d,.]+", "#", text).split()


def test_the_page_names_every_sampler() -> None:
    for sampler in SAMPLERS.values():
        assert f"| `{sampler.__name__}` |" in PAGE


def test_a_sampler_is_imported_without_the_rest() -> None:
    code = "import sys; from oversample import SMOTER; print(*{name.partition('.')[0] for name in sys.modules})"
    environment = {**os.environ, "PYTHONPATH": str(Path(oversample.__file__).parents[1])}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    loaded = set(found.stdout.split())
    assert "oversample" in loaded
    assert not loaded & {"torch", "h5py", "matplotlib", "data", "embed", "regress", "lightgbm", "transformers"}
