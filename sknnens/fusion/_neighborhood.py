"""Partially whitened PCA beside a discriminant analysis of neighborhoods."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from sklearn.preprocessing import normalize as normalize_rows

from sknnens._compat import Interval
from sknnens._neighbors import nearest
from sknnens._views import FitInput
from sknnens.fusion._base import Fusion
from sknnens.fusion._pca import LinearProjection, choose_width, find_axes
from sknnens.fusion._weights import find_directed

FIT_ROWS = 10_000  # the search for neighbors is quadratic in them
# Each was chosen on the development ensembles of the study.
WHITEN_EXPONENT = 0.3
N_NEIGHBORS = 20
NEIGHBOR_SHARE = 0.1  # variance of the discriminant map, relative to the whitened one
NEIGHBOR_RIDGE = 0.3  # relative to the mean eigenvalue of the covariance of differences


class NeighborhoodProjection(LinearProjection):
    """Sum of two kernels: partially whitened PCA and discriminant analysis of neighborhoods.

    Both kernels are linear maps of the L2-normalized features side by side. The first divides the
    principal components by their singular values to the power 0.3. It decides between near
    neighbors. The second has a tenth of the variance. It is a linear discriminant analysis without
    labels: the classes are the neighborhoods of the samples under the first map. It decides
    between distant samples.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    n_components : int, default=None
        Number of components. None takes the width of the widest view, or the number of samples
        if it is smaller.
    view_weights : "auto", array-like of shape (n_views,), or mapping from name to weight, \
            default="auto"
        Factors of the normalized views. ``"auto"`` estimates the weights from up to 4,096
        samples of `fit`. None weights all views equally.
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
        Linear map of the centered features, in order of decreasing variance.
    imputer_ : object or None
        Fitted imputation; None if `missing_views` was ``"error"``.
    view_sizes_, view_names_, view_weights_, view_shares_, n_features_in_, feature_names_in_
        About the input, as in :class:`Fusion`.

    See Also
    --------
    ConcatenationPCA : The first map alone, with any exponent.

    Notes
    -----
    `fit` uses at most 10,000 samples, or twice `n_components` if this is more, drawn with a fixed
    seed. Components beyond the rank of the features are zero.

    If a view is zero in a sample, it counts as missing: it is imputed, or replaced by the mean of
    the view without imputation.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.fusion import NeighborhoodProjection
    >>> X = np.random.RandomState(0).randn(20, 7)
    >>> NeighborhoodProjection(views=[4, 3], n_components=2).fit_transform(X).shape
    (20, 2)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Fusion._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        views: Sequence[int] | Mapping[Any, Any] | None = None,
        *,
        n_components: int | None = None,
        view_weights: ArrayLike | Mapping[str, float] | str | None = "auto",
        missing_views: str = "error",
        normalize: bool = True,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.views = views
        self.n_components = n_components
        self.view_weights = view_weights
        self.missing_views = missing_views
        self.normalize = normalize
        self.random_state = random_state

    def _choose_rows(self, data: FitInput) -> FitInput:
        return data.sample(max(FIT_ROWS, 2 * (self.n_components or 0)))

    def _fit_views(self, data: FitInput, weights: NDArray[np.float64]) -> dict[str, Any]:
        views, dtype = data.views, data.views.dtype
        n_components = choose_width(self.n_components, len(views), views.sizes)
        width = choose_width(None, len(views), views.sizes)
        stacked, _, imputer = self._fit_stacked(
            *(views, weights.tolist(), find_directed(views), self.random_state),
            dtype if self.missing_views == "error" else np.float64,
        )
        stacked = stacked.astype(dtype, copy=False)
        mean, components = fit_neighborhoods(stacked, n_components, width, self.random_state)
        return {
            "mean_": mean.astype(dtype),
            "components_": np.ascontiguousarray(components, dtype),
            "imputer_": imputer,
        }


