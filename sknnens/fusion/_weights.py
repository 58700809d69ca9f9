"""Weights of the views, estimated from their features alone."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from sknnens._views import FitInput, Views

MOST_ROWS = 4096  # more samples hardly change the weights
LEAST_ROWS = 10  # fewer samples say nothing about a view
LEAST_WEIGHT = 0.1  # relative to the largest
LEAST_SHARE = 0.01  # predicted variance below which nothing is known of a view
WARN_ROWS = 100  # fewer samples predict little of anything
RANK_POWER = 0.5  # chosen on the development ensembles of the study
ROUNDING = 1e-6  # relative deviation of what is constant but for the rounding of float32


def resolve_weights(
    view_weights: Any, data: FitInput
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights of the views of `data`, and the shares of their variance that the others predict.

    ``"auto"`` estimates both from the first samples; otherwise the shares are NaN.
    """
    if isinstance(view_weights, str):
        return weigh_views(data.views.take(slice(MOST_ROWS)))
    return data.view_weights, np.full(len(data.view_weights), np.nan)


def find_directed(views: Views) -> NDArray[np.bool_]:
    """Whether each sample has a direction in each view: the view is neither missing nor zero."""
    return np.stack([norms > 0 for norms in views.norms], axis=1)


def weigh_views(views: Views) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight each view by how well the others predict it, by its rank and by its scale.

    The weight is ``sqrt(R2 * rank) / std``. `R2` is the two-fold cross-validated score of
    a ridge regression from the other views: variance that no other model sees is mostly noise.
    `rank` is the effective rank of the covariance: of two views that are predicted alike, the
    richer one counts for more. `std` is the root of the total variance of the L2-normalized
    features: it brings views whose samples lie close together on the sphere to the same scale.

    Parameters
    ----------
    views : Views
        A sample without direction in a view has no part in the weight of this view.

    Returns
    -------
    weights : ndarray of shape (n_views,)
        The largest is 1 and none is below 0.1, which is the weight of a view without variance or
        with fewer than 10 samples.
    shares : ndarray of shape (n_views,)
        The `R2` of each view; NaN for a view that is alone.

    Warns
    -----
    UserWarning
        If no view predicts a hundredth of the variance of another, of 100 samples or more.
    """
    present = find_directed(views)
    centered = [_center(x, here) for x, here in zip(views.units(), present.T, strict=True)]
    n_views = len(centered)
    if n_views == 1:
        return np.ones(1), np.full(1, np.nan)
    weights, shares = np.transpose(
        [_weigh_view(v, centered, here) for v, here in enumerate(present.T)]
    )
    if len(views) >= WARN_ROWS and shares.max() < LEAST_SHARE:
        warnings.warn(
            f"No view predicts another: at most {shares.max():.1%} of a view's variance. Their "
            "weights are guesses, and a single view may be better than all. Are the rows of the "
            "views in the same order?",
            stacklevel=5,
        )
    largest = weights.max()
    weights = np.maximum(weights / largest, LEAST_WEIGHT) if largest > 0 else np.ones(n_views)
    return weights, shares


def _center(x: NDArray[Any], here: NDArray[np.bool_]) -> NDArray[Any]:
    """Subtract the column means over the rows that are there; the others become 0."""
    rows = x - x.mean(axis=0, where=here[:, None]) if here.any() else x.copy()
    rows[~here] = 0
    return rows


def _weigh_view(
    v: int, centered: Sequence[NDArray[Any]], here: NDArray[np.bool_]
) -> tuple[float, float]:
    """Weight of one view among others, before scaling to the largest, and its predicted share."""
    own = centered[v][here]
    variance = np.square(own, dtype=np.float64).sum(axis=1).mean() if len(own) else 0.0
    if len(own) < LEAST_ROWS or variance <= np.finfo(own.dtype).eps:
        return 0.0, 0.0
    others = np.concatenate([x[here] for u, x in enumerate(centered) if u != v], axis=1)
    share = score_prediction(others, own)
    rank = effective_rank(own) ** RANK_POWER
    return float(np.sqrt(share) * rank / np.sqrt(variance)), share


def score_prediction(others: NDArray[Any], own: NDArray[Any]) -> float:
    """Two-fold cross-validated R2 of a ridge regression between centered views, at least 0.

    The penalty is the mean eigenvalue of the scatter matrix of `others`.
    """
    half = len(own) // 2
    predicted = np.empty_like(own)
    for train, test in ((slice(half), slice(half, None)), (slice(half, None), slice(half))):
        penalty = np.square(others[train], dtype=np.float64).sum() / others.shape[1]
        ridge = Ridge(penalty or 1.0).fit(others[train], own[train])
        predicted[test] = ridge.predict(others[test]).reshape(own[test].shape)
    return max(0.0, float(r2_score(own, predicted, multioutput="variance_weighted")))


def effective_rank(centered: NDArray[Any]) -> float:
    """Exponential of the entropy of the explained variance ratios."""
    small = centered if centered.shape[0] >= centered.shape[1] else centered.T
    variances = np.linalg.eigvalsh(small.T.astype(np.float64) @ small).clip(0)
    return exp_entropy(variances)


def exp_entropy(variances: NDArray[Any]) -> float:
    """Exponential of the entropy of non-negative numbers, normalized to the sum 1."""
    shares = variances[variances > 0] / variances.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
