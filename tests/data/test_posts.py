"""Posts: columns found by name, ids that address rows, contents streamed in batches."""

import base64
import io
import subprocess
import sys
import tempfile
import tracemalloc
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data import posts as module
from data.config import InputError, parse
from data.posts import Batch, Declared, Fault, Posts, PostsOptions, open_posts
from data.text import clean

ROOT = Path(__file__).parents[2]


def image(kind: str = "PNG", color: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), color).save(file, kind)
    return file.getvalue()


PNG, JPEG = image(), image("JPEG", "blue")


def posts_of(folder: Path, content: str, **options: Any) -> Posts:
    path = folder / "t.csv"
    path.write_text(content, encoding="utf-8")
    return open_posts(PostsOptions(posts=path, **options))


def everything(posts: Posts, size: int = 1024) -> Batch:
    """All batches as one, having checked that they follow each other."""
    whole = Batch(0, [], [], [])
    for batch in posts.batches(size):
        assert batch.start == len(whole.ids)
        assert 0 < len(batch.ids) == len(batch.texts) == len(batch.images) <= size
        whole.ids.extend(batch.ids)
        whole.texts.extend(batch.texts)
        whole.images.extend(batch.images)
    return whole


def refusal(folder: Path, content: str, **options: Any) -> str:
    with pytest.raises(InputError) as error:
        posts_of(folder, content, **options)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(str(folder / "t.csv"))


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A table shaped like the origin's, as pandas writes it: an unnamed index, HTML in texts, base64 JPEGs."""
    activities = ["like", "comment", "hide", "expand", "open_photo", "open", "share_to_message"]
    frame = pd.DataFrame(
        {
            "view": [4000, 5000, 6000],
            **{name: [1, 2, 3] for name in activities},
            "text": ["&quot;Кот&quot;<br>[club1|@cat] &#128571;", None, "NaN"],
            "photo": [base64.b64encode(JPEG).decode(), None, base64.b64encode(PNG).decode()],
        }
    )
    frame.to_csv(tmp_path / "posts.csv")
    return tmp_path / "posts.csv"


def test_the_origins_table_needs_no_flag(origin: Path) -> None:
    posts = open_posts(PostsOptions(posts=origin))
    assert (posts.id_column, posts.text_column, posts.image_column) == (None, "text", "photo")
    assert len(posts) == posts.n == 3
    assert posts.columns[:2] == ("Unnamed: 0", "view")
    assert posts.declared == Declared()
    assert everything(posts) == Batch(0, ["1", "2", "3"], ['"Кот"\n@cat 😻', None, None], [JPEG, None, PNG])
    assert posts.read("view")["view"].tolist() == ["4000", "5000", "6000"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("id,text,photo", ("id", "text", "photo")),
        ("post_id,id,image,photo,picture", ("id", None, "photo")),
        ("picture,image,post_id", ("post_id", None, "image")),
        ("picture,view", (None, None, "picture")),
        ("ID,Text,Photo", (None, None, None)),
    ],
)
def test_columns_are_found_by_name(header: str, expected: tuple[str | None, ...], tmp_path: Path) -> None:
    posts = posts_of(tmp_path, f"{header}\n" + ",".join(["x"] * len(header.split(","))) + "\n")
    assert (posts.id_column, posts.text_column, posts.image_column) == expected


def test_columns_are_named_by_flags(tmp_path: Path) -> None:
    content = "id,key,text,words,photo,picture\n1,a,x,y,no.png,p.png\n"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "p.png").write_bytes(PNG)
    flags = {"id_column": "key", "text_column": "words", "image_column": "picture", "image_root": tmp_path / "folder"}
    assert everything(posts_of(tmp_path, content, **flags)) == Batch(0, ["a"], ["y"], [PNG])


def test_a_flag_that_names_no_column(tmp_path: Path) -> None:
    assert refusal(tmp_path, "id,text,view\n1,a,2\n", text_column="txt") == (
        " has no column 'txt' (found id, text, view): did you mean 'text'? rename it or pass --text-column NAME"
    )
    assert "pass --id-column NAME" in refusal(tmp_path, "id\n1\n", id_column="zzz")
    assert "pass --image-column NAME" in refusal(tmp_path, "id\n1\n", image_column="zzz")


