"""What a Parquet table says about its own counts, in metadata that may say anything."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.config import InputError
from data.posts import METADATA_KEY, Declared, PostsOptions, open_posts


def declared_by(folder: Path, metadata: str) -> Declared:
    table = pa.table({"id": [1]}).replace_schema_metadata({METADATA_KEY: metadata.encode()})
    pq.write_table(table, folder / "t.parquet")
    return open_posts(PostsOptions(posts=folder / "t.parquet")).declared


def test_a_table_declares_its_counts(tmp_path: Path) -> None:
    says = {"trials": "seen", "target": "liked", "activities": ["liked", "hidden"], "min_trials": 5}
    assert declared_by(tmp_path, json.dumps(says)) == Declared("seen", "liked", ("liked", "hidden"), 5)
    assert declared_by(tmp_path, '{"trials": "seen"}') == Declared(trials="seen")
    assert declared_by(tmp_path, "{}") == Declared()


HOSTILE = ["", "x", "[]", "null", '"x"', '{"trails": "x"}', '{"trials": 5}', '{"target": ["a"]}', "[" * 100_000]
HOSTILE += ['{"activities": "abc"}', '{"activities": [1]}', '{"activities": 5}', '{"activities": null}']
HOSTILE += ['{"min_trials": 0}', '{"min_trials": true}', '{"min_trials": 2.5}', '{"min_trials": "5"}']


@pytest.mark.parametrize("metadata", HOSTILE, ids=range(len(HOSTILE)))
def test_metadata_is_untrusted(metadata: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="its metadata 'embed_regress' is not as expected"):
        declared_by(tmp_path, metadata)


def test_a_table_that_says_nothing(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1]}), tmp_path / "t.parquet")
    assert open_posts(PostsOptions(posts=tmp_path / "t.parquet")).declared == Declared(None, None, (), None)
