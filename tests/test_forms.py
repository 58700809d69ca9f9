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
from sklearn.utils import get_tags

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.baselines import Concatenation

SIZES = {"clip": 5, "dino": 3, "text": 4}
N_ROWS = 60


def data():
    """Numbers that float16 holds."""
    arrays = make_views(N_ROWS, tuple(SIZES.values()), dtype=np.float16)
    return {name: x.astype(np.float32) for name, x in zip(SIZES, arrays, strict=True)}


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
    assert expected.dtype == np.float64 if "f8" in dtypes else np.float32
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


def test_a_tag_says_whether_nan_is_taken():
    assert not get_tags(learner(None)).input_tags.allow_nan
    assert get_tags(learner(None, missing_views="mask")).input_tags.allow_nan
