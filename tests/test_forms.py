"""The same numbers give the same result, bit for bit, whichever form they came in."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import make_views
from forms import in_every_form, is_split
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens._views._frames import take_rows
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
    """The learner on the stacked matrix, what it gives, and a grid search over it."""
    X = np.hstack(list(data().values()))
    fitted = learner(list(SIZES.values())).fit(X)
    return fitted, fitted.transform(X), search(X, list(SIZES.values()))


def learner(views, **params):
    defaults = {"max_iter": 3, "transform_max_iter": 3, "batch_size": 16, "random_state": 0}
    return EnsembleRepresentationLearner(views, **{**defaults, **params})


def search(X, views):
    y = (data()["clip"][:, 0] > np.median(data()["clip"][:, 0])).astype(int)
    model = make_pipeline(learner(views), KNeighborsClassifier())
    grid = {
        "ensemblerepresentationlearner__n_layers": [1, 2],
        "kneighborsclassifier__n_neighbors": [1, 5],
    }
    return GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, y).cv_results_


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same(name, expected):
    form, (reference, rows, scores) = FORMS[name], expected
    fitted = learner(form.views).fit(form.X)
    for one, other in zip(fitted.coefs_, reference.coefs_, strict=True):
        for w, expected_w in zip(one, other, strict=True):
            assert_array_equal(w, expected_w)
    assert_array_equal(fitted.embedding_, reference.embedding_)
    out = fitted.transform(form.X)
    assert out.dtype == np.float32
    assert_array_equal(out, rows)
    assert_array_equal(learner(form.views).fit_transform(form.X), rows)
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(form.X), rows)
    assert_array_equal(clone(fitted).fit(form.X).transform(form.X), rows)

    # fitted on one form, used on others
    X, views = stack_views(form.X, form.views)
    assert_array_equal(fitted.transform(X), rows)
    assert_array_equal(fitted.transform(list(data().values())), rows)

    assert fitted.view_sizes_ == list(SIZES.values())
    assert fitted.n_features_in_ == sum(SIZES.values())
    names = list(SIZES) if form.names else ["view0", "view1", "view2"]
    assert fitted.view_names_.tolist() == names
    assert views == (SIZES if form.names else list(SIZES.values()))
    if form.names:
        assert_array_equal(fitted.transform(data()), rows)
    columns = [f"{k}_{i}" for k, size in SIZES.items() for i in range(size)]
    assert getattr(fitted, "feature_names_in_", np.array([])).tolist() == columns * form.columns

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
    assert_array_equal(
        Concatenation(form.views).fit_transform(form.X),
        Concatenation(views).fit_transform(in_memory),
    )


DOUBLE_FORMS = in_every_form(data(np.float64))
GAP_FORMS = in_every_form(data(gaps=True))


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", DOUBLE_FORMS)
def test_double_precision_is_kept_in_every_form(name):
    form = DOUBLE_FORMS[name]
    X, views = stack_views(form.X, form.views)
    assert X.dtype == np.float64
    assert_array_equal(X, np.hstack(list(data(np.float64).values())))
    expected = learner(views).fit_transform(X)
    fitted = learner(form.views).fit(form.X)
    out = fitted.transform(form.X)
    assert out.dtype == np.float64
    assert fitted.embedding_.dtype == np.float64
    assert_array_equal(out, expected)


def one_row(X, i):
    if isinstance(X, dict):
        return {name: one_row(x, i) for name, x in X.items()}
    if isinstance(X, list | tuple):
        return [one_row(x, i) for x in X]
    return take_rows(X, slice(i, i + 1))


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", GAP_FORMS)
def test_gaps_in_every_form(name, tmp_path):
    """Also where the one row at hand does not tell how long the vector would be."""
    form = GAP_FORMS[name]
    stacked = np.hstack(list(data(gaps=True).values()))
    expected = learner(list(SIZES.values()), missing_views="mask").fit_transform(stacked)
    fitted = learner(form.views, missing_views="mask").fit(form.X)
    assert_array_equal(fitted.transform(form.X), expected)
    for i in (0, 25, 59):
        assert_array_equal(fitted.transform(one_row(form.X, i)), expected[i : i + 1])
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
    fitted = learner(None).fit(data())
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
    expected = learner(views).fit_transform(X)
    assert expected.dtype == (np.float64 if "f8" in dtypes else np.float32)
    cells = pd.DataFrame({name: list(x) for name, x in arrays.items()})
    for form in (arrays, list(arrays.values()), cells):
        assert_array_equal(learner(None).fit_transform(form), expected)


def test_one_column_of_vectors_is_one_view():
    x = data()["clip"]
    expected = learner(None).fit_transform(x)
    cells = pd.Series(list(x))
    for column in (
        cells,
        cells.to_numpy(),
        pl.Series(list(x)),
        pl.Series(x.tolist(), dtype=pl.List(pl.Float32)),
    ):
        assert_array_equal(learner(None).fit_transform(column), expected)


def test_names_of_columns_in_a_dictionary_of_frames():
    frames = {k: pd.DataFrame(x).add_prefix("c") for k, x in data().items()}
    fitted = learner(None).fit(frames)
    expected = fitted.transform(frames)
    assert fitted.feature_names_in_[:2].tolist() == ["clip_c0", "clip_c1"]
    message = r"^view 1 \('dino'\) has a column 'dino_c2' where 'dino_c0' was in fit: the names"
    with pytest.raises(ValueError, match=message):
        fitted.transform(frames | {"dino": frames["dino"].iloc[:, ::-1]})
    # groups of one frame have the same names without the view's
    one = pd.concat([f.add_prefix(f"{k}-") for k, f in frames.items()], axis=1)
    groups = {k: [c for c in one if c.startswith(k)] for k in frames}
    grouped = learner(groups).fit(one)
    assert_array_equal(grouped.transform({k: one[groups[k]] for k in groups}), expected)


def test_a_gap_does_not_change_the_type_of_other_rows():
    cells = {k: list(x) for k, x in data().items()}
    frame = pd.DataFrame(cells)
    fitted = learner(None, missing_views="mask").fit(frame)
    gap = pd.DataFrame(cells | {"dino": [[None] * 3, *cells["dino"][1:]]})
    out = fitted.transform(gap)
    assert out.dtype == np.float32
    assert_array_equal(out[1:], fitted.transform(frame)[1:])


def test_a_polars_that_reads_lists_wrongly(monkeypatch):
    form = FORMS["cells, polars of lists"]
    monkeypatch.setattr(pl, "__version__", "1.8.2")
    with pytest.raises(ValueError, match=r"^polars 1\.8\.2 reads parts of a column of lists wrong"):
        learner(None).fit(form.X)
    learner(None).fit(FORMS["cells, polars"].X)


def test_a_batch_of_arrow_records():
    table = FORMS["cells, pyarrow"].X
    [batch] = table.to_batches()
    if not hasattr(batch, "shape"):
        pytest.skip("a later pyarrow")
    assert_array_equal(learner(None).fit_transform(batch), learner(None).fit_transform(table))


@pytest.mark.parametrize("empty", [None, np.nan, pd.NA, [], np.empty(0)])
def test_a_list_with_empty_cells(empty):
    clip, dino, text = data(gaps=True).values()
    cells = np.empty(N_ROWS, dtype=object)
    cells[:] = [empty if np.isnan(row).any() else row for row in clip]
    assert cells[0] is empty
    cells = cells if empty is not None else list(cells)
    expected = learner(None, missing_views="mask").fit_transform([clip, dino, text])
    out = learner(None, missing_views="mask").fit_transform({"a": cells, "b": dino, "c": text})
    assert_array_equal(out, expected)
