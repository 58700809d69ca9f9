"""Base class of the fusions, and matrix products that treat each row alone."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sknnens._compat import StrOptions, fit_context
from sknnens._views import (
    FitInput,
    MultiviewTransformer,
    OnRows,
    Views,
    row_slices,
    unit_rows,
)
from sknnens.fusion._weights import MOST_ROWS, resolve_weights

CHUNK_ROWS = 1024  # rows that are in memory a second time, stacked
# Rows, columns and depth of one matrix product. The rows lie along the lanes of a BLAS kernel, and
# 16 of them are one tile, so that each row is computed by the same instructions. In larger tiles,
# and in products that OpenBLAS divides among threads, it rounds a row differently at different
# places, for instance in float32 with AVX2. Up to 2**18 multiplications are left to one thread.
TILE_ROWS, TILE_COLUMNS, TILE_DEPTH = 16, 256, 64


class Fusion(MultiviewTransformer):
    """Base class of the closed-form transformers of the views.

    A subclass implements ``_fit_views(data, weights)``, which returns a dictionary of fitted
    attributes, ``_map(views, weights)``, which returns the rows of some samples, and the property
    ``_n_features_out``. ``_map`` gets any number of samples, and each row must be independent of
    the others: use :func:`multiply_rows` for matrix products.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    view_weights : "auto", array-like of shape (n_views,), or mapping from name to weight, \
            default=None
        Weights of the views. None weights all views equally. ``"auto"`` estimates the weights
        from up to 4,096 samples of `fit`.
    missing_views : {"error", "impute"}, default="error"
        Whether a sample may lack views, as NaN in all of their columns.
    normalize : bool, default=True
        Whether to scale the rows to unit L2 norm.

    Attributes
    ----------
    view_sizes_ : list of int
        Width of each view.
    view_names_ : ndarray of shape (n_views,)
        Name of each view.
    view_weights_ : ndarray of shape (n_views,)
        Weight of each view, the largest 1.
    view_shares_ : ndarray of shape (n_views,)
        Share of the variance of each view that a ridge regression from the others predicts, at
        most 1. NaN unless `view_weights` is ``"auto"`` and there are several views.
    n_features_in_ : int
        Number of columns of `X`, if it is a matrix or frame, else of all views together.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns of `X`, if it is a frame and all of its labels are strings.

    Examples
    --------
    Every fusion has the same methods:

    >>> from sknnens.datasets import load_fashion_mnist_features
    >>> from sknnens.fusion import GCCA, Concatenation, Fusion
    >>> data = load_fashion_mnist_features(["simclr_0", "rotnet"])
    >>> for fusion in (Concatenation(data.view_sizes), GCCA(data.view_sizes)):
    ...     print(isinstance(fusion, Fusion), fusion.fit_transform(data.X_train).shape)
    True (1000, 256)
    True (1000, 128)
    """

    view_weights: Any = None
    normalize: bool = True

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "views": ["array-like", Mapping, None],
        "view_weights": [StrOptions({"auto"}), "array-like", Mapping, None],
        "missing_views": [StrOptions({"error", "impute"})],
        "normalize": ["boolean"],
    }

    def __init__(
        self,
        views: Sequence[int] | Mapping[Any, Any] | None = None,
        *,
        view_weights: ArrayLike | Mapping[str, float] | str | None = None,
        missing_views: str = "error",
        normalize: bool = True,
    ) -> None:
        self.views = views
        self.view_weights = view_weights
        self.missing_views = missing_views
        self.normalize = normalize

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the transformer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
            In any form that :class:`~sknnens.EnsembleRepresentationLearner` takes.
        y : None
            Ignored, except for its length if `X` is a list. A second matrix of floats is an error:
            give several models in one list.

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
        sample = data.sample(MOST_ROWS) if isinstance(self.view_weights, str) else data
        resolved = resolve_weights(self.view_weights, sample)
        return self._fit_read(self._choose_rows(data), resolved)

    def transform(
        self, X: Any, *, out: str | os.PathLike[str] | None = None, resume: bool = False
    ) -> Any:
        """Transform samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
            The same views as in `fit`, in any form that
            :meth:`sknnens.EnsembleRepresentationLearner.transform` takes.
        out, resume
            As in :meth:`sknnens.EnsembleRepresentationLearner.transform`.

        Returns
        -------
        representations : ndarray of shape (n_samples, n_components)
            float64 if `X` is float64, else float32. With `out`, a read-only memory map.

        Raises
        ------
        ValueError, TypeError
            If `X` does not have the views of `fit`, or is not finite.
        """
        return self._transform(X, out, resume)

    @fit_context(prefer_skip_nested_validation=True)
    def _fit_read(
        self, data: FitInput, resolved: tuple[NDArray[Any], NDArray[Any]] | None = None
    ) -> Self:
        """Fit to views that are read; None resolves the weights with the first of these samples."""
        weights, shares = resolved or resolve_weights(self.view_weights, data)
        fitted = self._fit_views(data, weights)
        about_views = {
            "view_weights_": np.array(data.spread(weights.tolist(), 0.0)),
            "view_shares_": np.array(data.spread(shares.tolist(), np.nan)),
        }
        self._publish(data.attributes | about_views | fitted)
        return self

    def _transform_views(self, views: Views, on_rows: OnRows | None = None) -> NDArray[Any]:
        """Transform views that are read; `on_rows` is not told."""
        weights = self.view_weights_[self.view_weights_ > 0].tolist()
        result = np.empty((len(views), self._n_features_out), dtype=views.dtype)
        for part in row_slices(len(views), CHUNK_ROWS):
            rows = self._map(views.take(part), weights)
            if self.normalize:
                rows = unit_rows(rows, np.sqrt(np.square(rows).sum(axis=1)))
            result[part] = rows
        return result

    def _choose_rows(self, data: FitInput) -> FitInput:
        """Return the samples to fit to, all by default."""
        return data

    def _fit_views(self, data: FitInput, weights: NDArray[np.float64]) -> dict[str, Any]:
        """Compute the fitted attributes from the views of positive weight."""
        raise NotImplementedError

    def _map(self, views: Views, weights: list[float]) -> NDArray[Any]:
        """Transform a chunk of samples, before normalization; row by row in memory."""
        raise NotImplementedError

    @property
    def _n_features_out(self) -> int:
        raise NotImplementedError


def multiply_rows(rows: NDArray[Any], matrix: NDArray[Any]) -> NDArray[Any]:
    """Multiply rows of shape (n, d) with a matrix of shape (d, k), each row independently.

    The bits of a row depend neither on the other rows nor on its place, see `TILE_ROWS`, but on the
    layout of the matrix.
    """
    (n_rows, depth), width = rows.shape, matrix.shape[1]
    if n_rows % TILE_ROWS:
        rows = np.pad(rows, ((0, -n_rows % TILE_ROWS), (0, 0)))
    if width % TILE_ROWS:  # a product of few columns at the end would be rounded in another way
        matrix = np.pad(matrix, ((0, 0), (0, -width % TILE_ROWS)))
    tiles = rows.reshape(len(rows) // TILE_ROWS, TILE_ROWS, depth).transpose(0, 2, 1)
    product = np.zeros((len(tiles), matrix.shape[1], TILE_ROWS), dtype=rows.dtype)
    for columns in row_slices(matrix.shape[1], TILE_COLUMNS):
        for part in row_slices(depth, TILE_DEPTH):
            product[:, columns] += matrix[part, columns].T @ tiles[:, part]
    product = product.transpose(0, 2, 1).reshape(len(rows), matrix.shape[1])
    return np.ascontiguousarray(product[:n_rows, :width])
