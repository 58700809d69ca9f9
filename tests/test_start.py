"""Where representations start."""

import numpy as np
import pytest
import torch
from conftest import make_views
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.preprocessing import normalize

from sknnens import EnsembleRepresentationLearner
from sknnens.fusion._initialization import (
    EFFECTIVE_RANK,
    NEIGHBOR_RIDGE,
    NEIGHBOR_SHARE,
    choose_exponent,
    correlate_neighbors,
    fit_neighbor_projection,
    fit_projection,
)
from sknnens.fusion._weights import exp_entropy


def start_of(views, **params):
    """What transform returns when it takes no step."""
    learner = EnsembleRepresentationLearner(
        **{"view_weights": None, **params}, max_iter=1, transform_max_iter=0, random_state=0
    )
    return learner.fit(views).transform(views)


@pytest.fixture
def double_views():
    return make_views(80, (6, 6, 6), dtype=np.float64)


def test_average(double_views):
    expected = normalize(sum(normalize(v) for v in double_views))
    np.testing.assert_allclose(start_of(double_views, init="average"), expected)


def test_weighted_average(double_views):
    weights = [1, 0.5, 0.25]
    weighted = [w * normalize(v) for w, v in zip(weights, double_views, strict=True)]
    out = start_of(double_views, init="average", view_weights=weights)
    np.testing.assert_allclose(out, normalize(sum(weighted)))


@pytest.mark.parametrize(("init", "exponent"), [("pca", 0.0), ("whiten", 0.5)])
def test_projections(double_views, init, exponent):
    stacked = np.hstack([normalize(v) for v in double_views])
    pca = PCA(4).fit(stacked)
    expected = normalize(pca.transform(stacked) / pca.singular_values_**exponent)
    out = start_of(double_views, init=init, n_components=4)
    np.testing.assert_allclose(out, expected, atol=1e-9)


def test_non_negative(double_views):
    out = start_of(double_views, init="pca", non_negative=True)
    expected = normalize(start_of(double_views, init="pca").clip(0))
    np.testing.assert_allclose(out, expected)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning:sklearn")  # shares of no variance
def test_projection_of_constant_rows_is_finite():
    found = fit_projection(np.ones((5, 3)), 2, 0.5, 0)
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.components).all()


def clusters(n_samples=600, n_clusters=20, *, noise=(0.1, 4.0), seed=0):
    """Points around centres in the first four columns, and larger noise in the other four."""
    rng = np.random.RandomState(seed)
    labels = rng.randint(n_clusters, size=n_samples)
    signal = rng.randn(n_clusters, 4)[labels] + noise[0] * rng.randn(n_samples, 4)
    return np.hstack([signal, noise[1] * rng.randn(n_samples, 4)]), labels


def test_neighbors_that_differ_in_noise_make_it_small():
    X = clusters(noise=(0.1, 1.0))[0]
    X -= X.mean(axis=0)
    axes = np.linalg.svd(X, full_matrices=False)[2]
    rows = X @ axes.T
    near = NearestNeighbors(n_neighbors=5).fit(X[:, :4]).kneighbors_graph()  # by the centres
    weights = correlate_neighbors(rows, rows.var(axis=0), near)
    of_columns = np.linalg.norm(axes.T @ weights, axis=1)
    assert of_columns[:4].min() > 20 * of_columns[4:].max()


def test_correlation_of_neighbors_by_a_plain_sum():
    rng = np.random.RandomState(0)
    rows = np.linalg.svd(rng.randn(50, 4), full_matrices=False)[0] * [4, 3, 2, 1]
    rows -= rows.mean(axis=0)
    graph = NearestNeighbors(n_neighbors=3).fit(rows).kneighbors_graph()
    pairs = np.argwhere(graph.toarray())
    differences = rows[pairs[:, 0]] - rows[pairs[:, 1]]
    within = differences.T @ differences / len(pairs)
    ridge = NEIGHBOR_RIDGE * np.trace(within) / 4 * np.eye(4)
    total = np.diag(rows.var(axis=0))
    weights = correlate_neighbors(rows, rows.var(axis=0), graph)
    for column, size in zip(weights.T, np.linalg.norm(weights, axis=0), strict=True):
        direction = column / size
        # a generalised eigenvector of the two covariances
        ratio = (total @ direction) / ((within + ridge) @ direction)
        np.testing.assert_allclose(ratio, ratio[0])
        correlation = 1 - (direction @ within @ direction) / (2 * direction @ total @ direction)
        length = correlation / np.sqrt(direction @ (within + ridge) @ direction)
        assert size == pytest.approx(length * np.sqrt(np.trace(within) / 4))


