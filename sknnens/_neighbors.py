"""Nearest neighbours by the cosine, some rows at a time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.stats
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.utils import check_array

from sknnens._engine._device import resolve_precision, to_numpy
from sknnens._engine._fork import survives_fork
from sknnens._engine._rows import unit_rows
from sknnens._views._forms import FLOAT_DTYPES, as_native

MAX_ROWS = 1024  # in a chunk; more are no faster


def read_rows(x: ArrayLike, name: str) -> NDArray[Any]:
    """Return an array of float32 or float64, of two axes and finite."""
    array: NDArray[Any] = check_array(as_native(x), dtype=FLOAT_DTYPES, input_name=name)
    return array


def read_unit_pair(queries: ArrayLike, database: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows of length 1 of both, in one type."""
    a, b = read_rows(queries, "queries"), read_rows(database, "database")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"queries have {a.shape[1]} columns, database {b.shape[1]}.")
    a, b = to_unit(a), to_unit(b)
    dtype = np.float64 if a.dtype == b.dtype == np.float64 else np.float32
    return a.astype(dtype, copy=False), b.astype(dtype, copy=False)


@survives_fork
def to_unit(x: NDArray[Any]) -> NDArray[Any]:
    """Copy with rows of length 1, in the same type; a zero row stays zero, and NaN becomes zero."""
    cpu = torch.device("cpu")
    return to_numpy(unit_rows(x, resolve_precision("auto", x.dtype, cpu), cpu))


def row_chunks(n_rows: int, row_bytes: int) -> Iterator[slice]:
    """Yield the rows in order, few enough for the ``working_memory`` of scikit-learn's settings."""
    allowed = int(get_config()["working_memory"] * 2**20) // max(1, row_bytes)
    step = min(MAX_ROWS, max(1, allowed))
    for begin in range(0, n_rows, step):
        yield slice(begin, min(begin + step, n_rows))


def similarities(
    queries: NDArray[Any], database: NDArray[Any]
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield the cosine similarities of some queries with the whole database, shape (rows, n).

    Parameters
    ----------
    queries : ndarray of shape (n_queries, d)
        Rows of length 1, or zero.
    database : ndarray of shape (n, d)
        The same.

    Yields
    ------
    rows : slice
        Which queries these are.
    similarity : ndarray of shape (n_rows, n)
        May be overwritten.
    """
    # the similarities, the indices that a partition makes of them, and a comparison with the least
    row_bytes = len(database) * (queries.itemsize + np.dtype(np.intp).itemsize + 1)
    for rows in row_chunks(len(queries), row_bytes):
        yield rows, queries[rows] @ database.T


def nearest(
    queries: NDArray[Any], database: NDArray[Any] | None, n_neighbors: int
) -> NDArray[np.intp]:
    """Nearest rows by the cosine, the nearest first.

    Parameters
    ----------
    queries : ndarray of shape (n_queries, d)
        Rows of length 1, or zero.
    database : ndarray of shape (n, d) or None
        The same. None takes the queries themselves; a row is then not its own neighbour.
    n_neighbors : int
        At most n, or n - 1 where a row is not its own neighbour.

    Returns
    -------
    neighbors : ndarray of shape (n_queries, n_neighbors)
        Row numbers. Of equal computed similarities the first ones are taken; those of rows that
        are alike may differ in their last bits.
    """
    neighbors = np.empty((len(queries), n_neighbors), dtype=np.intp)
    for rows, similarity in similarities(queries, queries if database is None else database):
        if database is None:
            similarity[np.arange(len(similarity)), np.arange(rows.start, rows.stop)] = -np.inf
        neighbors[rows] = largest(similarity, n_neighbors)
    return neighbors


def largest(x: NDArray[Any], k: int) -> NDArray[np.intp]:
    """Columns of the k largest entries of each row, the largest first, the first ones of equals."""
    found = np.argpartition(x, x.shape[1] - k, axis=1)[:, -k:].copy()
    least = np.take_along_axis(x, found, axis=1).min(axis=1, keepdims=True)
    # of several that are the least a partition takes any; row by row, for the memory
    for i in np.flatnonzero((x >= least).sum(axis=1) > k):
        above = np.flatnonzero(x[i] > least[i])
        found[i] = np.append(above, np.flatnonzero(x[i] == least[i])[: k - len(above)])
    found.sort(axis=1)
    order = np.argsort(-np.take_along_axis(x, found, axis=1), axis=1, kind="stable")
    result: NDArray[np.intp] = np.take_along_axis(found, order, axis=1)
    return result


def k_occurrence(
    queries: ArrayLike, database: ArrayLike | None, n_neighbors: int
) -> NDArray[np.intp]:
    """How many queries have each row of the database among their nearest neighbours.

    Rows of zeros are left out, of both.
    """
    if database is None:
        a = to_unit(read_rows(queries, "queries"))
        a, b = a[a.any(axis=1)], None
        n_candidates, what = len(a) - 1, "other queries"
    else:
        a, b = read_unit_pair(queries, database)
        a, b = a[a.any(axis=1)], b[b.any(axis=1)]
        n_candidates, what = len(b), "rows of database"
    if n_neighbors > n_candidates:
        raise ValueError(
            f"n_neighbors={n_neighbors} must be at most the number of {what} that are not zero, "
            f"{max(0, n_candidates)}."
        )
    if len(a) == 0:
        raise ValueError("queries are all zero: they have no neighbours.")
    n_rows = len(a if b is None else b)
    return np.bincount(nearest(a, b, n_neighbors).ravel(), minlength=n_rows)


def skewness(counts: NDArray[Any]) -> float:
    """Third standardised moment; 0 where all are equal."""
    return 0.0 if np.ptp(counts) == 0 else float(scipy.stats.skew(counts))


def overlap(a: NDArray[np.intp], b: NDArray[np.intp]) -> float:
    """Mean share of the neighbours of a row, shape (n, k), that are in both lists."""
    both = np.sort(np.concatenate([a, b], axis=1), axis=1)  # (n, 2 k); what is shared is twice
    return float((both[:, 1:] == both[:, :-1]).sum() / a.size)
