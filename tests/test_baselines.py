"""The learner's rivals: right, and in the same forms."""

import pickle

import numpy as np
import pytest
import scipy.linalg
from conftest import make_views
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import normalize
from sklearn.utils.estimator_checks import parametrize_with_checks

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.baselines import GCCA, Average, Concatenation, ConcatenationPCA, SingleModel

ALL = [SingleModel, Average, Concatenation, ConcatenationPCA, GCCA]


@parametrize_with_checks(
    [
        SingleModel(),
        Average(),
        Concatenation(),
        Concatenation(normalize=False),
        ConcatenationPCA(),
        ConcatenationPCA(n_components=1, whiten_exponent=0, normalize=False),
        GCCA(),
        GCCA(n_components=1, ridge=0.1, normalize=False),
        *(model(missing_views="mask") for model in ALL),
    ]
)
def test_sklearn_check(estimator, check):
    check(estimator)


@pytest.fixture
def double_views():
    return make_views(dtype=np.float64, non_negative=False)


def unit(views):
    return [normalize(v) for v in views]


def test_single_model(double_views):
    named = dict(zip("abc", double_views, strict=True))
    expected = normalize(double_views[1])
    assert_allclose(SingleModel(view=1).fit_transform(double_views), expected)
    assert_allclose(SingleModel(view="b").fit_transform(named), expected)
    assert_allclose(SingleModel(view=True).fit_transform(named), expected)
    for view in (3, -1, "d"):
        message = rf"^view={view!r} must be one of \['a', 'b', 'c'\], or a number from 0 to 2\.$"
        with pytest.raises(ValueError, match=message):
            SingleModel(view=view).fit(named)


def test_average(double_views):
    a, b, c = unit(double_views)
    assert_allclose(Average().fit_transform(double_views), normalize(a + b + c))
    plain = Average(view_weights=[2, 1, 1], normalize=False)
    assert_allclose(plain.fit_transform(double_views), (2 * a + b + c) / 4)
    with pytest.raises(ValueError, match=r"^An average needs views of one width, got \[6, 4\]\."):
        Average().fit([a, b[:, :4]])
    Average(view_weights=[1, 1, 0]).fit([a, b, c[:, :4]])


def test_concatenation(double_views):
    a, b, c = unit(double_views)
    out = Concatenation().fit_transform(double_views)
    assert_allclose(out, np.hstack([a, b, c]) / np.sqrt(3))
    plain = Concatenation(view_weights=[1, 0, 0.5], normalize=False)
    assert_allclose(plain.fit_transform(double_views), np.hstack([a, 0.5 * c]))


@pytest.mark.parametrize("exponent", [0, 0.5, 1])
def test_pca(double_views, exponent):
    stacked = np.hstack(unit(double_views))
    pca = PCA(4).fit(stacked)
    expected = normalize(pca.transform(stacked) / pca.singular_values_**exponent)
    model = ConcatenationPCA(n_components=4, whiten_exponent=exponent)
    assert_allclose(model.fit_transform(double_views), expected, atol=1e-9)
    assert ConcatenationPCA().fit_transform(double_views).shape == (60, 6)
    with pytest.raises(ValueError, match=r"^n_components=19 must be at most 18, the smaller of"):
        ConcatenationPCA(n_components=19).fit(double_views)


@pytest.mark.parametrize("weights", [None, [1.0, 0.3, 0.6]])
def test_gcca_is_maxvar(double_views, weights):
    """By the definition: eigenvectors of the sum of the ridge regressions' hat matrices."""
    total = np.zeros((60, 60))
    for w, x in zip(weights or [1, 1, 1], unit(double_views), strict=True):
        x = x - x.mean(axis=0)
        c = x.T @ x
        ridge = 0.5 * np.trace(c) / 6 * np.eye(6)
        total += w * x @ np.linalg.solve(c + ridge, x.T)
    values, vectors = scipy.linalg.eigh(total)
    model = GCCA(n_components=4, ridge=0.5, view_weights=weights, normalize=False)
    out = model.fit_transform(double_views)
    assert_allclose(model.eigenvalues_, values[:-5:-1])
    assert_allclose(np.abs(out), np.sqrt(60) * np.abs(vectors[:, :-5:-1]), atol=1e-7)
    assert_allclose(out.T @ out / 60, np.eye(4), atol=1e-9)


def test_gcca_of_a_view_that_does_not_vary(double_views):
    constant = np.ones((60, 2))
    out = GCCA(n_components=3).fit_transform([*double_views, constant])
    expected = GCCA(n_components=3).fit_transform(double_views)
    assert_allclose(np.abs(out), np.abs(expected), atol=1e-7)


