"""Rows that one of the models never saw, and views that have no weight."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import drop, make_views
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import sknnens._learner
from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import Concatenation
from sknnens.fusion._weights import LEAST_WEIGHT

INITS = ["auto", "average", "pca", "whiten"]


def learner(**params):
    defaults = {
        "init": "average",
        "view_weights": None,
        "max_iter": 4,
        "batch_size": 16,
        "representation_learning_rate": 1e-2,
        "random_state": 0,
        "missing_views": "impute",
    }
    return EnsembleRepresentationLearner(**{**defaults, **params})


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_row_gets_a_representation(init, dtype):
    views = drop(make_views(dtype=dtype), 0.4)
    fitted = learner(init=init).fit(views)
    out = fitted.transform(views)
    assert out.dtype == dtype
    assert_allclose(np.linalg.norm(out, axis=1), 1, rtol=1e-5)
    for layers in fitted.coefs_:
        assert all(np.isfinite(w).all() for w in layers)
    X, sizes = stack_views(views)
    assert_array_equal(learner(views=sizes, init=init).fit_transform(X), out)


@pytest.mark.parametrize("init", INITS)
def test_nothing_changes_where_nothing_is_missing(init, views):
    expected = learner(init=init, missing_views="error").fit_transform(views)
    assert_array_equal(learner(init=init).fit_transform(views), expected)


@pytest.mark.parametrize("init", INITS)
def test_row_that_lacks_a_view_does_not_depend_on_its_company(init):
    views = drop(make_views(300), 0.4)
    fitted = learner(init=init).fit(views)
    whole = fitted.transform(views)
    for i in [0, 3, 255, 299]:
        assert_array_equal(fitted.transform([v[i : i + 1] for v in views]), whole[i : i + 1])
    order = np.random.RandomState(0).permutation(300)
    assert_array_equal(fitted.transform([v[order] for v in views]), whole[order])


def linear_views(n_samples=400, sizes=(9, 9, 9), dtype=np.float64):
    """Linear maps of a common latent vector, and some noise."""
    rng = np.random.RandomState(0)
    latent = rng.randn(n_samples, 3)
    views = [latent @ rng.randn(3, size) + 0.2 * rng.randn(n_samples, size) for size in sizes]
    return [(v + 8).astype(dtype) for v in views]  # nearly on a line, once normalized


def test_gaps_on_another_default_device():
    views = linear_views(60)
    fitted = learner(init="auto").fit(views)
    expected = fitted.transform(drop(views, 0.3))
    try:
        torch.set_default_device("meta")
        assert_array_equal(fitted.transform(drop(views, 0.3)), expected)
    finally:
        torch.set_default_device(None)


def test_rows_that_lack_a_view_have_no_part_in_its_network(views):
    """With the rows frozen, a view's network is that of a fit on the rows that have it."""
    lacking = [views[0], views[1].copy(), views[2]]
    lacking[1][40:] = np.nan
    params = {"warmup": 1.0, "batch_size": 60, "view_weights": [1, 1, 1], "max_iter": 20}
    fitted = learner(**params).fit(lacking)
    here = learner(**params).fit([v[:40] for v in views])
    for w, expected in zip(fitted.coefs_[1], here.coefs_[1], strict=True):
        assert_allclose(w, expected, atol=1e-5)
    assert np.abs(fitted.coefs_[0][0] - here.coefs_[0][0]).max() > 1e-3


@pytest.mark.parametrize("init", INITS)
def test_a_view_that_the_sample_of_the_start_does_not_have(init, monkeypatch):
    """The start is fitted to some of very many rows; a rare view may be in none of them."""
    monkeypatch.setattr(sknnens._learner, "INIT_ROWS", 200)
    sample = np.random.RandomState(0).permutation(400)[:200]
    lacking = make_views(400)
    lacking[2][sample] = np.nan
    fitted = learner(init=init, view_weights="auto", n_components=6).fit(lacking)
    assert fitted.view_weights_[2] == LEAST_WEIGHT
    assert np.isfinite(fitted.transform(lacking)).all()


