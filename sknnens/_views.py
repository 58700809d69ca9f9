"""Input forms: one stacked matrix, or one matrix a model, to one array a view."""

import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from sknnens._frames import (
    VectorColumns,
    find_frame_views,
    holds_vectors,
    is_frame,
)

FLOAT_DTYPES = [np.float32, np.float64]  # in this order float16 becomes float32
CHECK_ENTRIES = 2**22  # entries of a view that are looked at together

SAFE_FORM = (
    "If scikit-learn split the list, it split it by models. Stack the views and give it one "
    "matrix, whose rows it splits: X, views = stack_views([A, B, ...]), then "
    "EnsembleRepresentationLearner(views=views)."
)


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
    """Tell a Series with a vector in each cell from a row of numbers."""
    return hasattr(x, "to_numpy") and not is_frame(x) and holds_vectors(np.asarray(x.to_numpy()))


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
            x = VectorColumns.from_columns([np.asarray(x.to_numpy())])
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


def count_rows(x: Any) -> int:
    """Count the rows of one matrix."""
    return int(x.shape[0]) if hasattr(x, "shape") else len(x)


def check_same_lengths(matrices: Sequence[Any]) -> None:
    """Raise ValueError where the views differ in their numbers of rows."""
    lengths = [count_rows(x) for x in matrices]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"All views must have the same samples in the same order, got {lengths} rows."
        )


def check_view_list(matrices: Sequence[Any], y: Any) -> None:
    """Raise ValueError where a list is rather one of samples, or was split by its models."""
    n_views, n_rows = len(matrices), count_rows(matrices[0])
    found = f"X is a list of {n_views} matrices with {n_rows} row(s) each"
    if n_rows < n_views:
        raise ValueError(
            f"{found}: more models than samples. A list holds one matrix a model. {SAFE_FORM}"
        )
    if hasattr(y, "__len__") and len(y) != n_rows:
        raise ValueError(f"{found}, but y has {len(y)}. {SAFE_FORM}")


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


def check_view_sum(sizes: Sequence[int], n_features: int) -> None:
    """Raise ValueError where the widths do not add up to the columns of the stacked matrix."""
    if sum(sizes) != n_features:
        raise ValueError(
            f"views={list(sizes)} add up to {sum(sizes)} columns, but X has {n_features}."
        )


def check_view_count(n_views: int, n_expected: int, where: str) -> None:
    """Raise ValueError where there are not as many views as is known from `where`."""
    if n_views != n_expected:
        raise ValueError(f"X has {n_views} views, {where} {n_expected}. {SAFE_FORM}")


def check_same_sizes(
    arrays: Sequence[NDArray[Any]], sizes: Sequence[int], labels: Sequence[str], where: str
) -> None:
    """Raise ValueError where the views have other widths than those known from `where`."""
    for label, x, size in zip(labels, arrays, sizes, strict=True):
        if x.shape[1] != size:
            raise ValueError(f"{label} has {x.shape[1]} columns, {where} {size}.")


def check_rows(
    arrays: Sequence[NDArray[Any]],
    labels: Sequence[str],
    *,
    allow_missing: bool,
    first_row: int = 0,
) -> None:
    """Raise ValueError where a view holds infinity or NaN that it may not hold.

    Parameters
    ----------
    arrays : sequence of ndarray of shape (n_samples, n_features_v)
        One a view.
    labels : sequence of str
        What messages call the views.
    allow_missing : bool
        Whether a row may be NaN in all columns of a view.
    first_row : int, default=0
        What the first row is called.
    """
    for x, label in zip(arrays, labels, strict=True):
        step = max(1, CHECK_ENTRIES // x.shape[1])
        for begin in range(0, len(x), step):
            part = x[begin : begin + step]
            with np.errstate(over="ignore", invalid="ignore"):
                suspects = np.flatnonzero(~np.isfinite(part.sum(axis=1)))
            n_nan = np.isnan(part[suspects]).sum(axis=1)
            has_inf = np.isinf(part[suspects]).any(axis=1)
            missing = n_nan == x.shape[1]
            faulty = has_inf | (n_nan > 0 if not allow_missing else (n_nan > 0) & ~missing)
            if faulty.any():
                i = int(np.argmax(faulty))
                row = first_row + begin + int(suspects[i])
                raise ValueError(_describe_row(label, row, int(n_nan[i]), x.shape[1], has_inf[i]))


def _describe_row(label: str, row: int, n_nan: int, n_columns: int, has_inf: bool) -> str:
    if has_inf:
        return f"{label} contains infinity in row {row}."
    if n_nan < n_columns:
        return f"{label} contains NaN in row {row}, in {n_nan} of its {n_columns} columns."
    return (
        f"{label} contains NaN in row {row}, in all of its columns. missing_views='mask' learns "
        "such a row from its other views."
    )


def find_missing(arrays: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Which rows lack which views, shape (n_samples, n_views), after `check_rows`."""
    return np.stack([np.isnan(x[:, 0]) for x in arrays], axis=1)


def check_some_view(missing: NDArray[np.bool_]) -> None:
    """Raise ValueError where a row lacks all of its views."""
    rows = np.flatnonzero(missing.all(axis=1))
    if len(rows):
        more = f" and {len(rows) - 10} more" if len(rows) > 10 else ""
        raise ValueError(
            f"Rows without any view: {', '.join(map(str, rows[:10]))}{more}. There is nothing to "
            "learn them from: leave them out."
        )


def check_not_all_zero(arrays: Sequence[NDArray[Any]], labels: Sequence[str]) -> None:
    """Raise ValueError where a view holds nothing to recover."""
    for x, label in zip(arrays, labels, strict=True):
        what = "missing" if np.isnan(x[:, 0]).all() else "zero"
        # both ignore NaN
        if what == "missing" or np.fmin.reduce(x, axis=None) == np.fmax.reduce(x, axis=None) == 0:
            raise ValueError(
                f"{label} is {what} in every row: there is nothing to learn from. Leave it out."
            )


def check_view_weights(
    view_weights: ArrayLike | Mapping[str, float] | None, names: Sequence[str]
) -> NDArray[np.float64]:
    """One non-negative weight a view, the largest of them 1; None means 1 for each.

    Parameters
    ----------
    view_weights : array-like of shape (n_views,), mapping from name to weight, or None
        As given by the user; a view that a mapping does not name has the weight 1.
    names : sequence of str
        Names of the views.

    Returns
    -------
    weights : ndarray of shape (n_views,)
        In float64.
    """
    if view_weights is None:
        return np.ones(len(names))
    if isinstance(view_weights, Mapping):
        for name in view_weights:
            if name not in names:
                raise ValueError(f"view_weights names {name!r}, but the views are {list(names)}.")
        view_weights = [view_weights.get(name, 1.0) for name in names]
    weights = check_array(
        view_weights, ensure_2d=False, dtype=np.float64, input_name="view_weights"
    )
    if weights.shape != (len(names),):
        raise ValueError(
            f"view_weights must hold one number a view, shape ({len(names)},), got {weights.shape}."
        )
    if weights.min() < 0 or weights.max() == 0:
        raise ValueError(
            f"view_weights must be non-negative and not all zero, got {weights.tolist()}."
        )
    scaled: NDArray[np.float64] = weights / weights.max()
    return scaled
