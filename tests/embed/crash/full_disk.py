"""Fill a real file system at every page: a tmpfs of one size after another, in a mount namespace of its own.

    unshare --mount python tests/embed/crash/full_disk.py
    unshare --map-root-user --mount python tests/embed/crash/full_disk.py     without root, where the kernel lets you

Prints one JSON object: the sizes tried, at how many of them the disk was full, and the distinct messages. A size that
leaves the cache broken or the run not to be resumed is an AssertionError.
"""

import json
import subprocess
import tempfile
from pathlib import Path

from faults import Acknowledged
from workload import Arrays, Contents, Watch, arrays

from data.config import InputError

PAGE = 4096
CONTENTS, EVERY = Contents(n=60, dim=64, batch=10), 2
INODES = range(2, 9)  # of them the root is one


def attempt(folder: Path, option: str, expected: Arrays) -> str | None:
    """Extract onto a tmpfs that is small by `option`, then make room and go on; the message, None if it was enough."""
    path, watch, message = folder / "cache.h5", Acknowledged(), None
    subprocess.run(["mount", "-t", "tmpfs", "-o", option, "none", folder], check=True)
    try:
        try:
            CONTENTS.extract(path, range(CONTENTS.n), watch, EVERY)
        except InputError as error:
            message = str(error).replace(str(path), "cache.h5")
        CONTENTS.check(path)
        subprocess.run(["mount", "-o", "remount,size=64m,nr_inodes=1000", folder], check=True)
        found = CONTENTS.extract(path, range(CONTENTS.n), Watch(), EVERY)
        assert not watch.items - found, f"lost at {option}: {watch.items - found}"
        assert arrays(path) == expected, f"other arrays at {option}"
        assert [entry.name for entry in folder.iterdir()] == ["cache.h5"], f"something is left over at {option}"
    finally:
        subprocess.run(["umount", folder], check=True)
    return message


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.h5"
        CONTENTS.extract(whole, range(CONTENTS.n), Watch(), EVERY)
        expected = arrays(whole)
        tried = [attempt(Path(folder), f"nr_inodes={count}", expected) for count in INODES]
        while tried[-1] is not None or len(tried) == len(INODES):
            tried.append(attempt(Path(folder), f"size={(len(tried) - len(INODES) + 1) * PAGE}", expected))
    full = [message for message in tried if message is not None]
    print(json.dumps({"tried": len(tried), "full": len(full), "messages": sorted(set(full))}))


if __name__ == "__main__":
    main()
