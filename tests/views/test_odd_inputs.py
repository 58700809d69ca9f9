"""What other people's bug reports find: labels of rows, masks, odd types and odd containers."""

import os
import warnings
from collections import deque
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from conftest import make_views
from forms import Reader
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.fusion import Average, Concatenation

N_ROWS, WIDTH = 20, 4
A, B = make_views(N_ROWS, (WIDTH, WIDTH))
IDS = [f"u{i}" for i in range(N_ROWS)]


def read(*views, **params):
    """Fit and read views given apart; return them one by one."""
    stacked = Reader(**params).fit_transform(list(views))
    return np.split(stacked, len(views), axis=1)


def cells(x, index=None):
    values = np.empty(len(x), dtype=object)
    for i, vector in enumerate(x):  # one by one: pandas 2.1 would convert tensors
        values[i] = vector
    return pd.Series(values, index=index)


# labels of rows


@pytest.mark.parametrize("make", [pd.DataFrame, cells])
def test_rows_in_another_order_are_refused(make):
    a, b = make(A, index=IDS), make(B, index=IDS)
    assert_array_equal(np.hstack(read(a, b)), np.hstack([A, B]))
    for views in ([a, b.iloc[::-1]], {"clip": a, "dino": b.sample(frac=1, random_state=1)}):
        for call in (Reader().fit, stack_views):
            with pytest.raises(ValueError, match=r"^view 1.* row labels of .* in another order"):
                call(views)
    with pytest.raises(ValueError, match=r"^view 1 .* in another order"):
        Reader().fit([A, B]).transform([a, b.iloc[::-1]])


def test_other_rows_are_counted_and_shown():
    a, b = pd.DataFrame(A, index=IDS), pd.DataFrame(B, index=[*IDS[:-4], "x", "y", "z", "w"])
    with pytest.raises(ValueError, match=r"but for 4 of 20 \('x', 'y', 'z', \.\.\.\): all views"):
        Reader().fit([a, b])
    with pytest.raises(ValueError, match=r"^view 2 has the row labels of view 0 but for 20 of 20"):
        Reader().fit([a, B, b.set_axis(range(5, 25))])


def test_row_numbers_are_labels_beside_whole_numbers_only():
    a, b = pd.DataFrame(A), pd.DataFrame(B)
    read(a, b)
    read(a, b.set_axis(IDS))  # nothing is known of the rows of a
    read(a.set_axis(IDS), B)
    with pytest.raises(ValueError, match="in another order"):
        read(a, b.sample(frac=1, random_state=1))
    with pytest.raises(ValueError, match="but for 20 of 20"):
        read(a.set_axis(range(100, 120)), b)


@pytest.mark.parametrize("make", [lambda a, b: [a, b], lambda a, b: {"clip": a, "dino": b}])
@pytest.mark.parametrize("model", [Concatenation(), EnsembleRepresentationLearner(max_iter=1)])
def test_labels_come_out(make, model):
    views = make(pd.DataFrame(A, index=IDS), cells(B))
    model = clone(model).set_output(transform="pandas")
    for out in (model.fit_transform(views), model.transform(views)):
        assert out.index.tolist() == IDS
        assert list(out.columns) == list(model.get_feature_names_out())
    assert model.transform(make(A, B)).index.tolist() == list(range(N_ROWS))
    assert isinstance(model.set_output(transform="polars").transform(views), pl.DataFrame)
    assert isinstance(model.set_output(transform="default").transform(views), np.ndarray)


def test_labels_of_every_kind():
    two = pd.MultiIndex.from_arrays([IDS, range(N_ROWS)])
    a = pd.DataFrame(A, index=two)
    read(a, pd.DataFrame(B, index=two))
    for other in (IDS, pd.MultiIndex.from_arrays([IDS, range(N_ROWS), IDS])):
        for pair in ([a, pd.DataFrame(B, index=other)], [pd.DataFrame(B, index=other), a]):
            with pytest.raises(ValueError, match="but for 20 of 20"):
                read(*pair)
    with pytest.raises(ValueError, match=r"but for 1 of 20 \('u0'\)"):  # once too often
        read(pd.DataFrame(A, index=IDS), pd.DataFrame(B, index=["u0", *IDS[:-1]]))
    with pytest.raises(ValueError, match="in another order"):
        read(pd.DataFrame(A), pd.DataFrame(B, index=np.arange(20.0)[::-1]))


