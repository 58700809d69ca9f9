"""What scikit-learn and the user may rely on, whatever the data."""

import copy
import pickle
import threading

import numpy as np
import pytest
import torch
from conftest import make_views
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens._engine._rows import CHUNK_ROWS
from sknnens.fusion import GCCA

ADAM = {"transform_solver": "adam"}


def small(**params):
    defaults = {"max_iter": 4, "batch_size": 16, "random_state": 0}
    return EnsembleRepresentationLearner(**{**defaults, **params})


@parametrize_with_checks(
    [
        EnsembleRepresentationLearner(),
        EnsembleRepresentationLearner(
            init="whiten",
            n_layers=1,
            max_iter=5,
            transform_max_iter=1,
            normalize=False,
        ),
        EnsembleRepresentationLearner(
            n_layers=3,
            hidden_size=7,
            non_negative=True,
            warmup=0.0,
            alpha=1e-4,
            representation_learning_rate=1e-2,
            transform_solver="adam",
            transform_max_iter=20,
        ),
        EnsembleRepresentationLearner(init=GCCA(), missing_views="impute", max_iter=5),
    ]
)
def test_sklearn_check(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("sizes", "params"),
    [
        ((16, 16, 16), {}),
        ((33, 33), {"representation_learning_rate": 1e-2}),
        ((5, 17, 8), {"init": "pca", "n_components": 5}),
        ((128, 128, 128), {"n_layers": 3, "hidden_size": 50}),
        ((24,), {"transform_max_iter": 12}),
        ((24,), ADAM | {"transform_max_iter": 40}),
        ((16,) * 6, {"view_weights": [2**-24] * 5 + [1.0]}),
        ((16, 16), {"non_negative": True, "transform_max_iter": 12}),
        ((12, 12), {"precision": "bfloat16"}),
        ((40, 40), ADAM),
        ((16, 40), {"init": GCCA()}),
        ((1100, 1100), {"n_components": 7, "init": "pca"}),
    ],
)
def test_row_does_not_depend_on_its_company(sizes, params, dtype, device):
    n_rows = CHUNK_ROWS[device] + 300
    views = make_views(n_rows, sizes, dtype=dtype)
    learner = small(device=device, **params).fit([v[:200] for v in views])
    X, _ = stack_views(views)
    whole = learner.transform(X)
    order = np.random.RandomState(0).permutation(len(X))
    assert_array_equal(learner.transform(X[order]), whole[order])
    for part in (slice(100, 351), slice(100, 150), slice(1, n_rows - 20)):
        assert_array_equal(learner.transform(X[part]), whole[part])
    for i in [0, 1, 36, 255, len(X) - 1]:
        assert_array_equal(learner.transform(X[i : i + 1]), whole[i : i + 1])


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("solver", ["newton", "adam"])
@pytest.mark.parametrize("width", [1, 2, 4, 20])
def test_narrow_row_does_not_depend_on_its_company(width, solver, normalize):
    X = np.random.RandomState(0).standard_normal((1100, 16 + width)).astype(np.float32)
    learner = small(
        n_components=width,
        init="pca",
        transform_solver=solver,
        normalize=normalize,
        representation_learning_rate=0.01,
    )
    whole = learner.fit(X[:100]).transform(X)
    for i in range(500, 515):
        assert_array_equal(learner.transform(X[i : i + 1]), whole[i : i + 1])


@pytest.mark.parametrize("params", [{}, {"init": "pca"}, {"init": "whiten", "normalize": False}])
def test_fit_transform_is_fit_then_transform(views, params, device):
    learner = small(device=device, **params)
    assert_array_equal(clone(learner).fit_transform(views), learner.fit(views).transform(views))


def test_rows_near_the_largest_number_are_judged_one_by_one(views):
    learner = small(transform_solver="adam", transform_max_iter=1).fit(views)
    learner.step_size_ = 2e18
    # a row's six squares of 2e18 add up to a float32, those of sixty rows do not
    together = learner.transform(views)
    assert_array_equal(learner.transform([v[:1] for v in views]), together[:1])


def test_same_seed_same_result_and_another_seed_another(views, device):
    first, again, other = (small(device=device, random_state=s).fit(views) for s in (3, 3, 4))
    assert_array_equal(first.coefs_[0][0], again.coefs_[0][0])
    assert_array_equal(first.transform(views), again.transform(views))
    assert not np.array_equal(first.transform(views), other.transform(views))


def test_generator_instance_is_consumed(views):
    rng = np.random.RandomState(0)
    first, second = small(random_state=rng).fit(views), small(random_state=rng).fit(views)
    assert not np.array_equal(first.coefs_[0][0], second.coefs_[0][0])


def test_nothing_global_is_touched(views, device):
    def state():
        return (
            pickle.dumps(np.random.get_state()),  # noqa: NPY002  the state under test
            torch.get_rng_state().numpy().tobytes(),
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.get_float32_matmul_precision(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            threading.active_count(),
        )

    before = state()
    small(device=device, random_state=None, precision="bfloat16").fit(views).transform(views)
    # random_state=None draws from numpy's global generator, as everywhere in scikit-learn
    assert state()[1:] == before[1:]
    before = state()
    small(device=device).fit(views).transform(views)
    assert state() == before


@pytest.mark.parametrize("params", [{}, {"init": "pca"}, {"precision": "bfloat16"}])
@pytest.mark.parametrize(
    "context",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", torch.bfloat16),
        lambda: torch.device("meta"),  # the default device
    ],
)
def test_works_inside_the_callers_torch_contexts(views, context, params):
    expected = small(**params, device="cpu").fit(views).transform(views)
    with context():
        assert_array_equal(small(**params, device="cpu").fit(views).transform(views), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"transform_max_iter": 30},
        {"transform_solver": "adam"},
    ],
)
def test_works_whatever_the_callers_default_dtype(views, params, dtype):
    expected = small(**params).fit(views).transform(views)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        assert_array_equal(small(**params).fit(views).transform(views), expected)
    finally:
        torch.set_default_dtype(before)


