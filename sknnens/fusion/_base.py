"""What the rivals share: normalised views in, one matrix out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.utils._param_validation import StrOptions

from sknnens._engine._device import resolve_precision, to_numpy
from sknnens._engine._fork import survives_fork
from sknnens._engine._loss import normalize_rows
from sknnens._engine._rows import CHUNK_ROWS, unit_rows
from sknnens._views._base import ViewsTransformer
from sknnens._views._checks import find_missing


class Baseline(ViewsTransformer):
    """Normalised views in, one matrix out."""

    normalize: bool = True

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "views": ["array-like", Mapping, None],
        "missing_views": [StrOptions({"error", "mask"})],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what the representation needs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
            In any form that :class:`~sknnens.EnsembleRepresentationLearner` takes.
        y : None
            Ignored, but for its length where `X` is a list.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError, TypeError
            If `X` or a parameter is not as described.
        """
        data = self._read_to_fit(X, y)
        units, present = _unit_views(data.arrays)
        fitted = self._learn(units, present, data.view_weights)
        self._publish(fitted | data.attributes)
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Map samples to their representations.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
            The same views as in `fit`.

        Returns
        -------
        representations : ndarray of shape (n_samples, n_components)
            float64 where `X` is float64, else float32.

        Raises
        ------
        ValueError, TypeError
            If `X` does not have the views of `fit`, or is not finite.
        """
        arrays = self._read_to_transform(X)
        units, present = _unit_views(arrays)
        rows = self._map(units, present, self.view_weights_[self.view_weights_ > 0])
        if self.normalize:
            _normalize_in_place(rows)
        return rows.astype(arrays[0].dtype, copy=False)

    def _learn(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> dict[str, Any]:
        """Return fitted attributes, from normalised views, which rows have them, and weights."""
        raise NotImplementedError

    def _map(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[Any]:
        """Return representations, from the same."""
        raise NotImplementedError


@survives_fork
def _unit_views(arrays: Sequence[NDArray[Any]]) -> tuple[list[NDArray[Any]], NDArray[np.bool_]]:
    """Normalise each view, and tell which rows have it; the others become zero."""
    cpu = torch.device("cpu")
    precision = resolve_precision("auto", arrays[0].dtype, cpu)
    units = [to_numpy(unit_rows(x, precision, cpu)) for x in arrays]
    return units, ~find_missing(arrays)


@survives_fork
def _normalize_in_place(rows: NDArray[Any]) -> None:
    """Scale each row to length 1, in a way that does not depend on what other rows there are."""
    for begin in range(0, len(rows), CHUNK_ROWS["cpu"]):
        part = torch.from_numpy(rows[begin : begin + CHUNK_ROWS["cpu"]])
        part.copy_(normalize_rows(part))


class WeightedBaseline(Baseline):
    """With weights of views."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Baseline._parameter_constraints,
        "view_weights": ["array-like", Mapping, None],
        "normalize": ["boolean"],
    }

    def __init__(
        self,
        views: Sequence[int] | Mapping[Any, Any] | None = None,
        *,
        view_weights: ArrayLike | Mapping[str, float] | None = None,
        missing_views: str = "error",
        normalize: bool = True,
    ) -> None:
        self.views = views
        self.view_weights = view_weights
        self.missing_views = missing_views
        self.normalize = normalize


def sum_weights(present: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the weights of the views that each row has, shape (n_samples, 1).

    View by view, because a matrix product rounds differently for different numbers of rows.
    """
    total = np.zeros((len(present), 1))
    for weight, here in zip(weights.tolist(), present.T, strict=True):
        total[:, 0] += weight * here
    return total


def find_directed(units: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Which rows are not zero in which normalised views, shape (n_samples, n_views).

    The others have no neighbours there: they lack the view, or have no direction in it.
    """
    return np.stack([x.any(axis=1) for x in units], axis=1)


def padded_chunks(stacked: NDArray[Any]) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield the rows in order, in chunks of one size, the last one padded with zeros.

    A matrix product rounds differently for different numbers of rows; in chunks of one size a
    row's result does not depend on its company.

    Parameters
    ----------
    stacked : ndarray of shape (n_samples, n_features)

    Yields
    ------
    rows : slice
        Which rows these are.
    chunk : ndarray of shape (b, n_features)
        Those rows, then zeros.
    """
    size = CHUNK_ROWS["cpu"]
    for begin in range(0, len(stacked), size):
        rows = slice(begin, min(begin + size, len(stacked)))
        chunk = np.zeros((size, stacked.shape[1]), dtype=stacked.dtype)
        chunk[: rows.stop - begin] = stacked[rows]
        yield rows, chunk


def map_chunks(
    function: Callable[[NDArray[Any]], NDArray[Any]], stacked: NDArray[Any]
) -> NDArray[Any]:
    """Apply a function to chunks of rows of one size; see `padded_chunks`.

    Parameters
    ----------
    function : callable
        From rows of shape (b, n_features) to rows of shape (b, n_out).
    stacked : ndarray of shape (n_samples, n_features)

    Returns
    -------
    rows : ndarray of shape (n_samples, n_out)
    """
    return np.concatenate(
        [function(chunk)[: rows.stop - rows.start] for rows, chunk in padded_chunks(stacked)]
    )
