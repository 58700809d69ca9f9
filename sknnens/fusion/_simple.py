"""One model, the average, and the concatenation."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import StrOptions

from sknnens.fusion._base import Baseline, WeightedBaseline, sum_weights
from sknnens.fusion._initialization import mean_columns, stack_units

# A column that deviates less, relative to its own mean, is constant but for float32's rounding.
SMALLEST_DEVIATION = 1e-6


class SingleModel(Baseline):
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
    >>> from sknnens.fusion import SingleModel
    >>> X = np.array([[9.0, 3.0, 4.0], [9.0, 0.0, 2.0]])
    >>> SingleModel(views=[1, 2], view=1).fit_transform(X)
    array([[0.6, 0.8],
           [0. , 1. ]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Baseline._parameter_constraints,
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
        if isinstance(view, str | bool) or not 0 <= view < len(names):
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


class Average(WeightedBaseline):
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
    >>> from sknnens.fusion import Average
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
        return np.asarray(total / sum_weights(present, weights))


class Concatenation(WeightedBaseline):
    """The L2-normalised features side by side.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    scaling : {"center", "standard"}, default=None
        ``"center"`` subtracts each column's mean over the samples of `fit`; ``"standard"`` then
        divides by its standard deviation, too (z-scores).
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
    scale_ : ndarray of shape (n_features,) or None
        What columns are divided by with ``scaling="standard"``; 1 for those that do not vary.
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
    >>> from sknnens.fusion import Concatenation
    >>> X = np.array([[3.0, 4.0, 0.0, 2.0], [5.0, 0.0, 1.0, 0.0]])
    >>> Concatenation(views=[2, 2], normalize=False).fit_transform(X)
    array([[0.6, 0.8, 0. , 1. ],
           [1. , 0. , 1. , 0. ]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **WeightedBaseline._parameter_constraints,
        "scaling": [StrOptions({"center", "standard"}), None],
    }

    def __init__(
        self,
        views: Sequence[int] | Mapping[Any, Any] | None = None,
        *,
        scaling: str | None = None,
        view_weights: ArrayLike | Mapping[str, float] | None = None,
        missing_views: str = "error",
        normalize: bool = True,
    ) -> None:
        self.views = views
        self.scaling = scaling
        self.view_weights = view_weights
        self.missing_views = missing_views
        self.normalize = normalize

    def _learn(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> dict[str, Any]:
        mean = mean_columns(units, weights.tolist(), present)
        scale = None
        if self.scaling == "standard":
            scale = np.concatenate(
                [_deviations(x, here) for x, here in zip(units, present.T, strict=True)]
            )
        return {"mean_": mean, "scale_": scale, "_n_features_out": len(mean)}

    def _map(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[Any]:
        dtype = units[0].dtype
        rows = stack_units(units, weights.tolist(), present, self.mean_, dtype)
        if self.scaling is not None:
            rows -= self.mean_.astype(dtype)
        if self.scale_ is not None:
            rows /= self.scale_.astype(dtype)
        return rows


def _deviations(x: NDArray[Any], here: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return each column's standard deviation over the rows that are there; 1 if it is constant."""
    mean = x.mean(axis=0, where=here[:, None], dtype=np.float64)
    scale: NDArray[np.float64] = x.std(axis=0, where=here[:, None], dtype=np.float64)
    smallest = np.maximum(SMALLEST_DEVIATION * np.abs(mean), np.finfo(np.float32).tiny)
    return np.where(scale > smallest, scale, 1.0)
