"""Lets the tests of this folder import the harness modules beside them, as `python tests/embed/crash/long.py` does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
