"""Nearest neighbours by the cosine, some rows at a time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import get_config

from sknnens._batching import unit_rows
from sknnens._device import resolve_precision, to_numpy

MAX_ROWS = 1024  # in a chunk; more are no faster


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
    # the similarities, and the indices that a partition makes of them
    row_bytes = len(database) * (queries.itemsize + np.dtype(np.intp).itemsize)
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
        Row numbers. Of rows that are equally near, the first ones are taken.
    """
    neighbors = np.empty((len(queries), n_neighbors), dtype=np.intp)
    for rows, similarity in similarities(queries, queries if database is None else database):
        if database is None:
            similarity[np.arange(len(similarity)), np.arange(rows.start, rows.stop)] = -np.inf
        neighbors[rows] = _largest(similarity, n_neighbors)
    return neighbors


def _largest(x: NDArray[Any], k: int) -> NDArray[np.intp]:
    """Columns of the k largest entries of each row, the largest first, the first ones of equals."""
    found = np.argpartition(x, x.shape[1] - k, axis=1)[:, -k:]
    least = np.take_along_axis(x, found, axis=1).min(axis=1, keepdims=True)
    tied = np.flatnonzero((x >= least).sum(axis=1) > k)  # a partition takes any of these
    found[tied] = np.argsort(-x[tied], axis=1, kind="stable")[:, :k]
    found.sort(axis=1)
    order = np.argsort(-np.take_along_axis(x, found, axis=1), axis=1, kind="stable")
    result: NDArray[np.intp] = np.take_along_axis(found, order, axis=1)
    return result


def count_occurrences(
    queries: NDArray[Any], database: NDArray[Any] | None, n_neighbors: int
) -> NDArray[np.intp]:
    """How many queries have each row of the database among their neighbours; see `nearest`."""
    n_rows = len(queries if database is None else database)
    return np.bincount(nearest(queries, database, n_neighbors).ravel(), minlength=n_rows)


def overlap(a: NDArray[np.intp], b: NDArray[np.intp]) -> float:
    """Mean share of the neighbours of a row, shape (n, k), that are in both lists."""
    both = np.sort(np.concatenate([a, b], axis=1), axis=1)  # (n, 2 k); what is shared is twice
    return float((both[:, 1:] == both[:, :-1]).sum() / a.size)
