"""The learner's rivals: right, and in the same forms."""

import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from conftest import make_views
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import normalize, scale
from sklearn.utils.estimator_checks import parametrize_with_checks

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.fusion import (
    GCCA,
    Average,
    Concatenation,
    ConcatenationAutoencoder,
    ConcatenationPCA,
    GraphDiffusion,
    ProcrustesAverage,
    ReciprocalRankFusion,
    SingleModel,
)

ALL = [
    SingleModel,
    Average,
    Concatenation,
    ConcatenationPCA,
    GCCA,
    ProcrustesAverage,
    ReciprocalRankFusion,
    GraphDiffusion,
    ConcatenationAutoencoder,
]


def few(model):
    """Some checks have few samples."""
    return {"n_neighbors": 1} if model is GraphDiffusion else {}


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
        Concatenation(scaling="standard"),
        ProcrustesAverage(),
        ReciprocalRankFusion(),
        GraphDiffusion(n_neighbors=1),
        GraphDiffusion(n_neighbors=1, n_steps=2, normalize=False),
        ConcatenationAutoencoder(max_iter=3),
        *(model(missing_views="mask", **few(model)) for model in ALL),
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
    for view in (3, -1, "d", True, False):
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


def test_columns_of_whitened_components(double_views):
    out = ConcatenationPCA(whiten_exponent=1, normalize=False).fit_transform(double_views)
    largest = PCA(1).fit(np.hstack(unit(double_views))).singular_values_[0]
    assert_allclose((out**2).sum(axis=0), largest**2)


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", range(1, 9))
@pytest.mark.parametrize("kind", ["full", "multiples"])
def test_gcca_makes_no_coordinate_of_rounding(dtype, width, kind):
    """A view whose rows are alike once they have length 1 is as good as not there."""
    rng = np.random.RandomState(width)
    constant = np.full((60, width), 1.0)
    if kind == "multiples":
        constant = rng.uniform(0.1, 9, (60, 1)) * rng.randn(width)
    views = [*make_views(dtype=dtype, non_negative=False), constant.astype(dtype)]
    fitted = GCCA(n_components=5, normalize=False).fit(views)
    expected = GCCA(n_components=5, normalize=False).fit(views[:3])
    assert_allclose(fitted.eigenvalues_, expected.eigenvalues_, rtol=1e-6)
    assert_array_equal(fitted.components_[:, 18:], 0)
    # more coordinates than directions: none is rounding, blown up
    most = GCCA(n_components=18 + width, normalize=False).fit(views)
    assert_allclose(most.transform(views)[:, 18:], 0, atol=1e-6)


