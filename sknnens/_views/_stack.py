"""The matrices of several models side by side, in memory or in a file."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknnens._files import RowFile, check_not_read, new_file, release_pages
from sknnens._views._arrays import Source, parse
from sknnens._views._checks import check_rows
from sknnens._views._data import row_slices
from sknnens._views._layout import check_layout

CHUNK_BYTES = 2**23  # of the stacked matrix that are in memory together


def stack_views(
    X: Any,
    views: Sequence[int] | Mapping[Any, Any] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
) -> tuple[NDArray[Any], list[int] | dict[str, int]]:
    """Put the features of several models side by side.

    Every scikit-learn tool takes the stacked matrix: it can split, shuffle and slice the rows
    without separating the models.

    Parameters
    ----------
    X : list, tuple or dict of array-like of shape (n_samples, n_features_v), or dataframe
        One matrix per model, with the same samples in the same order; or a dataframe (pandas,
        polars or pyarrow) with MultiIndex columns, whose first level is the model, with one
        column per model and a vector in each cell, or with the columns that `views` names.
    views : sequence of int, or mapping from name to width or to column labels, default=None
        As in :class:`EnsembleRepresentationLearner`: the columns of each model in a dataframe,
        or names and widths to check.
    out : path, default=None
        File to write the matrix to, in NumPy's ``.npy`` format, chunk by chunk, so that
        neither it nor its parts need to fit in memory (open them with
        ``np.load(path, mmap_mode="r")``). The file appears under this name when it is complete.

    Returns
    -------
    X : ndarray of shape (n_samples, sum of n_features_v)
        The matrices side by side, float32 unless one of them is float64. A row that lacks a
        model is NaN in its columns. With `out`, a read-only memory map of the file.
    views : list of int, or dict from str to int
        Width of each view, with its name if there are names, for
        ``EnsembleRepresentationLearner(views=views)``.

    Raises
    ------
    TypeError
        If something in `X` is not a matrix.
    ValueError
        If the matrices have different numbers of rows or row labels, or one is not 2-D, or holds
        infinity, or holds NaN in some columns of a row and not in all; or if one is read from the
        file `out`.

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
    if out is not None:
        check_not_read(out, X, "out")
    source = parse(X, check_layout(views))
    arrays = _read(source, None if out is None else slice(0, 1))
    sizes, dtype = [x.shape[1] for x in arrays], np.result_type(*arrays)
    stacked = _join(arrays, dtype) if out is None else _write(source, sizes, dtype, out)
    return stacked, sizes if source.names is None else dict(zip(source.names, sizes, strict=True))


def _read(source: Source, rows: slice | None = None) -> list[NDArray[Any]]:
    """Read and check some rows, or all."""
    arrays = source.split(source.read(rows))
    for x, label in zip(arrays, source.labels, strict=True):
        check_rows(x, label, allow_missing=True, first_row=0 if rows is None else rows.start)
    return arrays


def _join(arrays: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    """Concatenate, row by row in memory whatever the layout of the parts."""
    stacked = np.empty((len(arrays[0]), sum(x.shape[1] for x in arrays)), dtype=dtype)
    return np.concatenate(arrays, axis=1, out=stacked)


class _WiderTypeError(Exception):
    """Rows need a wider dtype than the rows before them, and the file has to be written anew."""


def _write(
    source: Source, sizes: list[int], dtype: np.dtype[Any], path: str | os.PathLike[str]
) -> NDArray[Any]:
    """Write the matrices side by side, and open the file."""
    shape = (source.n_rows, sum(sizes))
    source = source.with_sizes(sizes)  # rows whose cells are all empty do not tell their width
    try:
        with new_file(path) as file:
            target = RowFile(file, shape, dtype)
            for rows in row_slices(shape[0], max(1, CHUNK_BYTES // (shape[1] * dtype.itemsize))):
                arrays = _read(source, rows)
                if np.result_type(dtype, *arrays) != dtype:  # cells may be of several dtypes
                    raise _WiderTypeError
                target.append(_join(arrays, dtype))
                for view in source.views:
                    release_pages(view.matrix)
    except _WiderTypeError:
        return _write(source, sizes, np.dtype(np.float64), path)
    stacked: NDArray[Any] = np.load(path, mmap_mode="r")
    return stacked
