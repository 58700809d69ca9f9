"""Generalized canonical correlation analysis."""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from sknnens._compat import Interval
from sknnens._views import FitInput, Views, column_slices
from sknnens.fusion._base import Fusion
from sknnens.fusion._pca import LinearProjection, choose_width
from sknnens.fusion._weights import ROUNDING, find_directed

SMALLEST_EIGENVALUE = 1e-10  # relative to the largest; a smaller one is rounding


class GCCA(LinearProjection):
    """Generalized canonical correlation analysis (MAXVAR) with ridge regularization.

    The coordinates are uncorrelated, and linear maps of all views approximate them best. They are
    the leading eigenvectors of the weighted sum of the views' ridge hat matrices [1]_ [2]_.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    n_components : int, default=None
        Number of coordinates. None takes the width of the widest view, or the number of samples
        if it is smaller.
    ridge : float, default=1.0
        Regularization, as a multiple of the mean eigenvalue of a view's covariance.
    view_weights : "auto", array-like of shape (n_views,), or mapping from name to weight, \
            default=None
        Weights of the hat matrices. None weights all views equally. ``"auto"`` estimates the
        weights from up to 4,096 samples of `fit`.
    missing_views : {"error", "impute"}, default="error"
        Whether a sample may lack views, as NaN in all of their columns. ``"impute"`` imputes a
        missing view from the views that are there.
    normalize : bool, default=True
        Whether to scale the rows to unit L2 norm.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Mean of the normalized features.
    components_ : ndarray of shape (n_components, n_features)
        Linear map of the centered features.
    eigenvalues_ : ndarray of shape (n_components,)
        Share of each coordinate that the regressions on the views explain, as a weighted sum over
        views.
    imputer_ : object or None
        Fitted imputation; None if `missing_views` was ``"error"``.
    view_sizes_, view_names_, view_weights_, view_shares_, n_features_in_, feature_names_in_
        About the input, as in :class:`Fusion`.

    Notes
    -----
    With D columns in total, `fit` takes O(n D^2 + D^3) operations and O(D^2) memory in addition to
    the centered features. If a view is zero in a sample, it counts as missing: it is imputed, or
    replaced by the mean of the view without imputation.

    References
    ----------
    .. [1] J. R. Kettenring, "Canonical analysis of several sets of variables", Biometrika
       58(3), 1971.
    .. [2] P. Rastogi, B. Van Durme, R. Arora, "Multiview LSA: Representation Learning via
       Generalized CCA", NAACL 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.fusion import GCCA
    >>> X = np.random.RandomState(0).randn(20, 7)
    >>> GCCA(views=[4, 3], n_components=2).fit_transform(X).shape
    (20, 2)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Fusion._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "ridge": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        views: Sequence[int] | Mapping[Any, Any] | None = None,
        *,
        n_components: int | None = None,
        ridge: float = 1.0,
        view_weights: ArrayLike | Mapping[str, float] | str | None = None,
        missing_views: str = "error",
        normalize: bool = True,
    ) -> None:
        self.views = views
        self.n_components = n_components
        self.ridge = ridge
        self.view_weights = view_weights
        self.missing_views = missing_views
        self.normalize = normalize

    def _fit_views(self, data: FitInput, weights: NDArray[np.float64]) -> dict[str, Any]:
        views, dtype = data.views, data.views.dtype
        width = choose_width(self.n_components, len(views), views.sizes)
        ones, present = [1.0] * len(views.sizes), find_directed(views)
        stacked, mean, imputer = self._fit_stacked(views, ones, present, random_state=0)
        stacked -= mean
        values, vectors = self._solve(stacked, views.sizes, weights, width)
        # a coordinate's variance is its eigenvalue over n
        kept = values > values[0] * SMALLEST_EIGENVALUE
        scale = np.where(kept, np.sqrt(len(stacked) / np.where(kept, values, 1)), 0)
        return {
            "mean_": mean.astype(dtype),
            "components_": np.ascontiguousarray((vectors * scale).T, dtype),
            "eigenvalues_": values.astype(dtype),
            "imputer_": imputer,
        }

    def _solve(
        self,
        stacked: NDArray[Any],
        sizes: Sequence[int],
        weights: NDArray[np.float64],
        width: int,
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Leading eigenvalues, (width,), and the maps to their eigenvectors, (D, width)."""
        slices = column_slices(sizes)
        for columns in slices:
            part = stacked[:, columns]
            if np.einsum("ij,ij->", part, part) <= len(part) * ROUNDING**2:
                part[:] = 0  # the ridge would make coordinates of rounding
        products = stacked.T @ stacked  # (D, D)
        blocks = []
        for weight, columns, size in zip(weights, slices, sizes, strict=True):
            block = products[columns, columns]
            ridge = self.ridge * np.trace(block) / size
            blocks.append((block + (ridge or 1.0) * np.eye(size)) / weight)
        values, vectors = scipy.linalg.eigh(
            products,
            scipy.linalg.block_diag(*blocks),
            subset_by_index=[len(products) - width, len(products) - 1],
        )
        return values[::-1], vectors[:, ::-1]

    def _map(self, views: Views, weights: list[float]) -> NDArray[Any]:
        # the weights are part of the components already
        return super()._map(views, [1.0] * len(weights))