def test_labels_of_what_is_ignored_do_not_count():
    fitted = Concatenation().fit({"a": A, "b": B}).set_output(transform="pandas")
    a, b = pd.DataFrame(A, index=IDS), pd.DataFrame(B, index=IDS)
    for other in (a.iloc[::-1], a[:3]):
        assert fitted.transform({"other": other, "a": a, "b": b}).index.tolist() == IDS
        assert len(fitted.transform({"other": other, "a": A, "b": B})) == N_ROWS


# names of columns


def test_a_stacked_frame_in_another_order_is_refused():
    a, b = pd.DataFrame(A).add_prefix("clip_"), pd.DataFrame(B).add_prefix("dino_")
    cell_frame = pd.DataFrame({"clip": list(A), "dino": list(B)})
    for X in (
        cell_frame,
        {"clip": pd.DataFrame(A).add_prefix(""), "dino": b.rename(columns=lambda c: c[5:])},
    ):
        fitted = Reader().fit(X)
        assert_array_equal(fitted.transform(pd.concat([a, b], axis=1)), np.hstack([A, B]))
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.transform(pd.concat([b, a], axis=1))
    flat = pd.DataFrame(np.hstack([A, B]), columns=[*"abcdefgh"])
    turned = Reader({"second": [*"efgh"], "first": [*"abcd"]}).fit(flat)
    assert_array_equal(turned.transform(flat), np.hstack([B, A]))
    with pytest.raises(ValueError, match="the columns of the views were not in their order in fit"):
        turned.transform(flat.to_numpy())


def test_one_column_of_cells_for_a_column_transformer():
    frame = pd.DataFrame({"clip": list(A), "price": 1.0})
    both = [("emb", Concatenation(), "clip"), ("num", StandardScaler(), ["price"])]
    columns = ColumnTransformer(both).fit(frame)
    assert len(columns.get_feature_names_out()) == WIDTH + 1


@pytest.mark.parametrize("model", [Concatenation(), EnsembleRepresentationLearner(max_iter=1)])
def test_names_go_through_scikit_learn(model):
    frame = pd.DataFrame({"clip": list(A), "dino": list(B), "price": 1.0}, index=IDS)
    both = [("emb", model, ["clip", "dino"]), ("num", StandardScaler(), ["price"])]
    columns = ColumnTransformer(both).set_output(transform="pandas")
    out = columns.fit_transform(frame)
    assert out.columns.tolist() == columns.get_feature_names_out().tolist()
    assert out.index.tolist() == IDS
    pipeline = make_pipeline(clone(model), StandardScaler()).fit(frame[["clip", "dino"]])
    assert len(pipeline.get_feature_names_out(["clip", "dino"])) == out.shape[1] - 1
    with pytest.raises(ValueError, match="not equal to feature_names_in_"):
        pipeline.get_feature_names_out(["clip", "text"])
    # groups of columns, with one that is nobody's
    flat = pd.DataFrame(np.hstack([A, B]), columns=[*"abcdefgh"]).assign(price=1.0)
    grouped = clone(model).set_params(views={"clip": [*"abcd"], "dino": [*"efgh"]}).fit(flat)
    assert grouped.n_features_in_ == 9
    assert len(grouped.get_feature_names_out(flat.columns)) == out.shape[1] - 1
    assert_array_equal(grouped.transform(flat[[*"hgfedcba"]]), grouped.transform(flat))
    assert_array_equal(grouped.transform(np.hstack([A, B])), grouped.transform(flat))


# types that say more than NumPy's


def masked(x, *, rows=(), dtype=None):
    x = np.ma.MaskedArray(np.array(x, dtype=dtype), mask=False)
    for row in rows:
        x[row] = np.ma.masked
        x.data[row] = 99  # under the mask
    return x


