"""docs/oversampling.md names what there is, and `oversample` is what it says: usable alone."""

import os
import subprocess
import sys
from pathlib import Path

import oversample
from oversample import SAMPLERS

PAGE = (Path(__file__).parents[2] / "docs/oversampling.md").read_text()


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
