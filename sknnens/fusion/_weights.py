"""How much each view is worth, told from the features alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

MOST_ROWS = 4096  # that views are weighed by
LEAST_ROWS = 10  # that a view's weight can be told from
LEAST_WEIGHT = 0.1  # of the largest
RANK_POWER = 0.25


def weigh_views(units: Sequence[NDArray[Any]], present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weigh views by what the others say of them.

    A view weighs ``sqrt(share) * rank**0.25 / deviation``. The first is a multiple correlation:
    `share` is that of its variance that ridge regression predicts from the other views, on each
    half of the samples as fitted on the other: what no other model sees is mostly noise. The
    second is the effective rank of its covariance: of two views that are predicted alike, the one
    with more to say. The third brings the views to one scale: where all samples of a view lie
    close together on the sphere, little of their length tells them apart.

    Parameters
    ----------
    units : sequence of ndarray of shape (n_samples, n_features_v)
        Normalised views; a row that is not there is zero.
    present : ndarray of shape (n_samples, n_views)
        Which samples have which views.

    Returns
    -------
    weights : ndarray of shape (n_views,)
        The largest is 1. A view without variance, or with too few samples to tell, has the
        least weight that there is.
    """
    centred = []
    for x, here in zip(units, present.T, strict=True):
        rows = x - x.mean(axis=0, where=here[:, None]) if here.any() else x.copy()
        rows[~here] = 0  # at the mean
        centred.append(rows)
    weights = np.zeros(len(units))
    if len(units) > 1:
        for v, here in enumerate(present.T):
            own = centred[v][here]
            variance = np.square(own, dtype=np.float64).sum(axis=1).mean() if len(own) else 0.0
            if len(own) < LEAST_ROWS or variance <= np.finfo(own.dtype).eps:
                continue
            others = np.concatenate([x[here] for u, x in enumerate(centred) if u != v], axis=1)
            correlation = np.sqrt(predicted_share(others, own))
            weights[v] = correlation * effective_rank(own) ** RANK_POWER / np.sqrt(variance)
    largest = weights.max()
    return np.maximum(weights / largest, LEAST_WEIGHT) if largest > 0 else np.ones(len(units))


def predicted_share(others: NDArray[Any], own: NDArray[Any]) -> float:
    """Share of a view's variance that ridge regression predicts from the other views.

    Parameters
    ----------
    others : ndarray of shape (n_samples, n_features)
        Their columns, centred. The penalty is the mean eigenvalue of their covariance.
    own : ndarray of shape (n_samples, n_features_v)
        The columns to predict, centred.

    Returns
    -------
    share : float
        0 where nothing, or less, is predicted.
    """
    half = len(own) // 2
    predicted = np.empty_like(own)
    for known, unknown in ((slice(half), slice(half, None)), (slice(half, None), slice(half))):
        penalty = np.square(others[known], dtype=np.float64).sum() / others.shape[1]
        ridge = Ridge(penalty or 1.0).fit(others[known], own[known])
        predicted[unknown] = ridge.predict(others[unknown]).reshape(own[unknown].shape)
    return max(0.0, float(r2_score(own, predicted, multioutput="variance_weighted")))


def effective_rank(centred: NDArray[Any]) -> float:
    """Exponential of the entropy of the shares of variance along the principal axes."""
    small = centred if centred.shape[0] >= centred.shape[1] else centred.T
    variances = np.linalg.eigvalsh(small.T.astype(np.float64) @ small).clip(0)
    return exp_entropy(variances)


def exp_entropy(variances: NDArray[Any]) -> float:
    """Exponential of the entropy of positive numbers' shares of their sum; 0 is left out."""
    shares = variances[variances > 0] / variances.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
