"""Weights of the views that their features give."""

import warnings

import numpy as np
import pytest
from conftest import make_views
from sklearn.linear_model import Ridge
from sklearn.preprocessing import normalize

from sknnens import EnsembleRepresentationLearner
from sknnens.fusion import GCCA, Average, Concatenation, ConcatenationPCA, NeighborhoodProjection
from sknnens.fusion import _weights as weighing
from sknnens.fusion._weights import (
    LEAST_ROWS,
    LEAST_WEIGHT,
    effective_rank,
    exp_entropy,
    score_prediction,
    weigh_views,
)


def weigh(views):
    """Weights of views, in which missing rows are NaN."""
    return weigh_views(Average(missing_views="impute")._read_to_fit(views).views)[0]


def centered(n, d, seed):
    x = np.random.RandomState(seed).randn(n, d)
    return x - x.mean(axis=0)


def test_a_weak_view_weighs_least(two_strong_one_weak):
    weights = weigh(two_strong_one_weak)
    assert weights.max() == 1
    assert weights[:2].min() > 0.8
    assert weights[2] < 0.6  # its noise has a high rank


def test_the_order_of_the_views_does_not_matter(two_strong_one_weak):
    a, b, c = weigh(two_strong_one_weak)
    np.testing.assert_allclose(weigh(two_strong_one_weak[::-1]), [c, b, a], rtol=1e-9)


def test_a_view_close_to_one_direction_is_brought_to_scale():
    wide, narrow = make_views(300, (8, 8), dtype=np.float64, non_negative=False)
    narrow = np.hstack([narrow, np.full((300, 1), 20.0)])  # all rows point nearly the same way
    weights = weigh([wide, narrow])
    deviations = [np.linalg.norm(x - x.mean(0)) for x in map(normalize, (wide, narrow))]
    assert deviations[1] < deviations[0] / 5
    assert weights[1] == 1
    assert weights[0] < 1 / 3


def test_weights_are_the_product_of_three(two_strong_one_weak):
    views = [normalize(v) for v in two_strong_one_weak]
    views = [v - v.mean(axis=0) for v in views]
    expected = []
    for i, own in enumerate(views):
        others = np.hstack([v for j, v in enumerate(views) if j != i])
        deviation = np.sqrt((own**2).sum(axis=1).mean())
        weight = np.sqrt(score_prediction(others, own)) * effective_rank(own) ** 0.5 / deviation
        expected.append(weight)
    expected = np.array(expected) / max(expected)
    np.testing.assert_allclose(weigh(two_strong_one_weak), expected)


@pytest.mark.parametrize("n_views", [1, 2])
def test_nothing_to_tell_by_weighs_alike(n_views):
    assert weigh([np.ones((20, 3))] * n_views).tolist() == [1] * n_views


def test_a_view_without_variance_has_the_least_weight():
    views = make_views(200, (5, 5))
    assert weigh([*views, np.ones((200, 4), dtype=np.float32)])[2] == LEAST_WEIGHT


def test_a_view_with_too_few_samples_has_the_least_weight():
    views = make_views(200, (5, 5, 5))
    views[2][LEAST_ROWS - 1 :] = np.nan
    assert weigh(views)[2] == LEAST_WEIGHT
    views[2][: LEAST_ROWS - 1] = 0
    data = Average(missing_views="impute")._read_to_fit([views[0], views[1], views[0]])
    data.views.norms[2][:] = np.nan  # in none of the rows that are looked at
    assert weigh_views(data.views)[0][2] == LEAST_WEIGHT


def test_samples_that_lack_a_view_take_no_part():
    rng = np.random.RandomState(0)
    views = make_views(2000, (5, 5, 5), dtype=np.float64)
    kept = rng.rand(2000) > 0.4
    expected = weigh([v[kept] for v in views])
    lacking = [views[0], views[1], np.where(kept[:, None], views[2], np.nan)]
    np.testing.assert_allclose(weigh(lacking), expected, atol=0.2)


