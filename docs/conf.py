"""The site of documentation: `make docs` builds it into docs/_build."""

import re
from importlib.metadata import version as installed
from typing import Any

project = "embed-regress"
author = "the embed-regress authors"
version = release = installed("embed-regress")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"embed-regress {version}"
html_copy_source = False

autodoc_typehints = "none"  # docstrings give shapes; ArrayLike is six lines
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"


def plain(_app: Any, _what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Docstrings are plain text with `code`: what reStructuredText would read into it otherwise is escaped."""
    for i, line in enumerate(lines):
        parts = re.split(r"`+", line)
        prose = [
            re.sub(r"\w_(?!\w|:$)|[|*]", lambda found: found[0][:-1] + "\\" + found[0][-1], part) for part in parts[::2]
        ]
        lines[i] = "".join(p + (f"``{c}``" if c else "") for p, c in zip(prose, [*parts[1::2], ""], strict=False))


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", plain, priority=100)  # before napoleon reads the sections
