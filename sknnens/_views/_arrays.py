"""Parse X into the matrices of its views, and read them as arrays of floats."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence, Set, ValuesView
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array

from sknnens._views._cells import (
    VectorColumns,
    fill_masked,
    find_filled,
    find_text,
    is_cell_column,
    is_empty,
    is_vector,
    read_cell,
    read_tensor,
    shorten,
)
from sknnens._views._checks import (
    check_same_lengths,
    check_same_rows,
    check_same_sizes,
    check_view_count,
    check_view_sum,
    label_errors,
)
from sknnens._views._dask import is_dask
from sknnens._views._dataset import is_dataset
from sknnens._views._frames import View, parse_frame, parse_view, read_frame, wrap_frame
from sknnens._views._layout import (
    Layout,
    check_names,
    column_slices,
    default_names,
    label_views,
)

FLOAT_DTYPES = [np.float32, np.float64]  # in this order float16 becomes float32


@dataclass(frozen=True)
class Source:
    """Parsed input: matrices that are not read yet.

    Attributes
    ----------
    views : list of View
        One per view, or the stacked matrix alone. All matrices have two axes and the same rows.
    names : list of str or None
        Names of the views, None if they have none.
    labels : list of str
        Labels of the views in messages.
    layout : Layout
        Its `sizes` are the widths of the views, if they are known.
    is_stacked : bool
        Whether there is one matrix with all views side by side.
    index : pandas Index or None
        Labels of the rows of views given apart, if there are any.
    """

    views: list[View]
    names: list[str] | None
    labels: list[str]
    layout: Layout
    is_stacked: bool
    index: Any = None

    @property
    def n_rows(self) -> int:
        """Number of samples."""
        n_rows: int = self.views[0].matrix.shape[0]
        return n_rows

    def with_sizes(self, sizes: list[int]) -> "Source":
        """Return a copy whose widths are known."""
        return replace(self, layout=replace(self.layout, sizes=sizes))

    def read(
        self, rows: slice | None = None, *, estimator: Any = None, min_samples: int = 1
    ) -> list[NDArray[Any]]:
        """Read the matrices, or some rows of them, for an estimator that messages name.

        The arrays are float32 or float64. They may share memory with the input, and hold NaN.
        """
        sizes = self.layout.sizes
        arrays = []
        for i, view in enumerate(self.views):
            with label_errors(None if self.is_stacked else self.labels[i]):
                x = view.matrix if rows is None else view.matrix[rows]
                if isinstance(x, VectorColumns):
                    x = x.to_array(None if sizes is None else sizes[i])
                with explain_texts(x):
                    array = check_array(
                        as_native(x),
                        dtype=FLOAT_DTYPES,
                        ensure_all_finite=False,
                        ensure_min_samples=min_samples,
                        estimator=estimator,
                        input_name="X",
                    )
            arrays.append(array)
        return arrays

    def split(self, arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Split a stacked matrix into its views without a copy, and check the widths."""
        sizes = self.layout.sizes
        if sizes is None:
            return arrays
        if not self.is_stacked:
            check_same_sizes(arrays, sizes, self.labels, self.layout.origin)
            return arrays
        check_view_sum(sizes, arrays[0].shape[1])
        return [arrays[0][:, columns] for columns in column_slices(sizes)]


def parse(X: Any, layout: Layout) -> Source:
    """Find the matrices of the views.

    If both `X` and `layout` name the views, those of `layout` are taken, in its order.
    """
    check_not_lazy(X)
    frame = wrap_frame(X)
    if layout.columns and not layout.is_fitted and not isinstance(frame, nw.DataFrame):
        raise TypeError(
            f"views names columns of a DataFrame, but X is of type {type(X).__name__}. If a "
            "tool of scikit-learn turns a DataFrame into an array, stack it first, "
            "X, views = stack_views(frame, views), and give the learner those views."
        )
    views = _find_views(frame, layout)
    if views is None:
        n_views = 1 if layout.sizes is None else len(layout.sizes)
        names, stacked = layout.names, [View(_as_matrix(frame))]
        is_plain = names in (None, default_names(1)) and n_views == 1
        labels = ["X"] if is_plain else label_views(names or default_names(n_views))
        return Source(stacked, names, labels, layout, is_stacked=True)
    if layout.sizes is not None:
        check_view_count(X, len(views), len(layout.sizes), layout.origin)
    names = [view.name for view in views if view.name is not None] or layout.names
    labels = label_views(names or default_names(len(views)))
    matrices = []
    for view, label in zip(views, labels, strict=True):
        with label_errors(label):
            matrices.append(_as_matrix(view.matrix))
    check_same_lengths(matrices)
    index = check_same_rows([view.index for view in views], labels)
    views = [replace(view, matrix=x) for view, x in zip(views, matrices, strict=True)]
    return Source(views, names, labels, layout, is_stacked=False, index=index)


