"""A run on disk: what was fitted, how, how well, and the model itself; written whole or not at all.

A folder holds `run.json`, `predictions.parquet` (out-of-fold), the final model refitted on all posts and the scaling
it expects, with the SHA-256 of each file. No pickle: loading a run executes nothing. The digests are verified before
anything is parsed, since LightGBM aborts the process on a truncated model file. README.md, the model card, is for
people to complete: it is written with the rest and is not among the digests.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.config import InputError
from data.files import atomic_folder, sha256_file
from regress.card import CARD, card
from regress.fitted import Fitted

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
MANIFEST = "run.json"
PREDICTIONS = "predictions.parquet"


@dataclass(frozen=True)
class Run:
    """A run folder whose files are what was written."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    def predictions(self) -> "pd.DataFrame":
        """Out-of-fold predictions: id, row, fold, y, trials, mean, raw, prediction, cluster."""
        import pandas as pd

        return pd.read_parquet(self.folder / PREDICTIONS)

    def load_model(self) -> Fitted:
        """The final model, refitted on all posts."""
        return Fitted.load(self.folder, self.manifest["model"])


def save_run(folder: Path, manifest: dict[str, Any], predictions: "pd.DataFrame", fitted: Fitted) -> Run:
    """Write a run folder, replacing an older one of the same name."""
    with atomic_folder(folder) as new:
        predictions.to_parquet(new / PREDICTIONS, index=False)
        fitted.save(new)
        files = {
            path.relative_to(new).as_posix(): sha256_file(path) for path in sorted(new.rglob("*")) if path.is_file()
        }
        text = json.dumps({"format": FORMAT, **manifest, "files": files}, indent=2, ensure_ascii=False, allow_nan=False)
        (new / MANIFEST).write_text(text + "\n", encoding="utf-8")
        (new / CARD).write_text(card(manifest), encoding="utf-8")
    return load_run(folder)


def load_run(folder: Path) -> Run:
    """Open a run folder and verify its files.

    Raises:
        InputError: no run is there, it is damaged, or another version wrote it.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version, files = manifest["format"], dict(manifest["files"])
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder} is no run (it has no {MANIFEST}): name a folder that regress.fit wrote") from None
    except (ValueError, KeyError, TypeError) as why:
        raise InputError(f"{path} is damaged ({why}): fit again") from None
    if version != FORMAT:
        raise InputError(f"{path} has format {version!r}, this version reads {FORMAT}: fit again")
    for name, digest in files.items():
        inside = not Path(name).is_absolute() and ".." not in Path(name).parts
        if not inside or not (folder / name).is_file() or sha256_file(folder / name) != digest:
            raise InputError(f"{folder} is damaged: {name!r} is not the file that was written: fit again")
    return Run(folder, manifest)
