"""The folder of segments: one process at a time holds it, and it goes when nothing is pending."""

import threading
from pathlib import Path

import pytest

from embed.journal import Header, Journal, Segment
from embed.spaces import SpaceInfo

INFO = SpaceInfo("x", "f" * 64, "r", {"kind": "text"}, 3, "float16", {})


def test_segments_are_listed_oldest_first_and_strangers_ignored(tmp_path: Path) -> None:
    pending = Journal(tmp_path / "cache.h5")
    with pending.locked():
        made = [Segment(pending.folder, Header(INFO)) for _ in range(3)]
        (pending.folder / "notes.txt").write_text("mine")
        assert pending.segments() == [segment.path for segment in made]
        made[1].close()
        assert pending.dead() == [made[1].path]
        made[0].discard()
        made[2].discard()
        pending.remove(pending.dead())
    assert sorted(path.name for path in pending.folder.iterdir()) == ["lock", "notes.txt"]


def test_the_folder_goes_with_the_last_segment_and_comes_back(tmp_path: Path) -> None:
    pending = Journal(tmp_path / "a" / "cache.h5")
    for _ in range(2):
        with pending.locked():
            assert pending.folder.is_dir()
            pending.remove([])
        assert not pending.folder.exists()


def test_the_lock_excludes_and_survives_its_own_removal(tmp_path: Path) -> None:
    """Threads take the lock, remove the folder, take it again: never two of them at once."""
    pending = Journal(tmp_path / "cache.h5")
    inside: list[int] = []
    overlaps: list[int] = []

    def work() -> None:
        for _ in range(50):
            with pending.locked():
                inside.append(1)
                overlaps.append(len(inside))
                inside.pop()
                pending.remove([])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == [1] * 200
    assert not pending.folder.exists()


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    pending = Journal(tmp_path / "cache.h5")
    pending.folder.mkdir()
    (pending.folder / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic"), pending.locked():
        pass
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("what", ["a file", "a link to nowhere"])
def test_something_else_in_the_place_of_the_folder_is_an_error(tmp_path: Path, what: str) -> None:
    pending = Journal(tmp_path / "cache.h5")
    if what == "a file":
        pending.folder.write_bytes(b"")
    else:
        pending.folder.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="irectory"), pending.locked():
        pass
