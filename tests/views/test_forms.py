"""The same numbers give the same result, bit for bit, whichever form they came in."""

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import make_views
from forms import Reader, in_every_form, is_split
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.fusion import Concatenation

SIZES = {"clip": 5, "dino": 3, "text": 4}
N_ROWS = 60


def data(dtype=np.float32, gaps=False):
    """Numbers that float16 holds, where they are float32."""
    kind = np.float16 if dtype == np.float32 else dtype
    arrays = [x.astype(dtype) for x in make_views(N_ROWS, tuple(SIZES.values()), dtype=kind)]
    if gaps:  # each row lacks one view, in turn; the first rows lack the first
        for i, x in enumerate(arrays):
            x[i * 20 : i * 20 + 20] = np.nan
    return dict(zip(SIZES, arrays, strict=True))


FORMS = in_every_form(data())


@pytest.fixture(scope="module")
def expected():
    """The learner on the stacked matrix, what it gives, and a grid search over a fusion of it."""
    X = np.hstack(list(data().values()))
    fitted = learner(list(SIZES.values())).fit(X)
    return fitted, fitted.transform(X), search(X, list(SIZES.values()))


def learner(views):
    return EnsembleRepresentationLearner(
        views, max_iter=3, transform_max_iter=3, batch_size=16, random_state=0
    )


def search(X, views):
    y = (data()["clip"][:, 0] > np.median(data()["clip"][:, 0])).astype(int)
    model = make_pipeline(Concatenation(views), KNeighborsClassifier())
    grid = {"kneighborsclassifier__n_neighbors": [1, 5]}
    return GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, y).cv_results_


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same(name, expected):
    form, (reference, rows, scores) = FORMS[name], expected
    fitted = learner(form.views).fit(form.X)
    for one, other in zip(fitted.coefs_, reference.coefs_, strict=True):
        for w, expected_w in zip(one, other, strict=True):
            assert_array_equal(w, expected_w)
    out = fitted.transform(form.X)
    assert out.dtype == np.float32
    assert_array_equal(out, rows)

    # fitted on one form, used on others
    X, views = stack_views(form.X, form.views)
    assert_array_equal(fitted.transform(X), rows)
    assert_array_equal(fitted.transform(list(data().values())), rows)
    if form.names:
        assert_array_equal(fitted.transform(data()), rows)

    assert fitted.view_sizes_ == list(SIZES.values())
    names = list(SIZES) if form.names else ["view0", "view1", "view2"]
    assert fitted.view_names_.tolist() == names
    assert views == (SIZES if form.names else list(SIZES.values()))
    frame = nw.from_native(form.X, eager_only=True, pass_through=True)
    columns = frame.columns if isinstance(frame, nw.DataFrame) else range(sum(SIZES.values()))
    assert fitted.n_features_in_ == len(columns)
    if all(isinstance(column, str) for column in columns):
        assert fitted.feature_names_in_.tolist() == list(columns)
    else:
        assert not hasattr(fitted, "feature_names_in_")

    found = search(form.X, form.views) if is_split(name) else search(X, views)
    for key in scores:
        if key.endswith("test_score"):
            assert_array_equal(found[key], scores[key])


@pytest.mark.parametrize("name", FORMS)
def test_every_form_stacks_to_the_same(name, tmp_path):
    form, expected = FORMS[name], np.hstack(list(data().values()))
    in_memory, views = stack_views(form.X, form.views)
    in_file, same_views = stack_views(form.X, form.views, out=tmp_path / "X.npy")
    assert views == same_views
    for X in (in_memory, in_file):
        assert X.dtype == np.float32
        assert X.flags.c_contiguous
        assert_array_equal(X, expected)


DOUBLE_FORMS = in_every_form(data(np.float64))
GAP_FORMS = in_every_form(data(gaps=True))


@pytest.mark.parametrize("name", DOUBLE_FORMS)
def test_double_precision_is_kept_in_every_form(name):
    form = DOUBLE_FORMS[name]
    expected = np.hstack(list(data(np.float64).values()))
    for X in (Reader(form.views).fit_transform(form.X), stack_views(form.X, form.views)[0]):
        assert X.dtype == np.float64
        assert_array_equal(X, expected)