def test_loss_counts_the_views_there_are(views):
    """All rows lack one view, in turn: two thirds of the loss remain."""
    rows = np.arange(60) % 3
    lacking = [np.where((rows == i)[:, None], np.nan, v) for i, v in enumerate(views)]
    params = {"learning_rate": 1e-9, "max_iter": 1, "representation_learning_rate": 1e-9}
    whole, part = learner(**params).fit(views).loss_, learner(**params).fit(lacking).loss_
    assert part == pytest.approx(2 / 3 * whole, rel=0.1)


def test_empty_cells_of_a_frame(views):
    lacking = drop(views, 0.3)
    names = ["clip", "dino", "text"]
    cells = [[None if np.isnan(row).any() else row for row in v] for v in lacking]
    frame = pd.DataFrame(dict(zip(names, cells, strict=True)))
    expected = learner().fit(lacking)
    fitted = learner().fit(frame)
    assert_array_equal(fitted.transform(frame), expected.transform(lacking))
    # a single row, in which nothing tells how long the vectors are
    row = frame.iloc[[0]].assign(clip=None, text=np.nan, dino=[views[1][0]])
    nan = np.full((1, 6), np.nan, dtype=np.float32)
    assert_array_equal(fitted.transform(row), expected.transform([nan, views[1][:1], nan]))
    with pytest.raises(ValueError, match=r"^Rows without any view: 0\. There is nothing"):
        fitted.transform(row.assign(dino=None))


def test_rows_without_any_view_are_named_in_transform(views):
    fitted = learner().fit(views)
    lacking = [v.copy() for v in views]
    for v in lacking:
        v[[3, 8]] = np.nan
    with pytest.raises(ValueError, match=r"^Rows without any view: 3, 8\. There is nothing to imp"):
        fitted.transform(lacking)
    with pytest.raises(ValueError, match=r"^Rows without any view: 3, 8\. There is nothing to imp"):
        fitted.transform(np.hstack(lacking))
    fitted.set_params(missing_views="error")
    with pytest.raises(ValueError, match=r"^view 0 contains NaN in row 3, in all of its columns"):
        fitted.transform(lacking)


@pytest.mark.slow
def test_learner_is_better_than_the_concatenation_with_views_missing():
    """At k = 5, with 40 % of the entries missing: against means put in, and against imputation."""
    data = load_fashion_mnist_features(["simclr_0", "simclr_1", "simclr_2", "simclr_3"])
    train = drop(np.split(data.X_train, 4, axis=1), 0.4)
    test = drop(np.split(data.X_test, 4, axis=1), 0.4, seed=1)
    scores = []
    for model in (
        make_pipeline(
            FunctionTransformer(np.hstack), SimpleImputer(), Concatenation(data.view_sizes)
        ),
        Concatenation(missing_views="impute"),
        EnsembleRepresentationLearner(missing_views="impute", random_state=0),
    ):
        knn = KNeighborsClassifier(5).fit(model.fit_transform(train), data.y_train)
        scores.append(knn.score(model.transform(test), data.y_test))
    assert scores[2] > scores[0] + 0.05
    assert scores[2] > scores[1]


# weights


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("form", ["list", "stacked", "dict"])
def test_weight_of_zero_is_the_view_not_being_there(init, form):
    views = make_views(sizes=(6, 6, 6, 6))
    kept = [views[0], views[2], views[3]]
    expected = learner(init=init, view_weights=[0.5, 1, 2]).fit(kept)
    weights = [0.5, 0, 1, 2]
    X = views
    if form == "stacked":
        X = np.hstack(views)
    elif form == "dict":
        X = dict(zip("abcd", views, strict=True))
        weights = {"a": 0.5, "b": 0, "d": 2}
    sizes = [6] * 4 if form == "stacked" else None
    fitted = learner(views=sizes, init=init, view_weights=weights).fit(X)
    assert_array_equal(fitted.transform(X), expected.transform(kept))
    assert fitted.loss_curve_ == expected.loss_curve_
    assert fitted.view_sizes_ == [6] * 4
    assert fitted.view_weights_.tolist() == [0.25, 0, 0.5, 1]
    assert fitted.coefs_[1] == fitted.intercepts_[1] == []
    assert_array_equal(fitted.coefs_[2][0], expected.coefs_[1][0])
    assert fitted.output_activations_ == ["relu", None, "relu", "relu"]
    assert len(fitted.get_feature_names_out()) == 6


