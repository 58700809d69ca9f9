"""The learner inside scikit-learn's tools, on stacked input and on frames."""

from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from conftest import make_views
from forms import in_every_form, is_split
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from numpy.testing import assert_array_equal
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, StackingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
    train_test_split,
)
from sklearn.neighbors import KNeighborsClassifier, KNeighborsTransformer
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline

from sknnens import EnsembleRepresentationLearner, stack_views

N_ROWS = 80
FORMS = in_every_form(
    {
        name: x.astype(np.float32)
        for name, x in zip(
            ["clip", "dino", "text"], make_views(N_ROWS, (5, 3, 4), dtype=np.float16), strict=True
        )
    }
)
Y = (FORMS["stacked"].X[:, 0] > np.median(FORMS["stacked"].X[:, 0])).astype(int)


def knn_pipeline(views, **params):
    return Pipeline([("erl", learner(views, **params)), ("knn", KNeighborsClassifier(3))])


def use_train_test_split(X, views):
    train, test, y_train, _ = train_test_split(X, Y, random_state=0)
    return knn_pipeline(views).fit(train, y_train).predict_proba(test)


def use_cross_val_score(X, views):
    return cross_val_score(knn_pipeline(views), X, Y, cv=3, error_score="raise")


def use_cross_val_predict(X, views):
    return cross_val_predict(knn_pipeline(views), X, Y, cv=3, method="predict_proba")


def search_with(kind, X, views):
    grid = {"erl__n_layers": [1, 2], "knn__n_neighbors": [1, 5]}
    search = kind(knn_pipeline(views), grid, cv=3, n_jobs=2, error_score="raise").fit(X, Y)
    return np.hstack([search.cv_results_["mean_test_score"], search.predict(X)])


def test_ctrl_c_stops_a_search(monkeypatch):
    """And is not taken for the end of one fit, which would be scored like a whole one."""
    calls = []

    def interrupt(self, **params):
        calls.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr("sknnens._engine._train._Training.run_epoch", interrupt)
    search = GridSearchCV(knn_pipeline(FORMS["stacked"].views), {"erl__n_layers": [1, 2]}, cv=3)
    with pytest.raises(KeyboardInterrupt):
        search.fit(FORMS["stacked"].X, Y)
    assert len(calls) == 1


def use_grid_search(X, views):
    return search_with(GridSearchCV, X, views)


def use_feature_union(X, views):
    parts = [(init, learner(views, init=init, n_components=2)) for init in ("pca", "whiten")]
    return FeatureUnion(parts, n_jobs=2).fit_transform(X)


def use_stacking(X, views):
    parts = [("a", knn_pipeline(views)), ("b", knn_pipeline(views, init="whiten"))]
    return StackingClassifier(parts, KNeighborsClassifier(5), cv=3).fit(X, Y).predict_proba(X)


def use_learning_curve(X, views):
    return learning_curve(knn_pipeline(views), X, Y, cv=3, error_score="raise")[2]


def use_neighbours_transformer(X, views):
    model = make_pipeline(learner(views), KNeighborsTransformer(n_neighbors=3))
    return model.fit_transform(X).toarray()


def use_bagging(X, views):
    model = BaggingClassifier(knn_pipeline(views), n_estimators=3, n_jobs=2, random_state=0)
    return model.fit(X, Y).predict_proba(X)


def use_permutation_importance(X, views):
    model = knn_pipeline(views).fit(X, Y)
    return permutation_importance(model, X, Y, n_repeats=2, random_state=0).importances


TOOLS = [value for name, value in list(globals().items()) if name.startswith("use_")]
FRAMES = [
    name
    for name in FORMS
    if is_split(name) and name.startswith(("stacked, p", "groups", "Multi", "cells"))
]
# turned into an array by scikit-learn, in which the columns have no names
NEED_NAMES = {name for name in FRAMES if name.startswith("groups") or "other" in name}
MIXED_UP = {name for name in FRAMES if "mixed up" in name}


