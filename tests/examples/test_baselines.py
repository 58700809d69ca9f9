"""The baselines of the study: right, and with the contract of transformers."""

import importlib
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import make_views
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import normalize
from sklearn.utils.estimator_checks import check_estimator

from sknnens import stack_views
from sknnens.fusion import Average, Concatenation

PAPER = Path(__file__).resolve().parents[2] / "examples" / "paper"
NAMES = ["ReciprocalRankFusion", "GraphDiffusion", "ProcrustesAverage", "ConcatenationAutoencoder"]
QUICK = {
    "GraphDiffusion": {"n_neighbors": 1},  # some checks have few samples
    "ConcatenationAutoencoder": {"max_iter": 3, "random_state": 0},
}


@pytest.fixture(scope="module")
def baselines():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PAPER)
        names = {path.stem for path in PAPER.glob("*.py")}
        before = {name: sys.modules.pop(name) for name in names & set(sys.modules)}
        modules = [importlib.import_module(name) for name in ("baselines", "autoencoder")]
        yield SimpleNamespace(**{k: v for module in modules for k, v in vars(module).items()})
        for name in names & set(sys.modules):
            del sys.modules[name]
        sys.modules.update(before)


@pytest.fixture
def double_views():
    return make_views(dtype=np.float64, non_negative=False)


def unit(views):
    return [normalize(v) for v in views]


@pytest.mark.parametrize("name", NAMES)
def test_sklearn_checks(baselines, name):
    check_estimator(getattr(baselines, name)(**QUICK.get(name, {})))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_does_not_depend_on_its_company(baselines, name, dtype):
    X, sizes = stack_views(make_views(300, (64, 64, 64), dtype=dtype))
    fitted = getattr(baselines, name)(sizes, **QUICK.get(name, {})).fit(X)
    whole = fitted.transform(X)
    assert whole.dtype == dtype
    for i in (0, 100, 299):
        assert_array_equal(fitted.transform(X[i : i + 1]), whole[i : i + 1])
    assert_array_equal(fitted.transform(X[::-1]), whole[::-1])


def test_reciprocal_rank_fusion(baselines, double_views):
    query = [v[:7] + 0.1 for v in double_views]
    model = baselines.ReciprocalRankFusion(rank_constant=10, view_weights=[1, 0.5, 1])
    model.fit(double_views)
    scores = np.zeros((7, 60))
    for weight, q, x in zip([1, 0.5, 1], unit(query), unit(double_views), strict=True):
        for i, similarity in enumerate(q @ x.T):
            for rank, j in enumerate(np.argsort(-similarity), start=1):
                scores[i, j] += weight / (10 + rank)
    assert_allclose(model.transform(query), 1 - scores * 11 / 2.5, atol=1e-12)
    assert_allclose(np.diag(model.transform(double_views)), 0, atol=1e-12)


def test_zero_rows_have_no_rank(baselines, double_views):
    for view in double_views:
        view[5] = 0
    out = (
        baselines.ReciprocalRankFusion().fit(double_views).transform([v[:6] for v in double_views])
    )
    assert_array_equal(out[:, 5], 1)
    assert_array_equal(out[5], 1)
    assert np.delete(out[:5], 5, axis=1).max() < 1


