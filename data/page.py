"""One-file HTML pages: no network, nothing but what is inside them.

Whatever comes from a table or a run folder is untrusted: autoescaping is on, control characters are made visible, and
a page forbids itself everything but its own styles, its own script (named by its SHA-256) and data-URI pictures.
"""

import base64
import hashlib
import unicodedata
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


def render(templates: Path, name: str, context: dict[str, Any], script: str | None = None) -> str:
    """The HTML of the template `name`, which extends `page.html`, with the script of that file name inside."""
    source = "" if script is None else (templates / script).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    page = {"script": Markup(source), "script_digest": Markup(digest)}  # noqa: S704 - ours, and base64
    return _environment(templates).get_template(name).render(context | page)


def _environment(templates: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([templates, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"fixed": fixed, "percent": percent, "short": short}
    return environment


def visible(value: Any) -> Any:
    """Control characters and lone surrogates, which HTML and UTF-8 cannot hold, become U+FFFD; the rest stays."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" else c for c in value)


def short(name: str, longest: int = 60) -> str:
    """A name cut to a length that no layout breaks at."""
    return name if len(name) <= longest else name[: longest - 1] + "…"


def fixed(value: float | None, digits: int) -> str:
    """A number with so many decimals and a true minus sign; a dash where there is none."""
    return "–" if value is None else f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # + 0.0: no "−0.000"


def percent(rate: float) -> str:
    """0.1234 → "12.3 %", with a no-break space: three digits, but at most two decimals."""
    share = 100 * rate
    digits = 2 if 0 < abs(share) < 1 else 1 if abs(share) < 99.95 else 0
    return f"{share:.{digits}f}\u00a0%".replace("-", "−")