def _find_views(X: Any, layout: Layout) -> list[View] | None:
    """Find the matrix of each model, None if `X` is one matrix."""
    if isinstance(X, nw.DataFrame):
        views = parse_frame(X, layout)
    elif isinstance(X, Mapping) and not hasattr(X, "shape"):  # a sparse matrix may be one
        if not X:
            raise ValueError("X holds no matrix.")
        views = [parse_view(x, str(name)) for name, x in X.items()]
    elif _is_view_list(X):
        return [parse_view(x, None) for x in X]
    elif is_cell_column(X) and len(X):
        return [parse_view(X, None)]
    elif isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 2:
        # some of scikit-learn's tools turn a dataframe with vectors in its cells into this
        has_vectors = any(is_vector(find_filled(column)) for column in X.T)
        return [parse_view(column, None) for column in X.T] if has_vectors else None
    else:
        return None
    return None if views is None else _order_views(views, layout)


def _order_views(views: list[View], layout: Layout) -> list[View]:
    """Take the wanted views by name, in their order, or all."""
    names, wanted = check_names(view.name for view in views), layout.names
    if wanted is None:
        return views
    if layout.may_lack and set(names) < set(wanted):
        matrix = _as_matrix(views[0].matrix)
        empty = VectorColumns([np.full(matrix.shape[0], None)], [None])
        views = views + [View(empty, name) for name in wanted if name not in names]
        names = [str(view.name) for view in views]
    for name in wanted:
        if name not in names:
            hint = ""
            if list(wanted) == default_names(len(wanted)):
                hint = " The learner was fitted on views without names: give them in a list."
            raise ValueError(f"X has no view {name!r}, only {names}.{hint}")
    return [views[names.index(name)] for name in wanted]


def _is_view_list(X: Any) -> bool:
    """Whether `X` is a list or tuple of matrices; a nested list of numbers is one matrix."""
    return isinstance(X, list | tuple) and any(_n_axes(x) >= 2 or is_cell_column(x) for x in X)


def _n_axes(x: Any) -> int:
    if isinstance(x, list | tuple) and x and _is_special(x[0]):
        return 1 + len(x[0].shape)
    try:
        return len(x.shape) if hasattr(x, "shape") else int(np.ndim(x))
    except ValueError:  # ragged: check_array says so in its own words
        return 0


def _as_matrix(x: Any) -> Any:
    """Check that there are two axes, and convert nested lists and tensors."""
    with explain_texts(x):
        if not isinstance(x, VectorColumns | nw.DataFrame):
            x = as_native(x)
        if len(getattr(x, "shape", ())) != 2:
            check_array(x, dtype=None, ensure_all_finite=False)  # says what is wrong with it
            x = np.asarray(x)
    return x


@contextmanager
def explain_texts(x: Any) -> Iterator[None]:
    """Name the column of a text in the message of an error about `x`, if there is one."""
    try:
        yield
    except (TypeError, ValueError) as error:
        columns: dict[Any, Any]
        if isinstance(x, nw.DataFrame):
            columns = {label: x[:, i] for i, label in enumerate(x.columns)}
        elif isinstance(x, np.ndarray) and x.ndim == 2 and x.dtype.kind in "OU":
            columns = dict(enumerate(x.T))
        elif not isinstance(x, np.ndarray) and len(getattr(x, "shape", ())) == 1:
            columns = {getattr(x, "name", None): x}
        else:
            raise
        for label, column in columns.items():
            if (text := find_text(column)) is not None:
                remedy = (
                    "parse the texts first, such as by json.loads"
                    if text.strip().startswith("[")
                    else "leave it out, or say which columns to take by the parameter views"
                )
                raise ValueError(
                    f"column {label!r} holds text, {shorten(text)}: {remedy}."
                ) from error
        raise


