"""The views of some samples: arrays of one dtype, with the norms of their rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.random import sample_without_replacement


def row_slices(n_rows: int, size: int, begin: int = 0) -> Iterator[slice]:
    """Yield the slices of `size` rows, the last one possibly shorter, from `begin` to `n_rows`."""
    for first in range(begin, n_rows, size):
        yield slice(first, min(first + size, n_rows))


def draw_rows(n_rows: int, n_drawn: int, rng: np.random.RandomState) -> NDArray[np.intp]:
    """Draw some of the rows, or all if there are no more, in ascending order."""
    n_drawn = min(n_rows, n_drawn)
    rows: NDArray[np.intp] = sample_without_replacement(n_rows, n_drawn, random_state=rng)
    return np.sort(rows)


def row_norms(x: NDArray[Any]) -> NDArray[Any]:
    """L2 norm of each row; its bits do not depend on the layout of `x` or on other rows."""
    norms: NDArray[Any] = np.sqrt(np.square(np.ascontiguousarray(x)).sum(axis=1))
    return norms


def unit_rows(x: NDArray[Any], norms: NDArray[Any]) -> NDArray[Any]:
    """Rows divided by their norms; a row whose norm is 0 or NaN becomes 0.

    The result is a contiguous copy, so that a row never depends on the layout of `x`.
    """
    rows = np.array(x, order="C")
    usable = norms > 0
    rows /= np.where(usable, norms, 1)[:, None]
    if not usable.all():
        rows[~usable] = 0
    return rows


@dataclass(frozen=True)
class Views:
    """The views of some samples.

    Attributes
    ----------
    arrays : list of ndarray of shape (n_samples, n_features_v)
        All float32 or all float64, of any layout; they may be read-only memory maps. A row that
        lacks a view is NaN in all of its columns.
    norms : list of ndarray of shape (n_samples,)
        L2 norm of each row, in the same dtype: 0 for a row of zeros, NaN for a missing one.
    index : pandas Index or None
        Labels of the rows, which the output gets too.
    """

    arrays: list[NDArray[Any]]
    norms: list[NDArray[Any]]
    index: Any = None

    def __len__(self) -> int:
        return len(self.arrays[0])

    @property
    def sizes(self) -> list[int]:
        """Width of each view."""
        return [x.shape[1] for x in self.arrays]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of all arrays."""
        return self.arrays[0].dtype

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether each sample has each view, shape (n_samples, n_views)."""
        return np.stack([~np.isnan(norms) for norms in self.norms], axis=1)

    def take(self, rows: slice | NDArray[Any]) -> "Views":
        """Take some of the samples."""
        return Views([x[rows] for x in self.arrays], [x[rows] for x in self.norms])

    def units(self) -> list[NDArray[Any]]:
        """L2-normalized copies of all views; a missing row is 0."""
        return [unit_rows(x, norms) for x, norms in zip(self.arrays, self.norms, strict=True)]


def concatenate_views(parts: Sequence[Views]) -> Views:
    """Put samples one after another."""
    if len(parts) == 1:
        return parts[0]
    arrays = [np.concatenate(x) for x in zip(*[part.arrays for part in parts], strict=True)]
    norms = [np.concatenate(x) for x in zip(*[part.norms for part in parts], strict=True)]
    return Views(arrays, norms)
