"""Tables as people write them: what is readable is read exactly, what is not is one line that says where."""

import csv
import io
import os
import random
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import tables
from data.config import InputError
from data.tables import Table, open_table


def rows(table: Table, *columns: str, size: int = 2) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for count, values in table.chunks(columns, size):
        assert count <= size
        assert set(values) == set(columns)
        assert all(len(cells) == count for cells in values.values())
        found += zip(*(values[name] for name in columns), strict=True) if columns else [()] * count
    return found


def written(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read_all(path: Path) -> None:
    table = open_table(path)
    rows(table, *table.columns, size=64)


def refused(path: Path) -> str:
    """The line that opening or reading a table is refused with."""
    with pytest.raises(InputError) as error:
        read_all(path)
    line = str(error.value)
    assert "\n" not in line
    assert line.startswith((str(path), f"no such file {str(path)!r}"))
    return line.removeprefix(str(path))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1,2\n3,4\n5,6\n", [("1", "2"), ("3", "4"), ("5", "6")]),
        ("a,b\n1,2", [("1", "2")]),  # no newline at the end
        ("a,b\r\n1,2\r\n", [("1", "2")]),
        ("a,b\r1,2\r", [("1", "2")]),
        ("\ufeffa,b\n1,2\n", [("1", "2")]),  # Excel's byte order mark
        ("\n\na,b\n\n1,2\n\n", [("1", "2")]),  # blank lines
        ('a,b\n"x, ""y""\nz",2\n', [('x, "y"\nz', "2")]),
        ("a,b\n,\n nan ,NaN\n", [(None, None), (None, None)]),
        ("a,b\nNone,null\nNA,-\n", [("None", "null"), ("NA", "-")]),  # words, as far as we know
        ("a,b\n5' 3\"x,2\n", [("5' 3\"x", "2")]),  # a quote inside an unquoted cell
        ("a,b\n1\0,2\n", [("1\0", "2")]),
        ("a,b\n", []),
        ("b , a \n2,1\n", [("1", "2")]),
    ],
)
def test_csv(content: str, expected: list[tuple[Any, ...]], tmp_path: Path) -> None:
    assert rows(open_table(written(tmp_path, content)), "a", "b") == expected


def test_tsv(tmp_path: Path) -> None:
    path = written(tmp_path, 'a\tb\n1,5\t"x\ty"\n', "t.TSV")
    assert rows(open_table(path), "b", "a") == [("x\ty", "1,5")]


def test_a_column_without_a_name_has_the_name_pandas_gives_it(tmp_path: Path) -> None:
    assert open_table(written(tmp_path, ",view,\n0,1,2\n")).columns == ("Unnamed: 0", "view", "Unnamed: 2")


def test_some_columns_or_none(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, "a,b,c\n1,2,3\n4,5,6\n7,8,9\n"))
    assert rows(table, "c", "a") == [("3", "1"), ("6", "4"), ("9", "7")]
    assert rows(table) == [(), (), ()]
    assert rows(table, size=100) == [(), (), ()]


@given(
    st.lists(st.lists(st.text(st.characters(codec="utf-8"), max_size=6), min_size=3, max_size=3), max_size=9),
    st.sampled_from([",", "\t"]),
    st.integers(1, 4),
)
def test_what_csv_writes_is_read_back(cells: list[list[str]], delimiter: str, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("t.csv" if delimiter == "," else "t.tsv")
        with open(path, "w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([["a", "b", "c"], *cells])
        expected = [tuple(None if cell.strip() in {"", "nan", "NaN"} else cell for cell in row) for row in cells]
        assert rows(open_table(path), "a", "b", "c", size=size) == expected


def test_megabytes_in_a_cell(tmp_path: Path) -> None:
    huge = "A" * 5_000_000
    assert rows(open_table(written(tmp_path, f"id,photo\n1,{huge}\n")), "photo") == [(huge,)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", " is empty: expected a header and a row for each post"),
        ("\n\n", " is empty"),
        (
            "a,b\n1,2\n3\n",
            ", line 3: 1 cells where the header has 2: put cells that hold ',' or a line break in double quotes",
        ),
        ("a,b\n1,2,3\n", ", line 2: 3 cells where the header has 2"),
        ('a,b\n"x\ny",2\n1\n', ", line 4: 1 cells"),  # lines as an editor counts them
        ("a,b\n1,2\n  \n", ", line 3: 1 cells"),
        ('a,b\n1,"x"y\n', ", line 2: "),
        ('a,b\n1,"x\n2,y\n', ", line 3: unexpected end of data"),  # an unclosed quote
        (b"a,b\n1,2\n3,\xcf\xf0\n", ", line 3: byte 0xcf is not UTF-8: save the table as UTF-8"),
        ("a,b\n".encode("utf-16"), ", line 1: byte 0xff is not UTF-8"),
        (b"a,b\n1,2\n" + b"3,4\n" * 20_000 + b"\xff", ", line 20003: byte 0xff"),
        (b"a,b\n1,\xd0", ", line 2: byte 0xd0"),  # cut off inside a letter
        ("a;b;c\n1;2;3\n", " seems to be separated by ';': expected ',' in a .csv file"),
        ("a\tb\n1\t2\n", " seems to be separated by '\\t': expected ','"),
        ("a,b,a\n1,2,3\n", " has several columns named 'a': rename all but one"),
    ],
)
def test_what_is_no_csv(content: str | bytes, said: str, tmp_path: Path) -> None:
    assert refused(written(tmp_path, content)).startswith(said)


def test_an_unclosed_quote_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_CELL", 100_000)
    assert "field larger than field limit" in refused(written(tmp_path, 'a,b\n1,"' + "x\n" * 100_000))


def test_files_that_are_none(tmp_path: Path) -> None:
    assert refused(tmp_path / "t.csv").endswith("pass a table of posts, or none for the demo posts")
    assert refused(tmp_path).startswith(" is not a file")
    assert refused(tmp_path / ("x" * 300 + ".csv")) == " cannot be read: File name too long"
    assert refused(written(tmp_path, "a\n", "t.xlsx")) == " ends in '.xlsx': readable are .csv, .tsv, .parquet"
    assert refused(written(tmp_path, "a\n", "t")) == " ends in '': readable are .csv, .tsv, .parquet"


@pytest.mark.timeout(20)
def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    assert refused(tmp_path / "t.csv").startswith(" is not a file")


def parquet(folder: Path, columns: dict[str, pa.Array], metadata: dict[str, str] | None = None, **options: Any) -> Path:
    path = folder / "t.parquet"
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, **options)
    return path


