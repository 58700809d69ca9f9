"""Which start is taken, and the projection that some of them need."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.optimize import brentq
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from sknnens._neighbors import nearest
from sknnens._views._forms import column_slices
from sknnens.fusion._imputation import Factors
from sknnens.fusion._weights import exp_entropy

# Components are whitened down to this size, relative to the largest; what is smaller is rounding.
SMALLEST_WHITENED = 1e-5
WHITEN_EXPONENT = 0.5  # of init="whiten", and the most that init="auto" takes
EFFECTIVE_RANK = 64  # that init="auto" whitens up to
N_NEIGHBORS = 10  # that init="auto" looks at
NEIGHBOR_SHARE = 1.0  # of the variance of the other map, in the sum of the two
NEIGHBOR_RIDGE = 0.3  # times the mean eigenvalue of the covariance of their differences


@dataclass(frozen=True)
class Projection:
    """A linear map of weighted views side by side.

    Attributes
    ----------
    mean : ndarray of shape (n_features,)
        Subtracted from them.
    components : ndarray of shape (n_components, n_features)
        What they are then multiplied with.
    whiten_exponent : float
        Power of their singular values that principal components are divided by.
    factors : Factors, default=None
        By which some views predict others; None takes them to be at the mean.
    """

    mean: NDArray[Any]
    components: NDArray[Any]
    whiten_exponent: float
    factors: Factors | None = None

    def to(self, dtype: Any) -> "Projection":
        """Convert the arrays."""
        mean, components = self.mean.astype(dtype), self.components.astype(dtype)
        factors = None if self.factors is None else self.factors.to(dtype)
        return Projection(mean, components, self.whiten_exponent, factors)


def choose_start_width(
    init: str, n_components: int | None, n_samples: int, sizes: Sequence[int]
) -> int:
    """Resolve the parameter `n_components` for a start from views of these widths.

    Parameters
    ----------
    init : {"auto", "average", "pca", "whiten"}
        The start.
    n_components : int or None
        As given by the user.
    n_samples : int
        Number of samples in fit.
    sizes : sequence of int
        Width of each view.

    Returns
    -------
    n_components : int

    Raises
    ------
    ValueError
        If the two do not go together, or not with the views.
    """
    common = sizes[0] if len(set(sizes)) == 1 else None
    if init == "average":
        if common is None:
            raise ValueError(
                f"init='average' needs views of one width, got {list(sizes)}. "
                "Allowed here are 'pca', 'whiten' and 'auto'."
            )
        if n_components not in (None, common):
            raise ValueError(
                f"init='average' needs n_components={common}, the width of the views, or "
                f"None, got {n_components}. Allowed here are 'pca', 'whiten' and 'auto'."
            )
        return common
    return choose_width(n_components, n_samples, sizes)


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


def mean_columns(
    units: Sequence[NDArray[Any]], view_weights: Sequence[float], present: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Mean of each column of the weighted views side by side, over the rows that are there.

    Where there are none, it is 0.

    Parameters
    ----------
    units : sequence of ndarray of shape (n_samples, n_features_v)
        Normalised views.
    view_weights : sequence of float
        One a view.
    present : ndarray of shape (n_samples, n_views)
        Which rows have which views.

    Returns
    -------
    means : ndarray of shape (n_features,)
    """
    means = [
        w * x.sum(axis=0, where=here[:, None], dtype=np.float64) / max(here.sum(), 1)
        for x, w, here in zip(units, view_weights, present.T, strict=True)
    ]
    return np.concatenate(means)


def stack_units(
    units: Sequence[NDArray[Any]],
    view_weights: Sequence[float],
    present: NDArray[np.bool_],
    means: NDArray[Any],
    dtype: Any = np.float64,
) -> NDArray[Any]:
    """Put weighted, normalised views side by side, and means where a row lacks a view.

    Parameters
    ----------
    units, view_weights, present
        As in `mean_columns`.
    means : ndarray of shape (n_features,)
        Mean of each column.
    dtype : dtype, default=float64
        Of the result.

    Returns
    -------
    stacked : ndarray of shape (n_samples, n_features)
    """
    stacked = np.empty((len(present), len(means)), dtype=dtype)
    slices = column_slices([x.shape[1] for x in units])
    for x, weight, here, columns in zip(units, view_weights, present.T, slices, strict=True):
        part = np.multiply(x, weight, out=stacked[:, columns])
        part[~here] = means[columns]
    return stacked


def fit_projection(
    stacked: NDArray[Any], n_components: int, whiten_exponent: float, random_state: Any
) -> Projection:
    """Principal components of the views side by side.

    Parameters
    ----------
    stacked : ndarray of shape (n_samples, n_features)
        The weighted, normalised views side by side, in float64, because the solver squares the
        singular values.
    n_components : int
        At most the smaller side of `stacked`.
    whiten_exponent : float
        Each component is divided by its singular value to this power: 0 leaves them, 1 whitens,
        0.5 is half-way. A component without variance is then set to zero.
    random_state : int, RandomState instance or None
        For scikit-learn's randomised solver, which large matrices get.

    Returns
    -------
    projection : Projection
    """
    pca = _fit_pca(stacked, n_components, random_state)
    components = pca.components_
    if whiten_exponent:
        size = _relative(pca.singular_values_)
        scale = np.where(size > SMALLEST_WHITENED, size, np.inf) ** -whiten_exponent
        components = components * scale[:, None]
    return Projection(pca.mean_, components, whiten_exponent)


