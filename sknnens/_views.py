"""Input forms: one stacked matrix, or one matrix a model, to one array a view."""

import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_array

from sknnens._checks import check_same_lengths, check_view_sum
from sknnens._frames import (
    VectorColumns,
    find_frame_views,
    holds_vectors,
    is_frame,
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
    names = check_names(views) if isinstance(views, Mapping) else None
    values = list(views.values() if isinstance(views, Mapping) else views)
    if not values or isinstance(views, str):
        raise _bad_views(views)
    if not any(isinstance(v, str) or hasattr(v, "__len__") for v in values):
        if any(not isinstance(v, Integral) or v < 1 for v in values):
            raise ValueError(
                f"views must hold positive integers, the width of each view, got {views}."
            )
        return Layout(names, sizes=[int(v) for v in values])
    columns = [[v] if isinstance(v, str) else v for v in values]
    if names is None or any(not hasattr(v, "__len__") or len(v) == 0 for v in columns):
        raise _bad_views(views)
    return Layout(names, columns={k: list(v) for k, v in zip(names, columns, strict=True)})


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


@dataclass(frozen=True)
class Parts:
    """One matrix a view, not yet read.

    Attributes
    ----------
    matrices : list of array-like
        Arrays, tensors, frames or `VectorColumns`.
    names : list of str or None
        Names of the views, where the form has some.
    columns : list of (list of str or None), or None
        For each view, names of its columns, where the form has some.
    """

    matrices: list[Any]
    names: list[Any] | None = None
    columns: list[list[str] | None] | None = None

    def in_order(self, wanted: Sequence[str] | None) -> "Parts":
        """Take the named views, in the wanted order; None takes all."""
        assert self.names is not None
        assert self.columns is not None
        names = check_names(self.names)
        wanted = names if wanted is None else wanted
        for name in wanted:
            if name not in names:
                raise ValueError(f"X has no view {name!r}, only {names}.")
        order = [names.index(name) for name in wanted]
        return Parts(
            [self.matrices[i] for i in order], list(wanted), [self.columns[i] for i in order]
        )

    @property
    def column_names(self) -> list[str] | None:
        """Names of the columns of the stacked matrix, where all have one."""
        if self.columns is None or any(names is None for names in self.columns):
            return None
        return [name for names in self.columns for name in names or ()]


def find_parts(X: Any, layout: Layout) -> Parts | None:
    """Find the matrix of each model.

    Parameters
    ----------
    X : object
        As given by the user.
    layout : Layout
        Where both it and `X` name their views, those of `layout` are taken, in its order.

    Returns
    -------
    parts : Parts or None
        None where `X` is one matrix.

    Raises
    ------
    ValueError, TypeError
        If `X` does not have the columns or the views of `layout`.
    """
    if is_frame(X):
        views = find_frame_views(X, layout.names, layout.columns)
        if views is None:
            return None
        found = Parts(
            [v.matrix for v in views], [v.name for v in views], [v.columns for v in views]
        )
    elif isinstance(X, Mapping) and not hasattr(X, "shape"):  # a sparse matrix may be one
        if not X:
            raise ValueError("X holds no matrix.")
        found = Parts(list(X.values()), list(X), [None] * len(X))
    elif is_view_list(X):
        return Parts(list(X))
    elif _is_vector_column(X):
        return Parts([X])
    elif isinstance(X, np.ndarray) and X.ndim == 2 and X.shape[1] and holds_vectors(X[:, 0]):
        # what some of scikit-learn's tools make of a frame with vectors in its cells
        return Parts([VectorColumns.from_columns([column]) for column in np.asarray(X).T])
    else:
        return None
    return found.in_order(layout.names)


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
    return isinstance(X, list | tuple) and any(_n_axes(x) >= 2 or _is_vector_column(x) for x in X)


def _n_axes(x: Any) -> int:
    try:
        return int(x.ndim if hasattr(x, "ndim") else np.ndim(x))
    except ValueError:  # ragged: check_array says so in its own words
        return 0


def _is_vector_column(x: Any) -> bool:
    """Tell a Series or array with a vector in each cell from a row of numbers."""
    if isinstance(x, np.ndarray):
        return x.ndim == 1 and holds_vectors(x)
    return hasattr(x, "to_numpy") and not is_frame(x) and holds_vectors(_get_cells(x))


def _get_cells(x: Any) -> NDArray[Any]:
    return np.asarray(x.to_numpy() if hasattr(x, "to_numpy") else x)


def read_matrix(
    x: Any, label: str, *, size: int | None = None, estimator: Any = None, min_samples: int = 1
) -> NDArray[Any]:
    """Turn the matrix of one model into an array of floats.

    Parameters
    ----------
    x : array-like of shape (n_samples, n_features_v)
        An array, a tensor, a frame, a `VectorColumns`, or a Series with a vector in each cell.
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
    try:
        if _is_vector_column(x):
            x = VectorColumns.from_columns([_get_cells(x)])
        if isinstance(x, VectorColumns):
            x = x.to_matrix(size)
        array: NDArray[Any] = check_array(
            as_native(x),
            dtype=FLOAT_DTYPES,
            ensure_all_finite=False,
            estimator=estimator,
            ensure_min_samples=min_samples,
        )
    except (TypeError, ValueError) as error:
        raise type(error)(f"{label}: {error}") from error
    return array


def read_parts(
    parts: Parts,
    labels: Sequence[str],
    *,
    sizes: Sequence[int] | None = None,
    estimator: Any = None,
    min_samples: int = 1,
) -> list[NDArray[Any]]:
    """Turn the matrices of all models into arrays of one float type.

    Parameters
    ----------
    parts : Parts
        As found in what the user gave.
    labels : sequence of str
        What messages call the views.
    sizes : sequence of int, default=None
        Widths of the views, where they are known.
    estimator, min_samples
        As in `read_matrix`.

    Returns
    -------
    arrays : list of ndarray of shape (n_samples, n_features_v)
        All float32 or all float64. No copy is made of a matrix that is so already.
    """
    known: Sequence[int | None] = [None] * len(labels) if sizes is None else sizes
    arrays = [
        read_matrix(x, label, size=size, estimator=estimator, min_samples=min_samples)
        for x, label, size in zip(parts.matrices, labels, known, strict=True)
    ]
    check_same_lengths(arrays)
    dtype = np.result_type(*arrays)
    return [x.astype(dtype, copy=False) for x in arrays]


def as_native(x: Any) -> Any:
    """Let pass what can become an array; numbers of the other byte order are turned.

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
    if isinstance(x, torch.Tensor):
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
    if getattr(x, "ndim", 0) > 2:
        raise ValueError(
            f"Found array with dim {x.ndim}, of shape {tuple(x.shape)}, expected <= 2. Where the "
            "first axis counts the models, put them side by side: X, views = stack_views(list(X))."
        )
    # scikit-learn takes another byte order for another type, and would make float32 of it
    if isinstance(x, np.ndarray) and x.dtype.kind == "f" and not x.dtype.isnative:
        return x.astype(x.dtype.newbyteorder("="))
    return x


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
    stops = np.cumsum(sizes)
    return [X[:, stop - size : stop] for stop, size in zip(stops, sizes, strict=True)]
