"""The shape of the project: who may import whom, how light the commands are, what a wheel contains."""

import ast
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "data": {"data"},
    "embed": {"data", "embed"},
    "oversample": {"oversample"},
    "regress": {"data", "embed", "oversample", "regress"},
}
# what takes longer to import than --help may take, or belongs to the work and not to its description
HEAVY = {
    "torch",
    "timm",
    "transformers",
    "sklearn",
    "imblearn",
    "lightgbm",
    "pandas",
    "pyarrow",
    "scipy",
    "h5py",
    "optuna",
    "xgboost",
    "catboost",
}
COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in MAY_IMPORT
    for path in (ROOT / package).glob("*.py")
    if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")
)
MODULES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


def imported(tree: ast.AST) -> set[str]:
    """Top-level names of everything a module imports, wherever in the module."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names.add(str(node.module).partition(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_packages_import_only_to_the_left(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    ours = imported(ast.parse(path.read_text(encoding="utf-8"))) & set(MAY_IMPORT)
    assert ours <= MAY_IMPORT[package]


def test_there_are_the_commands_of_the_design() -> None:
    assert {"data.sample", "embed.extract", "embed.cache", "regress.fit", "regress.compare"} <= set(COMMANDS)


def help_run(command: str) -> tuple[str, float]:
    """Output of `--help` with the modules it loaded, and the CPU seconds it took."""
    code = (
        "import runpy, sys, atexit; atexit.register(lambda: print('LOADED', *sys.modules));"
        f"sys.argv = ['x', '--help']; runpy.run_module({command!r}, run_name='__main__', alter_sys=True)"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return done.stdout, cpu


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_light(command: str) -> None:
    output, _ = help_run(command)
    assert output.startswith("usage: python -m ")
    loaded = set(output.partition("LOADED ")[2].split())
    assert not loaded & HEAVY
    assert min(help_run(command)[1] for _ in range(3)) < 0.3  # CPU seconds; the issue's own limit


def test_oversample_needs_no_torch() -> None:
    code = "import oversample, sys; print(*sorted(set(sys.modules) & {'torch', 'data', 'embed', 'regress', 'h5py'}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_wheel_holds_the_four_packages_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, capture_output=True, check=True, timeout=120)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == set(MAY_IMPORT)
    assert not [name for name in names if name.startswith("data/sample/")]
    assert "regress/templates/report.html" in names


def test_no_pickle_in_what_users_load() -> None:
    for path in MODULES:
        assert not imported(ast.parse(path.read_text(encoding="utf-8"))) & {"pickle", "joblib", "dill"}, path