def fit_neighborhoods(
    stacked: NDArray[Any], n_components: int, width: int, random_state: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit the sum of the kernels of the whitened and of the discriminant map.

    `stacked` are the weighted, normalized views side by side, which are overwritten. The maps are
    fitted in `width` principal components, or in `n_components` if they are more. The result is
    the mean of each column, and the map of the centered columns, of shape (n_components,
    n_features), whose rows beyond the rank of `stacked` are zero.
    """
    mean = stacked.mean(axis=0, dtype=np.float64)
    components = np.zeros((n_components, stacked.shape[1]))
    stacked -= mean.astype(stacked.dtype)
    found = find_axes(stacked, max(width, n_components), random_state)
    axes, variances = (x.astype(stacked.dtype, copy=False) for x in found)
    if not len(axes):
        return mean, components
    whitened = (variances / variances[0]) ** (-WHITEN_EXPONENT / 2)
    rows = stacked @ axes.T
    near = _find_neighbors((rows * whitened).astype(np.float32))  # only their order counts
    discriminant = discriminate_neighbors(rows, variances, near)
    # the sum of both maps' products with themselves, the first of total variance 1
    metric = np.diag(whitened**2) / (whitened**2 @ variances)
    spread = (discriminant**2).sum(axis=1) @ variances
    if spread > 0:
        metric += NEIGHBOR_SHARE * discriminant @ discriminant.T / spread
    # a root of it whose columns are in order of decreasing variance
    deviations = np.sqrt(variances)
    values, vectors = np.linalg.eigh(deviations[:, None] * metric * deviations)
    values, vectors = values[: -n_components - 1 : -1], vectors[:, : -n_components - 1 : -1]
    scale = np.where(values > 0, values, np.inf) ** -0.5
    components[: len(values)] = (metric @ (deviations[:, None] * vectors * scale)).T @ axes
    return mean, components


def _find_neighbors(rows: NDArray[Any]) -> scipy.sparse.csr_matrix:
    """Graph of the nearest neighbors by the cosine; (n_samples, n_samples)."""
    # scikit-learn's search sets the threads of BLAS for the whole process
    near = nearest(normalize_rows(rows), None, min(N_NEIGHBORS, len(rows) - 1))
    begins = np.arange(len(near) + 1) * near.shape[1]
    shape = len(near), len(near)
    return scipy.sparse.csr_matrix((np.ones(near.size), near.ravel(), begins), shape=shape)


def discriminate_neighbors(
    rows: NDArray[Any], variances: NDArray[Any], graph: scipy.sparse.csr_matrix
) -> NDArray[Any]:
    """Return the matrix of a linear discriminant analysis with neighborhoods as classes.

    The differences of neighbors are whitened, as LDA does with the differences within a class. Each
    principal axis is then multiplied by the correlation of neighbors along it. `rows` are centered
    and have uncorrelated columns of these `variances`. `graph` has a 1 for each neighbor of a row,
    equally many in each. The matrix is zero if neighbors do not differ.
    """
    graph = (graph / graph[0].sum()).astype(rows.dtype)
    degree = 1 + np.asarray(graph.sum(axis=0), dtype=rows.dtype).ravel()
    across = rows.T @ (graph @ rows)
    within = (rows.T @ (degree[:, None] * rows) - across - across.T) / len(rows)
    values, vectors = np.linalg.eigh(within)
    if (mean := values.mean()) <= 0:
        return np.zeros_like(within)
    whiten = vectors * (values.clip(0) / mean + NEIGHBOR_RIDGE) ** -0.5 @ vectors.T
    values, vectors = np.linalg.eigh(whiten * variances @ whiten)
    weights: NDArray[Any] = whiten @ vectors
    differences = np.einsum("ij,ij->j", weights, within @ weights)
    weights *= (1 - differences / (2 * values.clip(np.finfo(float).tiny))).clip(0, 1)
    return weights
