"""`CachedEmbeddings` where its users have it: pipelines, searches, data frames; real encoders of texts and pictures."""

import base64
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from data.config import InputError
from data.text import clean
from embed import CachedEmbeddings, cached
from embed.cache import open_cache
from embed.columns import Columns
from embed.content import content_key
from embed.extract import Extract
from embed.extract import run as extract
from tests.embed.test_extract import picture

N = 24
TEXTS = [None if i == 5 else f"{'a cat sleeps' if i % 2 else 'the market fell'} {i}" for i in range(N)]
PICTURES = [None if i == 7 else picture(i, "PNG") for i in range(N)]
TEXT, IMAGE = "all-MiniLM-L6-v2", "efficientnet_lite0"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of MiniLM, EfficientNet-Lite0 and the statistics for all posts."""
    place = tmp_path_factory.mktemp("cached")
    pd.DataFrame({"text": TEXTS, "photo": PICTURES}).to_parquet(place / "posts.parquet")
    extract(Extract(posts=place / "posts.parquet", cache=place / "cache.h5", backend="eager"))
    return place / "cache.h5"


@pytest.fixture
def cache(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copy(made, tmp_path / "cache.h5"))


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.DataFrame({"id": ["same"] * N, "photo": PICTURES, "text": TEXTS}, index=range(100, 100 + N))


def by_hand(path: Path, name: str, contents: list[Any]) -> np.ndarray:
    """An encoder's rows of the cache, NaN where there is no content."""
    with open_cache(path) as cache:
        space = cache.spaces[name]
        found = np.full((len(contents), space.info.dim), np.nan, np.float32)
        for row, content in enumerate(contents):
            if content is not None:
                key = np.frombuffer(content_key(content), np.uint8)[None]
                found[row] = space.read(space.find(key))[0]
    return found


def image_encoder(path: Path) -> str:
    with open_cache(path) as cache:
        (name,) = (n for n, s in cache.spaces.items() if s.info.spec["kind"] == "image" and "statistics" not in n)
    return str(name)


def test_the_vectors_are_those_of_the_cache(made: Path, frame: pd.DataFrame) -> None:
    image = image_encoder(made)
    embeddings = CachedEmbeddings(cache=made, image=image, text=(TEXT,), embed=False)
    X = embeddings.fit_transform(frame)
    assert X.dtype == np.float32
    expected = np.concatenate([by_hand(made, image, PICTURES), by_hand(made, TEXT, TEXTS)], axis=1)
    np.testing.assert_array_equal(X, expected)
    names = embeddings.get_feature_names_out()
    assert names[0] == f"{image}_0"
    assert names[-1] == f"{TEXT}_383"
    assert len(names) == embeddings.n_features_out_ == X.shape[1]


def test_none_named_is_all_that_the_cache_has_for_x(made: Path, frame: pd.DataFrame) -> None:
    everything = CachedEmbeddings(cache=made).fit(frame)
    assert [info.name for info in everything.encoders_][0::2] != []
    assert {info.spec["kind"] for info in everything.encoders_} == {"image", "text"}
    texts = CachedEmbeddings(cache=made).fit(frame[["text"]])
    assert {info.name for info in texts.encoders_} == {TEXT, "text_statistics"}


def variants(frame: pd.DataFrame) -> dict[str, Any]:
    texts = pd.Series(TEXTS, dtype=object)
    return {
        "list": TEXTS,
        "array": np.array(TEXTS, dtype=object),
        "column": np.array(TEXTS, dtype=object)[:, None],
        "series": texts,
        "nan": texts.where(texts.notna(), np.nan),
        "string": texts.astype("string"),
        "frame": pd.DataFrame({"body": TEXTS}),
        "dicts": [{"text": text} for text in TEXTS],
        "both": frame,
        "two": np.array([PICTURES, TEXTS], dtype=object).T,
    }


@pytest.mark.parametrize(
    "kind", ["list", "array", "column", "series", "nan", "string", "frame", "dicts", "both", "two"]
)
def test_every_way_to_pass_texts(made: Path, frame: pd.DataFrame, kind: str) -> None:
    X = CachedEmbeddings(cache=made, text=TEXT, embed=False).fit_transform(variants(frame)[kind])
    np.testing.assert_array_equal(X, by_hand(made, TEXT, TEXTS))


def test_every_way_to_pass_pictures(made: Path, tmp_path: Path) -> None:
    """Bytes, base64, paths and Paths, in one column too; one picture is one vector."""
    image, one = image_encoder(made), PICTURES[0]
    assert one is not None
    (tmp_path / "a.png").write_bytes(one)
    cells = [one, base64.b64encode(one).decode(), "a.png", tmp_path / "a.png", None]
    embeddings = CachedEmbeddings(cache=made, image=image, embed=False, image_root=tmp_path)
    X = embeddings.fit_transform(cells)
    np.testing.assert_array_equal(X[:4], np.repeat(by_hand(made, image, [one]), 4, axis=0))
    assert np.isnan(X[4]).all()