@pytest.mark.parametrize("make", [masked, lambda x, **p: list(masked(x, **p)), None])
def test_masked_rows_are_missing(make):
    whole, gap = masked(A), masked(A, rows=[5])
    if make is not None:
        whole, gap = make(A), make(A, rows=[5])
    else:
        whole, gap = cells(masked(A)), cells(masked(A, rows=[5]))
    assert_array_equal(read(whole, B)[0], A)
    expected = A.copy()
    expected[5] = np.nan
    assert_array_equal(read(gap, B, missing_views="impute")[0], expected)
    with pytest.raises(ValueError, match=r"^view 0 contains NaN in row 5, in all of its columns"):
        read(gap, B)


def test_masks_of_whole_numbers_of_single_entries_and_of_a_stacked_matrix():
    numbers = (A * 100).astype(int)
    found = read(masked(numbers, rows=[3], dtype=int), B, missing_views="impute")[0]
    assert found.dtype == np.float32
    assert_array_equal(np.delete(found, 3, axis=0), np.delete(numbers, 3, axis=0))
    X = masked(np.hstack([A, B]))
    X[7, 1] = np.ma.masked
    with pytest.raises(ValueError, match=r"^view 0 contains NaN in row 7, in 1 of its 4 columns"):
        Reader([WIDTH, WIDTH]).fit(X)


def test_masks_of_cells_of_objects_and_of_complex_numbers():
    hidden = np.ma.array(cells(A).to_numpy(), mask=np.arange(N_ROWS) == 5)
    expected = A.copy()
    expected[5] = np.nan
    assert_array_equal(read(hidden, B, missing_views="impute")[0], expected)
    both = np.ma.stack([hidden, np.ma.array(cells(B).to_numpy())], axis=1)
    reader = Reader(missing_views="impute")
    assert_array_equal(reader.fit_transform(both)[:, :WIDTH], expected)
    doubles = np.ma.array(A.astype(np.float64).astype(object), mask=np.isnan(expected))
    found = Reader(missing_views="impute").fit_transform([doubles, B])
    assert found.dtype == np.float64
    assert_array_equal(found[:, :WIDTH], expected)
    with pytest.raises(ValueError, match="Complex data not supported"):
        read(masked(A.astype(complex), rows=[3]), B)


def test_doubles_stay_doubles():
    frame = pd.DataFrame(A.astype(object))
    frame.iloc[3] = pd.NA
    assert np.isnan(Reader(missing_views="impute").fit_transform([frame, B])[3, :WIDTH]).all()
    for x in (A.astype(np.longdouble), A.astype(np.float64).astype(object), A.astype(">f8")):
        for views in ([x, B], pd.DataFrame(x), [cells(x), B], {"a": x, "b": x}):
            assert Reader().fit_transform(views).dtype == np.float64
    assert Reader().fit_transform([A.astype(np.float16), B]).dtype == np.float32


@pytest.mark.parametrize("wrong", ["[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]", "a car"])
@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_texts_in_cells(wrong, frame):
    remedy = r"json\.loads" if wrong.startswith("[") else "leave it out"
    message = rf"column 'clip' holds text, '.{{5,43}}': .*{remedy}"
    texts = frame({"clip": [wrong] * N_ROWS, "dino": [wrong] * N_ROWS})
    for views in (None, {"clip": ["clip"], "dino": ["dino"]}):
        with pytest.raises(ValueError, match=message):
            Reader(views).fit(texts)
    with pytest.raises(ValueError, match=r"^view 0: " + message):
        Reader().fit([texts, B])
    with pytest.raises(ValueError, match=r"^column 1 holds text, 'a': leave it out"):
        Reader().fit(np.array([[1.0, "a"]] * N_ROWS, dtype=object))
    late = pd.DataFrame(A.astype(object))
    late.iloc[5, 2] = "n/a"
    with pytest.raises(ValueError, match=r"^view 0: column 2 holds text, 'n/a': leave it out"):
        Reader().fit([late, B])
    with pytest.raises(ValueError, match=r"^view 0: row 4 holds text, 'a car', but one vector is"):
        read(cells([*A[:4], "a car", *A[5:]]), B)
    with pytest.raises(ValueError, match=rf"^view 0: column 'clip' holds text, .*{remedy}"):
        Reader().fit([pd.Series([wrong] * N_ROWS, name="clip"), B])
    assert_array_equal(Reader().fit_transform(np.array([["1", "2.5"]] * 2)), [[1, 2.5]] * 2)


