"""Picture cells are from anyone: bytes, base64, paths; whatever they hold, they give bytes, a fault or nothing."""

import base64
import io
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from data import pictures
from data.pictures import Fault, read_picture


def picture(kind: str, size: tuple[int, int] = (3, 2)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, kind)
    return file.getvalue()


KINDS = ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]
PNG = picture("PNG")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A picture folder beside a secret that no cell may reach."""
    folder = tmp_path.resolve() / "pictures"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.png").write_bytes(PNG)
    (folder / "sub" / "кот 1.png").write_bytes(b"kitten")
    (tmp_path / "secret.png").write_bytes(b"secret")
    return folder


def reason(cell: object, root: Path) -> str:
    found = read_picture(cell, root)
    assert isinstance(found, Fault)
    return found.reason


@pytest.mark.parametrize("cell", [None, "", "  ", "\n"])
def test_nothing(cell: object, root: Path) -> None:
    assert read_picture(cell, root) is None


@pytest.mark.parametrize("cell", [b"", b"x", PNG, b"a.png"])
def test_bytes_are_taken_as_they_are(cell: bytes, root: Path) -> None:
    assert read_picture(cell, root) == cell


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: text,
        lambda text: text.rstrip("="),
        lambda text: f" {text}\n",
        lambda text: "\r\n".join(text[i : i + 76] for i in range(0, len(text), 76)),
        lambda text: f"b'{text}'",
        lambda text: f"data:image/png;base64,{text}",
        lambda text: f"DATA:IMAGE/x-any;charset=utf-8;base64,{text}",
    ],
    ids=["plain", "no padding", "spaces", "lines", "python bytes", "data", "data in capitals"],
)
def test_base64_of_every_kind(kind: str, wrap: Callable[[str], str], root: Path) -> None:
    content = picture(kind)
    assert read_picture(wrap(base64.b64encode(content).decode()), root) == content


@pytest.mark.parametrize("kind", KINDS)
def test_long_base64(kind: str, root: Path) -> None:
    content = picture(kind, (300, 200)) + os.urandom(2000)
    assert read_picture(base64.b64encode(content).decode(), root) == content


@given(st.binary(min_size=1000, max_size=3000))
@example(b"\0" * 1000)
def test_what_is_too_long_for_a_path_is_base64_of_anything(content: bytes) -> None:
    assert read_picture(base64.b64encode(content).decode(), Path("/nowhere")) == content


def test_what_is_no_base64(root: Path) -> None:
    assert reason("x?" * 1000, root) == "base64 cannot be decoded"
    assert reason("A" * 1025, root) == "base64 cannot be decoded"  # 4n + 1 digits are no bytes
    assert reason("data:image/png;base64,???", root) == "base64 cannot be decoded"
    assert reason("data:image/svg+xml;utf8,<svg/>", root) == "a data: address that is not base64"
    assert reason("data:image/png" + "x" * 5000, root) == "a data: address that is not base64"
    assert read_picture("data:image/png;base64,", root) == b""


@pytest.mark.parametrize("cell", ["a.png", " a.png ", "./a.png", "sub/../a.png", "sub/кот 1.png"])
def test_paths(cell: str, root: Path) -> None:
    assert read_picture(cell, root) in {PNG, b"kitten"}


def test_an_absolute_path_inside_is_a_path(root: Path) -> None:
    assert read_picture(str(root / "a.png"), root) == PNG


@pytest.mark.parametrize("name", ["Qk0x", "QkFBQUFBQUFBQUFBQUFB", "AAAA", "_9j_", "0f3a9c"])
def test_file_names_in_the_alphabet_of_base64(name: str, root: Path) -> None:
    """The first two decode to "BM…", BMP's two magic bytes, which are not enough."""
    (root / name).write_bytes(b"found")
    assert read_picture(name, root) == b"found"


def test_an_empty_file_is_a_picture_without_content(root: Path) -> None:
    (root / "empty.png").touch()
    assert read_picture("empty.png", root) == b""


@pytest.mark.parametrize(
    "cell",
    [
        "../secret.png",
        "sub/../../secret.png",
        "/etc/passwd",
        "/",
        "..",
        "../pictures2/a.png",
        "../../../../../../etc/passwd",
    ],
)
def test_a_path_may_not_leave(cell: str, root: Path) -> None:
    (root.parent / "pictures2").mkdir()  # a sibling whose name starts like the folder's
    (root.parent / "pictures2" / "a.png").write_bytes(b"secret")
    assert reason(cell, root) == "path leaves the picture folder"


def test_nor_by_a_link(root: Path) -> None:
    (root / "link.png").symlink_to(root.parent / "secret.png")
    (root / "linked").symlink_to(root.parent)
    (root / "inside.png").symlink_to(root / "a.png")
    assert reason("link.png", root) == "path leaves the picture folder"
    assert reason("linked/secret.png", root) == "path leaves the picture folder"
    assert read_picture("inside.png", root) == PNG


def test_a_link_to_itself(root: Path) -> None:
    (root / "loop").symlink_to(root / "loop")
    assert reason("loop", root).startswith("file cannot be read (")


@pytest.mark.timeout(20)
def test_what_is_not_a_regular_file(root: Path) -> None:
    os.mkfifo(root / "fifo.png")  # opening it for reading would wait for ever
    (root / "device").symlink_to("/dev/zero")
    assert reason("fifo.png", root) == "not a regular file"
    assert reason("sub", root) == "not a regular file"
    assert reason(".", root) == "not a regular file"
    assert reason("device", root) == "path leaves the picture folder"
    assert reason("zero", Path("/dev")) == "not a regular file"


def test_no_descriptor_is_left_open(root: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for cell in ["a.png", "sub", "missing", "../secret.png"] * 5:
        read_picture(cell, root)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_socket(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)  # a socket's path may only have 107 characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.png")
        assert isinstance(read_picture("s.png", root), Fault)


def test_a_file_that_is_too_large(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(root / "huge.png", "wb") as file:
        file.truncate(100_000_001)
    assert reason("huge.png", root) == "file is larger than 100 MB"
    monkeypatch.setattr(pictures, "MAX_FILE", len(PNG))
    assert read_picture("a.png", root) == PNG


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("b.png", "no such file"),
        ("a.png/b.png", "no such file"),
        ("a\0.png", "not a file name"),
        ("x" * 1000, "file cannot be read (File name too long)"),
        ("https://example.org/a.png", "a web address, not a file"),
        ("\ud800.png", "not a file name"),
    ],
)
def test_other_faults(cell: str, expected: str, root: Path) -> None:
    assert reason(cell, root) == expected


def test_a_file_without_permission(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # root, who runs some tests, may read everything
    assert reason("a.png", root) == "file cannot be read (Permission denied)"


def test_faults_are_counted_by_reason_and_shown_with_their_cell(root: Path) -> None:
    one, two = read_picture("b.png", root), read_picture("c.png", root)
    assert isinstance(one, Fault)
    assert isinstance(two, Fault)
    assert one.reason == two.reason
    assert str(one) == "no such file 'b.png'"
    assert len(str(read_picture("d" * 1000, root))) < 200
    assert str(Fault("unreadable")) == "unreadable"


@given(st.one_of(st.none(), st.binary(), st.text(), st.integers(), st.from_regex(r"(\.\./|/|a|[.]|\0|b'|=){0,9}")))
def test_nothing_raises_and_nothing_outside_is_read(cell: object) -> None:
    found = read_picture(cell, Path("/nowhere/at/all"))
    if isinstance(cell, bytes):
        assert found == cell
    else:
        assert found is None or isinstance(found, Fault)
