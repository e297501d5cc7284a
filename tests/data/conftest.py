"""Fixtures of explorations."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data.explore import Explore, Explored, run
from tests.data.exploring import page_of, written


@pytest.fixture
def explored(tmp_path: Path) -> Callable[..., Explored]:
    """`explored(DataFrame, kind="parquet", **flags)`; the page is checked too."""

    def explore(posts: pd.DataFrame, kind: str = "parquet", **flags: Any) -> Explored:
        done = run(Explore(posts=written(posts, tmp_path, kind), out=tmp_path / "explore.html", **flags))
        page_of(done)
        json.dumps(done.to_json(), allow_nan=False)
        return done

    return explore
