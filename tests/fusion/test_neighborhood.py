"""NeighborhoodProjection: what its two maps find, and their sum."""

import numpy as np
import pytest
from conftest import make_views
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.preprocessing import normalize

from sknnens.fusion import ConcatenationPCA, NeighborhoodProjection
from sknnens.fusion import _neighborhood as neighborhood
from sknnens.fusion._neighborhood import (
    N_NEIGHBORS,
    NEIGHBOR_RIDGE,
    NEIGHBOR_SHARE,
    WHITEN_EXPONENT,
    discriminate_neighbors,
    fit_neighborhoods,
)
from sknnens.fusion._pca import find_axes


def clusters(n_samples=600, n_clusters=20, *, noise=(0.1, 1.0), seed=0):
    """Points around centers in the first four columns, and larger noise in the other four."""
    rng = np.random.RandomState(seed)
    labels = rng.randint(n_clusters, size=n_samples)
    signal = rng.randn(n_clusters, 4)[labels] + noise[0] * rng.randn(n_samples, 4)
    return np.hstack([signal, noise[1] * rng.randn(n_samples, 4)]), labels


def test_neighbors_that_differ_in_noise_make_it_small():
    X = clusters()[0]
    X -= X.mean(axis=0)
    axes = np.linalg.svd(X, full_matrices=False)[2]
    rows = X @ axes.T
    near = NearestNeighbors(n_neighbors=5).fit(X[:, :4]).kneighbors_graph()  # by the centers
    weights = discriminate_neighbors(rows, rows.var(axis=0), near)
    of_columns = np.linalg.norm(axes.T @ weights, axis=1)
    assert of_columns[:4].min() > 20 * of_columns[4:].max()


def test_discriminant_analysis_by_a_plain_sum_over_pairs():
    rng = np.random.RandomState(0)
    rows = np.linalg.svd(rng.randn(50, 4), full_matrices=False)[0] * [4, 3, 2, 1]
    rows -= rows.mean(axis=0)
    graph = NearestNeighbors(n_neighbors=3).fit(rows).kneighbors_graph()
    pairs = np.argwhere(graph.toarray())
    differences = rows[pairs[:, 0]] - rows[pairs[:, 1]]
    within = differences.T @ differences / len(pairs)
    ridge = NEIGHBOR_RIDGE * np.trace(within) / 4 * np.eye(4)
    total = np.diag(rows.var(axis=0))
    weights = discriminate_neighbors(rows, rows.var(axis=0), graph)
    for column, size in zip(weights.T, np.linalg.norm(weights, axis=0), strict=True):
        direction = column / size
        # a generalized eigenvector of the two covariances
        ratio = (total @ direction) / ((within + ridge) @ direction)
        np.testing.assert_allclose(ratio, ratio[0])
        correlation = 1 - (direction @ within @ direction) / (2 * direction @ total @ direction)
        length = correlation / np.sqrt(direction @ (within + ridge) @ direction)
        assert size == pytest.approx(length * np.sqrt(np.trace(within) / 4))


def test_neighbors_that_do_not_differ_tell_nothing():
    rows = np.repeat([[1.0, -1.0]], 10, axis=0)
    graph = NearestNeighbors(n_neighbors=2).fit(rows).kneighbors_graph()
    assert (discriminate_neighbors(rows, rows.var(axis=0), graph) == 0).all()


