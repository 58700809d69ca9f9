"""Input forms and their errors."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from conftest import make_views
from numpy.testing import assert_array_equal

from sknnens import EnsembleRepresentationLearner, stack_views


def small(**params):
    return EnsembleRepresentationLearner(max_iter=2, transform_max_iter=2, **params)


def with_value(value, view=1, row=3):
    views = make_views(20)
    views[view][row, 2] = value
    return views


BAD_FITS = {
    "lengths": ({}, [np.ones((9, 2)), np.ones((8, 2))], ValueError, r"same samples.*\[9, 8\]"),
    "sum": ({"views": [2, 2]}, np.ones((9, 5)), ValueError, r"add up to 4 columns, but X has 5"),
    "zero width": ({"views": [5, 0]}, np.ones((9, 5)), ValueError, "positive integers"),
    "float width": ({"views": [2.5, 2.5]}, np.ones((9, 5)), ValueError, "positive integers"),
    "no widths": ({"views": []}, np.ones((9, 5)), TypeError, "non-empty sequence of widths"),
    "list width": ({"views": [2, 4]}, [np.ones((9, 3))] * 2, ValueError, "view 0 has 3 .* says 2"),
    "list count": ({"views": [6]}, [np.ones((9, 3))] * 2, ValueError, "X has 2 views, .* says 1"),
    "nan": ({}, with_value(np.nan), ValueError, "view 1: .* contains NaN"),
    "inf": ({}, with_value(np.inf), ValueError, "view 1: .* contains infinity"),
    "stacked nan": (
        {"views": [6, 6, 6]},
        np.hstack(with_value(np.nan)),
        ValueError,
        r"X \(view 1\) contains NaN",
    ),
    "complex": ({}, [np.ones((9, 2)), np.ones((9, 2)) * 1j], ValueError, "view 1: Complex data"),
    "sparse": ({}, scipy.sparse.eye(9, format="csr"), TypeError, "[Ss]parse data was passed"),
    "sparse view": (
        {},
        [np.ones((9, 2)), scipy.sparse.eye(9, format="csr")],
        TypeError,
        "view 1: [Ss]parse data was passed",
    ),
    "strings": ({}, np.full((9, 2), "a", dtype=object), ValueError, "could not convert string"),
    "objects": ({}, np.full((9, 2), {}, dtype=object), TypeError, "must be .* string.* number"),
    "no rows": ({}, np.empty((0, 4)), ValueError, "0 sample"),
    "no columns": ({}, [np.ones((9, 2)), np.empty((9, 0))], ValueError, "view 1: .* 0 feature"),
    "empty list": ({}, [], ValueError, "1D array"),
    "one sample": ({}, [np.ones((1, 3))] * 2, ValueError, "1 sample"),
    "3-D": ({}, np.ones((4, 3, 2)), ValueError, "dim 3"),
    "3-D view": ({}, [np.ones((4, 3, 2))], ValueError, "view 0: .* dim 3"),
    "1-D view": ({}, [np.ones(9), np.ones((9, 2))], ValueError, "view 0: .* 1D array"),
    "string view": ({}, [np.full((9, 2), "a")], ValueError, "view 0: .*could not convert|'a'"),
    "dict": ({}, {"a": np.ones((9, 2))}, TypeError, "a list or tuple of matrices, got dict"),
    "generator": ({}, (v for v in [np.ones((9, 2))]), TypeError, "got generator"),
    "needs detach": (
        {},
        [np.ones((9, 2)), torch.ones(9, 2, requires_grad=True)],
        TypeError,
        r"view 1: .* call \.detach\(\) on it",
    ),
    "bfloat16": ({}, torch.ones(9, 2, dtype=torch.bfloat16), TypeError, r"call \.float\(\) on it"),
    "mixed names": (
        {},
        pd.DataFrame(np.ones((9, 2)), columns=["a", 1]),
        TypeError,
        "Feature names are only supported",
    ),
    "dict of widths": ({"views": {"a": 5}}, np.ones((9, 5)), (TypeError, ValueError), "views"),
    "zero view": ({}, [np.ones((9, 2)), np.zeros((9, 2))], ValueError, "view 1 is zero in every"),
    "average": (
        {"init": "average"},
        [np.ones((9, 2)), np.ones((9, 3))],
        ValueError,
        r"init='average' needs views of one width, got \[2, 3\]",
    ),
    "average narrow": (
        {"init": "average", "n_components": 2},
        [np.ones((9, 3))] * 2,
        ValueError,
        "n_components=3, the width of the views",
    ),
    "too wide": (
        {"init": "pca", "n_components": 7},
        [np.ones((9, 3))] * 2,
        ValueError,
        "n_components=7 must be at most 6",
    ),
    "weights": ({"view_weights": [1]}, [np.ones((9, 3))] * 2, ValueError, r"shape \(2,\)"),
    "negative weight": (
        {"view_weights": [1, -1]},
        [np.ones((9, 3))] * 2,
        ValueError,
        "view_weights must be non-negative",
    ),
    "zero weights": ({"view_weights": [0, 0]}, [np.ones((9, 3))] * 2, ValueError, "not all zero"),
    "nan weight": (
        {"view_weights": [1, np.nan]},
        [np.ones((9, 3))] * 2,
        ValueError,
        "view_weights",
    ),
}


@pytest.mark.parametrize("case", BAD_FITS)
@pytest.mark.parametrize("fitted_before", [False, True])
def test_bad_input_to_fit(case, fitted_before, views):
    params, X, error, message = BAD_FITS[case]
    learner = small()
    if fitted_before:
        learner.fit(views)
    learner.set_params(**params)
    before = dict(vars(learner))
    with pytest.raises(error, match=message):
        learner.fit(X)
    assert list(vars(learner)) == list(before)
    assert all(vars(learner)[name] is value for name, value in before.items())


BAD_TRANSFORMS = {
    "columns": (lambda v: np.hstack(v)[:, :-1], "X has 17 features, but .* expecting 18"),
    "fewer views": (lambda v: v[:2], "X has 2 views, fitted on 3"),
    "width": (lambda v: [v[0], v[1], v[2][:, :4]], "view 2 has 4 columns, fitted on 6"),
    "nan": (lambda v: [v[0], v[1] * np.nan, v[2]], "view 1: .* contains NaN"),
    "stacked inf": (lambda v: np.hstack([v[0], v[1], v[2] * np.inf]), r"X \(view 2\) contains"),
    "no rows": (lambda v: [x[:0] for x in v], "0 sample"),
}


@pytest.mark.parametrize("case", BAD_TRANSFORMS)
def test_bad_input_to_transform(case, views):
    make, message = BAD_TRANSFORMS[case]
    learner = small().fit(views)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message):
        learner.transform(make(views))


def test_one_row_can_be_transformed(views):
    assert small().fit(views).transform([v[:1] for v in views]).shape == (1, 6)


def test_nested_lists_of_numbers_are_one_matrix(views):
    rows = views[0].tolist()
    learner = small(random_state=0).fit(rows)
    assert learner.view_sizes_ == [6]
    assert_array_equal(
        learner.transform(rows), small(random_state=0).fit(views[0]).transform(views[0])
    )


def test_a_nested_list_of_matrices_is_a_list_of_views(views):
    assert small().fit([v.tolist() for v in views]).view_sizes_ == [6, 6, 6]


def test_widths_as_a_series():
    fitted = small(views=pd.Series([4, 2])).fit(np.random.RandomState(0).rand(9, 6))
    assert fitted.view_sizes_ == [4, 2]


def test_tensors_and_other_byte_orders_are_read(views):
    expected = small(random_state=0).fit(views).transform(views)
    learner = small(random_state=0).fit([torch.tensor(v) for v in views])
    assert_array_equal(learner.transform([v.astype(">f4") for v in views]), expected)


def test_default_names(views):
    assert small().fit(views).view_names_.tolist() == ["view0", "view1", "view2"]


def test_stack_views():
    a, b = np.arange(6.0).reshape(3, 2), np.ones((3, 1))
    X, sizes = stack_views([a, b])
    assert_array_equal(X, np.hstack([a, b]))
    assert sizes == [2, 1]


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [((np.float16, np.float16), np.float32), ((np.float32, np.float64), np.float64)],
)
def test_stack_views_dtype(dtypes, expected):
    X, _ = stack_views([np.ones((3, 2), dtype=d) for d in dtypes])
    assert X.dtype == expected


def test_stack_views_errors():
    with pytest.raises(TypeError, match=r"a list or tuple of 2-D arrays, .* got ndarray"):
        stack_views(np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"same samples.*\[3, 4\]"):
        stack_views([np.ones((3, 2)), np.ones((4, 2))])
