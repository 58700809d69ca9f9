"""Input forms and their errors."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from conftest import make_views
from numpy.testing import assert_array_equal
from sklearn.model_selection import KFold, cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sknnens import EnsembleRepresentationLearner


def small(**params):
    return EnsembleRepresentationLearner(max_iter=2, transform_max_iter=2, **params)


SAFE_FORM = (
    r"If scikit-learn split the list, it split it by models\. Stack the views and give it one "
    r"matrix, whose rows it splits: X, views = stack_views\(\[A, B, \.\.\.\]\), then "
    r"EnsembleRepresentationLearner\(views=views\)\.$"
)
BAD_VIEWS = (
    r"^views must be None, a non-empty sequence of widths such as \[512, 768\], or a dictionary "
    r"from the name of each view to its width or to the labels of its columns, got "
)


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
    "list count": (
        {"views": [3] * 3},
        [np.ones((9, 3))] * 2,
        ValueError,
        r"^X has 2 views, views says 3\. " + SAFE_FORM,
    ),
    "nan": (
        {},
        with_value(np.nan),
        ValueError,
        r"^view 1 contains NaN in row 3, in 1 of its 6 columns\.$",
    ),
    "inf": ({}, with_value(np.inf), ValueError, r"^view 1 contains infinity in row 3\.$"),
    "stacked nan": (
        {"views": [6, 6, 6]},
        np.hstack(with_value(np.nan)),
        ValueError,
        r"^view 1 contains NaN in row 3, in 1 of its 6 columns\.$",
    ),
    "stacked named nan": (
        {"views": {"clip": 6, "dino": 6, "text": 6}},
        np.hstack(with_value(-np.inf)),
        ValueError,
        r"^view 1 \('dino'\) contains infinity in row 3\.$",
    ),
    "one view nan": ({}, with_value(np.nan)[1], ValueError, "^X contains NaN in row 3, in 1 of"),
    "missing row": (
        {},
        [np.ones((9, 2)), np.where(np.arange(9)[:, None] == 4, np.nan, np.ones((9, 3)))],
        ValueError,
        r"^view 1 contains NaN in row 4, in all of its columns\. missing_views='mask' learns such "
        r"a row from its other views\.$",
    ),
    "missing row of one view": (
        {},
        np.where(np.arange(9)[:, None] == 4, np.nan, np.ones((9, 3))),
        ValueError,
        r"^X contains NaN in row 4, in all of its columns\.$",
    ),
    "partly missing row": (
        {"missing_views": "mask"},
        {"clip": np.ones((9, 2)), "dino": with_value(np.nan)[1][:9]},
        ValueError,
        r"^view 1 \('dino'\) contains NaN in row 3, in 1 of its 6 columns\.$",
    ),
    "masked inf": (
        {"missing_views": "mask"},
        {"clip": np.ones((9, 2)), "dino": with_value(np.inf)[1][:9]},
        ValueError,
        r"^view 1 \('dino'\) contains infinity in row 3\.$",
    ),
    "no view": (
        {"missing_views": "mask"},
        [np.where(np.arange(30)[:, None] % 2 == 1, np.nan, np.ones((30, 3)))] * 2,
        ValueError,
        r"^Rows without any view: 1, 3, 5, 7, 9, 11, 13, 15, 17, 19 and 5 more\. There is nothing "
        r"to learn them from: leave them out\.$",
    ),
    "view missing everywhere": (
        {"missing_views": "mask"},
        [np.ones((9, 2)), np.full((9, 3), np.nan)],
        ValueError,
        r"^view 1 is missing in every row: there is nothing to learn from\. Leave it out\.$",
    ),
    "view missing or zero": (
        {"missing_views": "mask"},
        [np.ones((9, 2)), np.where(np.arange(9)[:, None] == 4, np.nan, np.zeros((9, 3)))],
        ValueError,
        "^view 1 is zero in every row: there is nothing to learn from",
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
    "one sample": ({}, [np.ones((1, 3))], ValueError, "1 sample"),
    "3-D": (
        {},
        np.ones((4, 9, 2)),
        ValueError,
        r"^Found array with dim 3, of shape \(4, 9, 2\), expected <= 2\. Where the first axis "
        r"counts the models, put them side by side: X, views = stack_views\(list\(X\)\)\.$",
    ),
    "3-D tensor": ({}, torch.ones(4, 9, 2), ValueError, r"stack_views\(list\(X\)\)"),
    "3-D view": ({}, [np.ones((4, 3, 2))], ValueError, "view 0: .* dim 3"),
    "1-D view": ({}, [np.ones(9), np.ones((9, 2))], ValueError, "view 0: .* 1D array"),
    "string view": ({}, [np.full((9, 2), "a")], ValueError, "view 0: .*could not convert|'a'"),
    "generator": (
        {},
        (v for v in [np.ones((9, 2))]),
        TypeError,
        "^Expected one matrix, or a list, tuple or dictionary of matrices, got generator",
    ),
    "empty dict": ({}, {}, ValueError, "^X holds no matrix"),
    "dict of vectors": ({}, {"a": np.ones(9)}, ValueError, r"^view 0 \('a'\): .* 1D array"),
    "dict lengths": (
        {},
        {"a": np.ones((9, 2)), "b": np.ones((8, 2))},
        ValueError,
        r"^All views must have the same samples in the same order, got \[9, 8\] rows\.$",
    ),
    "lazy frame": (
        {},
        pl.LazyFrame({"a": [1.0]}),
        TypeError,
        r"^Expected data in memory, got LazyFrame: call \.collect\(\) on it\.$",
    ),
    "two columns of a name": (
        {},
        pd.DataFrame([[np.ones(2)] * 3] * 9, columns=["clip", "dino", "clip"]),
        ValueError,
        r"^Two views have the name 'clip'\.$",
    ),
    "two names of models": (
        {},
        pd.DataFrame(np.ones((9, 2)), columns=pd.MultiIndex.from_tuples([(1, 0), ("1", 0)])),
        ValueError,
        r"^Two views have the name '1'\.$",
    ),
    "set of columns": ({"views": {"a": {"x"}}}, np.ones((9, 1)), TypeError, BAD_VIEWS),
    "set of widths": ({"views": {"x", "y"}}, np.ones((9, 1)), (TypeError, ValueError), "views"),
    "column of two models": (
        {"views": {"a": ["x", "y"], "b": ["y"]}},
        pd.DataFrame(np.ones((9, 2)), columns=["x", "y"]),
        ValueError,
        r"^views names the column 'y' 2 times\.$",
    ),
    "widths that look like columns": (
        {"views": {"b": 1, "a": 1}},
        pd.DataFrame(np.ones((9, 2)), columns=["a", "b"]),
        ValueError,
        r"^views gives widths, but 'b' is the label of a column of X\. Give lists of labels",
    ),
    "label as width": (
        {"views": {"a": 0, "b": 1}},
        pd.DataFrame(np.ones((9, 2))),
        ValueError,
        r"^views must hold positive integers, .* The label of a column is given in a list\.$",
    ),
    "none in a list": ({}, [np.ones((9, 2)), None], ValueError, "^view 1: .* scalar array"),
    "none in a dict": ({}, {"a": None}, ValueError, r"^view 0 \('a'\): .* scalar array"),
    "path in a list": ({}, [np.ones((9, 2)), Path("a")], TypeError, "^view 1: Expected numbers, g"),
    "path in a dict": ({}, {"a": "a.npy"}, TypeError, r"^view 0 \('a'\): Expected numbers, got 'a"),
    "two names": ({}, {1: np.ones((9, 2)), "1": np.ones((9, 2))}, ValueError, "^Two views .* '1'"),
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
    "named widths": (
        {"views": {"a": 4}},
        np.ones((9, 5)),
        ValueError,
        r"^views=\[4\] add up to 4 columns, but X has 5\.$",
    ),
    "names in a list": ({"views": ["a", "b"]}, np.ones((9, 5)), TypeError, BAD_VIEWS),
    "empty group": ({"views": {"a": []}}, pd.DataFrame({"x": [1.0]}), TypeError, BAD_VIEWS),
    "width and group": ({"views": {"a": 2, "b": ["x"]}}, np.ones((9, 5)), TypeError, BAD_VIEWS),
    "unknown view": (
        {"views": {"clip": 2, "dino": 2}},
        {"clip": np.ones((9, 2)), "text": np.ones((9, 2))},
        ValueError,
        r"^X has no view 'dino', only \['clip', 'text'\]\.$",
    ),
    "width of a name": (
        {"views": {"dino": 3, "clip": 2}},
        {"clip": np.ones((9, 2)), "dino": np.ones((9, 4))},
        ValueError,
        r"^view 0 \('dino'\) has 4 columns, views says 3\.$",
    ),
    "groups of an array": (
        {"views": {"a": ["x"], "b": ["y"]}},
        np.ones((9, 2)),
        TypeError,
        r"^views names columns of a DataFrame, but X is of type ndarray\. Where a tool of "
        r"scikit-learn turns a DataFrame into an array, stack it first, "
        r"X, views = stack_views\(frame, views\), and give the learner those views\.$",
    ),
    "unknown column": (
        {"views": {"a": ["x"], "b": ["y", "z"]}},
        pd.DataFrame(np.ones((9, 2)), columns=["x", "y"]),
        ValueError,
        r"^view 'b': X has no column 'z'\.$",
    ),
    "column twice": (
        {"views": {"a": ["x"]}},
        pd.DataFrame(np.ones((9, 3)), columns=["x", "y", "x"]),
        ValueError,
        r"^view 'a': X has more than one column 'x'\.$",
    ),
    "cells and numbers": (
        {},
        pd.DataFrame({"clip": [np.ones(2)] * 9, "label": range(9)}),
        ValueError,
        r"^X has a vector in each cell of the columns \['clip'\], but not of 'label'\. Say which "
        r"columns to take, such as views=\{'clip': \['clip'\]\}\.$",
    ),
    "cells of two lengths": (
        {},
        pd.DataFrame({"clip": [np.ones(2)] * 8 + [np.ones(3)]}),
        ValueError,
        r"^view 0 \('clip'\): row 8 holds an array of shape \(3,\), where others have \(2,\)\.$",
    ),
    "cells of matrices": (
        {},
        pd.DataFrame({"clip": [np.ones((2, 2))] * 9}),
        ValueError,
        r"^view 0 \('clip'\): row 0 holds an array of shape \(2, 2\)",
    ),
    "cells of strings": (
        {},
        pd.DataFrame({"clip": [["a", "b"]] * 9}),
        ValueError,
        r"^view 0 \('clip'\): .*(could not convert|'a')",
    ),
    "a cell that is none": (
        {},
        pd.DataFrame({"clip": [np.ones(2)] * 9, "dino": [np.ones(2)] * 8 + [None]}),
        ValueError,
        r"^view 1 \('dino'\) contains NaN in row 8, in all of its columns\. missing_views='mask'",
    ),
    "None inside a cell": (
        {"missing_views": "mask"},
        pd.DataFrame({"clip": [[1.0, 2.0]] * 8 + [[None, 1.0]]}),
        ValueError,
        r"^view 0 \('clip'\) contains NaN in row 8, in 1 of its 2 columns\.$",
    ),
    "empty column of cells": (
        {"missing_views": "mask"},
        pd.DataFrame({"clip": [np.ones(2)] * 9, "dino": [None] * 9}),
        ValueError,
        r"^view 1 \('dino'\): every cell is empty, so that its width is not known\.$",
    ),
    "list of samples": (
        {},
        [np.ones((3, 4))] * 20,
        ValueError,
        r"^X is a list of 20 matrices with 3 row\(s\) each: more models than samples\. A list "
        r"holds one matrix a model\. " + SAFE_FORM,
    ),
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
    "tiny weight": (
        {"view_weights": [1, 1e-12]},
        [np.ones((9, 3))] * 2,
        ValueError,
        "must not differ by more than a factor of 1e",
    ),
    "zero weights": ({"view_weights": [0, 0]}, [np.ones((9, 3))] * 2, ValueError, "not all zero"),
    "nan weight": (
        {"view_weights": [1, np.nan]},
        [np.ones((9, 3))] * 2,
        ValueError,
        "view_weights",
    ),
    "weight of no view": (
        {"view_weights": {"lsa": 0}},
        {"clip": np.ones((9, 3)), "dino": np.ones((9, 3))},
        ValueError,
        r"^view_weights names 'lsa', but the views are \['clip', 'dino'\]\.$",
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
    "fewer views": (lambda v: v[:2], "^X has 2 views, fitted on 3. " + SAFE_FORM),
    "width": (lambda v: [v[0], v[1], v[2][:, :4]], "^view 2 has 4 columns, fitted on 6"),
    "nan": (lambda v: [v[0], v[1] * np.nan, v[2]], "^view 1 contains NaN in row 0, in all of"),
    "stacked inf": (
        lambda v: np.hstack([v[0], v[1], v[2] * np.inf]),
        r"^view 2 contains infinity in row 0\.$",
    ),
    "names": (
        lambda v: dict(zip("abc", v, strict=True)),
        r"^X has no view 'view0', only \['a', 'b', 'c'\]\. The learner was fitted on views without "
        r"names: give them in a list\.$",
    ),
    "3-D": (lambda v: np.stack(v), r"stack_views\(list\(X\)\)"),
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
    rows = views[0].tolist()  # Python's numbers are double
    learner = small(random_state=0).fit(rows)
    assert learner.view_sizes_ == [6]
    double = views[0].astype(np.float64)
    assert_array_equal(learner.transform(rows), small(random_state=0).fit(double).transform(double))


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


def named(views):
    return dict(zip(["clip", "dino", "text"], views, strict=True))


def frame_of(views, labels="abcdef"):
    columns = pd.MultiIndex.from_product([list(named(views)), list(labels)])
    return pd.DataFrame(np.hstack(views), columns=columns)


BAD_NAMED_TRANSFORMS = {
    "width": (
        lambda v: named(v) | {"text": v[2][:, :4]},
        r"^view 2 \('text'\) has 4 columns, fitted on 6\.$",
    ),
    "missing view": (
        lambda v: {"clip": v[0], "dino": v[1]},
        r"^X has no view 'text', only \['clip', 'dino'\]\.$",
    ),
    "other columns": (
        lambda v: frame_of(v, "abcdeg"),
        r"^view 0 \('clip'\) has a column 'clip_g' where 'clip_f' was in fit: the names must be "
        r"the same, in the same order\.$",
    ),
    "columns in another order": (
        lambda v: frame_of(v, "bacdef"),
        r"^view 0 \('clip'\) has a column 'clip_b' where",
    ),
}


@pytest.mark.parametrize("case", BAD_NAMED_TRANSFORMS)
def test_bad_input_to_transform_with_names(case, views):
    make, message = BAD_NAMED_TRANSFORMS[case]
    learner = small().fit(frame_of(views))
    with pytest.raises(ValueError, match=message):
        learner.transform(make(views))


def test_a_list_that_was_split_by_its_models(views):
    """`train_test_split` and `cross_val_score` take the list for a list of samples."""
    train, test = train_test_split([*views, views[0]], random_state=0)
    learner = small().fit(train)
    with pytest.raises(ValueError, match=r"^X has 1 views, fitted on 3\. " + SAFE_FORM):
        learner.transform(test)
    with pytest.raises(ValueError, match=r"^X has 3 views, views says 4\. " + SAFE_FORM):
        small(views=[6] * 4).fit(train)
    message = r"^X is a list of 2 matrices with 60 row\(s\) each, but y has 2\. " + SAFE_FORM
    with pytest.raises(ValueError, match=message):
        small().fit(views[:2], [0, 1])
    with pytest.raises(ValueError, match=message):
        cross_val_score(
            make_pipeline(small(), KNeighborsClassifier(1)),
            views,
            [0, 1, 0],
            cv=KFold(3),
            error_score="raise",
        )


def test_the_hint_on_lists_is_for_lists(views):
    learner = small().fit(named(views))
    with pytest.raises(ValueError, match=r"^X has 2 views, views says 3\.$"):
        small(views=[6] * 3).fit(dict(list(named(views).items())[:2]))
    y = scipy.sparse.csr_matrix(np.ones((2, 1)))
    with pytest.raises(ValueError, match=r"with 60 row.* but y has 2\. "):
        learner.fit(views, y)


@pytest.mark.filterwarnings("error")
def test_a_lazy_frame_is_not_asked_for_its_columns():
    with pytest.raises(TypeError, match="LazyFrame"):
        small().fit(pl.LazyFrame({"a": [1.0]}))


def test_one_row_of_a_list_is_no_trap_in_transform(views):
    learner = small().fit(views)
    assert_array_equal(learner.transform([v[:1] for v in views]), learner.transform(views)[:1])


def test_a_plain_list_that_is_one_matrix_is_not_a_trap():
    assert small().fit(np.random.RandomState(0).rand(3, 5).tolist()).view_sizes_ == [5]
