"""Where representations start."""

import numpy as np
import pytest
import torch
from conftest import make_views
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from sknnens import EnsembleRepresentationLearner
from sknnens._initialization import choose_init, fit_projection


def start_of(views, **params):
    """What transform returns when it takes no step."""
    learner = EnsembleRepresentationLearner(
        max_iter=1, transform_max_iter=0, random_state=0, **params
    )
    return learner.fit(views).transform(views)


@pytest.fixture
def double_views():
    return make_views(80, (6, 6, 6), dtype=np.float64)


def test_average(double_views):
    expected = normalize(sum(normalize(v) for v in double_views))
    np.testing.assert_allclose(start_of(double_views), expected)


def test_weighted_average(double_views):
    weights = [1, 0.5, 0.25]
    weighted = [w * normalize(v) for w, v in zip(weights, double_views, strict=True)]
    out = start_of(double_views, view_weights=weights)
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
    mean, components = fit_projection(np.ones((5, 3)), 2, 0.5, 0)
    assert np.isfinite(mean).all()
    assert np.isfinite(components).all()


@pytest.mark.parametrize("sizes", [[6], [6, 6]])
def test_auto_is_the_average_where_there_is_one(sizes):
    assert choose_init("auto", None, 3, sizes) == ("average", 6)


def test_start_is_the_same_on_every_device(device):
    views = make_views(30, (5, 4))
    on_cpu = start_of(views, device="cpu")
    np.testing.assert_allclose(start_of(views, device=device), on_cpu, atol=1e-5)
    assert not torch.is_tensor(on_cpu)
