"""Every public parameter reaches the algorithm, and fit leaves the records it promises."""

import inspect
import math
import warnings

import numpy as np
import pytest
from conftest import FEATURES, make_views
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize

import sknnens._engine
import sknnens._learner
from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import NeighborhoodProjection

BASE = {"max_iter": 6, "batch_size": 16, "random_state": 0}
# a value of each parameter other than the default, under which the output must differ
OTHER_VALUES = {
    "n_components": 4,
    "init": "pca",
    "n_layers": 3,
    "hidden_size": 9,
    "max_iter": 8,
    "batch_size": 20,
    "learning_rate": 1e-3,
    "representation_learning_rate": 1e-3,
    "warmup": 0.2,
    "alpha": 0.1,
    "view_weights": [1.0, 0.5, 2.0],
    "transform_solver": "adam",
    "transform_max_iter": 2,
    "normalize": False,
    "precision": "bfloat16",
    "random_state": 1,
}
# these need a setting of their own to show, or change no number; each has a test below
ELSEWHERE = {
    "views",
    "non_negative",
    "missing_views",
    "device",
    "tol",
    "n_iter_no_change",
    "warm_start",
    "verbose",
}


def learner(**params):
    return EnsembleRepresentationLearner(**{**BASE, **params})


def test_every_parameter_is_covered():
    parameters = set(inspect.signature(EnsembleRepresentationLearner).parameters)
    assert parameters == set(OTHER_VALUES) | ELSEWHERE
    assert parameters == set(EnsembleRepresentationLearner._parameter_constraints)


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_parameter_changes_the_output(name, views):
    expected = learner().fit_transform(views)
    out = learner(**{name: OTHER_VALUES[name]}).fit_transform(views)
    assert out.shape != expected.shape or np.abs(out - expected).max() > 1e-6


def test_views_splits_the_columns(views):
    X, sizes = stack_views(views)
    fitted = learner(views=np.array(sizes)).fit(X)
    assert fitted.view_sizes_ == sizes
    assert len(fitted.coefs_) == 3
    assert learner().fit(X).view_sizes_ == [18]


def test_non_negative():
    views = make_views(non_negative=False)
    free = learner(representation_learning_rate=1e-2).fit(views)
    assert free.transform(views).min() < 0
    params = {"representation_learning_rate": 1e-2, "non_negative": True, "warm_start": True}
    kept = learner(**params).fit(views)
    assert kept.transform(views).min() == 0
    assert kept.embedding_.min() == 0


def test_tol_stops_fit_and_says_when_it_did_not(views):
    stopped = learner(max_iter=50, warmup=0.0, tol=10.0, n_iter_no_change=3).fit(views)
    assert stopped.n_iter_ == 5
    with pytest.warns(ConvergenceWarning, match="max_iter=6 reached before the loss settled"):
        learner(tol=0.0, n_iter_no_change=math.inf).fit(views)


def test_parameters_set_after_fit_are_checked(views):
    fitted = learner().fit(views).set_params(transform_max_iter=-3)
    with pytest.raises(ValueError, match="The 'transform_max_iter' parameter"):
        fitted.transform(views)


@pytest.mark.parametrize("solver", ["newton", "adam"])
def test_non_negative_leaves_something_of_each_row(solver):
    """Rows that a step would take to nothing, in transform and in the bank."""
    X = np.random.RandomState(0).randn(300, 4)
    learner = EnsembleRepresentationLearner(
        non_negative=True,
        representation_learning_rate=0.03,
        transform_solver=solver,
        warm_start=True,
        random_state=0,
    ).fit(X)
    rows = learner.transform(X)
    start = learner.set_params(transform_max_iter=0).transform(X)
    assert rows.min() == 0
    some = start.any(axis=1)
    assert rows[some].any(axis=1).all()
    assert learner.embedding_[some].any(axis=1).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("init", ["auto", "pca", "whiten"])
def test_views_without_variance(init):
    X = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    assert np.isfinite(EnsembleRepresentationLearner(init=init).fit_transform(X)).all()


@pytest.mark.parametrize(("alpha", "dtype"), [(1e38, np.float32), (1e308, np.float64)])
def test_alpha_too_large(alpha, dtype):
    with pytest.raises(ValueError, match=r"no longer finite. Lower .*alpha \(now"):
        EnsembleRepresentationLearner(alpha=alpha).fit(make_views(dtype=dtype))


def test_scale_of_the_view_weights_does_not_matter(views):
    expected = learner(view_weights=[1, 0.5, 0.25]).fit_transform(views)
    for scale in (4, 2.0**200):
        weights = [scale, scale / 2, scale / 4]
        assert_array_equal(learner(view_weights=weights).fit_transform(views), expected)


def test_no_warning_by_default(views):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learner().fit(views).transform(views)


