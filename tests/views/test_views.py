"""What X and its parameters may be, and the errors if they are not."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from conftest import make_views
from forms import Reader
from numpy.testing import assert_array_equal
from sklearn.model_selection import KFold, cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sknnens._views import read_views

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


TWO = [np.ones((9, 3))] * 2
BAD_FITS = {
    "lengths": ({}, [np.ones((9, 2)), np.ones((8, 2))], ValueError, r"same samples.*\[9, 8\]"),
    "sum": ({"views": [2, 2]}, np.ones((9, 5)), ValueError, r"add up to 4 columns, but X has 5"),
    "zero width": ({"views": [5, 0]}, np.ones((9, 5)), ValueError, "positive integers"),
    "float width": ({"views": [2.5, 2.5]}, np.ones((9, 5)), ValueError, "positive integers"),
    "no widths": ({"views": []}, np.ones((9, 5)), TypeError, "non-empty sequence of widths"),
    "list width": ({"views": [2, 4]}, TWO, ValueError, "view 0 has 3 .* says 2"),
    "list count": ({"views": [3] * 3}, TWO, ValueError, "^X has 2 views, .*" + SAFE_FORM),
    "nan": ({}, with_value(np.nan), ValueError, "^view 1 contains NaN in row 3, in 1 of its 6"),
    "inf": ({}, with_value(np.inf), ValueError, r"^view 1 contains infinity in row 3\.$"),
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
        r"^view 1 contains NaN in row 4, in all of its columns\. missing_views='impute' imputes "
        r"it from the other views of the sample\.$",
    ),
    "partly missing row": (
        {"missing_views": "impute"},
        {"clip": np.ones((9, 2)), "dino": with_value(np.nan)[1][:9]},
        ValueError,
        r"^view 1 \('dino'\) contains NaN in row 3, in 1 of its 6 columns\.$",
    ),
    "no view": (
        {"missing_views": "impute"},
        [np.where(np.arange(30)[:, None] % 2 == 1, np.nan, np.ones((30, 3)))] * 2,
        ValueError,
        r"^Rows without any view: 1, 3, 5, 7, 9, 11, 13, 15, 17, 19 and 5 more\. There is nothing "
        r"to impute them from: leave them out\.$",
    ),
    "view missing everywhere": (
        {"missing_views": "impute"},
        [np.ones((9, 2)), np.full((9, 3), np.nan)],
        ValueError,
        r"^view 1 is missing in every row: there is nothing to learn from\. Leave it out\.$",
    ),
    "view missing or zero": (
        {"missing_views": "impute"},
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
    "strings": ({}, np.full((9, 2), "a", dtype=object), ValueError, "^column 0 holds text, 'a'"),
    "objects": ({}, np.full((9, 2), {}, dtype=object), TypeError, "must be .* string.* number"),
    "no rows": ({}, np.empty((0, 4)), ValueError, "0 sample"),
    "no columns": ({}, [np.ones((9, 2)), np.empty((9, 0))], ValueError, "view 1: .* 0 feature"),
    "empty list": ({}, [], ValueError, "1D array"),
    "one sample": ({}, [np.ones((1, 3))], ValueError, "1 sample"),
    "3-D": (
        {},
        np.ones((4, 9, 2)),
        ValueError,
        r"^Found array with dim 3, of shape \(4, 9, 2\), expected <= 2\. If the first axis "
        r"counts the models, put them side by side: X, views = stack_views\(list\(X\)\)\.$",
    ),
    "3-D view": ({}, [np.ones((4, 3, 2))], ValueError, "view 0: .* dim 3"),
    "1-D view": ({}, [np.ones(9), np.ones((9, 2))], ValueError, "view 0: .* 1D array"),
    "generator": ({}, (v for v in [np.ones((9, 2))]), TypeError, "^Expected one .* generator"),
    "empty dict": ({}, {}, ValueError, "^X holds no matrix"),
    "dict of vectors": ({}, {"a": np.ones(9)}, ValueError, r"^view 0 \('a'\): .* 1D array"),
    "lazy frame": ({}, pl.LazyFrame({"a": [1.0]}), TypeError, r"LazyFrame: call \.collect\(\)"),
    "two columns of a name": (
        {},
        pd.DataFrame([[np.ones(2)] * 3] * 9, columns=["clip", "dino", "clip"]),
        ValueError,
        r"^Expected unique column names, got:\n- 'clip' 2 times",
    ),
    "two names of models": (
        {},
        pd.DataFrame(np.ones((9, 2)), columns=pd.MultiIndex.from_tuples([(1, 0), ("1", 0)])),
        ValueError,
        r"^Two views have the name '1'\.$",
    ),
    "set of columns": ({"views": {"a": {"x"}}}, np.ones((9, 1)), TypeError, BAD_VIEWS),
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
        r"^views must hold positive integers, .* Give the label of a column in a list\.$",
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
        r"^views names columns of a DataFrame, but X is of type ndarray\. If a tool of "
        r"scikit-learn turns a DataFrame into an array, stack it first, "
        r"X, views = stack_views\(frame, views\), and give the learner those views\.$",
    ),
    "unknown column": (
        {"views": {"a": ["x"], "b": ["y", "z"]}},
        pd.DataFrame(np.ones((9, 2)), columns=["x", "y"]),
        ValueError,
        r"^view 'b': X has no column 'z'\.$",
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
        r"^view 0 \('clip'\): row 8 holds an array of shape \(3,\), but others have \(2,\)\.$",
    ),
    "matrix cells": ({}, pd.DataFrame({"a": [np.eye(2)] * 9}), ValueError, r"row 0 .* \(2, 2\)"),
    "cells of strings": (
        {},
        pd.DataFrame({"a": [["a", "b"]] * 9}),
        ValueError,
        r"^view 0 .*(not convert|'a')",
    ),
    "a cell that is none": (
        {},
        pd.DataFrame({"clip": [np.ones(2)] * 9, "dino": [np.ones(2)] * 8 + [None]}),
        ValueError,
        r"^view 1 \('dino'\) contains NaN in row 8, in all of its columns\. missing_views='impute'",
    ),
    "None inside a cell": (
        {"missing_views": "impute"},
        pd.DataFrame({"clip": [[1.0, 2.0]] * 8 + [[None, 1.0]]}),
        ValueError,
        r"^view 0 \('clip'\) contains NaN in row 8, in 1 of its 2 columns\.$",
    ),
    "empty column of cells": (
        {"missing_views": "impute"},
        pd.DataFrame({"clip": [np.ones(2)] * 9, "dino": [None] * 9}),
        ValueError,
        r"^view 1 \('dino'\): every cell is empty, so that its width is not known\.$",
    ),
    "list of samples": (
        {},
        [np.ones((3, 4))] * 20,
        ValueError,
        r"^X is a list of 20 matrices with 3 row\(s\) each: more models than samples\. A list "
        r"holds one matrix per model\. If it does, give a dictionary\. " + SAFE_FORM,
    ),
    "zero view": ({}, [np.ones((9, 2)), np.zeros((9, 2))], ValueError, "view 1 is zero in every"),
    "weights": ({"view_weights": [1]}, TWO, ValueError, r"shape \(2,\)"),
    "negative weight": ({"view_weights": [1, -1]}, TWO, ValueError, "must be non-negative"),
    "tiny weight": ({"view_weights": [1, 1e-12]}, TWO, ValueError, "must not differ by"),
    "zero weights": ({"view_weights": [0, 0]}, TWO, ValueError, "not all zero"),
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
    reader = Reader()
    if fitted_before:
        reader.fit(views)
    reader.set_params(**params)
    before = dict(vars(reader))
    with pytest.raises(error, match=message):
        reader.fit(X)
    assert list(vars(reader)) == list(before)
    assert all(vars(reader)[name] is value for name, value in before.items())


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
    reader = Reader().fit(views)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message):
        reader.transform(make(views))


def test_nested_lists_of_numbers_are_one_matrix(views):
    rows = views[0].tolist()  # Python's numbers are double
    reader = Reader().fit(rows)
    assert reader.view_sizes_ == [6]
    assert_array_equal(reader.transform(rows), views[0].astype(np.float64))


def test_a_nested_list_of_matrices_is_a_list_of_views(views):
    assert Reader().fit([v.tolist() for v in views]).view_sizes_ == [6, 6, 6]


def test_widths_as_a_series():
    fitted = Reader(views=pd.Series([4, 2])).fit(np.random.RandomState(0).rand(9, 6))
    assert fitted.view_sizes_ == [4, 2]


def test_default_names(views):
    assert Reader().fit(views).view_names_.tolist() == ["view0", "view1", "view2"]


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
        r"^view 0 \('clip'\) has a column 'clip_g', but it was 'clip_f' in fit: the names must be "
        r"the same, in the same order\.$",
    ),
    "columns in another order": (
        lambda v: frame_of(v, "bacdef"),
        r"^view 0 \('clip'\) has a column 'clip_b', but",
    ),
}


@pytest.mark.parametrize("case", BAD_NAMED_TRANSFORMS)
def test_bad_input_to_transform_with_names(case, views):
    make, message = BAD_NAMED_TRANSFORMS[case]
    reader = Reader().fit(frame_of(views))
    with pytest.raises(ValueError, match=message):
        reader.transform(make(views))


def test_a_list_that_was_split_by_its_models(views):
    """`train_test_split` and `cross_val_score` take the list for a list of samples."""
    train, test = train_test_split([*views, views[0]], random_state=0)
    reader = Reader().fit(train)
    with pytest.raises(ValueError, match=r"^X has 1 views, fitted on 3\. " + SAFE_FORM):
        reader.transform(test)
    with pytest.raises(ValueError, match=r"^X has 3 views, views says 4\. " + SAFE_FORM):
        Reader(views=[6] * 4).fit(train)
    message = r"^X is a list of 2 matrices with 60 row\(s\) each, but y has 2\. " + SAFE_FORM
    with pytest.raises(ValueError, match=message):
        Reader().fit(views[:2], [0, 1])
    with pytest.raises(ValueError, match=message):
        cross_val_score(
            make_pipeline(Reader(), KNeighborsClassifier(1)),
            views,
            [0, 1, 0],
            cv=KFold(3),
            error_score="raise",
        )


def test_the_hint_on_lists_is_for_lists(views):
    reader = Reader().fit(named(views))
    with pytest.raises(ValueError, match=r"^X has 2 views, views says 3\.$"):
        Reader(views=[6] * 3).fit(dict(list(named(views).items())[:2]))
    y = scipy.sparse.csr_matrix(np.ones((2, 1)))
    with pytest.raises(ValueError, match=r"with 60 row.* but y has 2\. "):
        reader.fit(views, y)


@pytest.mark.filterwarnings("error")
def test_a_lazy_frame_is_not_asked_for_its_columns():
    with pytest.raises(TypeError, match="LazyFrame"):
        Reader().fit(pl.LazyFrame({"a": [1.0]}))


def test_one_row_of_a_list_is_no_trap_in_transform(views):
    reader = Reader().fit(views)
    assert_array_equal(reader.transform([v[:1] for v in views]), reader.transform(views)[:1])


def test_a_plain_list_that_is_one_matrix_is_not_a_trap():
    assert Reader().fit(np.random.RandomState(0).rand(3, 5).tolist()).view_sizes_ == [5]


def test_a_view_of_weight_0_is_checked_for_its_width_only(views):
    views[1][:] = np.inf
    reader = Reader(view_weights=[1, 0, 0.5]).fit(views)
    assert_array_equal(reader.transform(views), np.hstack([views[0], views[2]]))
    assert reader.view_sizes_ == [6, 6, 6]
    assert reader.view_weights_.tolist() == [1, 0, 0.5]
    data = reader._read_to_fit(views)
    assert data.view_weights.tolist() == [1, 0.5]
    assert data.spread(["a", "b"], None) == ["a", None, "b"]
    with pytest.raises(ValueError, match=r"^view 1 has 5 columns, fitted on 6\.$"):
        reader.transform([views[0], views[1][:, :5], views[2]])


def test_weights_are_1_until_a_fusion_resolves_them(views):
    assert Reader(view_weights="auto").fit(views).view_weights_.tolist() == [1, 1, 1]


def test_a_sample_of_the_input(views):
    data = Reader()._read_to_fit(views)
    assert sorted(data.sample(99).views.norms[0]) == sorted(data.views.norms[0])
    sample = data.sample(20)
    rows = np.random.RandomState(0).permutation(60)[:20]
    assert_array_equal(sample.views.arrays[1], views[1][rows])
    assert_array_equal(sample.views.norms[1], data.views.norms[1][rows])
    assert sample.attributes is data.attributes


def test_read_views(views):
    read, names = read_views(named(views))
    assert names == ["clip", "dino", "text"]
    assert read.sizes == [6, 6, 6]
    views[0][3] = views[1][3] = views[2][3] = np.nan
    message = r"row 3, in all of its columns\. missing_views='drop' leaves such rows out\.$"
    with pytest.raises(ValueError, match=message):
        read_views(views, leaves_out=True)
    read, _ = read_views(views, missing_views="drop", leaves_out=True)
    assert np.flatnonzero(~read.present.any(axis=1)).tolist() == [3]
    with pytest.raises(ValueError, match=r"^Rows without any view: 3\."):
        read_views(views, missing_views="impute")


@pytest.mark.parametrize("dtype", ["float[pyarrow]", "Float32"])
def test_nullable_columns_with_gaps(dtype, views):
    views[1][3] = np.nan
    stacked = np.hstack(views)
    frame = pd.DataFrame(stacked).astype(dtype).mask(pd.DataFrame(np.isnan(stacked)))
    frame.columns = [f"c{i}" for i in range(18)]
    found = Reader([6] * 3, missing_views="impute").fit(frame).transform(frame)
    assert found.dtype == np.float32
    assert_array_equal(found, stacked)


def test_a_long_gap_before_the_first_vector():
    """Longer than what libraries look at to tell a column's type."""
    cells = pd.DataFrame({"clip": [None] * 1500 + [np.ones(3, np.float32)] * 9, "dino": 0})
    cells["dino"] = list(np.ones((1509, 2), np.float32))
    reader = Reader(missing_views="impute").fit(cells)
    assert reader.view_sizes_ == [3, 2]
