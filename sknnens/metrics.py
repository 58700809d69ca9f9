"""Label-free measures of representations.

None of them ranks representations by itself: see the user guide.

Neighbors are found by the cosine similarity; ties, as computed, go to the first row. A row of
zeros has no direction and therefore no neighbors. Similarities are computed in chunks of rows that
fit into scikit-learn's setting ``working_memory``.
"""

from collections.abc import Mapping
from itertools import combinations
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline

from sknnens._compat import Interval, StrOptions, validate_params
from sknnens._neighbors import (
    nearest,
    occurrence_skewness,
    overlap,
    read_rows,
    read_unit_pair,
    similarities,
    to_unit,
)
from sknnens._views import read_views, row_slices

__all__ = [
    "hubness_score",
    "neighbor_agreement",
    "normalized_maximum_similarity",
    "rankme_score",
    "recoverability_score",
    "singular_value_spectrum",
]

# Standard deviations by which a mean similarity must exceed 0 to be a divisor.
LEAST_DEVIATIONS = 5
BLOCK_ROWS = 1024  # per QR decomposition, in float64


@validate_params(
    {
        "estimator": "no_validation",
        "X": "no_validation",
        "max_iter": [Interval(Integral, 0, None, closed="left"), None],
    },
    prefer_skip_nested_validation=True,
)
def recoverability_score(
    estimator: Any, X: Any, *, max_iter: int | None = None
) -> NDArray[np.float64]:
    """Mean cosine similarity of each view with its reconstruction by a fitted learner.

    The learner's MLPs reconstruct the views from the representations that `transform` finds,
    before normalization. For a single model, the paper reports 0.97 at the initialization and more
    than 0.99 at the end of `transform` [1]_.

    Parameters
    ----------
    estimator : EnsembleRepresentationLearner
        Fitted learner. Other transformers have no MLPs that reconstruct views.
    X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
        Samples in any form that `transform` accepts.
    max_iter : int, default=None
        Number of steps of `transform` before the score is computed; 0 scores the initialization.
        None takes the learner's `transform_max_iter`.

    Returns
    -------
    scores : ndarray of shape (n_views,)
        One score per view, between -1 and 1; higher is better. Samples that lack a view, or are
        zero in it, do not count for it. A view of weight 0, or that no sample has, scores NaN.

    Raises
    ------
    TypeError
        If `estimator` is not an :class:`~sknnens.EnsembleRepresentationLearner`.

    Notes
    -----
    The score takes as long as `transform`. If every sample has every view, and no weight is 0, the
    mean loss that `transform` reaches is ``view_weights_ @ (1 - scores)``.

    References
    ----------
    .. [1] B. Wallace, D. Arpit, H. Wang, C. Xiong, "Learning Rich Nearest Neighbor
       Representations from Self-supervised Ensembles", arXiv:2110.10293, 2021, section 4.2.

    Examples
    --------
    >>> from sknnens import EnsembleRepresentationLearner
    >>> from sknnens.datasets import load_fashion_mnist_features
    >>> from sknnens.metrics import recoverability_score
    >>> data = load_fashion_mnist_features(["simclr_0", "simclr_1"])
    >>> learner = EnsembleRepresentationLearner(data.view_sizes, max_iter=4, random_state=0)
    >>> learner = learner.fit(data.X_train[:500])
    >>> start = recoverability_score(learner, data.X_test[:100], max_iter=0)
    >>> end = recoverability_score(learner, data.X_test[:100])
    >>> bool(end.mean() > start.mean())
    True
    """
    from sknnens._learner import EnsembleRepresentationLearner  # imports torch

    if not isinstance(estimator, EnsembleRepresentationLearner):
        hint = ""
        if isinstance(estimator, Pipeline):
            hint = " Pass the step that is one, with the output of the steps before it as X."
        raise TypeError(
            "estimator must be an EnsembleRepresentationLearner, whose MLPs reconstruct the views, "
            f"got {type(estimator).__name__}.{hint}"
        )
    cosines = estimator._recover(X, max_iter)  # (n_samples, n_views)
    counted = ~np.isnan(cosines)
    totals, counts = np.where(counted, cosines, 0).sum(axis=0), counted.sum(axis=0)
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)