@pytest.mark.parametrize("scaling", ["center", "standard"])
def test_scaled_concatenation(double_views, scaling):
    constant = np.full((60, 2), 3.0)
    stacked = np.hstack([unit(double_views)[0], 0.5 * unit(double_views)[1]])
    expected = stacked - stacked.mean(axis=0)
    if scaling == "standard":
        expected = scale(stacked) * np.repeat([1, 0.5], 6)
    model = Concatenation(scaling=scaling, view_weights=[1, 0.5, 1], normalize=False)
    out = model.fit_transform([*double_views[:2], constant])
    assert_allclose(out[:, :12], expected, atol=1e-12)
    assert_allclose(out[:, 12:], 0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standard_scaling_leaves_rounding_alone(dtype):
    """Large columns that do not vary, beside small ones that do."""
    rng = np.random.RandomState(0)
    narrow = rng.uniform(0.1, 9, (60, 1)) * rng.randn(2)  # all alike, once of length 1
    views = [narrow.astype(np.float32).astype(dtype), rng.randn(60, 3000).astype(dtype)]
    model = Concatenation(scaling="standard", normalize=False).fit(views)
    assert_array_equal(model.scale_[:2], 1)
    out = model.transform(views)
    assert_allclose(out[:, :2], 0, atol=1e-6)
    assert_allclose(out[:, 2:].std(axis=0), 1, rtol=1e-4)
    # a column of very small numbers that vary is one that varies
    views[1][:, 0] = 0
    views[1][:30, 0] = 1e-12
    out = Concatenation(scaling="standard", normalize=False).fit_transform(views)
    assert_allclose(out[:, 2].std(), 1, rtol=1e-4)


def test_procrustes_average_of_turned_copies():
    """Views that are one matrix, turned, come together again."""
    rng = np.random.RandomState(0)
    original = rng.randn(50, 5)
    turns = [np.linalg.qr(rng.randn(8, 5))[0].T, np.linalg.qr(rng.randn(5, 5))[0]]
    out = ProcrustesAverage().fit_transform([original @ turns[0], original @ turns[1], original])
    assert out.shape == (50, 8)
    assert_allclose(out @ out.T, normalize(original) @ normalize(original).T, atol=1e-9)
    # the average of the same views without a turn is something else
    averaged = Average().fit_transform([original @ turns[1], original])
    assert np.abs(averaged @ averaged.T - out @ out.T).max() > 0.1


def test_procrustes_average_agrees_more_with_each_turn(double_views):
    units = unit(double_views)

    def agreement(rotations):
        total = sum(x @ r for x, r in zip(units, rotations, strict=True))
        return np.sum(total**2)

    found = [
        agreement(ProcrustesAverage(max_iter=n, tol=0).fit(double_views).rotations_)
        for n in (1, 2, 5, 100)
    ]
    assert np.all(np.diff(found) >= -1e-9)
    assert found[0] > agreement([np.eye(6)] * 3)
    for r in ProcrustesAverage().fit(double_views).rotations_:
        assert_allclose(r.T @ r, np.eye(6), atol=1e-9)
    early = ProcrustesAverage(tol=1e-2).fit(double_views).n_iter_
    assert 2 < early < ProcrustesAverage(tol=0, max_iter=50).fit(double_views).n_iter_ == 50


def test_procrustes_average_warns_of_too_few_turns(double_views):
    with pytest.warns(ConvergenceWarning, match=r"after max_iter=2 turns\. Raise max_iter, or tol"):
        ProcrustesAverage(max_iter=2).fit(double_views)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        needed = ProcrustesAverage().fit(double_views).n_iter_
        ProcrustesAverage(max_iter=needed).fit(double_views)
        ProcrustesAverage(max_iter=2, tol=0).fit(double_views)
    # nothing is left to turn, and still all turns are taken that were asked for
    assert ProcrustesAverage(tol=0).fit([double_views[0]] * 2).n_iter_ == 100


def test_reciprocal_rank_fusion(double_views):
    query = [v[:7] + 0.1 for v in double_views]
    model = ReciprocalRankFusion(rank_constant=10, view_weights=[1, 0.5, 1]).fit(double_views)
    scores = np.zeros((7, 60))
    for weight, q, x in zip([1, 0.5, 1], unit(query), unit(double_views), strict=True):
        for i, similarity in enumerate(q @ x.T):
            for rank, j in enumerate(np.argsort(-similarity), start=1):
                scores[i, j] += weight / (10 + rank)
    assert_allclose(model.transform(query), 1 - scores * 11 / 2.5, atol=1e-12)
    assert_allclose(np.diag(model.transform(double_views)), 0, atol=1e-12)


def test_rank_fusion_of_missing_views(double_views):
    a, b, _ = double_views
    b = b.copy()
    b[:30] = np.nan
    model = ReciprocalRankFusion(missing_views="mask", rank_constant=0).fit([a, b])
    out = model.transform([a, b])
    ranks = (-unit([a])[0] @ unit([a])[0].T).argsort(axis=1).argsort(axis=1) + 1
    assert_allclose(out[0], 1 - 0.5 / ranks[0], atol=1e-12)  # the second view has no part
    second = 1 - out - 0.5 / ranks
    assert_allclose(second[30:, :30], 0, atol=1e-12)
    assert_allclose(np.sort(second[30:, 30:].max(axis=1)), 0.5, atol=1e-12)


@pytest.mark.parametrize("n_steps", [1, 2, 4])
def test_graph_diffusion(double_views, n_steps):
    weights = np.array([1, 0.5, 1])
    model = GraphDiffusion(
        n_neighbors=4, alpha=0.3, n_steps=n_steps, view_weights=weights, normalize=False
    )
    query = [v[:7] + 0.1 for v in double_views]

    def graph(rows):
        total = np.zeros((len(rows[0]), 60))
        for weight, q, x in zip(weights, unit(rows), unit(double_views), strict=True):
            for i, similarity in enumerate(q @ x.T):
                total[i, np.argsort(-similarity)[:4]] += weight / 4
        return total / weights.sum()

    def concatenate(rows):
        return np.hstack([w * x for w, x in zip(weights, unit(rows), strict=True)])

    values = initial = concatenate(double_views)
    for _ in range(n_steps - 1):
        values = 0.7 * initial + 0.3 * graph(double_views) @ values
    expected = 0.7 * concatenate(query) + 0.3 * graph(query) @ values
    assert_allclose(model.fit(double_views).transform(query), expected)
    plain = Concatenation(view_weights=weights).fit_transform(double_views)
    model.set_params(alpha=0.0, normalize=True, n_steps=1)
    assert_allclose(model.fit_transform(double_views), plain)
    message = r"^n_neighbors=61 must be at most 60, the number of samples that have a view and"
    with pytest.raises(ValueError, match=message):
        GraphDiffusion(n_neighbors=61).fit(double_views)


def test_graph_diffusion_of_missing_views(double_views):
    a, b, _ = double_views
    b = b.copy()
    b[:30] = np.nan
    model = GraphDiffusion(missing_views="mask", alpha=1.0, n_neighbors=60, normalize=False)
    with pytest.raises(ValueError, match=r"^n_neighbors=60 must be at most 30, "):
        model.fit([a, b])
    model.set_params(n_neighbors=30)
    out = model.fit([a, b]).transform([a, b])
    values = Concatenation(missing_views="mask", normalize=False).fit_transform([a, b])
    nearest = (-unit([a])[0] @ unit([a])[0].T).argsort(axis=1)[:, :30]
    assert_allclose(out[:30], values[nearest[:30]].mean(axis=1))  # from the first view alone
    both = (values[nearest[30:]].mean(axis=1) + values[30:].mean(axis=0)) / 2
    assert_allclose(out[30:], both)


def test_zero_rows_have_no_neighbours(double_views):
    """A row that is zero in a view is, for the graph and the ranks, as one that lacks it."""
    zero, gaps = ([v.copy() for v in double_views] for _ in range(2))
    for views, value in ((zero, 0), (gaps, np.nan)):
        views[1][:20] = value
        views[0][25] = value

    fusions = [
        ReciprocalRankFusion(rank_constant=1, missing_views=m).fit(x).transform(x)
        for m, x in (("error", zero), ("mask", gaps))
    ]
    assert_array_equal(*fusions)

    # all of the third view: its mean of neighbours is the mean of the rows that are not zero
    model = GraphDiffusion(n_neighbors=40, alpha=1.0, normalize=False)
    values = Concatenation(normalize=False).fit_transform(zero)
    nearest = {
        v: (-unit([zero[v]])[0] @ unit([zero[v]])[0].T).argsort(axis=1, kind="stable")
        for v in (0, 2)
    }
    out = model.fit(zero).transform(zero)
    kept = nearest[0][nearest[0] != 25].reshape(60, 59)[:, :40]
    expected = (values[kept].mean(axis=1) + values[nearest[2][:, :40]].mean(axis=1)) / 2
    assert_allclose(out[:20], expected[:20])  # the second view has no part
    expected = (2 * expected + values[20:].mean(axis=0)) / 3
    assert_allclose(np.delete(out, 25, 0)[20:], np.delete(expected, 25, 0)[20:])
    with pytest.raises(ValueError, match=r"^n_neighbors=41 must be at most 40, the number of"):
        model.set_params(n_neighbors=41).fit(zero)


@pytest.mark.parametrize("normalize", [True, False])
def test_graph_diffusion_of_a_row_that_is_zero_everywhere(double_views, normalize):
    for view in double_views:
        view[3] = 0
    out = GraphDiffusion(n_neighbors=5, n_steps=3, normalize=normalize).fit_transform(double_views)
    assert_array_equal(out[3], 0)
    assert np.isfinite(out).all()


def test_graph_diffusion_takes_the_first_of_equals():
    """Rows along the axes, so that similarities are 0 and 1 exactly."""
    X = np.eye(4)[[3, 0, 1, 0, 1, 0, 2, 0]]
    tag = 1.0 + np.arange(8)[:, None]  # the values tell which rows were taken
    model = GraphDiffusion(n_neighbors=2, alpha=1.0, normalize=False).fit(X)
    model.diffused_ = np.hstack([tag, tag, tag, tag])
    assert_array_equal(model.transform(np.eye(4)[[0, 1]])[:, 0], [(2 + 4) / 2, (3 + 5) / 2])
    assert model.transform(np.eye(4)[[2]])[0, 0] == (7 + 1) / 2  # of those at 0, the first


def test_autoencoder(double_views):
    params = {"max_iter": 30, "learning_rate": 1e-2, "random_state": 0, "normalize": False}
    model = ConcatenationAutoencoder(n_components=4, hidden_size=7, **params).fit(double_views)
    assert len(model.loss_curve_) == 30
    assert model.loss_curve_[-1] < 0.4 * model.loss_curve_[0]
    assert [w.shape for w in model.coefs_] == [(18, 7), (7, 4)]
    x = np.hstack(unit(double_views)) - model.mean_
    hidden = np.maximum(x @ model.coefs_[0] + model.intercepts_[0], 0)
    expected = hidden @ model.coefs_[1] + model.intercepts_[1]
    assert_allclose(model.transform(double_views), expected, atol=1e-12)
    again = ConcatenationAutoencoder(n_components=4, hidden_size=7, **params)
    assert_array_equal(again.fit_transform(double_views), model.transform(double_views))
    with pytest.raises(ValueError, match=r"^The loss is no longer finite\. Lower learning_rate"):
        ConcatenationAutoencoder(learning_rate=1e300).fit(double_views)


def test_batch_may_be_larger_than_the_data(double_views):
    whole = ConcatenationAutoencoder(
        max_iter=2, random_state=0, batch_size=len(double_views[0])
    ).fit_transform(double_views)
    larger = ConcatenationAutoencoder(max_iter=2, random_state=0, batch_size=10**9).fit_transform(
        double_views
    )
    assert_array_equal(larger, whole)


def test_weights_of_views_reach_the_autoencoder_s_loss(double_views):
    """The weights reach the loss: the sum over views of one that is never learned is linear."""
    losses = [
        ConcatenationAutoencoder(
            max_iter=1, learning_rate=1e-12, random_state=0, view_weights=weights
        )
        .fit(double_views)
        .loss_curve_[0]
        for weights in ([1, 1, 1], [1, 1, 0.5])
    ]
    assert 0.5 < losses[0] - losses[1] < 0.9  # half of about 1: what is not learned is orthogonal


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
    if model is not ReciprocalRankFusion:
        assert_allclose(np.linalg.norm(out, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gaps", [False, True])
def test_fit_transform_is_fit_and_transform(model, dtype, gaps):
    views = make_views(dtype=dtype)
    params = quick(model)
    if model is not SingleModel:
        params["view_weights"] = [0.3, 1, 0.7]
    if gaps:
        views[1][::5] = np.nan
        params["missing_views"] = "mask"
    out = model(**params).fit_transform(views)
    assert_array_equal(model(**params).fit(views).transform(views), out)


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transform_in_another_type_than_fit(model, dtype):
    """The result has the type of what is transformed, and is what it would be otherwise."""
    views = make_views()
    if model in (GraphDiffusion, ReciprocalRankFusion):
        views = make_views(non_negative=False)  # far enough apart for their ranks
    other = np.float64 if dtype == np.float32 else np.float32
    fitted = model(**quick(model)).fit([v.astype(dtype) for v in views])
    expected = fitted.transform([v.astype(dtype) for v in views])
    out = fitted.transform([v.astype(other) for v in views])
    assert out.dtype == other
    assert_allclose(out, expected, atol=1e-5)


def test_distances_of_rank_fusion_to_fit(double_views):
    """From 0 for the nearest in all views to 1 for those that have no rank in any."""
    for view in double_views:
        view[5] = 0
    out = ReciprocalRankFusion().fit(double_views).transform([v[:3] for v in double_views])
    assert out.shape == (3, 60)
    assert_allclose(out[np.arange(3), np.arange(3)], 0, atol=1e-12)
    assert_array_equal(out[:, 5], 1)
    assert np.delete(out, 5, axis=1).max() < 1
    for part in ("distances : ndarray of shape (n_samples, n_samples_fit)", "has no rank"):
        assert part in ReciprocalRankFusion.transform.__doc__


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_does_not_depend_on_its_company(model, dtype):
    X, sizes = stack_views(make_views(300, (64, 64, 64), dtype=dtype))
    check_that_rows_are_independent(model(sizes, **quick(model)).fit(X), X, (0, 100, 299))


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_with_gaps_does_not_depend_on_its_company(model, dtype):
    """Whatever the weights: they are summed over the views that a row has."""
    rng = np.random.RandomState(0)
    views = make_views(300, (16,) * 7, dtype=dtype)
    for v, view in enumerate(views[1:]):
        view[rng.rand(300) < 0.4] = np.nan
        view[v::40] = 0
    params = {} if model is SingleModel else {"view_weights": rng.uniform(0.1, 1, 7)}
    X, sizes = stack_views(views)
    fitted = model(sizes, missing_views="mask", **params, **quick(model)).fit(X)
    check_that_rows_are_independent(fitted, X, range(0, 300, 7))


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wide_row_does_not_depend_on_its_company(dtype, n_threads):
    """Wider than the buffers and the blocks that sums are cut into."""
    X = np.random.RandomState(0).randn(9, 40000).astype(dtype)
    fitted = Concatenation([20000, 20000]).fit(X)
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        check_that_rows_are_independent(fitted, X, range(9))
    finally:
        torch.set_num_threads(before)


def check_that_rows_are_independent(fitted, X, rows):
    whole = fitted.transform(X)
    for i in rows:
        assert_array_equal(fitted.transform(X[i : i + 1]), whole[i : i + 1])
    assert_array_equal(fitted.transform(X[::-1]), whole[::-1])
    assert_array_equal(fitted.transform(X[3:8]), whole[3:8])


@pytest.mark.parametrize(
    "model", [ReciprocalRankFusion(), GraphDiffusion(), GraphDiffusion(n_neighbors=50)]
)
def test_transform_needs_little_memory(model):
    """Neither a copy of the features of fit, nor all neighbours' features at a time."""
    X, sizes = stack_views(make_views(4000, (1000, 1000)))
    fitted = model.set_params(views=sizes).fit(X)
    # float32: the similarities of a chunk, 256 x 4000, are 4 MB, and there may be those of two;
    # a view of fit is 16 MB, and 50 neighbours of 40 rows are 16 MB
    assert peak_memory(fitted.transform, X[:1]) < 12e6
    assert peak_memory(fitted.transform, X[:40]) < 14e6


def peak_memory(function, *args):
    function(*args)
    tracemalloc.start()
    try:
        function(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


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
    return {"random_state": 0} if "random_state" in model().get_params() else {}


def quick(model):
    """Few epochs, and a seed."""
    return seeded(model) | ({"max_iter": 3} if model is ConcatenationAutoencoder else {})


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
        {
            "representation": [ReciprocalRankFusion(sizes)],
            "knn": [KNeighborsClassifier(3, metric="precomputed")],
        },
    ]
    model = Pipeline([("representation", "passthrough"), ("knn", KNeighborsClassifier(3))])
    search = GridSearchCV(model, grid, cv=3, error_score="raise", n_jobs=2).fit(X, y)
    assert len(search.cv_results_["params"]) == 12
    assert search.best_score_ > 0.6
    assert clone(search.best_estimator_).fit(X, y).score(X, y) > 0.6
