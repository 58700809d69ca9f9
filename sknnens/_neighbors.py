"""Nearest neighbors by the cosine, computed in chunks of rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.utils import check_array

from sknnens._views import FLOAT_DTYPES, as_native, row_norms, row_slices, unit_rows

MAX_ROWS = 1024  # per chunk; more are no faster
GROUP_SIZE = 16  # columns whose maximum is taken first; partitions of fewer numbers are faster
MOST_CANDIDATES = 16  # times as many as are wanted


def read_rows(x: ArrayLike, name: str) -> NDArray[Any]:
    """Return a finite 2-D array of float32 or float64."""
    array: NDArray[Any] = check_array(as_native(x), dtype=FLOAT_DTYPES, input_name=name)
    return array


def to_unit(x: NDArray[Any]) -> NDArray[Any]:
    """L2-normalized copy of finite rows; a zero row stays zero."""
    # scaled by a power of two, which is exact, so that no square over- or underflows
    exponents = np.frexp(np.abs(x).max(axis=1, keepdims=True))[1]
    x = np.ldexp(x, -exponents)
    return unit_rows(x, row_norms(x))


def read_unit_pair(queries: ArrayLike, database: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """L2-normalized rows of both, in one dtype."""
    a, b = read_rows(queries, "queries"), read_rows(database, "database")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"queries have {a.shape[1]} columns, database {b.shape[1]}.")
    dtype = np.float64 if a.dtype == b.dtype == np.float64 else np.float32
    return to_unit(a).astype(dtype, copy=False), to_unit(b).astype(dtype, copy=False)


def similarities(
    queries: NDArray[Any], database: NDArray[Any]
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield chunks of queries with their cosine similarities to the database, shape (rows, n).

    The rows of both are unit vectors or zero. A chunk has as many queries as scikit-learn's
    setting ``working_memory`` allows. Its similarities may be overwritten.
    """
    # per query: similarities, the indices of a partition, and a comparison with the smallest
    row_bytes = len(database) * (queries.itemsize + np.dtype(np.intp).itemsize + 1)
    allowed = int(get_config()["working_memory"] * 2**20) // max(1, row_bytes)
    for rows in row_slices(len(queries), min(MAX_ROWS, max(1, allowed))):
        yield rows, queries[rows] @ database.T


def nearest(
    queries: NDArray[Any], database: NDArray[Any] | None, n_neighbors: int
) -> NDArray[np.intp]:
    """Row numbers of the nearest neighbors, nearest first, shape (n_queries, n_neighbors).

    The rows of both are unit vectors or zero. Without a database the neighbors are searched among
    the queries, and a row is not its own neighbor. Ties in the computed similarity go to the first
    row; the similarities of equal rows may differ in their last bits.
    """
    neighbors = np.empty((len(queries), n_neighbors), dtype=np.intp)
    for rows, similarity in similarities(queries, queries if database is None else database):
        if database is None:
            similarity[np.arange(len(similarity)), np.arange(rows.start, rows.stop)] = -np.inf
        neighbors[rows] = largest(similarity, n_neighbors)
    return neighbors


def largest(x: NDArray[Any], k: int) -> NDArray[np.intp]:
    """Columns of the k largest entries of each row, largest first; ties go to the first column."""
    # no more than the k-th largest entry: the k-th largest of the maxima of groups of columns
    n_groups = x.shape[1] // GROUP_SIZE
    if n_groups >= k:
        maxima = x[:, :n_groups].copy()
        for begin in range(n_groups, n_groups * GROUP_SIZE, n_groups):
            np.maximum(maxima, x[:, begin : begin + n_groups], out=maxima)
    else:
        maxima = x
    at = maxima.shape[1] - k
    is_large = x >= np.partition(maxima, at, axis=1)[:, at, None]
    counts = is_large.sum(axis=1)
    if counts.sum() > MOST_CANDIDATES * k * len(x) and len(x) > 1:  # many ties: save memory
        half = len(x) // 2
        return np.concatenate([largest(x[:half], k), largest(x[half:], k)])
    rows, columns = np.nonzero(is_large)
    order = np.lexsort((columns, -x[rows, columns], rows))
    first = np.cumsum(counts) - counts
    result: NDArray[np.intp] = columns[order][first[:, None] + np.arange(k)]
    return result


def occurrence_skewness(neighbors: NDArray[np.intp], n_rows: int) -> float:
    """Skewness of how often each of `n_rows` rows is a neighbor; 0 if all are equally often."""
    counts = np.bincount(neighbors.ravel(), minlength=n_rows)
    return 0.0 if np.ptp(counts) == 0 else float(scipy.stats.skew(counts))


def overlap(a: NDArray[np.intp], b: NDArray[np.intp]) -> float:
    """Mean share of neighbors that two lists of shape (n, k) have in common, row by row."""
    both = np.sort(np.concatenate([a, b], axis=1), axis=1)  # (n, 2 k); shared ones come twice
    return float((both[:, 1:] == both[:, :-1]).sum() / a.size)
