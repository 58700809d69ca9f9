"""Missing views: imputed from the views that are there."""

import pickle

import numpy as np
import pytest
from conftest import drop, make_views
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.preprocessing import normalize

from sknnens.fusion import (
    GCCA,
    Average,
    Concatenation,
    ConcatenationPCA,
    NeighborhoodProjection,
    SingleModel,
)
from sknnens.fusion._imputation import MOST_SHRINKAGE, Imputer, find_noise

LINEAR = [
    Concatenation(),
    Concatenation(scaling="standard"),
    ConcatenationPCA(n_components=6, random_state=0),
    GCCA(n_components=6),
    NeighborhoodProjection(n_components=6, view_weights=None, random_state=0),
]


def linear_views(n_samples=400, sizes=(9, 9, 9), dtype=np.float64):
    """Linear maps of a common latent vector, and some noise."""
    rng = np.random.RandomState(0)
    latent = rng.randn(n_samples, 3)
    views = [latent @ rng.randn(3, size) + 0.2 * rng.randn(n_samples, size) for size in sizes]
    return [(v + 8).astype(dtype) for v in views]  # nearly on a line, once normalized


@pytest.mark.parametrize("model", LINEAR)
@pytest.mark.parametrize("gaps_in_fit", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_with_missing_views_are_where_they_would_be_with_them(model, gaps_in_fit, dtype):
    views = linear_views(dtype=dtype)
    lacking = drop(views, 0.5)
    model = clone(model).set_params(missing_views="impute")
    expected = clone(model).fit(views).transform(views)
    fitted = model.fit(lacking if gaps_in_fit else views)

    def error(fitted):  # of angles between rows, which does not depend on the axes
        found = fitted.transform(lacking)
        return np.abs(found @ found.T - expected @ expected.T).mean()

    close = error(fitted)
    fitted.imputer_.loadings_ = fitted.imputer_.loadings_[:0]  # the mean instead
    assert close < 0.5 * error(fitted)


@pytest.mark.parametrize("model", [*LINEAR, Average()])
def test_nothing_changes_if_nothing_is_missing(model, views):
    expected = clone(model).fit_transform(views)
    out = clone(model).set_params(missing_views="impute").fit_transform(views)
    assert_array_equal(out, expected)


@pytest.mark.parametrize("model", LINEAR)
def test_what_was_not_learned_is_not_imputed(model, views):
    fitted = clone(model).fit(views)
    assert fitted.imputer_ is None
    lacking = drop(views, 0.3)
    with pytest.raises(ValueError, match=r"^view \d contains NaN in row"):
        fitted.transform(lacking)
    fitted.set_params(missing_views="impute")
    with pytest.raises(ValueError, match=r"Fit again with missing_views='impute'\.$"):
        fitted.transform(lacking)


def test_average_is_the_average_of_the_views_there_are():
    views = make_views(dtype=np.float64)
    views[1][::4] = np.nan
    lacks = np.arange(60) % 4 == 0
    a, b, c = (normalize(np.nan_to_num(v)) for v in views)
    out = Average(missing_views="impute", normalize=False).fit_transform(views)
    assert_allclose(out[lacks], ((a + c) / 2)[lacks])
    assert_allclose(out[~lacks], ((a + b + c) / 3)[~lacks])


def test_single_model_needs_its_own_view(views):
    views[1][[3, 8]] = np.nan
    message = r"^Rows without view 1, and no other view is used: 3, 8\.$"
    with pytest.raises(ValueError, match=message):
        SingleModel(view=1, missing_views="impute").fit(views)
    out = SingleModel(view=2).fit_transform(views)
    assert_allclose(out, normalize(views[2]), rtol=1e-6)
    # as the learner calls it
    data = Average(missing_views="impute")._read_to_fit(views)
    fitted = SingleModel(view=1)._fit_read(data)
    with pytest.raises(ValueError, match=r"^X has samples without view 1, which SingleModel"):
        fitted._transform_views(data.views)


def test_present_views_of_a_concatenation_stay_as_they_are(views):
    expected = Concatenation(normalize=False).fit_transform(views)
    lacking = drop(views, 0.4)
    out = Concatenation(missing_views="impute", normalize=False).fit_transform(lacking)
    there = ~np.isnan(np.hstack(lacking))
    assert_array_equal(out[there], expected[there])


def test_zero_row_of_a_projection_is_like_a_missing_one():
    zero, gaps = linear_views(), linear_views()
    zero[1][:50], gaps[1][:50] = 0, np.nan
    model = ConcatenationPCA(missing_views="impute", random_state=0)
    assert_array_equal(model.fit_transform(zero), model.fit_transform(gaps))


def test_unrelated_views_are_imputed_at_their_mean():
    rng = np.random.RandomState(0)
    views = [rng.randn(4000, 5) for _ in range(2)]
    fitted = ConcatenationPCA(
        n_components=10, whiten_exponent=0, missing_views="impute", random_state=0
    ).fit(views)
    lacking = [views[0], np.full_like(views[1], np.nan)]
    centered = np.hstack([normalize(views[0]), np.zeros((4000, 5))]) - fitted.mean_
    centered[:, 5:] = 0
    expected = normalize(centered @ fitted.components_.T)
    assert (fitted.transform(lacking) * expected).sum(axis=1).min() > 0.99


def test_input_is_left_as_it_was(views):
    lacking = drop(views, 0.3)
    kept = [v.copy() for v in lacking]
    NeighborhoodProjection(missing_views="impute").fit(lacking).transform(lacking)
    for before, after in zip(kept, lacking, strict=True):
        assert_array_equal(before, after)


# the factor model


def make_imputer(loadings, deviations, sizes):
    imputer = Imputer()
    imputer.loadings_, imputer.deviations_ = loadings, np.array(deviations)
    imputer.view_sizes_ = list(sizes)
    return imputer


@pytest.mark.parametrize("n_rows", [1, 300])
@pytest.mark.parametrize("cached", [1, 2**24])
def test_a_missing_view_is_its_conditional_mean(n_rows, cached, monkeypatch):
    monkeypatch.setattr("sknnens.fusion._imputation.CACHED_NUMBERS", cached)
    rng = np.random.RandomState(0)
    sizes = [3, 1, 4]
    loadings = rng.randn(5, 8)
    covariance = loadings.T @ loadings + np.eye(8)
    rows, present = rng.randn(n_rows, 8), rng.rand(n_rows, 3) < 0.6
    there = np.repeat(present, sizes, axis=1)
    rows[~there] = 0
    expected = rows.copy()
    for row, here in zip(expected, there, strict=True):
        to_there = covariance[np.ix_(~here, here)]
        row[~here] = to_there @ np.linalg.solve(covariance[np.ix_(here, here)], row[here])
    deviations = [0.5, 1, 1e-9]
    imputer = make_imputer(loadings, deviations, sizes)
    scale = np.repeat(deviations, sizes)
    for _ in range(2):
        found = imputer.impute(rows * scale, present)
        assert_allclose(found / scale, expected, atol=1e-12)


def test_what_is_kept_for_the_next_call_is_not_pickled():
    views = linear_views()
    fitted = ConcatenationPCA(missing_views="impute", random_state=0).fit(views)
    before = pickle.dumps(fitted)
    lacking = drop(views, 0.5)
    out = fitted.transform(lacking)
    assert pickle.dumps(fitted) == before
    assert set(fitted.imputer_.__getstate__()) == {"loadings_", "deviations_", "view_sizes_"}
    assert_array_equal(pickle.loads(before).transform(lacking), out)


def unexplained(imputed, stacked, missing):
    return np.square(imputed - stacked)[missing].sum() / np.square(stacked)[missing].sum()


def test_gaps_of_fit_are_imputed():
    views = [v - v.mean(axis=0) for v in linear_views()]
    stacked, sizes = np.hstack(views), [9, 9, 9]
    present = ~np.isnan(np.stack([v[:, 0] for v in drop(views, 0.5)], axis=1))
    there = np.repeat(present, sizes, axis=1)
    imputed = np.where(there, stacked, 0)
    Imputer().fit(imputed, sizes, present, 0)
    assert_array_equal(imputed[there], stacked[there])
    assert unexplained(imputed, stacked, ~there) < 0.1  # the noise is 0.013


def test_a_view_that_few_samples_have_is_imputed_at_its_own_length():
    stacked, sizes = np.hstack(linear_views(2000)), [9, 9, 9]
    stacked -= stacked.mean(axis=0)
    present = np.ones((2000, 3), dtype=bool)
    present[100:, 2] = False
    there = np.repeat(present, sizes, axis=1)
    imputed = np.where(there, stacked, 0)
    Imputer().fit(imputed, sizes, present, 0)
    assert unexplained(imputed, stacked, ~there) < 0.2


@pytest.mark.parametrize("weight", [1, 0.03, 1e-9])
def test_imputation_does_not_depend_on_the_weight_of_a_view(weight):
    stacked, sizes = np.hstack(linear_views()), [9, 9, 9]
    stacked -= stacked.mean(axis=0)
    stacked[:, 18:] *= weight
    present = np.ones((400, 3), dtype=bool)
    imputer = Imputer().fit(stacked, sizes, present, 0)
    present[:, :2] = False
    there = np.repeat(present, 9, axis=1)
    imputed = imputer.impute(np.where(there, stacked, 0), present)
    assert unexplained(imputed, stacked, ~there) < 0.1


def test_few_samples_of_unrelated_views_predict_little():
    stacked = np.random.RandomState(0).randn(1000, 300)
    present = np.ones((1000, 3), dtype=bool)
    present[::2, 0] = present[1::2, 1] = False
    there = np.repeat(present, 100, axis=1)
    imputed = np.where(there, stacked, 0)
    Imputer().fit(imputed, [100] * 3, present, 0)
    assert unexplained(imputed, stacked, ~there) < 1.05


def test_views_without_variance_predict_nothing():
    imputer = Imputer().fit(np.ones((10, 4)), [2, 2], np.ones((10, 2), dtype=bool), 0)
    rows, present = np.zeros((3, 4)), np.array([[True, False]] * 3)
    assert_array_equal(imputer.impute(rows, present), rows)


@pytest.mark.parametrize("n_samples", [20, 300])
def test_noise_is_the_shrinkage_of_ledoit_and_wolf(n_samples):
    rows = np.random.RandomState(0).randn(n_samples, 12) * np.linspace(1, 2, 12)
    rows -= rows.mean(axis=0)
    squares, variances = (rows**2).sum(axis=1), np.linalg.eigvalsh(np.cov(rows.T))[::-1]
    shrinkage = ledoit_wolf_shrinkage(rows, assume_centered=True)
    expected = shrinkage / (1 - shrinkage) * squares.mean() / 12
    assert find_noise(squares, variances, 12) == pytest.approx(expected)
    assert find_noise(squares, variances[:8], 12) == pytest.approx(expected, rel=0.1)


def test_noise_if_nothing_stands_out():
    rows = np.vstack([np.eye(5), -np.eye(5)])
    noise = find_noise((rows**2).sum(axis=1), np.linalg.eigvalsh(np.cov(rows.T)), 5)
    assert noise == pytest.approx(MOST_SHRINKAGE / (1 - MOST_SHRINKAGE) / 5)