def test_found_columns_are_listed_up_to_12_and_on_one_line(tmp_path: Path) -> None:
    header = ",".join([f"c{i}" for i in range(20)])
    said = refusal(tmp_path, f"{header}\n" + ",".join("1" * 20) + "\n", id_column="zzz")
    assert "c11 and 8 more)" in said
    assert len(refusal(tmp_path, f"{'x' * 9999},c\n1,2\n", id_column="zzz")) < 200
    assert r"'a\nb'" in refusal(tmp_path, '"a\nb",c\n1,2\n', id_column="zzz")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,text\n", " has a header and no rows: expected a row for each post"),
        ("id,text\n5,a\n,b\n7,c\n", ": row 2 has no 'id': give it one or pass --id-column NAME"),
        (
            "id,text\n5,a\n6,b\n5,c\n6,d\n5,e\n",
            ": id '5' is in row 1 and in row 3; 3 of 5 rows repeat an earlier one: "
            "make them unique or pass --id-column NAME",
        ),
    ],
)
def test_tables_without_usable_ids(content: str, said: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, content) == said


def test_without_a_text_or_picture_column_there_is_none(tmp_path: Path) -> None:
    assert everything(posts_of(tmp_path, "id,view\na,1\nb,2\n")) == Batch(0, ["a", "b"], [None] * 2, [None] * 2)


def test_one_column_as_text_and_picture(tmp_path: Path) -> None:
    found = everything(posts_of(tmp_path, "text\nno.png\n", image_column="text"))
    assert found.texts == ["no.png"]
    assert found.images == [Fault("no such file", "no.png")]


def test_picture_paths_start_from_the_tables_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "p.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(JPEG)
    (tmp_path / "table" / "t.csv").write_text("photo\np.png\n../secret.png\nq.png\n")
    monkeypatch.chdir(tmp_path)
    posts = open_posts(PostsOptions(posts=Path("table/t.csv")))
    assert posts.image_root == (tmp_path / "table").resolve()
    faults = [Fault("path leaves the picture folder", "../secret.png"), Fault("no such file", "q.png")]
    assert everything(posts).images == [PNG, *faults]


def test_a_picture_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder 'nowhere': pass --image-root FOLDER"):
        posts_of(tmp_path, "photo\na\n", image_root=Path("nowhere"))


def test_parquet_with_every_kind_of_picture_cell(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(PNG)
    texts = pa.array(["a<br>b", None, "", "nan"])
    cells: list[tuple[pa.Array, list[bytes | Fault | None]]] = [
        (pa.array([PNG, None, b"", b"p.png"], pa.binary()), [PNG, None, b"", b"p.png"]),
        (pa.array(["p.png", None, "", base64.b64encode(PNG).decode()]), [PNG, None, None, PNG]),
        (pa.nulls(4), [None] * 4),
    ]
    for photos, expected in cells:
        pq.write_table(pa.table({"id": [10, 20, 30, 40], "text": texts, "photo": photos}), tmp_path / "t.parquet")
        posts = open_posts(PostsOptions(posts=tmp_path / "t.parquet"))
        assert everything(posts) == Batch(0, ["10", "20", "30", "40"], ["a\nb", None, None, None], expected)


def test_texts_that_are_numbers_or_bytes(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"text": [1, 2]}), path)
    assert everything(open_posts(PostsOptions(posts=path))).texts == ["1", "2"]
    pq.write_table(pa.table({"text": [b"a", b"b"]}), path)
    with pytest.raises(InputError, match="column 'text' holds bytes: expected text"):
        open_posts(PostsOptions(posts=path))