def is_carried(tool, name):
    """Whether scikit-learn hands the form on as it is, or as something of the same meaning."""
    if tool is use_permutation_importance:  # it permutes columns of the frame, whatever they are
        return name in ("stacked", "stacked, pandas")
    if tool is use_bagging and name == "stacked, pandas nullable":
        return False  # it makes an array of objects of it, which are then float64
    return tool is not use_bagging or name not in NEED_NAMES | MIXED_UP | {"MultiIndex"}


@pytest.fixture(scope="module")
def on_stacked():
    """What each tool gives on the stacked matrix."""
    form = FORMS["stacked"]
    return {tool: tool(form.X, form.views) for tool in TOOLS}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tool", "name"), [(tool, name) for tool in TOOLS for name in FRAMES if is_carried(tool, name)]
)
def test_tool_gives_the_same_on_a_frame(tool, name, on_stacked):
    form = FORMS[name]
    assert_array_equal(tool(form.X, form.views), on_stacked[tool])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["groups, pandas", "cells and other columns"])
def test_a_frame_that_scikit_learn_makes_an_array_of(name):
    """What the message says then works."""
    form = FORMS[name]
    with pytest.raises(TypeError, match="views names columns of a DataFrame, but X is of type nda"):
        use_bagging(form.X, form.views)
    assert use_bagging(*stack_views(form.X, form.views)).shape == (N_ROWS, 2)


def test_bagging_of_cells_with_gaps():
    """Whatever rows are at hand, the array that it makes is one of vectors."""
    cells = FORMS["cells, pandas"].X.copy()
    cells["clip"] = [None, *cells["clip"][1:]]
    model = BaggingClassifier(
        knn_pipeline(None, missing_views="impute"), n_estimators=2, random_state=0
    ).fit(cells, Y)
    assert_array_equal(model.predict(cells.iloc[[0]]), model.predict(cells)[:1])


def test_column_transformer():
    """Beside other columns, and on a frame with vectors in its cells."""
    form = FORMS["stacked"]
    expected = learner([5, 3, 4]).fit_transform(form.X)
    beside = np.hstack([np.arange(N_ROWS, dtype=np.float32)[:, None], form.X])
    model = ColumnTransformer(
        [("erl", learner([5, 3, 4]), slice(1, None)), ("rest", "passthrough", [0])]
    )
    assert_array_equal(model.fit_transform(beside)[:, :-1], expected)
    cells = FORMS["cells, pandas"].X.assign(number=np.arange(N_ROWS))
    model = ColumnTransformer(
        [("erl", learner(None), ["clip", "dino", "text"]), ("rest", "passthrough", ["number"])]
    )
    assert_array_equal(model.fit_transform(cells)[:, :-1], expected)


def test_permutation_importance_of_models():
    """With a vector in each cell, a column is a model."""
    cells = FORMS["cells, pandas"].X
    model = knn_pipeline(None, view_weights={"dino": 0, "text": 0}).fit(cells, Y)
    importances = permutation_importance(model, cells, Y, n_repeats=5, random_state=0)
    assert importances.importances_mean[0] > 0.1
    assert_array_equal(importances.importances_mean[1:], 0)


class Counting(EnsembleRepresentationLearner):
    """Writes a line to a file for each fit."""

    def __init__(self, views=None, *, path=None, max_iter=3, random_state=0):
        super().__init__(views, max_iter=max_iter, random_state=random_state)
        self.path = path

    def fit(self, X, y=None):
        with open(self.path, "a") as file:
            file.write("fit\n")
        return super().fit(X, y)


@pytest.mark.parametrize("name", ["stacked", "groups, pandas", "cells, pandas"])
def test_pipeline_with_memory_fits_once_for_every_k(name, tmp_path):
    form = FORMS[name]
    model = Pipeline(
        [
            ("erl", Counting(form.views, path=str(tmp_path / "log"))),
            ("knn", KNeighborsClassifier()),
        ],
        memory=joblib.Memory(tmp_path / "cache", verbose=0),
    )
    search = GridSearchCV(model, {"knn__n_neighbors": [1, 3, 5, 7]}, cv=3, error_score="raise")
    search.fit(form.X, Y)
    # once a fold, and once for the whole
    assert (tmp_path / "log").read_text().splitlines() == ["fit"] * 4