@validate_params(
    {"representations": "no_validation", "eps": [Interval(Real, 0, None, closed="left")]},
    prefer_skip_nested_validation=True,
)
def rankme_score(representations: ArrayLike, *, eps: float = 1e-7) -> float:
    """Effective rank of representations (RankMe).

    RankMe is the exponential of the entropy of the singular values, each divided by their sum
    before `eps` is added [1]_. Representations are not centered, as in that paper; other packages
    differ.

    Parameters
    ----------
    representations : array-like of shape (n_samples, n_components)
        One vector per sample.
    eps : float, default=1e-7
        Added to the normalized singular values.

    Returns
    -------
    score : float
        Between 1, if all rows lie on one line, and ``min(n_samples, n_components)``, which `eps`
        may slightly exceed.

    Raises
    ------
    ValueError
        If all representations are zero, or if one is not finite.

    Notes
    -----
    The score grows with the number of samples and with the width: compare scores of the same
    number of samples. It takes O(n d^2) operations and O(d^2) memory, in float64.

    References
    ----------
    .. [1] Q. Garrido, R. Balestriero, L. Najman, Y. LeCun, "RankMe: Assessing the Downstream
       Performance of Pretrained Self-Supervised Representations by Their Rank", ICML 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.metrics import rankme_score
    >>> round(rankme_score(np.eye(5)), 3)
    5.0
    >>> round(rankme_score(np.ones((8, 5))), 3)
    1.0
    """
    values = _singular_values(read_rows(representations, "representations"), center=False)
    if values[0] == 0:
        raise ValueError("representations are all zero: their rank is undefined.")
    shares = values / values.sum() + eps
    return float(np.exp(scipy.special.entr(shares).sum()))


@validate_params(
    {"representations": "no_validation", "center": ["boolean"], "normalize": ["boolean"]},
    prefer_skip_nested_validation=True,
)
def singular_value_spectrum(
    representations: ArrayLike, *, center: bool = False, normalize: bool = True
) -> NDArray[Any]:
    """Singular values of representations, in descending order.

    A flat spectrum means that the representations spread over many directions [1]_.

    Parameters
    ----------
    representations : array-like of shape (n_samples, n_components)
        One vector per sample.
    center : bool, default=False
        Whether to subtract the mean first.
    normalize : bool, default=True
        Whether to divide the values by the largest one.

    Returns
    -------
    values : ndarray of shape (min(n_samples, n_components),)
        Non-negative, and at most 1 if `normalize`. They are computed in float64 and returned in
        float64 if `representations` are float64, else in float32.

    Raises
    ------
    ValueError
        If `normalize` and all singular values are zero, or if a representation is not finite.

    Notes
    -----
    It takes O(n d^2) operations and O(d^2) memory.

    References
    ----------
    .. [1] B. Wallace, D. Arpit, H. Wang, C. Xiong, "Learning Rich Nearest Neighbor
       Representations from Self-supervised Ensembles", arXiv:2110.10293, 2021, Figure 11.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.metrics import singular_value_spectrum
    >>> singular_value_spectrum(np.diag([4.0, 1.0, 2.0]))
    array([1.  , 0.5 , 0.25])
    """
    rows = read_rows(representations, "representations")
    values = _singular_values(rows, center=center)
    if normalize:
        if values[0] == 0:
            problem = "all equal" if center else "all zero"
            raise ValueError(
                f"representations are {problem}: the singular values cannot be normalized. Set "
                "normalize=False."
            )
        values = values / values[0]
    return values.astype(rows.dtype)


