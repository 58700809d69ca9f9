"""One model, the average, and the concatenation."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sknnens._compat import StrOptions
from sknnens._views import FitInput, Views, unit_rows
from sknnens.fusion._base import Fusion
from sknnens.fusion._stacking import StackedFusion, mean_columns, stack_units
from sknnens.fusion._weights import ROUNDING


class SingleModel(Fusion):
    """L2-normalized features of one model.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    view : int or str, default=0
        The model's number or name.
    missing_views : {"error", "impute"}, default="error"
        Has no effect: the features of other models are ignored, and a sample without this model's
        features raises an error.

    Attributes
    ----------
    view_ : int
        The model's number.
    view_weights_ : ndarray of shape (n_views,)
        1 for the model, 0 for the others.
    view_sizes_, view_names_, n_features_in_, feature_names_in_
        About the input, as in :class:`Fusion`.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.fusion import SingleModel
    >>> X = np.array([[9.0, 3.0, 4.0], [9.0, 0.0, 2.0]])
    >>> SingleModel(views=[1, 2], view=1).fit_transform(X)
    array([[0.6, 0.8],
           [0. , 1. ]])
    """

    normalize = False  # the rows are normalized as they are

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "views": Fusion._parameter_constraints["views"],
        "view": [Integral, str],
        "missing_views": Fusion._parameter_constraints["missing_views"],
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
        return np.eye(len(names))[self._find_view(names)]

    def _find_view(self, names: Sequence[str]) -> int:
        """Return the number of the model among all."""
        view = self.view
        if isinstance(view, str) and view in names:
            view = list(names).index(view)
        if isinstance(view, str | bool) or not 0 <= view < len(names):
            raise ValueError(
                f"view={self.view!r} must be one of {list(names)}, or a number from 0 to "
                f"{len(names) - 1}."
            )
        return int(view)

    def _fit_views(self, data: FitInput, weights: NDArray[np.float64]) -> dict[str, Any]:
        view = self._find_view(data.attributes["view_names_"].tolist())
        if data.attributes["view_weights_"][view] == 0:
            raise ValueError(f"view={self.view!r} has the weight 0 in view_weights.")
        return {"view_": view}

    def _map(self, views: Views, weights: list[float]) -> NDArray[Any]:
        position = np.count_nonzero(self.view_weights_[: self.view_])
        norms = views.norms[position]
        if np.isnan(norms).any():
            raise ValueError(
                f"X has samples without view {self.view!r}, which SingleModel cannot impute. "
                "Leave them out, or choose another fusion."
            )
        return unit_rows(views.arrays[position], norms)

    @property
    def _n_features_out(self) -> int:
        size: int = self.view_sizes_[self.view_]
        return size


class Average(Fusion):
    """Average of the L2-normalized features.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`; all views of positive weight must
        have the same width.
    view_weights : "auto", array-like of shape (n_views,), or mapping from name to weight, \
            default=None
        Weights of the average. None weights all views equally. ``"auto"`` estimates the weights
        from up to 4,096 samples of `fit`.
    missing_views : {"error", "impute"}, default="error"
        Whether a sample may lack views, as NaN in all of their columns. With ``"impute"`` it gets
        the average of the views that are there.
    normalize : bool, default=True
        Whether to scale the rows to unit L2 norm.

    Attributes
    ----------
    view_sizes_, view_names_, view_weights_, view_shares_, n_features_in_, feature_names_in_
        About the input, as in :class:`Fusion`.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.fusion import Average
    >>> X = np.array([[3.0, 0.0, 0.0, 2.0], [5.0, 0.0, 1.0, 0.0]])
    >>> Average(views=[2, 2]).fit_transform(X)
    array([[0.70710678, 0.70710678],
           [1.        , 0.        ]])
    """

    def _fit_views(self, data: FitInput, weights: NDArray[np.float64]) -> dict[str, Any]:
        sizes = data.views.sizes
        if len(set(sizes)) > 1:
            raise ValueError(
                f"An average needs views of the same width, got {sizes}. NeighborhoodProjection, "
                "ConcatenationPCA and Concatenation take these."
            )
        return {}

    def _map(self, views: Views, weights: list[float]) -> NDArray[Any]:
        weighted = [w * x for w, x in zip(weights, views.units(), strict=True)]
        total = sum(weighted[1:], weighted[0])
        if self.normalize:
            return total
        # view by view: a matrix product would round by the number of rows
        there = [w * ~np.isnan(norms) for w, norms in zip(weights, views.norms, strict=True)]
        shares: NDArray[Any] = sum(there[1:], there[0])
        return np.asarray(total / shares[:, None])

    @property
    def _n_features_out(self) -> int:
        size: int = self.view_sizes_[int(np.argmax(self.view_weights_))]
        return size


class Concatenation(StackedFusion):
    """L2-normalized features side by side.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    scaling : {"center", "standard"}, default=None
        ``"center"`` subtracts the mean of each column over the samples of `fit`; ``"standard"``
        also divides by the standard deviation (z-scores).
    view_weights : "auto", array-like of shape (n_views,), or mapping from name to weight, \
            default=None
        Factors of the normalized views. None weights all views equally. ``"auto"`` estimates the
        weights from up to 4,096 samples of `fit`.
    missing_views : {"error", "impute"}, default="error"
        Whether a sample may lack views, as NaN in all of their columns. ``"impute"`` imputes a
        missing view from the views that are there.
    normalize : bool, default=True
        Whether to scale the rows to unit L2 norm.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Mean of the weighted, normalized features.
    scale_ : ndarray of shape (n_features,) or None
        Divisor of each column with ``scaling="standard"``; 1 for constant columns.
    imputer_ : object or None
        Fitted imputation; None if `missing_views` was ``"error"``.
    view_sizes_, view_names_, view_weights_, view_shares_, n_features_in_, feature_names_in_
        About the input, as in :class:`Fusion`.

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
        **Fusion._parameter_constraints,
        "scaling": [StrOptions({"center", "standard"}), None],
    }

    def __init__(
        self,
        views: Sequence[int] | Mapping[Any, Any] | None = None,
        *,
        scaling: str | None = None,
        view_weights: ArrayLike | Mapping[str, float] | str | None = None,
        missing_views: str = "error",
        normalize: bool = True,
    ) -> None:
        self.views = views
        self.scaling = scaling
        self.view_weights = view_weights
        self.missing_views = missing_views
        self.normalize = normalize

    def _fit_views(self, data: FitInput, weights: NDArray[np.float64]) -> dict[str, Any]:
        views, present = data.views, data.views.present
        mean, imputer = mean_columns(views, weights.tolist(), present), None
        if self.missing_views == "impute":
            _, mean, imputer = self._fit_stacked(views, weights.tolist(), present, random_state=0)
        scale = None
        if self.scaling == "standard":
            pairs = zip(views.units(), present.T, strict=True)
            scale = np.concatenate([_find_deviations(x, here) for x, here in pairs])
            scale = scale.astype(views.dtype)
        return {"mean_": mean.astype(views.dtype), "scale_": scale, "imputer_": imputer}

    def _map(self, views: Views, weights: list[float]) -> NDArray[Any]:
        self._check_complete(views)
        dtype, present = views.dtype, views.present
        mean = self.mean_.astype(dtype, copy=False)
        if self.scaling is None:
            rows = stack_units(views, weights, present, mean, dtype)
            if not present.all():
                there = np.repeat(present, views.sizes, axis=1)
                np.copyto(rows, self._center(views, weights, present) + mean, where=~there)
            return rows
        rows = self._center(views, weights, present)
        return rows if self.scale_ is None else rows / self.scale_.astype(dtype, copy=False)

    @property
    def _n_features_out(self) -> int:
        return len(self.mean_)


def _find_deviations(x: NDArray[Any], here: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the standard deviation of each column over some rows; 1 if it is constant."""
    mean = x.mean(axis=0, where=here[:, None], dtype=np.float64)
    scale: NDArray[np.float64] = x.std(axis=0, where=here[:, None], dtype=np.float64)
    smallest = np.maximum(ROUNDING * np.abs(mean), np.finfo(np.float32).tiny)
    return np.where(scale > smallest, scale, 1.0)
