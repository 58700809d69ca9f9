"""Input forms: one stacked matrix, or one matrix a model, to one array a view."""

import os
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_array

from sknnens._views._checks import check_same_lengths, check_same_sizes, check_view_sum
from sknnens._views._frames import (
    VectorColumns,
    View,
    as_view,
    column_labels,
    find_frame_views,
    first_filled,
    frame_to_array,
    is_cell_column,
    is_frame,
    is_vector,
)

FLOAT_DTYPES = [np.float32, np.float64]  # in this order float16 becomes float32


@dataclass(frozen=True)
class Layout:
    """What the parameter ``views`` says.

    Attributes
    ----------
    names : list of str or None
        Names of the views, in their order.
    sizes : list of int or None
        Their widths.
    columns : dict from str to list of labels, or None
        The columns of a frame that are theirs.
    """

    names: list[str] | None = None
    sizes: list[int] | None = None
    columns: dict[str, list[Hashable]] | None = None


def check_layout(views: Any) -> Layout:
    """Read the parameter ``views``.

    Parameters
    ----------
    views : None, sequence of int, or mapping from name to width or to labels of columns
        As given by the user.

    Returns
    -------
    layout : Layout

    Raises
    ------
    TypeError, ValueError
        If it is nothing of that kind.
    """
    if views is None:
        return Layout()
    if isinstance(views, str | set | frozenset) or len(views) == 0:
        raise _bad_views(views)
    names = check_names(views) if isinstance(views, Mapping) else None
    values = list(views.values() if isinstance(views, Mapping) else views)
    if not any(isinstance(v, str) or hasattr(v, "__len__") for v in values):
        if any(not isinstance(v, Integral) or v < 1 for v in values):
            hint = "" if names is None else " The label of a column is given in a list."
            raise ValueError(
                f"views must hold positive integers, the width of each view, got {views}.{hint}"
            )
        return Layout(names, sizes=[int(v) for v in values])
    groups = [[v] if isinstance(v, str) else v for v in values]
    if names is None or any(
        isinstance(v, Mapping | set | frozenset) or not hasattr(v, "__len__") or len(v) == 0
        for v in groups
    ):
        raise _bad_views(views)
    columns = {name: list(v) for name, v in zip(names, groups, strict=True)}
    for label, count in Counter(chain(*columns.values())).items():
        if count > 1:
            raise ValueError(f"views names the column {label!r} {count} times.")
    return Layout(names, columns=columns)


def _bad_views(views: Any) -> TypeError:
    return TypeError(
        "views must be None, a non-empty sequence of widths such as [512, 768], or a dictionary "
        "from the name of each view to its width or to the labels of its columns, got "
        f"{views!r}."
    )


def check_names(names: Iterable[Any]) -> list[str]:
    """Turn the views' names into strings, and raise ValueError where two are alike."""
    strings = [str(name) for name in names]
    for name in strings:
        if strings.count(name) > 1:
            raise ValueError(f"Two views have the name {name!r}.")
    return strings


def default_names(n_views: int) -> list[str]:
    """Names of views that the user gave none."""
    return [f"view{i}" for i in range(n_views)]


def label_views(names: Sequence[str]) -> list[str]:
    """Say what messages call the views: by number, and by name where one was given."""
    defaults = default_names(len(names))
    return [
        f"view {i}" if name == default else f"view {i} ({name!r})"
        for i, (name, default) in enumerate(zip(names, defaults, strict=True))
    ]


def check_form(X: Any, layout: Layout) -> None:
    """Raise TypeError where ``views`` names columns and `X` has none."""
    if layout.columns is not None and not is_frame(X):
        raise TypeError(
            f"views names columns of a DataFrame, but X is of type {type(X).__name__}. Where a "
            "tool of scikit-learn turns a DataFrame into an array, stack it first, "
            "X, views = stack_views(frame, views), and give the learner those views."
        )


