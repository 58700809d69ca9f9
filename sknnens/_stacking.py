"""The matrices of several models side by side, in memory or in a file."""

import mmap
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array

from sknnens._checks import (
    check_rows,
    check_same_lengths,
    check_same_sizes,
    check_view_count,
    check_view_sum,
    count_rows,
)
from sknnens._frames import is_frame, select_columns, take_rows
from sknnens._views import (
    FLOAT_DTYPES,
    Parts,
    as_native,
    check_form,
    check_layout,
    default_names,
    find_parts,
    label_views,
    read_parts,
)

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
    parts = find_parts(X, layout) or _split_matrix(X, layout.sizes)
    names = parts.names or layout.names
    n_views = len(parts.matrices)
    if layout.sizes is not None:
        check_view_count(n_views, len(layout.sizes), "views says")
    check_same_lengths(parts.matrices)
    labels = label_views(names or default_names(n_views))
    if out is None:
        arrays = read_parts(parts, labels)
    else:
        arrays = read_parts(_take_rows(parts, slice(0, 1)), labels)
    sizes = [x.shape[1] for x in arrays]
    if layout.sizes is not None:
        check_same_sizes(arrays, layout.sizes, labels, "views says")
    if out is None:
        check_rows(arrays, labels, allow_missing=True)
        stacked = _side_by_side(arrays, np.result_type(*arrays))
    else:
        stacked = _stack_to_file(parts, labels, sizes, np.result_type(*arrays), Path(out))
    return stacked, sizes if names is None else dict(zip(names, sizes, strict=True))


def _split_matrix(X: Any, sizes: Sequence[int] | None) -> Parts:
    """Split a matrix that is not read yet."""
    X = as_native(X)
    if not hasattr(X, "shape"):
        X = check_array(X, dtype=FLOAT_DTYPES, ensure_all_finite=False)
    if sizes is None:
        return Parts([X])
    check_view_sum(sizes, X.shape[1])
    stops = np.cumsum(sizes).tolist()
    ranges = [range(stop - size, stop) for stop, size in zip(stops, sizes, strict=True)]
    if is_frame(X):
        return Parts([select_columns(X, columns) for columns in ranges])
    return Parts([X[:, columns.start : columns.stop] for columns in ranges])


def _take_rows(parts: Parts, rows: slice) -> Parts:
    return Parts([take_rows(x, rows) for x in parts.matrices])


def _side_by_side(arrays: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    """Concatenate, row by row in memory whatever the layout of the parts."""
    stacked = np.empty((len(arrays[0]), sum(x.shape[1] for x in arrays)), dtype=dtype)
    return np.concatenate(arrays, axis=1, out=stacked)


def _stack_to_file(
    parts: Parts, labels: Sequence[str], sizes: Sequence[int], dtype: np.dtype[Any], path: Path
) -> NDArray[Any]:
    """Write the matrices side by side, and open the file.

    The rows go to a file of another name in the same folder, which is renamed when it is whole.
    """
    shape = (count_rows(parts.matrices[0]), sum(sizes))
    step = max(1, CHUNK_BYTES // (shape[1] * dtype.itemsize))
    partial = path.with_name(f"{path.name}.{uuid4().hex[:8]}.partial")
    try:
        with partial.open("xb") as file:
            header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for begin in range(0, shape[0], step):
                chunk = _take_rows(parts, slice(begin, begin + step))
                arrays = read_parts(chunk, labels)
                check_same_sizes(arrays, sizes, labels, "the first row has")
                check_rows(arrays, labels, allow_missing=True, first_row=begin)
                if np.result_type(dtype, *arrays) != dtype:  # cells may be of several types
                    return _stack_to_file(parts, labels, sizes, arrays[0].dtype, path)
                file.write(_side_by_side(arrays, dtype).data)
                for x in chunk.matrices:
                    _release_pages(x)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    stacked: NDArray[Any] = np.load(path, mmap_mode="r")
    return stacked


def _release_pages(x: Any) -> None:
    """Let go of what was read of a memory map, which counts as memory of the process."""
    mode = None
    while x is not None and not isinstance(x, mmap.mmap):
        mode = x.mode if isinstance(x, np.memmap) else mode
        x = getattr(x, "base", None)
    # in mode "c" changes live in these pages alone
    if x is not None and mode == "r" and hasattr(mmap, "MADV_DONTNEED"):
        x.madvise(mmap.MADV_DONTNEED)