def test_score_of_a_prediction():
    others, noise = centered(100, 4, 0), centered(100, 3, 1)
    own = others @ np.random.RandomState(2).randn(4, 3) + noise
    missed = 0
    for known, unknown in ((slice(50), slice(50, None)), (slice(50, None), slice(50))):
        ridge = Ridge((others[known] ** 2).sum() / 4).fit(others[known], own[known])
        missed += ((own[unknown] - ridge.predict(others[unknown])) ** 2).sum()
    expected = 1 - missed / (own**2).sum()
    assert score_prediction(others, own) == pytest.approx(expected)
    assert score_prediction(centered(100, 40, 3), noise) == 0  # less than nothing
    assert score_prediction(others, others[:, :1]) > 0.5


def test_shares_are_the_scores_of_the_predictions(two_strong_one_weak):
    a, b, c = [v - v.mean(axis=0) for v in map(normalize, two_strong_one_weak)]
    shares = Average(view_weights="auto").fit(two_strong_one_weak).view_shares_
    assert shares[2] == pytest.approx(score_prediction(np.hstack([a, b]), c), abs=0.01)
    assert shares[2] < shares[:2].min()
    learner = EnsembleRepresentationLearner(max_iter=1, random_state=0).fit(two_strong_one_weak)
    np.testing.assert_array_equal(learner.view_shares_, shares)


@pytest.mark.parametrize(("n_views", "view_weights"), [(2, None), (2, [1, 0]), (1, "auto")])
def test_no_shares_where_none_are_estimated(n_views, view_weights):
    model = Concatenation(view_weights=view_weights).fit(make_views(50, (4, 5))[:n_views])
    assert model.view_shares_.tolist() == pytest.approx([np.nan] * n_views, nan_ok=True)


def test_views_that_do_not_predict_each_other_are_told(two_strong_one_weak):
    a, b, _ = two_strong_one_weak
    model = Average(view_weights="auto")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit([a, b])
        model.set_params(view_weights=None).fit([a, b[::-1]])
    with pytest.warns(UserWarning, match="same order") as caught:
        model.set_params(view_weights="auto").fit([a, b[::-1]])
    assert caught[0].filename == __file__


@pytest.mark.parametrize("shape", [(200, 7), (7, 200)])
def test_effective_rank(shape):
    x = np.linalg.qr(np.random.RandomState(0).randn(200, 7))[0].reshape(200, 7)
    x = x if shape == (200, 7) else x.T
    assert effective_rank(x) == pytest.approx(7)
    assert effective_rank(np.outer(np.arange(5.0), np.ones(3))) == pytest.approx(1)


def test_entropy_leaves_zeros_out():
    assert exp_entropy(np.array([2.0, 2.0, 0.0])) == pytest.approx(2)


@pytest.mark.parametrize(
    "model", [Average, Concatenation, ConcatenationPCA, GCCA, NeighborhoodProjection]
)
def test_every_fusion_weighs_its_views(model, two_strong_one_weak):
    params = {"random_state": 0} if "random_state" in model().get_params() else {}
    auto = model(view_weights="auto", **params).fit(two_strong_one_weak)
    assert auto.view_weights_[2] < 0.6
    given = model(view_weights=auto.view_weights_, **params).fit(two_strong_one_weak)
    np.testing.assert_array_equal(
        auto.transform(two_strong_one_weak), given.transform(two_strong_one_weak)
    )
    if params:
        auto.set_params(random_state=1).fit(two_strong_one_weak)
        np.testing.assert_array_equal(auto.view_weights_, given.view_weights_)


def test_weights_come_from_samples_all_over_the_data(monkeypatch):
    """Also if the samples are sorted, and more than are looked at."""
    monkeypatch.setattr(weighing, "MOST_ROWS", 100)
    monkeypatch.setattr("sknnens.fusion._base.MOST_ROWS", 100)
    views = [v[np.argsort(v[:, 0])] for v in make_views(2000, (5, 5, 5))]
    sample = np.random.RandomState(0).permutation(2000)[:100]
    expected = weigh([v[sample] for v in views])
    np.testing.assert_array_equal(Average(view_weights="auto").fit(views).view_weights_, expected)
