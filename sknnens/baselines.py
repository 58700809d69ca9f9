"""What else can be made of the features of several models, without training networks.

The transformers take the same input as :class:`~sknnens.EnsembleRepresentationLearner`, so that a
search over one step of a ``Pipeline`` can put them beside it.
"""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import scipy.linalg
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.preprocessing import normalize as normalize_rows
from sklearn.utils._param_validation import Interval, StrOptions

from sknnens._base import ViewsTransformer
from sknnens._batching import CHUNK_ROWS, unit_rows
from sknnens._checks import find_missing
from sknnens._device import resolve_precision, to_numpy
from sknnens._initialization import choose_width, fit_projection, mean_columns, stack_units
from sknnens._views import column_slices

__all__ = ["GCCA", "Average", "Concatenation", "ConcatenationPCA", "SingleModel"]


class _Baseline(ViewsTransformer):
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
            rows = normalize_rows(rows, copy=False)
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


def _unit_views(arrays: Sequence[NDArray[Any]]) -> tuple[list[NDArray[Any]], NDArray[np.bool_]]:
    """Normalise each view, and tell which rows have it; the others become zero."""
    cpu = torch.device("cpu")
    precision = resolve_precision("auto", arrays[0].dtype, cpu)
    units = [to_numpy(unit_rows(x, precision, cpu)) for x in arrays]
    return units, ~find_missing(arrays)


class SingleModel(_Baseline):
    """The L2-normalised features of one model.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    view : int or str, default=0
        Which model, by its number or its name.
    missing_views : {"error", "mask"}, default="error"
        Whether other models' features may be missing. A sample that lacks this one is an error.

    Attributes
    ----------
    view_sizes_ : list of int
        Width of each view.
    view_names_ : ndarray of shape (n_views,)
        Name of each view.
    view_weights_ : ndarray of shape (n_views,)
        1 for the model, 0 for the others.
    n_features_in_ : int
        Number of columns of the stacked matrix.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of those columns, where `X` has names.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.baselines import SingleModel
    >>> X = np.array([[9.0, 3.0, 4.0], [9.0, 0.0, 2.0]])
    >>> SingleModel(views=[1, 2], view=1).fit_transform(X)
    array([[0.6, 0.8],
           [0. , 1. ]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_Baseline._parameter_constraints,
        "view": [Integral, str],
    }

    def __init__(
        self,
        views: Sequence[int] | Mapping[Any, Any] | None = None,
        *,
        view: int | str = 0,
        missing_views: str = "error",
    ) -> None:
        self.views = views
        self.view = view
        self.missing_views = missing_views

    def _weigh(self, names: Sequence[str]) -> NDArray[np.float64]:
        view = self.view
        if isinstance(view, str) and view in names:
            view = list(names).index(view)
        if isinstance(view, str) or not 0 <= view < len(names):
            raise ValueError(
                f"view={self.view!r} must be one of {list(names)}, or a number from 0 to "
                f"{len(names) - 1}."
            )
        weights = np.zeros(len(names))
        weights[int(view)] = 1
        return weights

    def _learn(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> dict[str, Any]:
        return {"_n_features_out": units[0].shape[1]}

    def _map(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[Any]:
        return units[0]


class _WeightedBaseline(_Baseline):
    """With weights of views."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_Baseline._parameter_constraints,
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


class Average(_WeightedBaseline):
    """The average of the L2-normalised features.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`; all views that have a weight must
        have one width.
    view_weights : array-like of shape (n_views,), or mapping from name to weight, default=None
        Weights of the average. None weighs all alike.
    missing_views : {"error", "mask"}, default="error"
        With ``"mask"``, a sample that lacks a view gets the average of those it has.
    normalize : bool, default=True
        Whether the rows have length 1.

    Attributes
    ----------
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

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.baselines import Average
    >>> X = np.array([[3.0, 0.0, 0.0, 2.0], [5.0, 0.0, 1.0, 0.0]])
    >>> Average(views=[2, 2]).fit_transform(X)
    array([[0.70710678, 0.70710678],
           [1.        , 0.        ]])
    """

    def _learn(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> dict[str, Any]:
        sizes = [x.shape[1] for x in units]
        if len(set(sizes)) > 1:
            raise ValueError(
                f"An average needs views of one width, got {sizes}. Concatenation takes these."
            )
        return {"_n_features_out": sizes[0]}

    def _map(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[Any]:
        total = sum(w * x for w, x in zip(weights.tolist(), units, strict=True))
        return np.asarray(total / (present @ weights)[:, None])


class Concatenation(_WeightedBaseline):
    """The L2-normalised features side by side.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    view_weights : array-like of shape (n_views,), or mapping from name to weight, default=None
        What each view is multiplied with. None weighs all alike.
    missing_views : {"error", "mask"}, default="error"
        With ``"mask"``, a view that a sample lacks is put at its mean over the samples of `fit`.
    normalize : bool, default=True
        Whether the rows have length 1.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Mean of the weighted, normalised features, for samples that lack a view.
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

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.baselines import Concatenation
    >>> X = np.array([[3.0, 4.0, 0.0, 2.0], [5.0, 0.0, 1.0, 0.0]])
    >>> Concatenation(views=[2, 2], normalize=False).fit_transform(X)
    array([[0.6, 0.8, 0. , 1. ],
           [1. , 0. , 1. , 0. ]])
    """

    def _learn(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> dict[str, Any]:
        mean = mean_columns(units, weights.tolist(), present)
        return {"mean_": mean, "_n_features_out": len(mean)}

    def _map(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[Any]:
        return stack_units(units, weights.tolist(), present, self.mean_, units[0].dtype)


class _Projection(_WeightedBaseline):
    """A linear map of the centred views side by side."""

    def _map(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[Any]:
        dtype = units[0].dtype
        stacked = stack_units(units, weights.tolist(), present, self.mean_, dtype)
        stacked -= self.mean_.astype(dtype)
        components = self.components_.T.astype(dtype)
        rows = np.empty((len(stacked), components.shape[1]), dtype=dtype)
        size = CHUNK_ROWS["cpu"]
        for begin in range(0, len(rows), size):
            # of one size, the last one padded: a product rounds differently for other sizes
            chunk = np.zeros((size, stacked.shape[1]), dtype=dtype)
            part = stacked[begin : begin + size]
            chunk[: len(part)] = part
            rows[begin : begin + size] = (chunk @ components)[: len(part)]
        return rows


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

    Examples
    --------
    >>> from sknnens.baselines import ConcatenationPCA
    >>> from sknnens.datasets import load_fashion_mnist_features
    >>> data = load_fashion_mnist_features(["simclr_0", "simclr_1"])
    >>> pca = ConcatenationPCA(views=data.view_sizes, n_components=32, random_state=0)
    >>> pca.fit_transform(data.X_train).shape
    (6000, 32)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_WeightedBaseline._parameter_constraints,
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
        mean, components = fit_projection(stacked, width, self.whiten_exponent, self.random_state)
        return {"mean_": mean, "components_": components, "_n_features_out": width}


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
    >>> from sknnens.baselines import GCCA
    >>> from sknnens.datasets import load_fashion_mnist_features
    >>> data = load_fashion_mnist_features(["simclr_0", "simclr_1"])
    >>> GCCA(views=data.view_sizes, n_components=32).fit_transform(data.X_train).shape
    (6000, 32)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_WeightedBaseline._parameter_constraints,
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
        products = stacked.T @ stacked  # (D, D)
        blocks = []
        for weight, columns, size in zip(weights, column_slices(sizes), sizes, strict=True):
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