def find_views(X: Any, layout: Layout) -> list[View] | None:
    """Find the matrix of each model.

    Parameters
    ----------
    X : object
        As given by the user.
    layout : Layout
        Where both it and `X` name their views, those of `layout` are taken, in its order.

    Returns
    -------
    views : list of View or None
        None where `X` is one matrix.

    Raises
    ------
    ValueError, TypeError
        If `X` does not have the columns or the views of `layout`.
    """
    if is_frame(X):
        found = find_frame_views(X, layout.names, layout.columns)
        if found is None:
            for name in (layout.names or ()) if layout.sizes else ():
                if name in column_labels(X):
                    raise ValueError(
                        f"views gives widths, but {name!r} is the label of a column of X. Give "
                        "lists of labels instead."
                    )
            return None
    elif isinstance(X, Mapping) and not hasattr(X, "shape"):  # a sparse matrix may be one
        if not X:
            raise ValueError("X holds no matrix.")
        found = [as_view(x, str(name)) for name, x in X.items()]
    elif is_view_list(X):
        return [as_view(x, None) for x in X]
    elif is_cell_column(X) and len(X):
        return [as_view(X, None)]
    elif isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 2:
        # what some of scikit-learn's tools make of a frame with vectors in its cells
        is_cells = any(is_vector(first_filled(column)) for column in X.T)
        return [as_view(column, None) for column in X.T] if is_cells else None
    else:
        return None
    return _in_order(found, layout.names)


def _in_order(views: list[View], wanted: Sequence[str] | None) -> list[View]:
    """Take the wanted views by name, in their order; None takes all."""
    names = check_names(view.name for view in views)
    if wanted is None:
        return views
    for name in wanted:
        if name not in names:
            hint = ""
            if list(wanted) == default_names(len(wanted)):
                hint = " The learner was fitted on views without names: give them in a list."
            raise ValueError(f"X has no view {name!r}, only {names}.{hint}")
    return [views[names.index(name)] for name in wanted]


def is_view_list(X: Any) -> bool:
    """Tell a list or tuple of matrices from one matrix.

    A nested list of numbers, rows by columns, is one matrix.

    Parameters
    ----------
    X : object
        What the user passed.

    Returns
    -------
    is_list : bool
        True where an entry of a list or tuple has two axes or more, or a vector in each cell.
    """
    return isinstance(X, list | tuple) and any(_n_axes(x) >= 2 or is_cell_column(x) for x in X)


def _n_axes(x: Any) -> int:
    try:
        return int(x.ndim if hasattr(x, "ndim") else np.ndim(x))
    except ValueError:  # ragged: check_array says so in its own words
        return 0


def prepare_views(views: Sequence[View], labels: Sequence[str]) -> list[Any]:
    """Matrices of all views, not yet read, of which it is sure that they have the same rows.

    Parameters
    ----------
    views : sequence of View
        As found in what the user gave.
    labels : sequence of str
        What messages call them.

    Returns
    -------
    matrices : list of array-like or VectorColumns
        All with two axes.
    """
    matrices = []
    for view, label in zip(views, labels, strict=True):
        with label_errors(label):
            x = view.matrix
            if not isinstance(x, VectorColumns) and not is_frame(x):
                x = as_native(x)
            if len(getattr(x, "shape", ())) != 2:
                check_array(x, dtype=None, ensure_all_finite=False)  # says what is wrong with it
                x = np.asarray(x)
        matrices.append(x)
    check_same_lengths(matrices)
    return matrices


def read_matrix(
    x: Any, label: str, *, size: int | None = None, estimator: Any = None, min_samples: int = 1
) -> NDArray[Any]:
    """Turn the matrix of one model into an array of floats.

    Parameters
    ----------
    x : array-like or VectorColumns, of shape (n_samples, n_features_v)
        As prepared.
    label : str
        What messages call it.
    size : int, default=None
        Its width, where it is known, for rows that are all empty.
    estimator : object, default=None
        Whose name the messages carry.
    min_samples : int, default=1
        Fewest rows allowed.

    Returns
    -------
    x : ndarray of shape (n_samples, n_features_v)
        float32 or float64, which may share memory with what was given. It may hold NaN.
    """
    with label_errors(label):
        array: NDArray[Any] = check_array(
            x.to_matrix(size) if isinstance(x, VectorColumns) else as_native(x),
            dtype=FLOAT_DTYPES,
            ensure_all_finite=False,
            estimator=estimator,
            ensure_min_samples=min_samples,
        )
    return array


