"""Linear maps of the views side by side."""

import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval

from sknnens._views._forms import column_slices
from sknnens.fusion._base import WeightedBaseline, map_chunks, sum_weights
from sknnens.fusion._initialization import choose_width, fit_projection, mean_columns, stack_units

# Rows of length 1 that deviate less from their mean, on average, are all alike but for rounding.
SMALLEST_DEVIATION = 1e-6


class _Projection(WeightedBaseline):
    """A linear map of the centred views side by side."""

    def _map(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[Any]:
        dtype = units[0].dtype
        stacked = stack_units(units, weights.tolist(), present, self.mean_, dtype)
        stacked -= self.mean_.astype(dtype)
        components = self.components_.T.astype(dtype)
        return map_chunks(lambda rows: rows @ components, stacked)


class ConcatenationPCA(_Projection):
    """Principal components of the L2-normalised features side by side, whitened to a degree.

    Each component is divided by its singular value to the power `whiten_exponent`: directions in
    which the features vary little then count for more.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    n_components : int, default=None
        Number of components. None takes the width of the widest view, or the number of
        samples where that is smaller.
    whiten_exponent : float, default=0.5
        0 is plain PCA, 1 whitens, 0.5 is half-way.
    view_weights : array-like of shape (n_views,), or mapping from name to weight, default=None
        What each view is multiplied with. None weighs all alike.
    missing_views : {"error", "mask"}, default="error"
        With ``"mask"``, a view that a sample lacks is put at its mean over the samples of `fit`.
    normalize : bool, default=True
        Whether the rows have length 1.
    random_state : int, RandomState instance or None, default=None
        For the randomised solver that scikit-learn's PCA takes for large matrices.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Mean of the weighted, normalised features.
    components_ : ndarray of shape (n_components, n_features)
        The map from the centred features.
    view_sizes_ : list of int
        Width of each view.
    view_names_ : ndarray of shape (n_views,)
        Name of each view.
    view_weights_ : ndarray of shape (n_views,)
        Weight of each view, the largest 1.
    n_features_in_ : int
        Number of columns of the stacked matrix.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of those columns, where `X` has names.

    See Also
    --------
    sklearn.decomposition.PCA : Does the work.

    Notes
    -----
    Singular values are taken relative to the largest, so that the first component stays as it is.
    With ``whiten_exponent=1`` and ``normalize=False`` all columns thus have the sum of squares of
    the first principal component over the samples of `fit`, not a variance of 1.

    Examples
    --------
    >>> from sknnens.fusion import ConcatenationPCA
    >>> from sknnens.datasets import load_fashion_mnist_features
    >>> data = load_fashion_mnist_features(["simclr_0", "simclr_1"])
    >>> pca = ConcatenationPCA(views=data.view_sizes, n_components=32, random_state=0)
    >>> pca.fit_transform(data.X_train).shape
    (6000, 32)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **WeightedBaseline._parameter_constraints,
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
        view_weights: ArrayLike | Mapping[str, float] | None = None,
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

    def _learn(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> dict[str, Any]:
        width = choose_width(self.n_components, len(present), [x.shape[1] for x in units])
        means = mean_columns(units, weights.tolist(), present)
        stacked = stack_units(units, weights.tolist(), present, means)
        found = fit_projection(stacked, width, self.whiten_exponent, self.random_state)
        return {"mean_": found.mean, "components_": found.components, "_n_features_out": width}


class GCCA(_Projection):
    """Generalised canonical correlation analysis (MAXVAR), regularised.

    Finds few coordinates of the samples, uncorrelated and of one variance, that linear maps of
    every view come close to: the leading eigenvectors of the weighted sum over views of the
    ridge regressions' projections [1]_ [2]_.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    n_components : int, default=None
        Number of coordinates. None takes the width of the widest view, or the number of
        samples where that is smaller.
    ridge : float, default=1.0
        Regularisation, as a multiple of the mean eigenvalue of a view's covariance.
    view_weights : array-like of shape (n_views,), or mapping from name to weight, default=None
        Weights of the sum. None weighs all alike.
    missing_views : {"error", "mask"}, default="error"
        With ``"mask"``, a view that a sample lacks is put at its mean over the samples of `fit`.
    normalize : bool, default=True
        Whether the rows have length 1.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Mean of the normalised features.
    components_ : ndarray of shape (n_components, n_features)
        The map from the centred features.
    eigenvalues_ : ndarray of shape (n_components,)
        How much of each coordinate the views' regressions keep, summed over views.
    view_sizes_ : list of int
        Width of each view.
    view_names_ : ndarray of shape (n_views,)
        Name of each view.
    view_weights_ : ndarray of shape (n_views,)
        Weight of each view, the largest 1.
    n_features_in_ : int
        Number of columns of the stacked matrix.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of those columns, where `X` has names.

    Notes
    -----
    With D columns in all, fitting takes O(n D^2 + D^3) operations and O(D^2) memory.

    References
    ----------
    .. [1] J. R. Kettenring, "Canonical analysis of several sets of variables", Biometrika
       58(3), 1971.
    .. [2] P. Rastogi, B. Van Durme, R. Arora, "Multiview LSA: Representation Learning via
       Generalized CCA", NAACL 2015.

    Examples
    --------
    >>> from sknnens.fusion import GCCA
    >>> from sknnens.datasets import load_fashion_mnist_features
    >>> data = load_fashion_mnist_features(["simclr_0", "simclr_1"])
    >>> GCCA(views=data.view_sizes, n_components=32).fit_transform(data.X_train).shape
    (6000, 32)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **WeightedBaseline._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "ridge": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        views: Sequence[int] | Mapping[Any, Any] | None = None,
        *,
        n_components: int | None = None,
        ridge: float = 1.0,
        view_weights: ArrayLike | Mapping[str, float] | None = None,
        missing_views: str = "error",
        normalize: bool = True,
    ) -> None:
        self.views = views
        self.n_components = n_components
        self.ridge = ridge
        self.view_weights = view_weights
        self.missing_views = missing_views
        self.normalize = normalize

    def _learn(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> dict[str, Any]:
        sizes = [x.shape[1] for x in units]
        width = choose_width(self.n_components, len(present), sizes)
        ones = [1.0] * len(units)
        mean = mean_columns(units, ones, present)
        stacked = stack_units(units, ones, present, mean)
        stacked -= mean
        slices = column_slices(sizes)
        for columns in slices:
            part = stacked[:, columns]
            if np.einsum("ij,ij->", part, part) <= len(part) * SMALLEST_DEVIATION**2:
                part[:] = 0  # nothing but rounding, which the ridge would make coordinates of
        products = stacked.T @ stacked  # (D, D)
        blocks = []
        for weight, columns, size in zip(weights, slices, sizes, strict=True):
            block = products[columns, columns]
            ridge = self.ridge * np.trace(block) / size
            blocks.append((block + (ridge or 1.0) * np.eye(size)) / weight)
        # the coordinates are `stacked @ vectors`, up to their scale
        values, vectors = scipy.linalg.eigh(
            products,
            scipy.linalg.block_diag(*blocks),
            subset_by_index=[len(products) - width, len(products) - 1],
        )
        values, vectors = values[::-1], vectors[:, ::-1]
        # a coordinate's variance is its eigenvalue over n; one without any is noise
        kept = values > values[0] * 1e-10
        scale = np.where(kept, np.sqrt(len(stacked) / np.where(kept, values, 1)), 0)
        return {
            "mean_": mean,
            "components_": (vectors * scale).T,
            "eigenvalues_": values,
            "_n_features_out": width,
        }

    def _map(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[Any]:
        # the weights have done their part in the components
        return super()._map(units, present, np.ones(len(units)))


class ProcrustesAverage(WeightedBaseline):
    """The average of the L2-normalised features, after each view is turned towards the others.

    Generalised orthogonal Procrustes analysis [1]_, without translation or scaling: one
    orthogonal matrix a view, found in turns with the average of the turned views. Views that are
    narrower than the widest are filled up with zeros.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    max_iter : int, default=100
        Most turns.
    tol : float, default=1e-4
        Stop when a turn adds less than this share to the agreement of the views; 0 takes all
        turns.
    view_weights : array-like of shape (n_views,), or mapping from name to weight, default=None
        Weights of the average. None weighs all alike.
    missing_views : {"error", "mask"}, default="error"
        With ``"mask"``, a sample that lacks a view gets the average of those it has.
    normalize : bool, default=True
        Whether the rows have length 1.

    Attributes
    ----------
    rotations_ : list of ndarray of shape (n_features_v, n_components)
        For each view that has a weight, its orthogonal matrix.
    n_iter_ : int
        Turns taken.
    view_sizes_ : list of int
        Width of each view.
    view_names_ : ndarray of shape (n_views,)
        Name of each view.
    view_weights_ : ndarray of shape (n_views,)
        Weight of each view, the largest 1.
    n_features_in_ : int
        Number of columns of the stacked matrix.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of those columns, where `X` has names.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` turns were taken, with `tol` above 0, and the last one added more.

    Notes
    -----
    With D columns in all and a widest view of d, fitting takes O(n D^2) operations, and O(D^2 d)
    a turn.

    References
    ----------
    .. [1] J. C. Gower, "Generalized Procrustes analysis", Psychometrika 40(1), 1975.

    Examples
    --------
    >>> from sknnens.fusion import ProcrustesAverage
    >>> from sknnens.datasets import load_fashion_mnist_features
    >>> data = load_fashion_mnist_features(["simclr_0", "simclr_1"])
    >>> ProcrustesAverage(views=data.view_sizes).fit_transform(data.X_train).shape
    (6000, 128)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **WeightedBaseline._parameter_constraints,
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        views: Sequence[int] | Mapping[Any, Any] | None = None,
        *,
        max_iter: int = 100,
        tol: float = 1e-4,
        view_weights: ArrayLike | Mapping[str, float] | None = None,
        missing_views: str = "error",
        normalize: bool = True,
    ) -> None:
        self.views = views
        self.max_iter = max_iter
        self.tol = tol
        self.view_weights = view_weights
        self.missing_views = missing_views
        self.normalize = normalize

    def _learn(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> dict[str, Any]:
        sizes = [x.shape[1] for x in units]
        slices, width = column_slices(sizes), max(sizes)
        stacked = np.hstack(units).astype(np.float64)  # rows that lack a view are zero in it
        products = stacked.T @ stacked  # (D, D)
        # the widest view stays as it is, and the others turn towards it first
        rotations = np.zeros((sum(sizes), width))
        rotations[slices[sizes.index(width)]] = np.eye(width)
        spread = np.repeat(weights, sizes)[:, None]
        agreement, n_iter = 0.0, 0
        for n_iter in range(1, self.max_iter + 1):
            towards = products @ (spread * rotations)  # (D, d): of each view, and the sum of all
            before, agreement = agreement, 0.0
            for weight, columns in zip(weights.tolist(), slices, strict=True):
                left, values, right = np.linalg.svd(towards[columns], full_matrices=False)
                rotations[columns] = left @ right
                agreement += weight * values.sum()
            if self.tol > 0 and n_iter > 2 and agreement - before <= self.tol * agreement:
                break
        else:
            if self.tol > 0:
                warnings.warn(
                    f"The agreement of the views still rose after max_iter={self.max_iter} turns. "
                    f"Raise max_iter, or tol (now {self.tol:g}).",
                    ConvergenceWarning,
                    stacklevel=2,
                )
        return {
            "rotations_": [rotations[columns] for columns in slices],
            "n_iter_": n_iter,
            "_n_features_out": width,
        }

    def _map(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[Any]:
        turned = np.vstack([w * r for w, r in zip(weights, self.rotations_, strict=True)])
        turned = turned.astype(units[0].dtype)
        rows = map_chunks(lambda x: x @ turned, np.hstack(units))
        return rows / sum_weights(present, weights)