def test_neither_input_nor_estimator_is_changed(views):
    X, sizes = stack_views(views)
    kept = X.copy()
    X.setflags(write=False)
    learner = small(views=sizes).fit(X)
    state = copy.deepcopy(vars(learner))
    learner.transform(X)
    assert_array_equal(X, kept)
    assert pickle.dumps(vars(learner)) == pickle.dumps(state)
    assert learner.views is sizes


@pytest.mark.filterwarnings("error")
def test_read_only_memory_map(views, tmp_path):
    X, sizes = stack_views(views)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    learner = small(views=sizes).fit(mapped)
    assert_array_equal(learner.transform(mapped), small(views=sizes).fit(X).transform(X))


@pytest.mark.parametrize(
    ("given", "returned"),
    [
        (np.float16, np.float32),
        (np.int64, np.float32),
        (np.float32, np.float32),
        (np.float64, np.float64),
        (">f4", np.float32),
        (">f8", np.float64),
    ],
)
def test_dtype_out(views, given, returned, device):
    views = [(10 * v).astype(given) for v in views]
    learner = small(device=device, init="whiten", view_weights=[1, 2, 3]).fit(views)
    assert learner.transform(views).dtype == returned
    assert learner.transform(np.hstack(views).astype(given)).dtype == returned
    for array in (learner.coefs_[0][0], learner.init_.mean_, learner.init_.components_):
        assert array.dtype == returned


def test_float32_precision_computes_in_float32_and_returns_the_dtype_given(views):
    doubles = [v.astype(np.float64) for v in views]
    learner = small(precision="float32", warm_start=True).fit(doubles)
    assert learner.embedding_.dtype == np.float32
    out = learner.transform(doubles)
    assert out.dtype == np.float64
    # the rows are normalized in float64 here, so they round once less
    np.testing.assert_allclose(out, small().fit(views).transform(views), atol=1e-5)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_scale_in_float64_does_not_matter_to_a_float32_precision(views, scale):
    doubles = [v.astype(np.float64) for v in views]
    expected = small(precision="float32").fit_transform(doubles)
    out = small(precision="float32").fit_transform([v * scale for v in doubles])
    np.testing.assert_allclose(out, expected, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scale_of_a_view_does_not_matter(views, scale):
    expected = small().fit_transform(views)
    scaled = [views[0] * np.float32(scale), *views[1:]]
    # scaling rounds each number once, 6e-8 relative, before anything else happens
    np.testing.assert_allclose(small().fit_transform(scaled), expected, atol=1e-4)


@pytest.mark.parametrize("init", ["average", "pca"])
def test_zero_row_of_one_view_takes_no_part(views, init):
    params = {"init": init, "view_weights": None, "representation_learning_rate": 1e-2}
    learner = small(**params, transform_solver="adam", transform_max_iter=5).fit(views)
    silenced = copy.deepcopy(learner)
    silenced.init_.view_weights_ = silenced.view_weights_ = np.array([1.0, 1e-30, 1.0])
    if init == "pca":  # a view that is zero is taken to be at its mean
        silenced.init_.mean_[6:12] = 0
    expected = silenced.transform(views)
    zeroed = [views[0], np.zeros_like(views[1]), views[2]]
    np.testing.assert_allclose(learner.transform(zeroed), expected, atol=1e-6)
    assert np.abs(learner.transform(views) - expected).max() > 1e-3


@pytest.mark.parametrize("init", ["average", "pca", "whiten"])
def test_row_that_is_zero_everywhere_stays_zero(views, init):
    learner = small(init=init).fit(views)
    zero = [np.zeros_like(v[:2]) for v in views]
    assert_array_equal(learner.transform(zero), np.zeros((2, 6)))


def test_fit_does_not_keep_the_caller_s_arrays(views):
    weights = np.ones(3)
    learner = small(view_weights=weights).fit(views)
    expected = learner.transform(views)
    weights[:] = [3, 0, 0]
    assert_array_equal(learner.transform(views), expected)


@pytest.mark.parametrize("params", [{"device": "nowhere"}, {"views": [1, 2]}])
def test_a_failed_fit_draws_no_random_numbers(views, params):
    rng = np.random.RandomState(0)
    with pytest.raises(ValueError, match=next(iter(params))):
        small(random_state=rng, **params).fit(np.hstack(views))
    assert rng.randint(10**6) == np.random.RandomState(0).randint(10**6)


@pytest.mark.parametrize("estimator", [EnsembleRepresentationLearner(max_iter=1), GCCA()])
def test_notebooks_show_the_views_after_fit(estimator):
    assert "<th>weight</th>" not in estimator._repr_mimebundle_()["text/html"]
    a, b = make_views(30, (6, 4))
    estimator = clone(estimator).fit({"clip": a, "<dino>": b})
    for html in (estimator._repr_mimebundle_()["text/html"], estimator._repr_html_()):
        assert "<tr><th>clip</th><td>6</td>" in html
        assert "<tr><th>&lt;dino&gt;</th><td>4</td>" in html
    with config_context(display="text"):
        assert list(estimator._repr_mimebundle_()) == ["text/plain"]