def test_view_without_weight_may_hold_anything_of_its_width(views):
    fitted = learner(missing_views="error", view_weights=[1, 0, 1]).fit(views)
    expected = fitted.transform(views)
    hollow = [views[0], np.full((60, 6), np.nan), views[2]]
    assert_array_equal(fitted.transform(hollow), expected)  # whatever its type, too
    learner(missing_views="error", view_weights=[1, 0, 1]).fit(hollow)
    with pytest.raises(ValueError, match=r"^view 1 has 5 columns, fitted on 6\.$"):
        fitted.transform([views[0], views[1][:, :5], views[2]])


def test_weights_by_names_that_are_numbers(views):
    fitted = learner(view_weights={1: 0.5}).fit(dict(enumerate(views)))
    assert fitted.view_weights_.tolist() == [1, 0.5, 1]


def test_column_that_is_empty_throughout_may_have_no_weight(views):
    clip, dino, _ = views
    frame = pd.DataFrame({"clip": list(clip), "dino": list(dino), "text": [None] * 60})
    sizes = {"clip": 6, "dino": 6, "text": 6}
    out = learner(views=sizes, view_weights={"text": 0}).fit_transform(frame)
    assert_array_equal(out, learner().fit_transform([clip, dino]))


def test_rows_that_have_only_a_view_without_weight(views):
    views[0][4] = np.nan
    with pytest.raises(ValueError, match=r"^Rows without view 0, and no other view is used: 4\.$"):
        learner(view_weights=[1, 0, 0]).fit(views)


def test_weights_enter_the_start_and_the_loss(views):
    start = learner(transform_max_iter=0, view_weights=[1, 1e-9, 1e-9]).fit(views)
    unit = views[0] / np.linalg.norm(views[0], axis=1, keepdims=True)
    assert_allclose(start.transform(views), unit, atol=1e-6)
    params = {"learning_rate": 1e-9, "max_iter": 1, "representation_learning_rate": 1e-9}
    single = learner(**params).fit([views[0]])
    assert learner(**params, view_weights=[1, 1e-9, 1e-9]).fit(views).loss_ == pytest.approx(
        single.loss_, rel=1e-2
    )


def test_warm_start_does_not_continue_with_another_view(views):
    fitted = learner(warm_start=True).fit(views)
    with pytest.raises(ValueError, match="view_weights"):
        fitted.set_params(view_weights=[1, 0, 1]).fit(views)
    names = learner(warm_start=True).fit({"a": views[0], "b": views[1]})
    message = r"the same views, but they were \['a', 'b'\] before, \['b', 'a'\] now\.$"
    with pytest.raises(ValueError, match=message):
        names.fit({"b": views[1], "a": views[0]})
    again = learner(warm_start=True, view_weights=[1, 0, 1]).fit(views)
    again.fit(views)


def test_the_learner_weighs_its_views(two_strong_one_weak):
    X, sizes = stack_views(two_strong_one_weak)
    params = {"views": sizes, "max_iter": 2, "random_state": 0}
    auto = EnsembleRepresentationLearner(view_weights="auto", **params).fit(X)
    assert auto.view_weights_[2] < 0.6
    given = EnsembleRepresentationLearner(view_weights=auto.view_weights_, **params).fit(X)
    assert_array_equal(auto.transform(X), given.transform(X))
    other = EnsembleRepresentationLearner(view_weights="auto", **params | {"random_state": 1})
    assert_array_equal(other.fit(X).view_weights_, auto.view_weights_)


def test_warm_start_keeps_the_weights(two_strong_one_weak):
    learner = EnsembleRepresentationLearner(max_iter=2, random_state=0, warm_start=True)
    before = learner.fit(two_strong_one_weak).view_weights_
    learner.fit([v[:200] for v in two_strong_one_weak])
    assert_array_equal(learner.view_weights_, before)
    afresh = clone(learner).set_params(warm_start=False)
    afresh.fit([v[:200] for v in two_strong_one_weak])
    assert (afresh.view_weights_ != before).any()