@pytest.mark.parametrize(
    ("convert", "call"),
    [
        (lambda v: v.bfloat16(), r"\.float\(\)"),
        (lambda v: v.requires_grad_(), r"\.detach\(\)"),
    ],
)
def test_tensors_that_numpy_cannot_read(convert, call):
    rows = [convert(torch.tensor(v)) for v in A]
    frame = pd.DataFrame({"clip": cells(rows), "dino": list(B)})
    for views in ([rows, B], [cells(rows), B], frame):
        with pytest.raises(TypeError, match=rf"^view 0.*call {call} on it first"):
            Reader().fit(views)
    assert_array_equal(read([torch.tensor(v) for v in A], B)[0], A)


def test_shapes_of_cells():
    rows = A[:, None].tolist()
    for x in (cells(A[:, None]), list(A[:, None]), pl.Series(rows), pl.Series(A[:, None])):
        assert_array_equal(np.float32(read(x, B)[0]), A)
    for views in ([cells(A.reshape(-1, 2, 2)), B], pd.DataFrame({"a": list(A.reshape(-1, 2, 2))})):
        with pytest.raises(
            ValueError, match=r"row 0 holds an array of shape \(2, 2\), but one vector"
        ):
            Reader().fit(views)
    with pytest.raises(ValueError, match=r"^view 1: .*\(20, 1, 4\), .*Call \.squeeze\(1\) on it"):
        Reader().fit([A, B[:, None]])


def test_vectors_under_two_levels_of_labels():
    frame = pd.DataFrame({("clip", "emb"): list(A), ("dino", "emb"): list(B)})
    fitted = Reader().fit(frame)
    assert fitted.view_names_.tolist() == ["clip", "dino"]
    assert_array_equal(fitted.transform(frame), np.hstack([A, B]))


def test_what_is_no_list_of_matrices():
    with pytest.raises(TypeError, match=r"^Expected one matrix, or a list, .* got dict_values"):
        Reader().fit({"a": A, "b": B}.values())
    with pytest.raises(TypeError, match=r"^view 0: .* parse texts first, such as by json"):
        Reader().fit([["[1, 2]"] * N_ROWS, B])
    with pytest.raises(TypeError, match=r"the rows are dictionaries: give its columns, X\[:\]"):
        Reader().fit([{"a": 1.0}] * N_ROWS)


# the parameter views


@pytest.mark.parametrize(
    "groups",
    [
        lambda labels: {"c": labels[:4], "d": labels[4:]},
        lambda labels: {"c": labels[:4].to_series(), "d": labels[4:].to_numpy()},
        lambda labels: {"c": tuple(labels[:4]), "d": list(labels[4:])},
    ],
)
def test_groups_of_labels_of_every_kind_are_saved(groups, tmp_path):
    frame = pd.DataFrame(np.hstack([A, B])).add_prefix("c")
    model = clone(Concatenation(groups(frame.columns))).fit(frame)
    assert_saved(model, frame, tmp_path)


def test_ranges_and_labels_of_two_levels_are_saved(tmp_path):
    frame = pd.DataFrame(np.hstack([A, B]))
    assert_saved(Concatenation({"c": range(4), "d": range(4, 8)}).fit(frame), frame, tmp_path)
    assert_saved(Concatenation(range(3, 6, 2)).fit(frame), frame, tmp_path)
    frame.columns = pd.MultiIndex.from_product([[*"cd"], range(WIDTH)])
    groups = {"c": list(frame.columns[:4]), "d": frame.columns[4:]}
    assert_saved(Concatenation(groups).fit(frame), frame, tmp_path)


def assert_saved(model, X, folder):
    model.save(folder / "model")
    loaded = type(model).load(folder / "model")
    assert_array_equal(loaded.transform(X), model.transform(X))
    assert_array_equal(clone(loaded).fit(X).transform(X), model.transform(X))


