"""Which start is taken, and the projection that some of them need."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from sknnens._views import column_slices

# Components are whitened down to this size, relative to the largest; what is smaller is rounding.
SMALLEST_WHITENED = 1e-5


def choose_init(
    init: str, n_components: int | None, n_samples: int, sizes: Sequence[int]
) -> tuple[str, int]:
    """Resolve the parameters `init` and `n_components`.

    Parameters
    ----------
    init : {"auto", "average", "pca", "whiten"}
        As given by the user.
    n_components : int or None
        As given by the user.
    n_samples : int
        Number of samples in fit.
    sizes : sequence of int
        Width of each view.

    Returns
    -------
    init : {"average", "pca", "whiten"}
    n_components : int

    Raises
    ------
    ValueError
        If the two do not go together, or not with the views.
    """
    common = sizes[0] if len(set(sizes)) == 1 else None
    if init == "auto":
        init = "average" if common and n_components in (None, common) else "pca"
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
        return init, common
    return init, choose_width(n_components, n_samples, sizes)


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
        w * x.mean(axis=0, where=here[:, None], dtype=np.float64)
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
) -> tuple[NDArray[Any], NDArray[Any]]:
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
    mean : ndarray of shape (n_features,)
    components : ndarray of shape (n_components, n_features)
    """
    pca = PCA(n_components, random_state=random_state).fit(stacked)
    components = pca.components_
    if whiten_exponent:
        size = pca.singular_values_ / max(pca.singular_values_[0], np.finfo(np.float64).tiny)
        scale = np.where(size > SMALLEST_WHITENED, size, np.inf) ** -whiten_exponent
        components = components * scale[:, None]
    return pca.mean_, components
