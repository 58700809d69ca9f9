"""Weighted views side by side, missing ones imputed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknnens._views import Views, column_slices, unit_rows
from sknnens.fusion._base import Fusion
from sknnens.fusion._imputation import Imputer


class StackedFusion(Fusion):
    """Base class of the fusions of the views side by side.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Column means of the weighted, normalized views side by side.
    imputer_ : Imputer or None
        Imputes missing views; None if `missing_views` was ``"error"`` in fit.
    """

    def _fit_stacked(
        self,
        views: Views,
        weights: list[float],
        present: NDArray[np.bool_],
        random_state: Any,
        dtype: Any = np.float64,
    ) -> tuple[NDArray[Any], NDArray[np.float64], Imputer | None]:
        """Stack the views, with imputed ones; return them, their mean, the imputer."""
        mean = mean_columns(views, weights, present)
        stacked = stack_units(views, weights, present, mean, dtype)
        if self.missing_views == "error":
            return stacked, mean, None
        imputer = Imputer().fit(stacked, views.sizes, present, random_state, views.dtype)
        return stacked, mean if present.all() else stacked.mean(axis=0), imputer

    def _center(
        self, views: Views, weights: list[float], present: NDArray[np.bool_]
    ) -> NDArray[Any]:
        """Stack and center views in their own dtype; missing ones are imputed, or 0."""
        mean = self.mean_.astype(views.dtype, copy=False)
        centered = stack_units(views, weights, present, mean, views.dtype)
        centered -= mean
        return centered if self.imputer_ is None else self.imputer_.impute(centered, present)

    def _check_complete(self, views: Views) -> None:
        """Raise ValueError if a view is missing that cannot be imputed."""
        if self.imputer_ is None and not views.present.all():
            raise ValueError(
                "X has missing views, but the imputation was not fitted, because missing_views was "
                "'error' in fit. Fit again with missing_views='impute'."
            )


def mean_columns(
    views: Views, weights: Sequence[float], present: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Column means of weighted, normalized views side by side, over the rows that are there.

    They are 0 for a view that no sample has.
    """
    means = []
    for x, norms, weight, here in zip(views.arrays, views.norms, weights, present.T, strict=True):
        sums = unit_rows(x, norms).sum(axis=0, where=here[:, None], dtype=np.float64)
        means.append(weight * sums / max(here.sum(), 1))
    return np.concatenate(means)


def stack_units(
    views: Views,
    weights: Sequence[float],
    present: NDArray[np.bool_],
    means: NDArray[Any],
    dtype: Any,
) -> NDArray[Any]:
    """Put weighted, normalized views side by side, and column means in place of missing ones."""
    stacked = np.empty((len(present), len(means)), dtype=dtype)
    slices = column_slices(views.sizes)
    for x, norms, weight, here, columns in zip(
        views.arrays, views.norms, weights, present.T, slices, strict=True
    ):
        part = np.multiply(unit_rows(x, norms), weight, out=stacked[:, columns])
        part[~here] = means[columns]
    return stacked