@pytest.mark.parametrize(
    "views",
    [
        {"a": 4, "b": 4}.values(),
        {"a": {"x": 1}.keys()},
        {"a": {1}},
        deque([4, 4]),
        np.array(4),
        np.array([[4, 4]]),
    ],
)
def test_views_that_could_not_be_saved_are_refused(views):
    with pytest.raises(TypeError, match=r"^views must be None, a non-empty sequence of widths"):
        Reader(views).fit(np.hstack([A, B]))


# the call itself


def test_a_second_model_in_place_of_y():
    frames = pd.DataFrame(A), pd.DataFrame(B)
    for a, b in ((A, B), frames, (A, B.tolist()), (torch.tensor(A), torch.tensor(B)), ([A], B)):
        with pytest.raises(ValueError, match=r"^y is a matrix of floats .* fit\(\[a, b\]\)"):
            Reader().fit(a, b)
    targets = A[:, :2].astype(np.float64)
    make_pipeline(Concatenation([WIDTH]), KNeighborsRegressor()).fit(A, targets)
    make_pipeline(Concatenation([WIDTH, WIDTH]), KNeighborsRegressor()).fit(
        np.hstack([A, B]), targets
    )


def test_a_view_of_one_column_is_told():
    with pytest.warns(
        UserWarning, match=r"^view 1 has one column, of which only the sign"
    ) as caught:
        Reader().fit([A, B[:, :1]])
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Reader().fit([A, B[:, :2]])


@pytest.mark.parametrize("model", [Average, EnsembleRepresentationLearner])
def test_a_model_that_is_absent_in_transform(model):
    params = {"max_iter": 1, "random_state": 0} if model is EnsembleRepresentationLearner else {}
    fitted = model(missing_views="impute", **params).fit({"clip": A, "dino": B})
    expected = fitted.transform({"clip": A, "dino": [None] * N_ROWS})
    for alone in (A, A.tolist(), pd.DataFrame(A), cells(A)):
        np.testing.assert_allclose(fitted.transform({"clip": alone}), expected, atol=1e-5)
    for wrong in ({"text": A}, {"clip": A, "dinno": B}):
        with pytest.raises(ValueError, match=r"^X has no view '(clip|dino)', only"):
            fitted.transform(wrong)
    with pytest.raises(ValueError, match=r"^X has no view 'dino', only \['clip'\]"):
        fitted.set_params(missing_views="error").transform({"clip": A})


def test_more_models_than_samples():
    few = [A[:3]] * 5
    for views, y in ((few, [0, 1, 0]), ([*few, A[:3, :2]], None), (dict(enumerate(few)), None)):
        Reader().fit(views, y)
    with pytest.raises(ValueError, match=r"more models than samples.* If it does, give a dict"):
        Reader().fit(few)


# files