def test_missing_views(double_views):
    a, b, c = double_views
    b = b.copy()
    b[::4] = np.nan
    lacks = np.arange(60) % 4 == 0
    ua, ub, uc = normalize(a), normalize(np.nan_to_num(b)), normalize(c)
    X = [a, b, c]

    out = Average(missing_views="mask", normalize=False).fit_transform(X)
    assert_allclose(out[lacks], ((ua + uc) / 2)[lacks])
    assert_allclose(out[~lacks], ((ua + ub + uc) / 3)[~lacks])

    mean = ub[~lacks].mean(axis=0)
    filled = np.hstack([ua, np.where(lacks[:, None], mean, ub), uc])
    model = Concatenation(missing_views="mask", normalize=False).fit(X)
    assert_allclose(model.transform(X), filled)
    alone = model.transform([v[:1] for v in X])  # the mean is that of fit
    assert_allclose(alone[0, 6:12], mean)

    pca = PCA(3).fit(filled)
    out = ConcatenationPCA(n_components=3, missing_views="mask").fit_transform(X)
    expected = normalize(pca.transform(filled) / np.sqrt(pca.singular_values_))
    assert_allclose(out, expected, atol=1e-9)

    # normalised views that are normalised again are the same
    out = GCCA(missing_views="mask", n_components=3, normalize=False).fit(X)
    np.testing.assert_allclose(out.mean_, filled.mean(axis=0))
    centred = filled - filled.mean(axis=0)
    assert_allclose(out.transform(X), centred @ out.components_.T, atol=1e-9)
    assert_allclose(np.cov(out.transform(X).T, bias=True), np.eye(3), atol=1e-9)
    with pytest.raises(
        ValueError, match=r"^Rows without view 1, and no other view is used: 0, 4, 8, "
    ):
        SingleModel(view=1, missing_views="mask").fit(X)
    assert_allclose(SingleModel(view=2, missing_views="mask").fit_transform(X), uc)


def test_row_that_is_zero_in_a_view_is_no_missing_row(double_views):
    double_views[1][3] = 0
    out = Concatenation(normalize=False).fit_transform(double_views)
    assert_array_equal(out[3, 6:12], 0)


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_pickles_and_names(model, dtype, views):
    X, sizes = stack_views([v.astype(dtype) for v in views])
    fitted = model(sizes).fit(X)
    out = fitted.transform(X)
    assert out.dtype == dtype
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(X), out)
    assert out.shape == (60, len(fitted.get_feature_names_out()))
    assert_allclose(np.linalg.norm(out, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_does_not_depend_on_its_company(model, dtype):
    X, sizes = stack_views(make_views(300, (64, 64, 64), dtype=dtype))
    fitted = model(sizes).fit(X)
    whole = fitted.transform(X)
    for i in (0, 100, 299):
        assert_array_equal(fitted.transform(X[i : i + 1]), whole[i : i + 1])
    assert_array_equal(fitted.transform(X[::-1]), whole[::-1])


@pytest.mark.parametrize("model", ALL)
def test_parameters_set_after_fit_are_checked(model, views):
    fitted = model().fit(views).set_params(missing_views="impute")
    with pytest.raises(ValueError, match="The 'missing_views' parameter"):
        fitted.transform(views)


@pytest.mark.parametrize("model", ALL[1:])  # the first has no weights
def test_weight_of_zero_is_the_view_not_being_there(model, views):
    expected = model(**seeded(model)).fit_transform([views[0], views[2]])
    out = model(view_weights=[1, 0, 1], **seeded(model)).fit_transform(views)
    assert_array_equal(out, expected)


def seeded(model):
    return {"random_state": 0} if model is ConcatenationPCA else {}


def test_one_grid_search_over_the_learner_and_its_rivals():
    X, sizes = stack_views(make_views(80))
    y = (X[:, 0] > np.median(X[:, 0])).astype(int)
    learner = EnsembleRepresentationLearner(sizes, max_iter=2, transform_max_iter=2, random_state=0)
    grid = [
        {"representation": [learner], "representation__n_layers": [1, 2]},
        {"representation": [SingleModel(sizes)], "representation__view": [0, 1, 2]},
        {"representation": [Average(sizes), Concatenation(sizes), GCCA(sizes)]},
        {
            "representation": [ConcatenationPCA(sizes, random_state=0)],
            "representation__whiten_exponent": [0, 0.5, 1],
        },
    ]
    model = Pipeline([("representation", "passthrough"), ("knn", KNeighborsClassifier(3))])
    search = GridSearchCV(model, grid, cv=3, error_score="raise", n_jobs=2).fit(X, y)
    assert len(search.cv_results_["params"]) == 11
    assert search.best_score_ > 0.6
    assert clone(search.best_estimator_).fit(X, y).score(X, y) > 0.6