@validate_params(
    {"queries": "no_validation", "database": "no_validation"},
    prefer_skip_nested_validation=True,
)
def normalized_maximum_similarity(queries: ArrayLike, database: ArrayLike) -> NDArray[Any]:
    """Cosine similarity to the nearest neighbor, divided by the mean similarity.

    The mean is taken over all pairs of a query and a row of the database [1]_.

    Parameters
    ----------
    queries : array-like of shape (n_queries, n_components)
        Representations, for example of test samples.
    database : array-like of shape (n_samples, n_components)
        Representations to search for neighbors, for example of training samples.

    Returns
    -------
    similarity : ndarray of shape (n_queries,)
        One value per query, mostly above 1 and without an upper limit: the higher, the tighter
        the neighborhoods. float64 if both inputs are float64, else float32. The similarity of a
        row of zeros is 0.

    Raises
    ------
    ValueError
        If the mean similarity is not positive, or if some similarities are negative and the mean
        is at most ``5 / sqrt(n_queries * n_samples)``, as for centered representations: the ratio
        is then meaningless.

    Notes
    -----
    It takes O(n_queries * n_samples * d) operations. The measure is intended for non-negative
    similarities, such as the similarities of post-ReLU features. The closer the mean is to 0, the
    less comparable the values are. For random directions, the standard deviation of the mean is at
    most ``1 / sqrt(n_queries * n_samples)``; the bound is five times this value. If the queries are
    the database, the similarity of each row with itself adds up to the same amount.

    References
    ----------
    .. [1] B. Wallace, D. Arpit, H. Wang, C. Xiong, "Learning Rich Nearest Neighbor
       Representations from Self-supervised Ensembles", arXiv:2110.10293, 2021, appendix B.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.metrics import normalized_maximum_similarity
    >>> normalized_maximum_similarity([[1.0, 0.0], [3.0, 4.0]], np.eye(2))
    array([1.66666667, 1.33333333])
    """
    a, b = read_unit_pair(queries, database)
    # the mean of all products is the product of the means
    mean = float(a.mean(axis=0, dtype=np.float64) @ b.mean(axis=0, dtype=np.float64))
    largest, smallest = np.empty(len(a), dtype=a.dtype), 0.0
    if mean > 0:
        for rows, similarity in similarities(a, b):
            largest[rows] = similarity.max(axis=1)
            smallest = min(smallest, float(similarity.min()))
    bound = LEAST_DEVIATIONS / np.sqrt(len(a) * len(b)) if smallest < 0 else 0.0
    if mean <= bound:
        raise ValueError(
            f"The mean cosine similarity of queries and database is {mean:.3g}. It must exceed "
            f"{bound:.3g}, the level of chance, to be a divisor. Centered representations do not "
            "have such a mean."
        )
    return np.asarray(largest / a.dtype.type(mean))


