"""The matrices of several models side by side, in memory or in a file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknnens._files._atomic import new_file, release_pages, write_header
from sknnens._views._checks import check_rows, check_view_count, check_view_sum
from sknnens._views._forms import (
    as_native,
    check_form,
    check_layout,
    column_slices,
    default_names,
    find_views,
    label_views,
    prepare_views,
    read_matrices,
)
from sknnens._views._frames import View, is_frame, select_columns, take_rows

CHUNK_BYTES = 2**23  # of the stacked matrix that are in memory together


def stack_views(
    X: Any,
    views: Sequence[int] | Mapping[Any, Any] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
) -> tuple[NDArray[Any], list[int] | dict[str, int]]:
    """Put the features of several models side by side.

    Every tool of scikit-learn carries the stacked matrix: it can be split, shuffled and
    sliced by rows without taking the models apart.

    Parameters
    ----------
    X : list, tuple or dict of array-like of shape (n_samples, n_features_v), or frame
        One matrix a model, the same samples in the same order; or a frame (pandas, polars or
        pyarrow) with MultiIndex columns, of which the first level is the model, with a vector
        in each cell and a column a model, or with the columns that `views` names.
    views : sequence of int, or mapping from name to width or to column labels, default=None
        As in :class:`EnsembleRepresentationLearner`: the columns of each model in a frame, or
        names and widths to check.
    out : path, default=None
        File to write the matrix to, in NumPy's ``.npy`` format, some rows at a time, so that
        neither it nor its parts need to fit in memory (open them with
        ``np.load(path, mmap_mode="r")``). The file appears under this name when it is whole.

    Returns
    -------
    X : ndarray of shape (n_samples, sum of n_features_v)
        The matrices side by side, float32 unless one of them is float64. A row that lacks a
        model is NaN in its columns. With `out`, a read-only memory map of the file.
    views : list of int, or dict from str to int
        Width of each view, with its name where there are names, for
        ``EnsembleRepresentationLearner(views=views)``.

    Raises
    ------
    TypeError
        If something in `X` is not a matrix.
    ValueError
        If the matrices have different numbers of rows, or one is not 2-D, or holds infinity, or
        holds NaN in some columns of a row and not in all.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens import stack_views
    >>> X, views = stack_views([np.ones((5, 2)), np.zeros((5, 3))])
    >>> X.shape, views
    ((5, 5), [2, 3])
    >>> stack_views({"clip": np.ones((5, 2)), "dino": np.zeros((5, 3))})[1]
    {'clip': 2, 'dino': 3}
    """
    layout = check_layout(views)
    check_form(X, layout)
    found = find_views(X, layout) or _split_matrix(X, layout.sizes)
    given = [view.name for view in found if view.name is not None]
    names = given or layout.names
    if layout.sizes is not None:
        check_view_count(X, len(found), len(layout.sizes), "views says")
    labels = label_views(names or default_names(len(found)))
    source = _Source(prepare_views(found, labels), labels, layout.sizes)
    if out is None:
        arrays = source.read()
        sizes = [x.shape[1] for x in arrays]
        stacked = _side_by_side(arrays, np.result_type(*arrays))
    else:
        arrays = source.read(slice(0, 1))
        sizes = [x.shape[1] for x in arrays]
        stacked = _write(replace(source, sizes=sizes), np.result_type(*arrays), out)
    return stacked, sizes if names is None else dict(zip(names, sizes, strict=True))


@dataclass(frozen=True)
class _Source:
    """Matrices of all views, whose rows are read when they are asked for.

    Attributes
    ----------
    matrices : list of array-like or VectorColumns
        As prepared.
    labels : list of str
        What messages call them.
    sizes : list of int or None
        Their widths, where they are known.
    """

    matrices: list[Any]
    labels: list[str]
    sizes: list[int] | None

    def read(self, rows: slice | None = None) -> list[NDArray[Any]]:
        """Return some rows, checked, one array a view; None reads all."""
        taken = self.matrices if rows is None else [take_rows(x, rows) for x in self.matrices]
        arrays = read_matrices(taken, self.labels, self.sizes, "views says")
        first_row = 0 if rows is None else rows.start
        check_rows(arrays, self.labels, allow_missing=True, first_row=first_row)
        return arrays


def _split_matrix(X: Any, sizes: Sequence[int] | None) -> list[View]:
    """Split a matrix that is not read yet."""
    if not is_frame(X):
        X = as_native(X)
    if sizes is None or not hasattr(X, "shape") or len(X.shape) != 2:
        return [View(X)]
    check_view_sum(sizes, X.shape[1])
    if is_frame(X):
        ranges = [range(X.shape[1])[columns] for columns in column_slices(sizes)]
        return [View(select_columns(X, columns)) for columns in ranges]
    return [View(X[:, columns]) for columns in column_slices(sizes)]


def _side_by_side(arrays: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    """Concatenate, row by row in memory whatever the layout of the parts."""
    stacked = np.empty((len(arrays[0]), sum(x.shape[1] for x in arrays)), dtype=dtype)
    return np.concatenate(arrays, axis=1, out=stacked)


class _WiderTypeError(Exception):
    """Rows need a wider type than those before, and the file is to be begun anew."""


def _write(source: _Source, dtype: np.dtype[Any], path: str | os.PathLike[str]) -> NDArray[Any]:
    """Write the matrices side by side, and open the file."""
    shape = (source.matrices[0].shape[0], sum(source.sizes or ()))
    step = max(1, CHUNK_BYTES // (shape[1] * dtype.itemsize))
    try:
        with new_file(path) as file:
            write_header(file, shape, dtype)
            for begin in range(0, shape[0], step):
                arrays = source.read(slice(begin, begin + step))
                if np.result_type(dtype, *arrays) != dtype:  # cells may be of several types
                    raise _WiderTypeError
                file.write(_side_by_side(arrays, dtype).data)
                for x in source.matrices:
                    release_pages(x)
    except _WiderTypeError:
        return _write(source, np.dtype(np.float64), path)
    stacked: NDArray[Any] = np.load(path, mmap_mode="r")
    return stacked