@given(
    st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), min_size=1, max_size=20),
    st.integers(1, 7),
)
def test_batches_are_the_table_whatever_their_size(cells: list[tuple[str, bytes | None]], size: int) -> None:
    texts, photos = (list(column) for column in zip(*cells, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        pq.write_table(pa.table({"text": pa.array(texts), "photo": pa.array(photos, pa.binary())}), path)
        found = everything(open_posts(PostsOptions(posts=path)), size)
    assert found.ids == [str(i + 1) for i in range(len(cells))]
    assert found.texts == [None if text.strip() in {"nan", "NaN"} else clean(text) or None for text in texts]
    assert found.images == photos


def test_large_pictures_make_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_BYTES", 2 * len(PNG))
    (tmp_path / "p.png").write_bytes(PNG)
    posts = posts_of(tmp_path, "photo\n" + "p.png\n" * 5)
    assert [(batch.start, len(batch.images)) for batch in posts.batches()] == [(0, 2), (2, 2), (4, 1)]


def test_a_pass_holds_no_more_than_a_batch(tmp_path: Path) -> None:
    """A generator of 60 MB of pictures keeps none of the batches it has handed over."""
    path = tmp_path / "t.csv"
    cell = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(30_000)).decode()
    path.write_text("photo\n" + f"{cell}\n" * 2000)
    posts = open_posts(PostsOptions(posts=path))
    tracemalloc.start()
    total = sum(len(batch.images) for batch in posts.batches(size=50))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 2000
    assert peak < 20_000_000


@pytest.mark.parametrize("content", ["text\na\n", "text\na\nb\nc\n" + "d\n" * 500])
def test_a_table_that_changes_while_it_is_read(content: str, tmp_path: Path) -> None:
    posts = posts_of(tmp_path, "text\na\nb\n")
    posts.path.write_text(content)
    with pytest.raises(InputError, match="changed while it was read"):
        everything(posts, size=1)


def test_batches_can_be_read_again(origin: Path) -> None:
    posts = open_posts(PostsOptions(posts=origin))
    assert everything(posts) == everything(posts)


def test_read_gives_columns_as_they_are(tmp_path: Path) -> None:
    posts = posts_of(tmp_path, "id,view,group\n1, 5 ,a\n2,,NaN\n3,x,b\n")
    frame = posts.read("group", "view", "group")
    assert list(frame.columns) == ["group", "view"]
    assert frame["view"].tolist()[::2] == [" 5 ", "x"]
    assert frame.isna().to_numpy().tolist() == [[False, False], [True, True], [False, False]]
    pq.write_table(pa.table({"n": [1, 2], "x": [0.5, None]}), tmp_path / "t.parquet")
    numbers = open_posts(PostsOptions(posts=tmp_path / "t.parquet")).read("n", "x")
    assert numbers["n"].dtype == "int64"
    assert numbers["x"].isna().tolist() == [False, True]
    with pytest.raises(
        InputError, match=r"has no column 'veiw' \(found id, view, group\): did you mean 'view'\? name one"
    ):
        posts.read("veiw")


def test_head_is_the_first_rows_without_nested_columns(tmp_path: Path) -> None:
    table = pa.table({"a": list(range(1000)), "lists": [[1]] * 1000})
    pq.write_table(table, tmp_path / "t.parquet")
    head = open_posts(PostsOptions(posts=tmp_path / "t.parquet")).head()
    assert list(head.columns) == ["a"]
    assert head["a"].tolist() == list(range(128))


def test_without_a_table_the_posts_are_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    posts = open_posts(PostsOptions())
    assert posts.path == Path("data/sample/posts.parquet")
    assert len(posts) == 969


def test_options_are_flags_of_the_commands_that_inherit_them() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Command(PostsOptions):
        """Any command."""

    argv = "t.csv --id-column a --text-column b --image-column c --image-root d"
    assert parse(Command, argv.split()) == Command(
        posts=Path("t.csv"), id_column="a", text_column="b", image_column="c", image_root=Path("d")
    )


def test_importing_posts_is_light() -> None:
    code = (
        "import data.posts, sys; print(*sorted(set(sys.modules) & {'numpy', 'pandas', 'pyarrow', 'PIL', 'matplotlib'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_closing_a_pass_early_closes_the_file(origin: Path) -> None:
    batches = typing.cast("typing.Generator[Batch]", open_posts(PostsOptions(posts=origin)).batches(1))
    assert isinstance(batches, Iterator)
    next(batches)
    batches.close()