def read_matrices(
    matrices: Sequence[Any],
    labels: Sequence[str],
    sizes: Sequence[int] | None,
    where: str,
    *,
    estimator: Any = None,
    min_samples: int = 1,
) -> list[NDArray[Any]]:
    """Read the matrices of all models, and check their widths.

    Parameters
    ----------
    matrices : sequence of array-like or VectorColumns
        As prepared.
    labels : sequence of str
        What messages call them.
    sizes : sequence of int or None
        Their widths, where they are known.
    where : str
        What messages say of where they are known from.
    estimator, min_samples
        As in `read_matrix`.

    Returns
    -------
    arrays : list of ndarray of shape (n_samples, n_features_v)
        Each float32 or float64.
    """
    known: Sequence[int | None] = [None] * len(labels) if sizes is None else sizes
    arrays = [
        read_matrix(x, label, size=size, estimator=estimator, min_samples=min_samples)
        for x, label, size in zip(matrices, labels, known, strict=True)
    ]
    if sizes is not None:
        check_same_sizes(arrays, sizes, labels, where)
    return arrays


@contextmanager
def label_errors(label: str) -> Iterator[None]:
    """Put the name of a view before the message of an error about it."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{label}: {error}") from error


def join_types(arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Bring arrays to the type that they have together, without a copy of those that have it."""
    dtype = np.result_type(*arrays)
    return [x.astype(dtype, copy=False) for x in arrays]


def as_native(x: Any) -> Any:
    """Let pass what can become an array, with a type that scikit-learn can see.

    Parameters
    ----------
    x : object
        One matrix, as given by the user.

    Returns
    -------
    x : object
        Still to be checked.

    Raises
    ------
    TypeError
        If it is a tensor that NumPy cannot read, or no matrix at all; it says what to do.
    ValueError
        If it has three axes or more.
    """
    if isinstance(x, Mapping | Iterator | set) and not hasattr(x, "shape"):
        raise TypeError(
            "Expected one matrix, or a list, tuple or dictionary of matrices, got "
            f"{type(x).__name__}."
        )
    first = x[0] if isinstance(x, list | tuple) and x else x
    if isinstance(first, str | os.PathLike):
        raise TypeError(
            f"Expected numbers, got {first!r}. A file is opened with np.load(path, mmap_mode='r')."
        )
    if hasattr(x, "collect") and not hasattr(x, "shape"):
        raise TypeError(f"Expected data in memory, got {type(x).__name__}: call .collect() on it.")
    if isinstance(x, torch.Tensor):
        x = _as_array(x)
    elif is_frame(x):
        x = frame_to_array(x)
    elif isinstance(x, list | tuple) or (hasattr(x, "__array__") and not hasattr(x, "dtype")):
        try:
            x = np.asarray(x)
        except ValueError:  # ragged: check_array says so in its own words
            return x
    if getattr(x, "ndim", 0) > 2:
        raise ValueError(
            f"Found array with dim {x.ndim}, of shape {x.shape}, expected <= 2. Where the first "
            "axis counts the models, put them side by side: X, views = stack_views(list(X))."
        )
    # scikit-learn takes another byte order for another type, and would make float32 of it
    if isinstance(x, np.ndarray) and x.dtype.kind == "f" and not x.dtype.isnative:
        return x.astype(x.dtype.newbyteorder("="))
    return x


def _as_array(x: torch.Tensor) -> NDArray[Any]:
    needed = {
        "detach()": x.requires_grad,
        "cpu()": x.device.type != "cpu",
        "float()": x.dtype == torch.bfloat16,
    }
    if any(needed.values()):
        calls = "".join(f".{call}" for call, is_needed in needed.items() if is_needed)
        raise TypeError(
            f"A tensor of type {x.dtype} on {x.device} with requires_grad={x.requires_grad} "
            f"cannot be read as an array: call {calls} on it first."
        )
    array: NDArray[Any] = x.numpy()
    return array


def column_slices(sizes: Sequence[int]) -> list[slice]:
    """Where views of these widths are in the stacked matrix."""
    stops = np.cumsum(sizes).tolist()
    return [slice(stop - size, stop) for stop, size in zip(stops, sizes, strict=True)]


def split_views(X: NDArray[Any], sizes: Sequence[int] | None) -> list[NDArray[Any]]:
    """Split a stacked matrix into its views, without a copy.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        The views side by side.
    sizes : sequence of int or None
        Width of each view; None means that all columns are one view.

    Returns
    -------
    arrays : list of ndarray of shape (n_samples, n_features_v)
        Views of the memory of `X`.
    """
    if sizes is None:
        return [X]
    check_view_sum(sizes, X.shape[1])
    return [X[:, columns] for columns in column_slices(sizes)]