def test_missing_rows_as_zeros_or_for_an_imputer(made: Path) -> None:
    X = CachedEmbeddings(cache=made, text=TEXT, missing="zero").fit_transform(TEXTS)
    assert not X[5].any()
    assert np.isfinite(X).all()
    filled = make_pipeline(CachedEmbeddings(cache=made, text=TEXT), SimpleImputer()).fit_transform(TEXTS)
    np.testing.assert_allclose(filled[5], np.nanmean(by_hand(made, TEXT, TEXTS), axis=0), rtol=1e-5)


def test_a_picture_that_cannot_be_read_is_a_nan_row_and_a_warning(cache: Path) -> None:
    image = image_encoder(cache)
    embeddings = CachedEmbeddings(cache=cache, image=image).fit([PICTURES[0]])
    with pytest.warns(UserWarning, match=r"cannot be read: 1 × not an image, 1 × no such file"):
        X = embeddings.transform(["none.png", b"no picture at all", PICTURES[0]])
    assert np.isnan(X[:2]).all()
    assert np.isfinite(X[2]).all()


def test_new_contents_are_embedded_once_and_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = CachedEmbeddings(cache=cache, text=TEXT).fit(TEXTS)
    new = ["never seen before", *TEXTS[:2], "never seen before"]
    first = embeddings.transform(new)
    np.testing.assert_array_equal(first[0], first[3])
    np.testing.assert_array_equal(first, by_hand(cache, TEXT, new))
    before = cache.read_bytes()
    np.testing.assert_array_equal(CachedEmbeddings(cache=cache, text=TEXT, embed=False).fit_transform(new), first)
    assert cache.read_bytes() == before
    assert [path.name for path in cache.parent.iterdir() if path.is_file()] == ["cache.h5"]


def test_without_embedding_what_lacks_is_counted(cache: Path) -> None:
    before = cache.read_bytes()
    embeddings = CachedEmbeddings(cache=cache, text=[TEXT, "text_statistics"], embed=False).fit(TEXTS)
    with pytest.raises(InputError, match=rf"lacks '{TEXT}' for 2 of 4 posts \(2 encoders lack some\).*embed=True"):
        embeddings.transform(["new", TEXTS[0], None, "newer"])
    with pytest.raises(InputError, match="did you mean 'all-MiniLM-L6-v2'"):
        CachedEmbeddings(cache=cache, text="all-MiniLM-L6-v3", embed=False).fit(TEXTS)
    assert cache.read_bytes() == before


def test_a_cache_is_made_where_there_is_none(tmp_path: Path, made: Path) -> None:
    """With an encoder by its name, and the statistics; the rows are those that embed.extract makes, nearly."""
    path = tmp_path / "sub" / "new.h5"
    embeddings = CachedEmbeddings(cache=str(path), text=[TEXT, "text_statistics"])
    X = embeddings.fit_transform(TEXTS)
    expected = np.concatenate([by_hand(made, name, TEXTS) for name in (TEXT, "text_statistics")], axis=1)
    np.testing.assert_allclose(X, expected, rtol=0, atol=2e-3)  # another backend may have won the race
    with open_cache(path) as cache:
        assert set(cache.spaces) == {TEXT, "text_statistics"}