def test_neighbors_that_do_not_differ_tell_nothing():
    rows = np.repeat([[1.0, -1.0]], 10, axis=0)
    graph = NearestNeighbors(n_neighbors=2).fit(rows).kneighbors_graph()
    assert (correlate_neighbors(rows, rows.var(axis=0), graph) == 0).all()


def test_auto_is_the_sum_of_two_maps(double_views):
    stacked = np.hstack([normalize(v) for v in double_views])
    projection = fit_neighbor_projection(stacked, 6, 6, 0)
    components = projection.components
    pca = PCA(6).fit(stacked)
    rows, sizes = pca.transform(stacked), pca.singular_values_
    white = rows * (sizes / sizes[0]) ** -projection.whiten_exponent
    near = NearestNeighbors(n_neighbors=10).fit(normalize(white)).kneighbors_graph()
    other = rows @ correlate_neighbors(rows, pca.explained_variance_, near)
    both = [
        np.sqrt(share * (len(x) - 1) / (x**2).sum()) * x
        for x, share in ((white, 1), (other, NEIGHBOR_SHARE))
    ]
    found = (stacked - projection.mean) @ components.T
    np.testing.assert_allclose(found @ found.T, sum(x @ x.T for x in both), atol=1e-9)
    variances = found.var(axis=0)
    assert (np.diff(variances) <= 0).all()
    np.testing.assert_allclose(start_of(double_views), normalize(found), atol=1e-9)
    # fewer coordinates are the first ones
    fewer = fit_neighbor_projection(stacked, 2, 6, 0).components
    np.testing.assert_allclose(np.abs(fewer @ stacked.T), np.abs(components[:2] @ stacked.T))


def test_auto_finds_the_clusters():
    X, labels = clusters(noise=(0.1, 1.0))
    other = X @ np.linalg.qr(np.random.RandomState(1).randn(8, 8))[0]

    def score(rows):
        return KNeighborsClassifier(1).fit(rows[:300], labels[:300]).score(rows[300:], labels[300:])

    starts = {init: start_of([X, other], init=init) for init in ("auto", "pca", "whiten")}
    scores = {init: score(rows) for init, rows in starts.items()}
    assert scores["auto"] > scores["pca"] + 0.03
    assert scores["auto"] > scores["whiten"] + 0.03


@pytest.mark.parametrize("rank", [4, 70, 5000])
def test_exponent_of_auto(rank):
    sizes = np.linspace(1, 0.001, 5000) ** 3 if rank == 5000 else np.geomspace(1, 0.3, rank)
    exponent = choose_exponent(sizes)
    found = exp_entropy(sizes ** (2 * (1 - exponent)))
    if rank == 4:
        assert exponent == 0.5
    elif rank == 70:
        assert 0 < exponent < 0.5
        assert found == pytest.approx(EFFECTIVE_RANK)
    else:
        assert exponent == 0
        assert found > EFFECTIVE_RANK


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning:sklearn")  # shares of no variance
@pytest.mark.parametrize("n_samples", [2, 3, 40])
def test_auto_of_rows_without_variance(n_samples):
    found = fit_neighbor_projection(np.ones((n_samples, 3)), 2, 2, 0)
    assert found.mean.tolist() == [1, 1, 1]
    assert (found.components == 0).all()
    assert found.whiten_exponent == 0


def test_auto_leaves_out_what_has_no_variance():
    stacked = np.hstack([np.random.RandomState(0).randn(40, 3)] * 2)
    components = fit_neighbor_projection(stacked, 5, 5, 0).components
    lengths = np.linalg.norm(components, axis=1)
    assert (lengths[:3] > 1e-3).all()
    assert (lengths[3:] == 0).all()


def test_auto_of_copies_of_one_sample(views):
    rows = np.vstack([np.repeat(v[:3], 20, axis=0) for v in views[:1]])
    assert np.isfinite(start_of([rows, rows])).all()


def test_start_is_the_same_on_every_device(device):
    views = make_views(30, (5, 4))
    on_cpu = start_of(views, device="cpu")
    np.testing.assert_allclose(start_of(views, device=device), on_cpu, atol=1e-5)
    assert not torch.is_tensor(on_cpu)
