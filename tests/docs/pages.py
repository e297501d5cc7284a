"""Executable pages: the code and the commands of a Markdown file run in order, and print what the page says.

Run as `python tests/docs/pages.py FILE…`, it writes what is printed today into the pages.

- ```` ```python ```` blocks share one namespace; a ```` ```text ```` block after one is what it prints.
- ```` ```console ```` blocks hold commands after `$ `, each followed by what it prints on both streams.
- A line `…` stands for any lines. Figures may differ in their digits: words, signs and their order may not.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BLOCK = re.compile(r"```(python|text|console)\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"^\$ (.*(?:\\\n.*)*)\n", re.MULTILINE)
ELLIPSIS = "…"
ROOT = Path(__file__).parents[2]


def check(page: Path) -> None:
    """Run the page's blocks in the current folder; AssertionError where one prints something else."""
    for what, said, printed in _played(page):
        assert matches(said, printed), f"{page.name}: {what}\nprinted\n{printed}\nand the page says\n{said}"


def matches(said: str, printed: str) -> bool:
    """Whether a text is what the page says, but for the digits of its figures and the lines under an ellipsis."""
    lines = [
        r"(?:.*\n)*?" if line.strip() == ELLIPSIS else re.escape(_numberless(line)) + r"\n"
        for line in said.strip().splitlines()
    ]
    found = "".join(_numberless(line) + "\n" for line in printed.strip().splitlines())
    return re.fullmatch("".join(lines), found) is not None


def _numberless(line: str) -> str:
    """Words without digits and without the spaces that align them: a figure may be shorter elsewhere."""
    return " ".join(re.sub(r"−?[\d,.]*\d", "#", line).replace("-#", "#").split())


def _played(page: Path, names: dict[str, object] | None = None) -> list[tuple[str, str, str]]:
    """Every output of the page: by what, what the page says, and what was printed."""
    names, outputs, printed = {}, [], ""
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        kind, text = block.groups()
        if kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(text, page.name, "exec"), names)
            printed = out.getvalue()
        elif kind == "text":
            outputs.append(("code", text, printed))
        else:
            outputs += [(command, said, _shell(command)) for command, said in commands(text)]
    return outputs


def commands(block: str) -> list[tuple[str, str]]:
    """Commands of a console block, each with the output below it."""
    parts = COMMAND.split(block)
    assert not parts[0].strip(), f"a console block starts with '$ ', not with {parts[0]!r}"
    return list(zip(parts[1::2], parts[2::2], strict=True))


def _shell(command: str) -> str:
    """What a command prints; AssertionError where it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    done = subprocess.run(
        ["bash", "-c", command],
        check=False,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def refresh(page: Path) -> None:
    """Write into the page what its blocks print today; outputs with an ellipsis that still hold stay."""
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        for _, said, printed in _played(page.absolute()):
            if not matches(said, printed):
                text = text.replace(said, printed.rstrip() + "\n", 1)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        refresh(Path(name).absolute())