def test_a_cache_that_cannot_be_written_is_left_alone(
    made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = made.read_bytes()
    monkeypatch.setattr(cached, "is_writable", lambda path: False)  # root may write anywhere
    embeddings = CachedEmbeddings(cache=made, text=TEXT)
    X = embeddings.fit_transform(["quite new", TEXTS[0]])
    np.testing.assert_array_equal(X[1:], by_hand(made, TEXT, TEXTS[:1]))
    assert np.isfinite(X).all()
    assert made.read_bytes() == before


def test_a_cache_with_other_vectors_by_now_is_refused(cache: Path) -> None:
    embeddings = CachedEmbeddings(cache=cache, text="text_statistics").fit(TEXTS)
    (info,) = embeddings.encoders_
    embeddings.encoders_ = (type(info)(**{**info.to_json(), "fingerprint": "ab" * 32}),)
    with pytest.raises(InputError, match=r"holds 'text_statistics' made with .* CachedEmbeddings was fitted on"):
        embeddings.transform(TEXTS)


@pytest.mark.parametrize(
    ("settings", "X", "words"),
    [
        ({"missing": "drop"}, TEXTS, "missing='drop': expected 'nan' or 'zero'"),
        ({"text": TEXT}, pd.DataFrame({"a": [1], "b": [2]}), r"no column of posts \(found a, b\)"),
        ({"text_column": "body"}, pd.DataFrame({"text": ["x"]}), "no column 'body'"),
        ({"image": "x", "text": TEXT}, TEXTS, "X has no column of pictures for 'x'"),
        ({"text": TEXT}, [], "0 samples"),
        ({"text": TEXT}, [1, 2], "X, row 0: texts hold a int"),
        ({"text": TEXT}, [b"x"], "X, row 0: texts hold a bytes"),
        ({"image": "x"}, [np.zeros((3, 3))], "X, row 0: pictures hold a ndarray"),
        ({"text": TEXT}, "a text", "X is str"),
        ({"text": TEXT}, np.zeros((2, 3)), "3 columns without names"),
        ({"text": "image_statistics"}, TEXTS, "does not read texts"),
        ({"text": "text_statistics", "cache": "none.h5"}, [None, ""], "X has no text that 'text_statistics' could"),
        ({"cache": "none.h5"}, TEXTS, "holds no encoder of texts: name one"),
    ],
)
def test_bad_input_is_refused(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], X: Any, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        CachedEmbeddings(**{"cache": made, **settings}).fit(X)
    assert not (tmp_path / "none.h5").exists()


def test_in_pipelines_searches_and_column_transformers(made: Path, frame: pd.DataFrame) -> None:
    y = np.arange(N) % 2.0
    pipeline = make_pipeline(CachedEmbeddings(cache=made, text=TEXT, embed=False), SimpleImputer(), Ridge())
    assert cross_val_score(pipeline, frame, y, cv=3).mean() > 0.5
    grid = {"cachedembeddings__text": [TEXT, "text_statistics"], "ridge__alpha": [0.1, 10]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(frame, y)
    assert search.best_params_["cachedembeddings__text"] == TEXT
    columns = ColumnTransformer([("words", CachedEmbeddings(cache=made, text="text_statistics"), ["text"])])
    assert columns.fit(frame).get_feature_names_out()[0] == "words__text_statistics_0"


def test_pandas_output_keeps_the_index(made: Path, frame: pd.DataFrame) -> None:
    out = CachedEmbeddings(cache=made, text="text_statistics").set_output(transform="pandas").fit_transform(frame)
    assert list(out.index) == list(frame.index)
    assert out.columns[0] == "text_statistics_0"
    assert set(out.dtypes) == {np.dtype(np.float32)}


def test_clone_and_pickle(made: Path) -> None:
    embeddings = CachedEmbeddings(cache=made, text=[TEXT], weights={"x": "y.safetensors"})
    copy = clone(embeddings)
    assert copy.get_params() == embeddings.get_params()
    with pytest.raises(NotFittedError):
        copy.transform(TEXTS)
    fitted = CachedEmbeddings(cache=made, text=[TEXT]).fit(TEXTS)
    state = pickle.dumps(fitted)
    assert len(state) < 5000  # no model, no vectors
    np.testing.assert_array_equal(pickle.loads(state).transform(TEXTS), fitted.transform(TEXTS))


# Not the whole suite: the other checks pass numbers for X, which are no posts, and scikit-learn skips them for that.
CHECKS = [
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_estimator_tags_renamed,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_mixin_order,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_set_params,
    estimator_checks.check_valid_tag_types,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_scikit_learns_own_checks(check: Any) -> None:
    check("CachedEmbeddings", CachedEmbeddings())


def test_fitting_changes_no_parameter_and_no_post(made: Path, frame: pd.DataFrame) -> None:
    embeddings = CachedEmbeddings(cache=made, text=[TEXT])
    before, held = embeddings.get_params(), frame.copy(deep=True)
    assert embeddings.fit(frame) is embeddings
    embeddings.transform(frame)
    assert embeddings.get_params() == before
    pd.testing.assert_frame_equal(frame, held)


@given(st.lists(st.sampled_from([None, np.nan, pd.NA, pd.NaT]) | st.text(), min_size=1))
def test_cells_are_those_of_a_table_whatever_holds_them(cells: list[Any]) -> None:
    """A missing text is None however pandas writes that, and every other comes out cleaned as from a table."""
    columns = Columns({"image": None, "text": None}, Path(), "text")
    read = [
        [text for batch in columns.posts(X).batches() for text in batch.texts]
        for X in (cells, pd.Series(cells, dtype=object), pd.DataFrame({"text": cells}, dtype=object))
    ]
    assert read[0] == read[1] == read[2]
    for cell, text in zip(cells, read[0], strict=True):
        assert text is None or (isinstance(cell, str) and text == clean(cell))