def one_row(X, i):
    if isinstance(X, dict):
        return {name: one_row(x, i) for name, x in X.items()}
    if isinstance(X, list | tuple):
        return [one_row(x, i) for x in X]
    rows = slice(i, i + 1)
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", GAP_FORMS)
def test_gaps_in_every_form(name, tmp_path):
    """Also where the one row at hand does not tell how long the vector would be."""
    form = GAP_FORMS[name]
    stacked = np.hstack(list(data(gaps=True).values()))
    fitted = Reader(form.views, missing_views="impute").fit(form.X)
    assert_array_equal(fitted.transform(form.X), stacked)
    for i in (0, 25, 59):
        assert_array_equal(fitted.transform(one_row(form.X, i)), stacked[i : i + 1])
    for out in (None, tmp_path / "X.npy"):
        X, views = stack_views(form.X, form.views, out=out)
        assert X.dtype == np.float32
        assert_array_equal(X, stacked)
    # the widths of another part of the data are known
    if name.startswith("cells, p") and "tensors" not in name:
        part = one_row(form.X, 0)
        for out in (None, tmp_path / "X.npy"):
            assert_array_equal(stack_views(part, views, out=out)[0], stacked[:1])


def test_views_are_found_by_name_in_transform():
    fitted = Reader(None).fit(data())
    expected = fitted.transform(data())
    turned = dict(reversed(data().items()))
    assert_array_equal(fitted.transform(turned | {"other": np.ones((N_ROWS, 2))}), expected)
    assert_array_equal(
        fitted.transform(pd.DataFrame({k: list(x) for k, x in turned.items()})), expected
    )


@pytest.mark.parametrize(
    "dtypes", [("f4", "f8", "f4"), ("f8", "f8", "f8"), ("f2", "f2", "f4"), ("i8", "f4", "f4")]
)
def test_types_are_joined_alike_in_every_form(dtypes):
    arrays = {k: (8 * x).astype(t) for (k, x), t in zip(data().items(), dtypes, strict=True)}
    X, views = stack_views(arrays)
    expected = Reader(views).fit_transform(X)
    assert expected.dtype == (np.float64 if "f8" in dtypes else np.float32)
    cells = pd.DataFrame({name: list(x) for name, x in arrays.items()})
    for form in (arrays, list(arrays.values()), cells):
        assert_array_equal(Reader(None).fit_transform(form), expected)


def test_one_column_of_vectors_is_one_view():
    x = data()["clip"]
    expected = Reader(None).fit_transform(x)
    cells = pd.Series(list(x))
    for column in (
        cells,
        cells.to_numpy(),
        pl.Series(list(x)),
        pl.Series(x.tolist(), dtype=pl.List(pl.Float32)),
    ):
        assert_array_equal(Reader(None).fit_transform(column), expected)


def test_names_of_columns_in_a_dictionary_of_frames():
    frames = {k: pd.DataFrame(x).add_prefix("c") for k, x in data().items()}
    fitted = Reader(None).fit(frames)
    expected = fitted.transform(frames)
    message = r"^view 1 \('dino'\) has a column 'dino_c2', but it was 'dino_c0' in fit: the"
    with pytest.raises(ValueError, match=message):
        fitted.transform(frames | {"dino": frames["dino"].iloc[:, ::-1]})
    # groups of one frame have the same names without the view's
    one = pd.concat([f.add_prefix(f"{k}-") for k, f in frames.items()], axis=1)
    groups = {k: [c for c in one if c.startswith(k)] for k in frames}
    grouped = Reader(groups).fit(one)
    assert_array_equal(grouped.transform({k: one[groups[k]] for k in groups}), expected)


def test_a_gap_does_not_change_the_type_of_other_rows():
    cells = {k: list(x) for k, x in data().items()}
    frame = pd.DataFrame(cells)
    fitted = Reader(None, missing_views="impute").fit(frame)
    gap = pd.DataFrame(cells | {"dino": [[None] * 3, *cells["dino"][1:]]})
    out = fitted.transform(gap)
    assert out.dtype == np.float32
    assert_array_equal(out[1:], fitted.transform(frame)[1:])


def test_a_batch_of_arrow_records():
    table = FORMS["cells, pyarrow"].X
    [batch] = table.to_batches()
    if not hasattr(batch, "shape"):
        pytest.skip("a later pyarrow")
    assert_array_equal(Reader(None).fit_transform(batch), Reader(None).fit_transform(table))


@pytest.mark.parametrize("empty", [None, np.nan, pd.NA, [], np.empty(0)])
def test_a_list_with_empty_cells(empty):
    clip, dino, text = data(gaps=True).values()
    cells = np.empty(N_ROWS, dtype=object)
    cells[:] = [empty if np.isnan(row).any() else row for row in clip]
    assert cells[0] is empty
    cells = cells if empty is not None else list(cells)
    expected = Reader(None, missing_views="impute").fit_transform([clip, dino, text])
    out = Reader(None, missing_views="impute").fit_transform({"a": cells, "b": dino, "c": text})
    assert_array_equal(out, expected)