@pytest.mark.parametrize("n_steps", [1, 2, 4])
def test_graph_diffusion(baselines, double_views, n_steps):
    weights = np.array([1, 0.5, 1])
    model = baselines.GraphDiffusion(
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
    with pytest.raises(ValueError, match=r"^n_neighbors=61 must be at most 60, the number of"):
        model.set_params(n_neighbors=61).fit(double_views)


def test_graph_diffusion_of_zero_rows(baselines, double_views):
    """A view in which a sample is zero has no part; a sample that is zero everywhere stays so."""
    for view in double_views:
        view[3] = 0
    double_views[1][:20] = 0
    out = baselines.GraphDiffusion(n_neighbors=5, n_steps=3).fit_transform(double_views)
    assert_array_equal(out[3], 0)
    assert np.isfinite(out).all()
    model = baselines.GraphDiffusion(n_neighbors=39, alpha=1.0, normalize=False)
    out = model.fit(double_views).transform(double_views)
    values = Concatenation(normalize=False).fit_transform(double_views)
    near = [
        (-unit([double_views[v]])[0] @ unit([double_views[v]])[0].T).argsort(axis=1, kind="stable")
        for v in (0, 2)
    ]
    near = [[row[row != 3][:39] for row in x] for x in near]
    expected = sum(values[x].mean(axis=1) for x in near) / 2
    assert_allclose(np.delete(out, 3, 0)[:19], np.delete(expected, 3, 0)[:19])


def test_graph_diffusion_takes_the_first_of_equals(baselines):
    """Rows along the axes, so that similarities are 0 and 1 exactly."""
    X = np.eye(4)[[3, 0, 1, 0, 1, 0, 2, 0]]
    tag = 1.0 + np.arange(8)[:, None]  # the values tell which rows were taken
    model = baselines.GraphDiffusion(n_neighbors=2, alpha=1.0, normalize=False).fit(X)
    model.diffused_ = np.hstack([tag, tag, tag, tag])
    assert_array_equal(model.transform(np.eye(4)[[0, 1]])[:, 0], [(2 + 4) / 2, (3 + 5) / 2])
    assert model.transform(np.eye(4)[[2]])[0, 0] == (7 + 1) / 2  # of those at 0, the first


def test_procrustes_average_of_turned_copies(baselines):
    """Views that are one matrix, turned, come together again."""
    rng = np.random.RandomState(0)
    original = rng.randn(50, 5)
    turns = [np.linalg.qr(rng.randn(8, 5))[0].T, np.linalg.qr(rng.randn(5, 5))[0]]
    views = [original @ turns[0], original @ turns[1], original]
    out = baselines.ProcrustesAverage().fit_transform(views)
    assert out.shape == (50, 8)
    assert_allclose(out @ out.T, normalize(original) @ normalize(original).T, atol=1e-9)
    # the average of the same views without a turn is something else
    averaged = Average().fit_transform(views[1:])
    assert np.abs(averaged @ averaged.T - out @ out.T).max() > 0.1


def test_procrustes_average_agrees_more_with_each_turn(baselines, double_views):
    model = baselines.ProcrustesAverage
    units = unit(double_views)

    def agreement(rotations):
        return np.sum(sum(x @ r for x, r in zip(units, rotations, strict=True)) ** 2)

    found = [
        agreement(model(max_iter=n, tol=0).fit(double_views).rotations_) for n in (1, 2, 5, 100)
    ]
    assert np.all(np.diff(found) >= -1e-9)
    assert found[0] > agreement([np.eye(6)] * 3)
    for r in model().fit(double_views).rotations_:
        assert_allclose(r.T @ r, np.eye(6), atol=1e-9)
    early = model(tol=1e-2).fit(double_views).n_iter_
    assert 2 < early < model(tol=0, max_iter=50).fit(double_views).n_iter_ == 50


def test_procrustes_average_warns_of_too_few_turns(baselines, double_views):
    model = baselines.ProcrustesAverage
    with pytest.warns(ConvergenceWarning, match=r"after max_iter=2 turns\. Raise max_iter, or tol"):
        model(max_iter=2).fit(double_views)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(max_iter=model().fit(double_views).n_iter_).fit(double_views)
        model(max_iter=2, tol=0).fit(double_views)


def test_autoencoder(baselines, double_views):
    params = {"max_iter": 30, "learning_rate": 1e-2, "random_state": 0, "normalize": False}
    model = baselines.ConcatenationAutoencoder(n_components=4, hidden_size=7, **params)
    model.fit(double_views)
    assert len(model.loss_curve_) == 30
    assert model.loss_curve_[-1] < 0.4 * model.loss_curve_[0]
    assert [w.shape for w in model.coefs_] == [(18, 7), (7, 4)]
    x = np.hstack(unit(double_views)) - model.mean_
    hidden = np.maximum(x @ model.coefs_[0] + model.intercepts_[0], 0)
    expected = hidden @ model.coefs_[1] + model.intercepts_[1]
    assert_allclose(model.transform(double_views), expected, atol=1e-12)
    again = baselines.ConcatenationAutoencoder(n_components=4, hidden_size=7, **params)
    assert_array_equal(again.fit_transform(double_views), model.transform(double_views))
    with pytest.raises(ValueError, match=r"^The loss is no longer finite\. Lower learning_rate"):
        again.set_params(learning_rate=1e300).fit(double_views)


def test_weights_of_views_reach_the_loss_of_the_autoencoder(baselines, double_views):
    """The sum over views of a loss that is never learned is linear in the weights."""
    losses = [
        baselines.ConcatenationAutoencoder(
            max_iter=1, learning_rate=1e-12, random_state=0, view_weights=weights
        )
        .fit(double_views)
        .loss_curve_[0]
        for weights in ([1, 1, 1], [1, 1, 0.5])
    ]
    assert 0.3 < losses[0] - losses[1] < 0.9  # half of about 1