@pytest.mark.parametrize("init", ["average", "pca"])
def test_warm_start_continues(views, init):
    params = {"init": init, "warm_start": True, "representation_learning_rate": 1e-2}
    model = learner(**params, max_iter=20).fit(views)
    loss, bank, coefs = model.loss_, model.embedding_, model.coefs_[0][0]
    model.set_params(max_iter=1, learning_rate=1e-6, representation_learning_rate=1e-6)
    model.fit(views)
    # it took up to 4 steps of 1e-6
    np.testing.assert_allclose(model.embedding_, bank, atol=1e-5)
    np.testing.assert_allclose(model.coefs_[0][0], coefs, atol=1e-5)
    assert model.set_params(warm_start=False).fit(views).loss_ > loss  # anew
    assert not hasattr(model, "embedding_")


def test_warm_start_has_no_second_warmup(views):
    model = learner(warm_start=True, warmup=1.0).fit(views)
    bank = model.embedding_
    assert np.abs(model.fit(views).embedding_ - bank).max() > 1e-4


def test_warm_start_on_other_rows_keeps_networks_and_projection(views):
    model = learner(init="pca", warm_start=True).fit(views)
    coefs, components = model.coefs_[0][0], model.init_.components_
    model.set_params(max_iter=1, learning_rate=1e-6).fit([v[:30] for v in views])
    assert model.embedding_.shape == (30, 6)
    np.testing.assert_allclose(model.coefs_[0][0], coefs, atol=1e-5)
    assert_array_equal(model.init_.components_, components)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_layers": 3}, "n_layers or hidden_size changed"),
        ({"init": "pca"}, "init='pca' was NeighborhoodProjection"),
    ],
)
def test_warm_start_needs_the_same_shapes(views, change, message):
    model = learner(warm_start=True).fit(views).set_params(**change)
    with pytest.raises(ValueError, match=f"warm_start=True .*{message}"):
        model.fit(views)


def test_the_bank_can_be_deleted(views):
    model = learner(warm_start=True).fit(views)
    del model.embedding_
    assert model.transform(views).shape == (60, 6)
    assert len(model.get_feature_names_out()) == 6
    with pytest.warns(UserWarning, match="the representations start anew"):
        model.fit(views)
    assert model.embedding_.shape == (60, 6)


def test_records(views):
    fitted = learner().fit(views)
    assert fitted.n_iter_ == len(fitted.loss_curve_) == 6
    assert fitted.loss_ == fitted.loss_curve_[-1] < fitted.loss_curve_[0] < 3
    assert [[w.shape for w in layers] for layers in fitted.coefs_] == [[(6, 6), (6, 6)]] * 3
    assert [[b.shape for b in layers] for layers in fitted.intercepts_] == [[(6,), (6,)]] * 3
    assert isinstance(fitted.init_, NeighborhoodProjection)
    assert fitted.init_.components_.shape == (6, 18)
    assert not hasattr(fitted, "embedding_")
    assert learner(warm_start=True).fit(views).embedding_.shape == (60, 6)
    assert fitted.n_features_in_ == 18


def test_auto_activation_follows_each_view(views):
    signed = [views[0], views[1] - 1, views[2]]
    fitted = learner().fit(signed)
    assert fitted.output_activations_ == ["relu", "identity", "relu"]


@pytest.mark.parametrize(
    ("sizes", "params", "expected"),
    [
        ((6, 6), {}, 6),
        ((6, 6), {"init": "average"}, 6),
        ((6, 6), {"init": "average", "n_components": 6}, 6),
        ((6, 6), {"n_components": 3}, 3),
        ((6, 4), {}, 6),
        ((70, 4), {}, 60),  # no more components than samples
        ((6, 4), {"n_components": 10}, 10),
        ((6, 4), {"init": "whiten"}, 6),
    ],
)
def test_width_of_the_start(sizes, params, expected):
    fitted = learner(**params).fit(make_views(60, sizes))
    assert fitted.transform(make_views(60, sizes)).shape[1] == expected


BAD_PARAMETERS = {
    "n_components": [0, 2.5],
    "init": ["random", KNeighborsClassifier()],
    "n_layers": [0],
    "hidden_size": [0],
    "max_iter": [0],
    "batch_size": [0, "auto"],
    "learning_rate": [0.0, -1.0],
    "representation_learning_rate": [0.0, None],
    "warmup": [-0.1, 1.1],
    "alpha": [-1.0],
    "non_negative": ["yes"],
    "view_weights": ["agreement"],
    "transform_max_iter": [-1, None],
    "normalize": ["l1"],
    "missing_views": ["mask"],
    "device": [0],
    "precision": ["float16", "tf32"],
    "tol": [-1.0],
    "n_iter_no_change": [0],
    "warm_start": ["yes"],
    "random_state": ["seed"],
    "verbose": [-1],
}


