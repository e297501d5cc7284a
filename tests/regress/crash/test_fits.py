"""kill -9 in the middle of `regress.fit`: five here; `long.py` makes it two hundred."""

import json
import subprocess
import sys
from pathlib import Path

HARNESS = Path(__file__).with_name("fits.py")
KILLS = 5


def test_what_is_killed_goes_on_and_ends_with_the_bytes_of_a_fit_left_alone() -> None:
    """The harness looks after every kill, and exits with 1 at the first breach."""
    command = [sys.executable, str(HARNESS), str(KILLS)]
    done = subprocess.run(command, cwd=HARNESS.parents[3], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["kills"] == KILLS
    assert report["finished"] > 0
    assert report["resumed"] > 0  # kills hit fits at work