class Witness(EnsembleRepresentationLearner):
    """Remembers in what memory `fit` saw its input."""

    def fit(self, X, y=None):
        super().fit(X, y)
        arrays = self._read_to_fit(X, y).views.arrays
        self.is_map_ = isinstance(X, np.memmap)
        self.is_shared_ = all(np.shares_memory(x, X) for x in arrays)
        return self

    def score(self, X, y=None):
        """Whether this process has the whole matrix mapped."""
        maps = Path("/proc/self/maps").read_text()
        return float("joblib_memmapping_folder" in maps or "opened.npy" in maps)


def witness(X, views):
    return Witness(views, max_iter=1).fit(X)


@pytest.mark.slow
@pytest.mark.parametrize("opened", [True, False])
def test_a_worker_reads_the_matrix_from_a_memory_map(opened, tmp_path):
    """joblib hands on a large matrix, or a file that the user opened, without a copy."""
    X, views = stack_views(make_views(40_000, (4, 4)), out=tmp_path / "opened.npy")
    X = X if opened else np.array(X)
    seen = Parallel(n_jobs=2)(delayed(witness)(X, views) for _ in range(2))
    assert all(w.is_map_ and w.is_shared_ for w in seen)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="asks Linux what is mapped")
@pytest.mark.parametrize("opened", [True, False])
def test_a_search_takes_the_folds_from_a_memory_map(opened, tmp_path):
    """The rows of a fold are copied in the worker, out of the map."""
    X, views = stack_views(make_views(40_000, (4, 4)), out=tmp_path / "opened.npy")
    X = X if opened else np.array(X)
    model = Witness(views, max_iter=1)
    search = GridSearchCV(model, {"n_layers": [1, 2]}, cv=2, n_jobs=2, error_score="raise")
    get_reusable_executor().shutdown(wait=True)  # its workers may have mapped it before
    search.fit(np.array(X[:100]))
    assert search.cv_results_["mean_test_score"].tolist() == [0, 0]  # small ones are sent
    search.fit(X)
    assert search.cv_results_["mean_test_score"].tolist() == [1, 1]


@pytest.fixture
def data():
    X, sizes = stack_views(make_views(80))
    return X, (X[:, 0] > np.median(X[:, 0])).astype(int), sizes


def learner(sizes, **params):
    return EnsembleRepresentationLearner(sizes, max_iter=3, random_state=0, **params)


def test_queries_meet_the_reference_set_in_one_space(data):
    """The nearest neighbor of a training row, through a Pipeline, is the row itself."""
    X, y, sizes = data
    model = make_pipeline(learner(sizes), KNeighborsClassifier(1)).fit(X, y)
    distance, _ = model[-1].kneighbors(model[0].transform(X))
    assert_array_equal(distance[:, 0], 0)
    assert model.score(X, y) == 1


def test_set_output_pandas(data):
    X, _, sizes = data
    frame = pd.DataFrame(X, index=[f"row{i}" for i in range(80)]).add_prefix("c")
    model = learner(sizes).set_output(transform="pandas").fit(frame)
    out = model.transform(frame)
    assert list(out.columns) == list(model.get_feature_names_out())
    assert list(out.index) == list(frame.index)
    assert model.feature_names_in_.tolist() == list(frame.columns)
    assert_array_equal(out.to_numpy(), learner(sizes).fit(X).transform(X))
    with pytest.raises(ValueError, match="feature names"):
        model.transform(frame.rename(columns={"c0": "other"}))


def test_names_are_forgotten_when_refitted_on_a_list(data):
    X, _, sizes = data
    model = learner(None).fit(pd.DataFrame(X).add_prefix("c"))
    model.fit(np.split(X, np.cumsum(sizes)[:-1], axis=1))
    assert not hasattr(model, "feature_names_in_")


def test_transfer_to_another_data_set(data):
    """Section 4.3 of the paper: fitted on one data set, used on both halves of another."""
    X, _, sizes = data
    model = learner(sizes).fit(X)
    other, _ = stack_views(make_views(50, seed=1))
    knn = KNeighborsClassifier(3).fit(model.transform(other[:30]), other[:30, 0] > 0.5)
    assert knn.predict(model.transform(other[30:])).shape == (20,)
