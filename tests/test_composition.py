"""The learner inside scikit-learn's tools, on stacked input."""

import numpy as np
import pandas as pd
import pytest
from conftest import make_views
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sknnens import EnsembleRepresentationLearner, stack_views


@pytest.fixture
def data():
    X, sizes = stack_views(make_views(80))
    return X, (X[:, 0] > np.median(X[:, 0])).astype(int), sizes


def learner(sizes, **params):
    return EnsembleRepresentationLearner(
        sizes, max_iter=3, transform_max_iter=3, random_state=0, **params
    )


def test_grid_search_with_two_jobs(data):
    X, y, sizes = data
    model = make_pipeline(learner(sizes), KNeighborsClassifier())
    grid = {
        "ensemblerepresentationlearner__n_layers": [1, 2],
        "kneighborsclassifier__n_neighbors": [1, 5],
    }
    search = GridSearchCV(model, grid, cv=3, n_jobs=2, error_score="raise").fit(X, y)
    serial = GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, y)
    assert_array_equal(search.cv_results_["mean_test_score"], serial.cv_results_["mean_test_score"])
    assert search.predict(X).shape == (80,)
    assert search.best_score_ > 0.5


def test_cross_val_score(data):
    X, y, sizes = data
    scores = cross_val_score(make_pipeline(learner(sizes), KNeighborsClassifier()), X, y, cv=3)
    assert scores.shape == (3,)


def test_queries_meet_the_reference_set_in_one_space(data):
    """The nearest neighbour of a training row, through a Pipeline, is the row itself."""
    X, y, sizes = data
    model = make_pipeline(learner(sizes), KNeighborsClassifier(1)).fit(X, y)
    distance, _ = model[-1].kneighbors(model[0].transform(X))
    assert_array_equal(distance[:, 0], 0)
    assert model.score(X, y) == 1


def test_clone_keeps_the_parameters_and_nothing_else(data):
    X, _, sizes = data
    fitted = learner(sizes, view_weights=[1, 2, 3]).fit(X)
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "coefs_")


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


def test_set_output_pandas_from_a_list(data):
    X, _, sizes = data
    views = np.split(X, np.cumsum(sizes)[:-1], axis=1)
    model = learner(None).set_output(transform="pandas").fit(views)
    assert model.transform(views).shape == (80, 6)


def test_names_are_forgotten_when_refitted_on_a_list(data):
    X, _, sizes = data
    model = learner(None).fit(pd.DataFrame(X).add_prefix("c"))
    model.fit(np.split(X, np.cumsum(sizes)[:-1], axis=1))
    assert not hasattr(model, "feature_names_in_")


def test_feature_names_out(data):
    X, _, sizes = data
    names = learner(sizes, n_components=2).fit(X).get_feature_names_out()
    assert names.tolist() == [f"ensemblerepresentationlearner{i}" for i in range(2)]


def test_transfer_to_another_data_set(data):
    """Section 4.3 of the paper: fitted on one data set, used on both halves of another."""
    X, _, sizes = data
    model = learner(sizes).fit(X)
    other, _ = stack_views(make_views(50, seed=1))
    knn = KNeighborsClassifier(3).fit(model.transform(other[:30]), other[:30, 0] > 0.5)
    assert knn.predict(model.transform(other[30:])).shape == (20,)
