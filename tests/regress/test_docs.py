"""docs/regression.md says what there is: its table of models, its losses, its TOML."""

import re
from pathlib import Path

from regress.grid import read_grid
from regress.losses import KINDS, Loss
from regress.models import MODELS, model_class

TEXT = (Path(__file__).parents[2] / "docs" / "regression.md").read_text(encoding="utf-8")
RATES = {"bce", "wbce", "binomial"}


def rows() -> dict[str, str]:
    """Model → losses, of the table."""
    found = {}
    for line in TEXT.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            found |= dict.fromkeys(re.findall(r"`([\w-]+)`", cells[0]), cells[2])
    return found


def test_every_model_is_in_the_table_and_nothing_else() -> None:
    assert set(rows()) == set(MODELS)


def test_the_losses_of_each_model_are_right() -> None:
    said = {"all": set(KINDS), "binomial": {"binomial"}, "rates, mse": RATES | {"mse"}}
    said["rates, mse, focal, bmse"] = set(KINDS)
    for name, losses in rows().items():
        if name != "stack":
            assert model_class(name).losses == said[losses], name


def test_the_losses_named_are_known() -> None:
    section = TEXT.partition("## Losses")[2].partition("## Folds")[0]
    named = set(re.findall(r"`((?:w?bce|mse|binomial|focal|bmse)(?::\d+)?)`", section))
    assert {Loss.parse(name).kind for name in named} == set(KINDS)


def test_the_toml_is_a_grid(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(TEXT.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    grid = read_grid(path, {})
    assert [fits.model for fits in grid] == [("mean",), ("ridge", "lgbm", "mlp", "stack"), ("lgbm",)]
    assert {(fits.folds, fits.target, fits.group) for fits in grid} == {("5x2", "open_photo", "author")}