@pytest.mark.parametrize(
    "form",
    [
        lambda a, b: [a, b],
        lambda a, b: {"clip": b, "dino": a},
        lambda a, b: [b, a[::-1, ::2]],
        lambda a, b: [pd.DataFrame(a, copy=False), b],
        lambda a, b: pd.DataFrame({"clip": list(a), "dino": list(b)}),
        lambda a, b: [[*a], b],
        lambda a, b: [torch.from_numpy(np.asarray(a)), B],
        lambda a, b: [[torch.from_numpy(row) for row in np.asarray(a)], B],
        lambda a, b: [np.asarray(memoryview(a)), B],
    ],
)
@pytest.mark.parametrize("spelling", ["a.npy", "./a.npy", "link.npy"])
def test_nothing_is_written_over_what_is_read(form, spelling, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", A)
    np.save("b.npy", B)
    (tmp_path / "link.npy").symlink_to("a.npy")
    a, b = np.load("a.npy", mmap_mode="c"), np.load("b.npy", mmap_mode="r")
    with pytest.raises(ValueError, match=r"^out='.*a?.npy' is a file that is read from"):
        stack_views(form(a, b), out=spelling)
    assert_array_equal(np.load("a.npy"), A)
    learner = EnsembleRepresentationLearner(max_iter=1).fit([A, B])
    learner.view_weights_ = np.load("b.npy", mmap_mode="r")[0, :2]
    with pytest.raises(ValueError, match=r"^out='b.npy' is a file that is read from"):
        learner.transform([A, B], out="b.npy")
    assert stack_views([a, b], out="c.npy")[0].shape == (N_ROWS, 2 * WIDTH)
    assert stack_views([A, B], out="a.npy")[0].shape == (N_ROWS, 2 * WIDTH)


# a view of any container is read rightly, or refused with its name


DTYPES = ["f2", "f4", "f8", ">f4", "longdouble", "i1", "u2", "i8", "O", "?"]
ORDERS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "reversed": lambda x: np.array(x[::-1, ::-1])[::-1, ::-1],
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
}
NESTINGS = {
    "array": lambda x, index: x,
    "rows": lambda x, index: list(x),
    "lists": lambda x, index: x.tolist(),
    "frame": lambda x, index: pd.DataFrame(x, index=index),
    "cells": cells,
    "cells of lists": lambda x, index: pd.Series(x.tolist(), index=index),
    "cells (1, d)": lambda x, index: cells(x[:, None], index),
    "frame of cells": lambda x, index: pd.DataFrame({"emb": list(x)}, index=index),
    "polars": lambda x, index: pl.DataFrame(x) if x.dtype.kind != "O" else x,
    "tensor": lambda x, index: torch.tensor(np.ascontiguousarray(x)),
}
INDEXES = {
    "none": None,
    "numbers": range(N_ROWS),
    "ids": IDS,
    "other order": IDS[::-1],
    "others": [*IDS[1:], "x"],
}
MASKS = ["no", "empty", "row", "entry"]


@settings(max_examples=200, deadline=None)
@given(
    *map(st.sampled_from, (DTYPES, [*ORDERS], [*NESTINGS], [*INDEXES], MASKS)),
    st.booleans(),
    st.booleans(),
)
def test_any_container_is_right_or_refused(dtype, order, nesting, index, mask, named, impute):
    numbers = (A * 100 > 50) if dtype == "?" else (A * 100).astype("i1")
    x = ORDERS[order](numbers.astype(dtype))
    if mask != "no":
        x = np.ma.MaskedArray(x, mask=False)
        if mask != "empty":
            x[(3, slice(None)) if mask == "row" else (3, 1)] = np.ma.masked
    expected = numbers.astype(np.float64)
    if mask in ("row", "entry"):
        expected[(3, slice(None)) if mask == "row" else (3, 1)] = np.nan
    is_labeled = nesting in ("frame", "cells", "cells of lists", "frame of cells", "cells (1, d)")
    other = pd.DataFrame(B, index=IDS)
    try:
        view = NESTINGS[nesting](x, INDEXES[index])
    except (TypeError, ValueError):  # torch and polars do not take it
        return
    views = {"clip": view, "dino": other} if named else [view, other]
    label = r"view 0 \('clip'\)" if named else "view 0"
    loses_mask = nesting in ("tensor", "polars", "frame") and mask in ("row", "entry")
    reader = Reader(missing_views="impute" if impute else "error")
    if is_labeled and index in ("other order", "others"):
        with pytest.raises(ValueError, match=r"^view 1.* has the row labels of " + label):
            reader.fit(views)
    elif loses_mask and nesting != "frame":
        return  # before this package sees it
    elif mask == "entry" or (mask == "row" and not impute):
        with pytest.raises(ValueError, match=rf"^{label}.* contains NaN in row 3"):
            reader.fit(views)
    else:
        assert_array_equal(reader.fit_transform(views)[:, :WIDTH], expected)


def test_the_windows_way_of_renaming(tmp_path, monkeypatch):
    """Windows renames no file that is mapped into memory."""
    replace = os.replace

    def replace_unmapped(source, target):
        if Path("/proc/self/maps").exists():
            assert str(source) not in Path("/proc/self/maps").read_text()
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_unmapped)
    learner = EnsembleRepresentationLearner(max_iter=1, random_state=0).fit([A, B])
    out = learner.transform([A, B], out=tmp_path / "out.npy")
    assert_array_equal(out, learner.transform([A, B]))
    stack_views([A, B], out=tmp_path / "x.npy")
    learner.save(tmp_path / "learner")