def test_kernel_is_the_sum_of_two():
    views = make_views(80, (6, 6, 6), dtype=np.float64)
    stacked = np.hstack([normalize(v) for v in views])
    params = {"view_weights": None, "normalize": False, "random_state": 0}
    model = NeighborhoodProjection(**params)
    found = model.fit_transform(views)
    pca = PCA(6).fit(stacked)
    rows, sizes = pca.transform(stacked), pca.singular_values_
    white = rows * (sizes / sizes[0]) ** -WHITEN_EXPONENT
    near = NearestNeighbors(n_neighbors=N_NEIGHBORS).fit(normalize(white)).kneighbors_graph()
    other = rows @ discriminate_neighbors(rows, pca.explained_variance_, near)
    both = [
        np.sqrt(share * (len(x) - 1) / (x**2).sum()) * x
        for x, share in ((white, 1), (other, NEIGHBOR_SHARE))
    ]
    np.testing.assert_allclose(found @ found.T, sum(x @ x.T for x in both), atol=1e-9)
    assert (np.diff(found.var(axis=0)) <= 0).all()
    # fewer coordinates are the first ones
    fewer = NeighborhoodProjection(n_components=2, **params).fit_transform(views)
    np.testing.assert_allclose(np.abs(fewer), np.abs(found[:, :2]))


def test_clusters_are_found():
    X, labels = clusters()
    other = X @ np.linalg.qr(np.random.RandomState(1).randn(8, 8))[0]

    def score(model):
        rows = model.fit_transform([X, other])
        return KNeighborsClassifier(1).fit(rows[:300], labels[:300]).score(rows[300:], labels[300:])

    found = score(NeighborhoodProjection())
    assert found > score(ConcatenationPCA(whiten_exponent=0)) + 0.02
    assert found > score(ConcatenationPCA(whiten_exponent=WHITEN_EXPONENT)) + 0.01


@pytest.mark.parametrize("n_samples", [2, 3, 40])
def test_rows_without_variance(n_samples):
    rows = np.repeat([[1.0, 0.0, 0.0]], n_samples, axis=0)
    model = NeighborhoodProjection(n_components=2).fit(rows)
    assert model.mean_.tolist() == [1, 0, 0]
    assert (model.components_ == 0).all()


def test_components_without_variance_are_zero():
    stacked = np.hstack([np.random.RandomState(0).randn(40, 3)] * 2)
    lengths = np.linalg.norm(fit_neighborhoods(stacked, 5, 5, 0)[1], axis=1)
    assert (lengths[:3] > 1e-3).all()
    assert (lengths[3:] == 0).all()


def test_copies_of_few_samples(views):
    rows = np.repeat(views[0][:3], 20, axis=0)
    assert np.isfinite(NeighborhoodProjection().fit_transform([rows, rows])).all()


def test_fit_looks_at_some_of_many_samples(monkeypatch):
    monkeypatch.setattr(neighborhood, "FIT_ROWS", 100)
    views = make_views(400)
    sample = np.random.RandomState(0).permutation(400)[:100]
    expected = NeighborhoodProjection(random_state=0, view_weights=[1, 1, 0.5])
    fitted = NeighborhoodProjection(random_state=0, view_weights=[1, 1, 0.5]).fit(views)
    data = expected._read_to_fit([v[sample] for v in views])
    np.testing.assert_array_equal(expected._fit_read(data).components_, fitted.components_)
    assert NeighborhoodProjection(n_components=18).fit(views).components_.shape == (18, 18)


@pytest.mark.parametrize("shape", [(80, 30), (30, 80)])
@pytest.mark.parametrize("randomized", [False, True])
def test_axes_are_those_of_a_pca(monkeypatch, shape, randomized):
    rng = np.random.RandomState(0)
    rows = rng.randn(*shape) * np.geomspace(1, 0.001, shape[1])
    rows -= rows.mean(axis=0)
    monkeypatch.setattr("sknnens.fusion._pca.LARGE_SCATTER", 10 if randomized else 1000)
    axes, variances = find_axes(rows, 5, 0)
    pca = PCA(5).fit(rows)
    tolerance = {"rtol": 1e-3, "atol": 1e-3} if randomized else {"atol": 1e-9}
    np.testing.assert_allclose(variances, pca.explained_variance_, **tolerance)
    np.testing.assert_allclose(np.abs(axes @ pca.components_.T), np.eye(5), **tolerance)
    copies = np.hstack([rows[:, :3], rows[:, :3]])
    assert len(find_axes(copies - copies.mean(axis=0), 6, 0)[0]) == 3