@pytest.mark.parametrize(
    ("name", "value"), [(n, v) for n, vs in BAD_PARAMETERS.items() for v in vs]
)
def test_parameter_out_of_range(name, value, views):
    unfitted = learner(**{name: value})
    before = dict(vars(unfitted))
    with pytest.raises((ValueError, TypeError), match=f"The '{name}' parameter .* must be .* Got"):
        unfitted.fit(views)
    assert vars(unfitted) == before


@pytest.mark.parametrize("name", ["learning_rate", "representation_learning_rate"])
def test_divergence_leaves_the_estimator_as_it_was(name, views):
    fitted = learner().fit(views)
    before = dict(vars(fitted))
    fitted.set_params(**{name: 1e37})
    with pytest.raises(ValueError, match=f"Lower .*{name}"):
        fitted.fit(views)
    assert all(vars(fitted)[k] is v for k, v in before.items() if k != name)


def test_divergence_in_transform(views):
    fitted = learner(transform_solver="adam").fit(views)
    fitted.step_size_ = 1e37
    with pytest.raises(ValueError, match=r"Lower representation_learning_rate \(now 1e\+37\)"):
        fitted.transform(views)


@pytest.mark.parametrize("name", ["learning_rate", "representation_learning_rate", "alpha"])
@pytest.mark.parametrize("solver", ["newton", "adam"])
def test_what_transform_needs_is_fitted(name, solver, views):
    fitted = learner(transform_solver=solver).fit(views)
    expected = fitted.transform(views)
    assert_array_equal(fitted.set_params(**{name: 0.5}).transform(views), expected)


def test_ctrl_c_in_the_first_batch(views, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("sknnens._engine._train.RowAdam.step", interrupt)
    fitted = learner(warmup=0.0)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(views)
    assert not hasattr(fitted, "coefs_")
    monkeypatch.undo()
    before = dict(vars(fitted.fit(views)))
    monkeypatch.setattr("sknnens._engine._train.RowAdam.step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(views)
    assert all(vars(fitted)[k] is v for k, v in before.items())


def test_ctrl_c_before_training_leaves_the_estimator_as_it_was(views, monkeypatch):
    def interrupt(*args, **params):
        raise KeyboardInterrupt

    fitted = learner().fit(views)
    before = dict(vars(fitted))
    monkeypatch.setattr(sknnens._engine, "init_networks", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(views)
    assert all(vars(fitted)[k] is v for k, v in before.items())


def test_learned_neighbours_beat_each_view_and_their_average():
    """A planted problem: every view sees half of what separates the classes, through noise."""
    rng = np.random.RandomState(0)
    n, n_classes = 1200, 8
    y = rng.randint(n_classes, size=n)
    corners = np.array([[c >> b & 1 for b in range(3)] for c in range(n_classes)]) * 2.0 - 1
    latent = corners[y] + 0.3 * rng.randn(n, 3)
    views = []
    for kept in ([0, 1], [1, 2], [2, 0]):
        nuisance = rng.randn(n, 2) * 2
        mixed = np.hstack([latent[:, kept], nuisance]) @ rng.randn(4, 24)
        views.append(np.maximum(mixed + 0.1 * rng.randn(n, 24), 0).astype(np.float32))

    def accuracy(rows):
        knn = KNeighborsClassifier(5, metric="cosine")
        return knn.fit(rows[:800], y[:800]).score(rows[800:], y[800:])

    model = EnsembleRepresentationLearner(
        learning_rate=3e-3, representation_learning_rate=1e-2, random_state=0
    ).fit([v[:800] for v in views])
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True).clip(1e-9) for v in views]
    # 400 test rows: one standard error of a difference is at most 2.5 points
    assert accuracy(model.transform(views)) > accuracy(np.mean(unit, axis=0)) + 0.05
    assert accuracy(model.transform(views)) > max(map(accuracy, unit)) + 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    "models",
    [
        ["simclr_0", "simclr_1", "simclr_2", "simclr_3"],
        ["simclr_0", "barlow_twins", "swav", "rotnet", "autoencoder"],
        ["barlow_twins"],
    ],
)
def test_gain_on_the_shipped_features(models):
    """The README's table at k = 5; the seeds' standard deviation there is at most 0.2 points."""
    data = load_fashion_mnist_features(models, path=FEATURES)
    model = EnsembleRepresentationLearner(data.view_sizes, random_state=0)

    def accuracy(train, test):
        knn = KNeighborsClassifier(5, metric="cosine")
        return knn.fit(train, data.y_train).score(test, data.y_test)

    learned = accuracy(model.fit_transform(data.X_train), model.transform(data.X_test))
    stops = np.cumsum(data.view_sizes)[:-1]
    train, test = (
        [normalize(x) for x in np.split(X, stops, axis=1)] for X in (data.X_train, data.X_test)
    )
    # the smallest gain in the table is 1.2 points
    assert learned > accuracy(sum(train), sum(test)) + 0.008
    assert learned > accuracy(np.hstack(train), np.hstack(test)) + 0.008
