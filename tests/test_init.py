"""Where the learner's representations start: at a fusion's rows."""

import numpy as np
import pytest
from conftest import make_views
from sklearn.preprocessing import normalize

from sknnens import EnsembleRepresentationLearner
from sknnens.fusion import make_fusion


def start_of(views, **params):
    """Return what transform gives when it takes no step."""
    learner = EnsembleRepresentationLearner(
        **{"view_weights": None, **params}, max_iter=1, transform_max_iter=0, random_state=0
    )
    return learner.fit(views).transform(views)


@pytest.mark.parametrize("init", ["auto", "average", "pca", "whiten"])
@pytest.mark.parametrize("view_weights", [None, [1, 0.5, 0.25], "auto"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_start_is_the_fusion(init, view_weights, dtype):
    views = make_views(80, (6, 6, 6), dtype=dtype)
    fusion = make_fusion(init).set_params(view_weights=view_weights)
    expected = fusion.fit_transform(views)
    found = start_of(views, init=init, view_weights=view_weights)
    # products of rows do not depend on the axes, whose signs may differ
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=2e-5)


def test_start_of_non_negative_representations():
    views = make_views(80, (6, 6, 6), dtype=np.float64)
    out = start_of(views, init="pca", non_negative=True)
    np.testing.assert_allclose(out, normalize(start_of(views, init="pca").clip(0)))


def test_start_is_the_same_on_every_device(device):
    views = make_views(30, (5, 4))
    on_cpu = start_of(views, device="cpu")
    np.testing.assert_allclose(start_of(views, device=device), on_cpu, atol=1e-5)
    assert isinstance(on_cpu, np.ndarray)
