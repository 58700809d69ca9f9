"""Linear projections of the views side by side, and their principal components."""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.extmath import randomized_svd

from sknnens._compat import Interval
from sknnens._views import FitInput, Views
from sknnens.fusion._base import Fusion, multiply_rows
from sknnens.fusion._stacking import StackedFusion
from sknnens.fusion._weights import find_directed

LARGE_SCATTER = 4096  # columns of a scatter matrix from which on its axes are found at random
# singular values, relative to the largest; smaller ones are rounding, in float32 and float64
SMALLEST_SINGLE, SMALLEST_WHITENED = 1e-3, 1e-5


class LinearProjection(StackedFusion):
    """Base class of the linear maps of the centered views side by side.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Linear map of the centered features.
    """

    def _map(self, views: Views, weights: list[float]) -> NDArray[Any]:
        self._check_complete(views)
        centered = self._center(views, weights, find_directed(views))
        return multiply_rows(centered, self.components_.astype(views.dtype, copy=False).T)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)


class ConcatenationPCA(LinearProjection):
    """Partially whitened principal components of the L2-normalized features side by side.

    Each component is divided by its singular value to the power `whiten_exponent`, which raises
    the share of directions with little variance.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    n_components : int, default=None
        Number of components. None takes the width of the widest view, or the number of samples
        if it is smaller.
    whiten_exponent : float, default=0.5
        0 is plain PCA, 1 whitens, 0.5 is halfway.
    view_weights : "auto", array-like of shape (n_views,), or mapping from name to weight, \
            default=None
        Factors of the normalized views. None weights all views equally. ``"auto"`` estimates the
        weights from up to 4,096 samples of `fit`.
    missing_views : {"error", "impute"}, default="error"
        Whether a sample may lack views, as NaN in all of their columns. ``"impute"`` imputes a
        missing view from the views that are there.
    normalize : bool, default=True
        Whether to scale the rows to unit L2 norm.
    random_state : int, RandomState instance or None, default=None
        For the randomized solver that more than 4,096 columns get.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Mean of the weighted, normalized features.
    components_ : ndarray of shape (n_components, n_features)
        Linear map of the centered features.
    imputer_ : object or None
        Fitted imputation; None if `missing_views` was ``"error"``.
    view_sizes_, view_names_, view_weights_, view_shares_, n_features_in_, feature_names_in_
        About the input, as in :class:`Fusion`.

    See Also
    --------
    sklearn.decomposition.PCA : The same without views and weights, whitened or not.
    NeighborhoodProjection : Adds a discriminant analysis of neighborhoods.

    Notes
    -----
    Singular values are taken relative to the largest, so that the first component is not scaled.
    With ``whiten_exponent=1`` and ``normalize=False``, all columns have the variance of the first
    principal component over the samples of `fit`. A component without variance is set to zero.

    If a view is zero in a sample, it counts as missing: it is imputed, or replaced by the mean of
    the view without imputation.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.fusion import ConcatenationPCA
    >>> X = np.random.RandomState(0).randn(20, 7)
    >>> ConcatenationPCA(views=[4, 3], n_components=2).fit_transform(X).shape
    (20, 2)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Fusion._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "whiten_exponent": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        views: Sequence[int] | Mapping[Any, Any] | None = None,
        *,
        n_components: int | None = None,
        whiten_exponent: float = 0.5,
        view_weights: ArrayLike | Mapping[str, float] | str | None = None,
        missing_views: str = "error",
        normalize: bool = True,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.views = views
        self.n_components = n_components
        self.whiten_exponent = whiten_exponent
        self.view_weights = view_weights
        self.missing_views = missing_views
        self.normalize = normalize
        self.random_state = random_state

    def _fit_views(self, data: FitInput, weights: NDArray[np.float64]) -> dict[str, Any]:
        views, dtype = data.views, data.views.dtype
        width = choose_width(self.n_components, len(views), views.sizes)
        stacked, _, imputer = self._fit_stacked(
            views, weights.tolist(), find_directed(views), self.random_state
        )
        mean = stacked.mean(axis=0)
        stacked -= mean
        axes, variances = find_axes(stacked, width, self.random_state)
        components = np.zeros((width, stacked.shape[1]), dtype)
        sizes = np.sqrt(variances / variances.max(initial=0))  # singular values
        components[: len(axes)] = axes * (sizes**-self.whiten_exponent)[:, None]
        return {
            "mean_": mean.astype(dtype),
            "components_": components,
            "imputer_": imputer,
        }


def choose_width(n_components: int | None, n_samples: int, sizes: Sequence[int]) -> int:
    """Resolve the parameter `n_components` of a linear projection of views of these widths."""
    most = min(n_samples, sum(sizes))
    if n_components is None:
        return min(max(sizes), most)
    if n_components > most:
        raise ValueError(
            f"n_components={n_components} must be at most {most}, the smaller of the number "
            f"of samples ({n_samples}) and of columns ({sum(sizes)})."
        )
    return n_components


def find_axes(
    centered: NDArray[Any], n_components: int, random_state: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Principal axes of centered columns, of shape (n_axes, n_features), and their variances.

    There are at most `n_components`, in order of decreasing variance, none without variance. They
    come from the scatter matrix, which is several times as fast as a PCA of the rows. Singular
    values that are rounding there are left out: below 1e-5 of the largest, or 1e-3 in float32, in
    which few axes of a large matrix are found by the randomized solver.
    """
    tall = centered.shape[0] >= centered.shape[1]
    scatter = centered.T @ centered if tall else centered @ centered.T
    whole = len(scatter)
    n_found = min(n_components, whole)
    if whole > LARGE_SCATTER and 2 * n_found <= whole:
        scatter = scatter.astype(np.float32, copy=False)
        vectors, values, _ = randomized_svd(scatter, n_found, n_iter=1, random_state=random_state)
    else:
        values, vectors = scipy.linalg.eigh(scatter, subset_by_index=(whole - n_found, whole - 1))
        values, vectors = values[::-1], vectors[:, ::-1]
    smallest = SMALLEST_SINGLE if scatter.dtype == np.float32 else SMALLEST_WHITENED
    kept = values > smallest**2 * max(values[0], np.finfo(np.float32).tiny)
    values, vectors = values[kept].astype(np.float64), vectors[:, kept].astype(np.float64)
    axes = vectors.T if tall else (vectors / np.sqrt(values)).T @ centered
    largest = np.abs(axes).argmax(axis=1, keepdims=True)
    axes = axes * np.sign(np.take_along_axis(axes, largest, axis=1))  # signs as scikit-learn's PCA
    return axes, values / max(len(centered) - 1, 1)
