"""Which start is taken, and the projection that some of them need."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

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
    most = min(n_samples, sum(sizes))
    if n_components is None:
        n_components = min(max(sizes), most)
    if n_components > most:
        raise ValueError(
            f"n_components={n_components} must be at most {most}, the smaller of the number "
            f"of samples ({n_samples}) and of columns ({sum(sizes)}), with init={init!r}."
        )
    return init, n_components


def fit_projection(
    stacked: NDArray[Any], n_components: int, whiten: bool, random_state: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Principal components of the views side by side.

    Parameters
    ----------
    stacked : ndarray of shape (n_samples, n_features)
        The weighted, normalised views side by side.
    n_components : int
        At most the smaller side of `stacked`.
    whiten : bool
        Divide each component by the square root of its singular value ("half-whitening"); a
        component without variance is set to zero.
    random_state : int
        For scikit-learn's randomised solver, which large matrices get.

    Returns
    -------
    mean : ndarray of shape (n_features,)
        Of the type of `stacked`.
    components : ndarray of shape (n_components, n_features)
        Of the type of `stacked`.
    """
    # in float64, because the solver squares the singular values
    pca = PCA(n_components, random_state=random_state).fit(stacked.astype(np.float64))
    components = pca.components_
    if whiten:
        size = pca.singular_values_ / max(pca.singular_values_[0], np.finfo(np.float64).tiny)
        scale = np.where(size > SMALLEST_WHITENED, size, np.inf) ** -0.5
        components = components * scale[:, None]
    return pca.mean_.astype(stacked.dtype), components.astype(stacked.dtype)