def test_parquet(tmp_path: Path) -> None:
    columns = {
        "id": pa.array([1, None, 3, 4, 5]),
        "text": pa.array(["x", "", None, " NaN", "y"]).dictionary_encode(),
        "photo": pa.array([b"", None, b"\xff", b"nan", b"z"], pa.large_binary()),
        "view": pa.array([1.0, None, float("nan"), 2.5, 3.0]),
        "none": pa.nulls(5),
        "lists": pa.array([[1], [2], None, [], [3]]),
    }
    table = open_table(parquet(tmp_path, columns, {"k": "v"}, row_group_size=3))
    assert table.columns == ("id", "text", "photo", "view", "none", "lists")
    assert table.metadata[b"k"] == b"v"
    assert rows(table, "id", "text", "photo", "view", "none") == [
        (1, "x", b"", 1.0, None),
        (None, None, None, None, None),
        (3, None, b"\xff", None, None),
        (4, None, b"nan", 2.5, None),
        (5, "y", b"z", 3.0, None),
    ]
    assert rows(table) == [()] * 5
    assert ": column 'lists' holds list<" in refused(table.path)


def test_a_parquet_with_a_pandas_index_has_ordinary_columns(tmp_path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"view": [1, 2]}, index=pd.Index(["a", "b"], name="id")).to_parquet(tmp_path / "t.parquet")
    assert rows(open_table(tmp_path / "t.parquet"), "id", "view") == [("a", 1), ("b", 2)]


def test_columns_of_one_name_in_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "t.parquet")
    assert "several columns named 'a'" in refused(tmp_path / "t.parquet")


def test_text_in_parquet_that_is_not_utf8(tmp_path: Path) -> None:
    data = pa.py_buffer(b"\xcf\xf0"), pa.py_buffer((0).to_bytes(4, "little") + (2).to_bytes(4, "little"))
    array = pa.Array.from_buffers(pa.string(), 1, [None, data[1], data[0]])
    assert "not UTF-8" in refused(parquet(tmp_path, {"a": array}))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\0" * 50 + b"PAR1", b"a,b\n1,2\n"])
def test_what_is_no_parquet(content: bytes, tmp_path: Path) -> None:
    assert refused(written(tmp_path, content, "t.parquet")).startswith(" cannot be read as Parquet (")


def test_damaged_parquet_is_read_or_refused(tmp_path: Path) -> None:
    """Bytes that are hit by accident give other values or one line, never another exception."""
    columns = {"id": pa.array([str(i) for i in range(200)]), "view": pa.array(range(200))}
    content = parquet(tmp_path, columns, compression="zstd").read_bytes()
    rng = random.Random(0)
    refusals = 0
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 3, 20])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path = written(tmp_path, bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])]), "d.parquet")
        try:
            read_all(path)
        except InputError:
            refusals += 1
    assert refusals > 100


def test_reading_can_stop_early(tmp_path: Path) -> None:
    """Files are closed with the generator; an open one would be a ResourceWarning, which is an error here."""
    for path in (written(tmp_path, "a\n1\n2\n"), parquet(tmp_path, {"a": pa.array([1, 2])})):
        chunks = open_table(path).chunks(["a"], 1)
        assert next(chunks)[0] == 1
        del chunks


def test_the_limit_of_csv_is_raised_only_as_far_as_a_picture(tmp_path: Path) -> None:
    rows(open_table(written(tmp_path, "a\n1\n")), "a")
    assert csv.field_size_limit() == tables.MAX_CELL
    assert next(csv.reader(io.StringIO("x" * 200_000))) == ["x" * 200_000]
