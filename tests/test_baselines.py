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
from sklearn.preprocessing import normalize, scale
from sklearn.utils.estimator_checks import parametrize_with_checks

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.baselines import (
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


@pytest.mark.parametrize("n_steps", [1, 2])
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

    values = concatenate(double_views)
    if n_steps == 2:
        values = 0.7 * values + 0.3 * graph(double_views) @ values
    expected = 0.7 * concatenate(query) + 0.3 * graph(query) @ values
    assert_allclose(model.fit(double_views).transform(query), expected)
    plain = Concatenation(view_weights=weights).fit_transform(double_views)
    model.set_params(alpha=0.0, normalize=True, n_steps=1)
    assert_allclose(model.fit_transform(double_views), plain)
    message = r"^n_neighbors=61 must be at most 60, the number of samples that have a view\.$"
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
    return {"random_state": 0} if "random_state" in model().get_params() else {}


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