def as_native(x: Any) -> Any:
    """Convert one matrix to something that `check_array` accepts.

    Raise TypeError if it is a tensor that NumPy cannot read or no matrix, and ValueError if it
    has three axes or more; the message names the remedy.
    """
    check_not_lazy(x)
    if isinstance(x, Mapping | Iterator | Set | ValuesView) and not hasattr(x, "shape"):
        raise TypeError(
            "Expected one matrix, or a list, tuple or dictionary of matrices, got "
            f"{type(x).__name__}."
        )
    is_sequence = isinstance(x, Sequence) and not isinstance(x, str) and len(x) > 0
    _check_item(x[0] if is_sequence else x)
    if hasattr(x, "collect") and not hasattr(x, "shape"):
        raise TypeError(f"Expected data in memory, got {type(x).__name__}: call .collect() on it.")
    x = fill_masked(read_tensor(wrap_frame(x)))
    if isinstance(x, nw.DataFrame):
        x = read_frame(x)
    elif isinstance(x, list | tuple) or (hasattr(x, "__array__") and not hasattr(x, "dtype")):
        is_listed = isinstance(x, list | tuple)
        try:
            x = np.asarray([read_cell(row) for row in x] if _has_special_rows(x) else x)
        except ValueError:  # ragged: check_array says so in its own words
            return x
        if is_listed and x.ndim == 3 and x.shape[1] == 1:  # rows of shape (1, d)
            x = x[:, 0]
    if getattr(x, "ndim", 0) > 2:
        remedy = (
            "Call .squeeze(1) on it."
            if x.ndim == 3 and x.shape[1] == 1
            else "If the first axis counts the models, put them side by side: "
            "X, views = stack_views(list(X))."
        )
        raise ValueError(
            f"Found array with dim {x.ndim}, of shape {x.shape}, expected <= 2. {remedy}"
        )
    return _to_usual_type(x) if isinstance(x, np.ndarray) else x


def check_not_lazy(x: Any) -> None:
    """Raise TypeError if `x` is a collection of Dask or a dataset of pyarrow."""
    if is_dask(x) or is_dataset(x):
        raise TypeError(
            f"X of type {type(x).__name__} is not gathered into memory. Fit on a sample of its "
            "rows, fit(sample_rows(X, 100_000)). transform takes one array or frame of Dask, "
            "without out, or one dataset of pyarrow, with all views."
        )


def _check_item(item: Any) -> None:
    """Raise TypeError if something, or the first item of it, is no row and no matrix."""
    if isinstance(item, str | os.PathLike):
        text = shorten(item) if isinstance(item, str) else repr(item)
        raise TypeError(
            f"Expected numbers, got {text}. Open a file by np.load(path, mmap_mode='r'), or parse "
            "texts first, such as by json.loads."
        )
    if isinstance(item, Mapping) and not hasattr(item, "shape"):  # a sparse matrix may be one
        raise TypeError("Expected numbers, but the rows are dictionaries: give its columns, X[:].")


def _has_special_rows(rows: Any) -> bool:
    """Whether there are rows that NumPy would not read, or whose mask it would lose."""
    return isinstance(rows, list | tuple) and any(map(_is_special, rows))


def _is_special(row: Any) -> bool:
    torch = sys.modules.get("torch")
    return isinstance(row, np.ma.MaskedArray) or (
        torch is not None and isinstance(row, torch.Tensor)
    )


def _to_usual_type(x: NDArray[Any]) -> NDArray[Any]:
    """Convert types of doubles that `check_array` would take for something else than float64."""
    if x.dtype.kind == "f":
        if x.dtype.itemsize > np.dtype(np.float64).itemsize:
            return x.astype(np.float64)
        # scikit-learn takes another byte order for another type, and would convert it to float32
        return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))
    if x.dtype == object and x.ndim == 2:  # Python's numbers are doubles
        try:
            return x.astype(np.float64)  # None becomes NaN
        except TypeError:  # NA of pandas does not
            x = x.copy()
            x[np.frompyfunc(is_empty, 1, 1)(x).astype(bool)] = None
            return x.astype(np.float64)
    return x


def join_types(
    arrays: Sequence[NDArray[Any]], dtype: np.dtype[Any] | None = None
) -> list[NDArray[Any]]:
    """Convert arrays to one dtype, by default their common one; others are not copied."""
    dtype = np.result_type(*arrays) if dtype is None else dtype
    return [x.astype(dtype, copy=False) for x in arrays]