@validate_params(
    {
        "queries": "no_validation",
        "database": "no_validation",
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def hubness_score(
    queries: ArrayLike, database: ArrayLike | None = None, *, n_neighbors: int = 10
) -> float:
    """Skewness of the k-occurrence distribution (hubness).

    The k-occurrence of a row is the number of queries that have it among their k nearest
    neighbors. If its distribution is skewed, a few rows, the hubs, are neighbors of many queries,
    and others of none [1]_.

    Parameters
    ----------
    queries : array-like of shape (n_queries, n_components)
        Representations. Rows of zeros are left out.
    database : array-like of shape (n_samples, n_components), default=None
        Representations to search for neighbors, without rows of zeros. If None, neighbors are
        searched among the queries, and a row is not its own neighbor.
    n_neighbors : int, default=10
        Number of neighbors per query.

    Returns
    -------
    score : float
        Third standardized moment of the counts per row of the database; about 0 without hubs, and
        0 if all counts are equal.

    Raises
    ------
    ValueError
        If fewer than `n_neighbors` nonzero rows can be neighbors, or if all queries are zero.

    Notes
    -----
    It takes O(n_queries * n_samples * d) operations.

    References
    ----------
    .. [1] M. Radovanovic, A. Nanopoulos, M. Ivanovic, "Hubs in Space: Popular Nearest Neighbors
       in High-Dimensional Data", Journal of Machine Learning Research 11, 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.metrics import hubness_score
    >>> rows = np.vstack([np.ones(6), np.eye(6)])  # the first is the neighbor of all others
    >>> round(hubness_score(rows, n_neighbors=1), 2)
    1.93
    """
    if database is None:
        a = b = to_unit(read_rows(queries, "queries"))
    else:
        a, b = read_unit_pair(queries, database)
    a, b = a[a.any(axis=1)], b[b.any(axis=1)]
    n_candidates = len(b) - 1 if database is None else len(b)
    if n_neighbors > n_candidates:
        source = "other queries" if database is None else "rows of database"
        raise ValueError(
            f"n_neighbors={n_neighbors} must be at most the number of {source} that are not zero, "
            f"{max(0, n_candidates)}."
        )
    if len(a) == 0:
        raise ValueError("queries are all zero: they have no neighbors.")
    return occurrence_skewness(nearest(a, None if database is None else b, n_neighbors), len(b))


@validate_params(
    {
        "X": "no_validation",
        "views": ["array-like", Mapping, None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "missing_views": [StrOptions({"error", "drop"})],
    },
    prefer_skip_nested_validation=True,
)
def neighbor_agreement(
    X: Any, views: Any = None, *, n_neighbors: int = 10, missing_views: str = "error"
) -> NDArray[np.float64]:
    """Mean share of nearest neighbors that two views have in common, for every pair of views.

    This is the mutual k-nearest-neighbor alignment of [1]_ with the cosine similarity: the number
    of common nearest neighbors of a sample in two views, divided by `n_neighbors` and averaged
    over samples.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
        Features of several models, or any representations of the same samples, in any form that
        :class:`~sknnens.EnsembleRepresentationLearner` accepts.
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    n_neighbors : int, default=10
        Number of neighbors per sample; a sample is not its own neighbor.
    missing_views : {"error", "drop"}, default="error"
        Whether samples that lack a view raise an error or are left out.

    Returns
    -------
    agreement : ndarray of shape (n_views, n_views)
        Symmetric, between 0 and 1, with 1 on the diagonal. Independent views agree at about
        ``n_neighbors / n_samples``.

    Raises
    ------
    ValueError, TypeError
        If `X` is not as described, or if at most `n_neighbors` samples have all views. Samples
        that are zero in a view are left out.

    Notes
    -----
    With m views of width d it takes O(m n^2 d) operations. Because the measure is symmetric, it
    cannot tell which of two views is the better one.

    References
    ----------
    .. [1] M. Huh, B. Cheung, T. Wang, P. Isola, "The Platonic Representation Hypothesis",
       ICML 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.metrics import neighbor_agreement
    >>> rng = np.random.RandomState(0)
    >>> a = rng.randn(200, 8)
    >>> rotated = a @ np.linalg.qr(rng.randn(8, 8))[0]
    >>> neighbor_agreement([a, rotated, rng.randn(200, 8)], n_neighbors=5).round(1)
    array([[1., 1., 0.],
           [1., 1., 0.],
           [0., 0., 1.]])
    """
    data, _ = read_views(X, views, missing_views=missing_views, leaves_out=True)
    kept = np.all([norms > 0 for norms in data.norms], axis=0)  # neither missing nor zero
    if not n_neighbors < kept.sum():
        raise ValueError(
            f"n_neighbors={n_neighbors} must be less than the number of samples that have all "
            f"views, {kept.sum()}."
        )
    neighbors = [nearest(units, None, n_neighbors) for units in data.take(kept).units()]
    agreement = np.eye(len(neighbors))
    for i, j in combinations(range(len(neighbors)), 2):
        agreement[i, j] = agreement[j, i] = overlap(neighbors[i], neighbors[j])
    return agreement


def _singular_values(x: NDArray[Any], *, center: bool) -> NDArray[np.float64]:
    """Singular values in descending order, from QR decompositions of blocks of rows."""
    mean = x.mean(axis=0, dtype=np.float64) if center else 0.0
    factor: NDArray[np.float64] = np.empty((0, x.shape[1]))
    for rows in row_slices(len(x), max(BLOCK_ROWS, x.shape[1])):
        block = x[rows].astype(np.float64) - mean
        factor = np.asarray(np.linalg.qr(np.concatenate([factor, block]), mode="r"))
    return np.asarray(np.linalg.svd(factor, compute_uv=False), dtype=np.float64)
