"""What holds for any data and any settings."""

import copy

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from sklearn.base import clone

from sknnens import EnsembleRepresentationLearner

LARGEST_EXPONENT = {"float16": 4, "float32": 37, "float64": 300, "int64": 5}  # of ten
FLAWS = ["scaled rows", "zero rows", "zero column", "constant column", "rows alike"]
LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda x: np.repeat(np.repeat(x, 3, axis=0), 2, axis=1)[::3, ::2],
    "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
}


def examples(n):
    return settings(max_examples=n, deadline=None, derandomize=True, database=None)


@st.composite
def view_lists(draw):
    """Views of the same samples, of one type; NaN where a row lacks a view."""
    rng = np.random.RandomState(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    if draw(st.booleans()):
        sizes = sizes[:1] * len(sizes)
    n_rows = draw(st.integers(max(2, len(sizes)), 40))  # a list of more views is an error
    dtype = draw(st.sampled_from(list(LARGEST_EXPONENT)))
    most = LARGEST_EXPONENT[dtype]
    least = 0 if dtype == "int64" else -most
    signs = draw(st.sampled_from([[1], [-1, 1]]))
    share_missing = draw(st.sampled_from([0, 0, 0.3])) if dtype != "int64" else 0
    missing = rng.rand(n_rows, len(sizes)) < share_missing
    missing[range(n_rows), rng.randint(len(sizes), size=n_rows)] = False
    copied = rng.rand(n_rows) < draw(st.sampled_from([0, 0.5, 1]))
    source = np.where(copied, rng.randint(n_rows, size=n_rows), range(n_rows))
    views = []
    for size, lacking in zip(sizes, missing.T, strict=True):
        view = np.abs(rng.standard_normal((n_rows, size))) * rng.choice(signs, (n_rows, size))
        flaws = draw(st.sets(st.sampled_from(FLAWS)))
        if "rows alike" in flaws:
            view[:] = view[0]
        if "constant column" in flaws:
            view[:, rng.randint(size)] = 1
        if "zero column" in flaws:
            view[:, rng.randint(size)] = 0
        if "zero rows" in flaws:
            view[rng.rand(n_rows) < 0.3] = 0
        exponents = rng.randint(least, most + 1, size=(n_rows, 1))
        view *= 10.0 ** (exponents if "scaled rows" in flaws else draw(st.integers(least, most)))
        view[lacking] = np.nan
        views.append((np.rint(view) if dtype == "int64" else view).astype(dtype)[source])
    return views


@st.composite
def cases(draw):
    """A learner, and views that it can be fitted to."""
    views = draw(view_lists())
    assume(all(np.nan_to_num(v).any() for v in views))  # else there is nothing to learn from
    sizes = [v.shape[1] for v in views]
    init = draw(st.sampled_from(["auto", "pca", "whiten", "average"][: 4 - (len(set(sizes)) > 1)]))
    widths = st.none() | st.integers(1, min(len(views[0]), sum(sizes)))
    lacking = any(np.isnan(v).any() for v in views)
    choices = {
        "n_components": st.none() if init == "average" else widths,
        "n_layers": st.integers(1, 3),
        "hidden_size": st.sampled_from([None, 1, 5]),
        "max_iter": st.integers(1, 2),
        "batch_size": st.sampled_from([1, 7, 256]),
        "representation_learning_rate": st.sampled_from([3e-4, 0.1]),
        "warmup": st.sampled_from([0, 0.5, 1]),
        "alpha": st.sampled_from([0, 0.1]),
        "non_negative": st.booleans(),
        "view_weights": st.sampled_from(["auto", None]),
        "transform_solver": st.sampled_from(["newton", "adam"]),
        "transform_max_iter": st.sampled_from([0, 3, 20]),
        "normalize": st.booleans(),
        "missing_views": st.just("impute") if lacking else st.sampled_from(["error", "impute"]),
    }
    params = draw(st.fixed_dictionaries(choices))
    return EnsembleRepresentationLearner(init=init, random_state=0, **params), views


@pytest.mark.slow
@pytest.mark.filterwarnings("error", "ignore:.*has one column")
@examples(300)
@given(cases())
def test_rows_are_finite_and_of_length_one(case):
    learner, views = case
    kept, params = copy.deepcopy(views), learner.get_params()
    learned = clone(learner).fit_transform(views)
    assert_array_equal(learner.fit(views).transform(views), learned)
    assert np.isfinite(learner.loss_)
    widest = max(learner.view_sizes_)
    width = widest if learner.init == "average" else min(widest, len(learned))
    opposite = [-v for v in views]
    for X, out in [(views, learned), (opposite, learner.transform(opposite))]:
        assert out.shape == (len(views[0]), learner.n_components or width)
        assert out.dtype == (np.float64 if views[0].dtype == np.float64 else np.float32)
        assert np.isfinite(out).all()
        assert not learner.non_negative or out.min() >= 0
        zero = ~np.any([np.nan_to_num(v).any(axis=1) for v in X], axis=0)
        assert not out[zero].any()
        if learner.normalize:
            start = copy.copy(learner).set_params(transform_max_iter=0).transform(X)
            may_be_zero = zero | ~start.any(axis=1)
            assert_allclose(np.linalg.norm(out[~may_be_zero], axis=1), 1, atol=1e-5)
    assert learner.get_params() == params
    for view, before in zip(views, kept, strict=True):
        assert_array_equal(view, before)


@pytest.mark.slow
@examples(200)
@given(cases(), st.randoms(use_true_random=False))
def test_a_row_does_not_depend_on_its_company(case, random):
    learner, views = case
    whole = learner.fit(views).transform(views)
    order = random.sample(range(len(whole)), len(whole))
    assert_array_equal(learner.transform([v[order] for v in views]), whole[order])
    for i in order[:3]:
        assert_array_equal(learner.transform([v[i : i + 1] for v in views]), whole[i : i + 1])
    X = np.hstack(views)
    for row in X:
        alike = whole[((row == X) | (np.isnan(row) & np.isnan(X))).all(axis=1)]
        assert_array_equal(alike, np.broadcast_to(alike[0], alike.shape))


@pytest.mark.slow
@examples(150)
@given(cases(), st.data())
def test_form_and_layout_do_not_change_a_bit(case, draws):
    learner, views = case
    expected = clone(learner).fit(views)
    rows = expected.transform(views)
    in_layout = st.sampled_from(list(LAYOUTS.values()))
    listed = [draws.draw(in_layout)(v) for v in views]
    stacked = draws.draw(in_layout)(np.hstack(views))
    for x in [*listed, stacked]:
        x.setflags(write=False)
    for X, widths in [(listed, None), (stacked, expected.view_sizes_)]:
        fitted = clone(learner).set_params(views=widths).fit(X)
        assert_equal(fitted.coefs_, expected.coefs_)
        assert_array_equal(fitted.transform(X), rows)
        assert_array_equal(expected.transform(X), rows)


@examples(50)
@given(cases(), st.data())
def test_a_bad_view_is_an_error_that_names_it(case, draws):
    learner, views = case
    learner.fit(views)
    before = dict(vars(learner))
    v = draws.draw(st.integers(0, len(views) - 1))
    row, column = (draws.draw(st.integers(0, n - 1)) for n in views[v].shape)
    bad = [x.astype(np.float64) for x in views]
    bad[v][row, column] = draws.draw(st.sampled_from([np.inf, -np.inf]))
    for call in (learner.fit, learner.transform):
        with pytest.raises(ValueError, match=rf"^view {v} contains infinity in row {row}\.$"):
            call(bad)
    bad[v][:] = 0
    with pytest.raises(ValueError, match=rf"^view {v} is zero in every row"):
        learner.fit(bad)
    assert vars(learner) == before