def fit_neighbor_projection(
    stacked: NDArray[Any], n_components: int, width: int, random_state: Any
) -> Projection:
    """Projection whose inner products are those of two maps.

    The one whitens principal components as far as `choose_exponent` says. The other, of the same
    variance, is that of `correlate_neighbors`, for neighbours by the cosine under the first.

    Parameters
    ----------
    stacked : ndarray of shape (n_samples, n_features)
        The weighted, normalised views side by side, in float64.
    n_components : int
        Width of the result: the leading principal components of both maps together.
    width : int
        Number of principal components that the maps are found in; more where `n_components` is.
    random_state : int, RandomState instance or None
        For scikit-learn's randomised solver, which large matrices get.

    Returns
    -------
    projection : Projection
        Components beyond the rank of `stacked` are zero. The exponent is that of the first map.
    """
    pca = _fit_pca(stacked, max(width, n_components), random_state)
    components = np.zeros((n_components, stacked.shape[1]))
    size = _relative(pca.singular_values_)
    kept = size > SMALLEST_WHITENED
    if not kept.any():
        return Projection(pca.mean_, components, 0.0)
    axes, size, variances = pca.components_[kept], size[kept], pca.explained_variance_[kept]
    exponent = choose_exponent(size)
    whitened = size**-exponent
    rows = (stacked - pca.mean_) @ axes.T
    # scikit-learn's search would set the threads of BLAS for the whole process meanwhile
    near = nearest(normalize(rows * whitened), None, min(N_NEIGHBORS, len(rows) - 1))
    begins = np.arange(len(near) + 1) * near.shape[1]
    shape = len(near), len(near)
    graph = scipy.sparse.csr_matrix((np.ones(near.size), near.ravel(), begins), shape=shape)
    # the products of a map with itself; after it rows have the variance 1
    metric = np.diag(whitened**2) / (whitened**2 @ variances)
    other = correlate_neighbors(rows, variances, graph)
    spread = (other**2).sum(axis=1) @ variances
    if spread > 0:
        metric += NEIGHBOR_SHARE * other @ other.T / spread
    # a root of it whose columns are in the order of their variance
    deviations = np.sqrt(variances)
    values, vectors = np.linalg.eigh(deviations[:, None] * metric * deviations)
    values, vectors = values[: -n_components - 1 : -1], vectors[:, : -n_components - 1 : -1]
    scale = np.where(values > 0, values, np.inf) ** -0.5
    components[: len(values)] = (metric @ (deviations[:, None] * vectors * scale)).T @ axes
    return Projection(pca.mean_, components, exponent)


def choose_exponent(sizes: NDArray[Any]) -> float:
    """Whiten no further than to an effective rank of 64, and at most half-way.

    Parameters
    ----------
    sizes : ndarray of shape (n_components,)
        Singular values, all positive.

    Returns
    -------
    exponent : float
        0 where the components have that rank as they are.
    """

    def excess(exponent: float) -> float:
        return float(np.log(exp_entropy(sizes ** (2 * (1 - exponent))) / EFFECTIVE_RANK))

    if excess(0) >= 0:
        return 0.0
    if excess(WHITEN_EXPONENT) <= 0:
        return WHITEN_EXPONENT
    return float(brentq(excess, 0, WHITEN_EXPONENT))


def correlate_neighbors(
    rows: NDArray[Any], variances: NDArray[Any], graph: scipy.sparse.csr_matrix
) -> NDArray[Any]:
    """Discriminant analysis with each sample's neighbours for its class.

    The differences of neighbours are whitened, as linear discriminant analysis does with those of
    one class; then each principal axis is multiplied with the correlation of neighbours along it.
    What tells one neighbourhood from another stays, and what varies within them is made small.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, d)
        Uncorrelated, around 0.
    variances : ndarray of shape (d,)
        Of their columns.
    graph : sparse matrix of shape (n_samples, n_samples)
        1 for each neighbour of a row, all rows with as many.

    Returns
    -------
    weights : ndarray of shape (d, d)
        What rows are to be multiplied with; zero where neighbours do not differ.
    """
    graph = graph / graph[0].sum()
    degree = 1 + np.asarray(graph.sum(axis=0)).ravel()
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


def _fit_pca(stacked: NDArray[Any], n_components: int, random_state: Any) -> PCA:
    # shares of no variance, which are not used
    with np.errstate(divide="ignore", invalid="ignore"):
        return PCA(n_components, random_state=random_state).fit(stacked)


def _relative(sizes: NDArray[Any]) -> NDArray[Any]:
    """Singular values as a share of the largest."""
    shares: NDArray[Any] = sizes / max(sizes[0], np.finfo(np.float64).tiny)
    return shares
