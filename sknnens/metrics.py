"""Measures of representations that need no labels.

None of them alone says which representation is better: see the user guide.

Where neighbours are concerned, they are by the cosine, and of equal similarities, as they are
computed, the first ones count. A row of zeros has no direction and so no neighbours. The
similarities of some rows at a time are in memory, as many as scikit-learn's setting
``working_memory`` allows.
"""

from collections.abc import Mapping
from itertools import combinations
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from sknnens._learner import EnsembleRepresentationLearner
from sknnens._neighbors import (
    k_occurrence,
    nearest,
    overlap,
    read_rows,
    read_unit_pair,
    similarities,
    skewness,
    to_unit,
)
from sknnens._views._base import read_views

__all__ = [
    "hubness_score",
    "neighbor_agreement",
    "normalized_maximum_similarity",
    "rankme_score",
    "recoverability_score",
    "singular_value_spectrum",
]

# Standard deviations that a mean similarity must be away from 0 to be divided by.
LEAST_DEVIATIONS = 5
BLOCK_ROWS = 1024  # of a matrix whose singular values are taken, in float64 at a time


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
    """Mean cosine of each model's features with what a learner recovers of them.

    The learner's MLPs are put on the representations that `transform` finds, before these are
    normalised. The paper, for one model, reports 0.97 for the start of `transform` and over 0.99
    for where it ends [1]_.

    Parameters
    ----------
    estimator : EnsembleRepresentationLearner
        Fitted. Other transformers have no MLPs that recover features.
    X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
        In any form that `transform` takes.
    max_iter : int, default=None
        Number of steps of `transform` before the score is taken; 0 scores the start. None takes
        the learner's `transform_max_iter`.

    Returns
    -------
    scores : ndarray of shape (n_views,)
        Between -1 and 1, the higher the better. Samples that lack a view, or are zero in it, do
        not count for it. NaN for a view of weight 0, and for one that no sample has.

    Raises
    ------
    TypeError
        If `estimator` is not such a learner.

    Notes
    -----
    It takes the time of `transform`. With all samples in all views, the scores' weighted sum
    over views, taken from the sum of the weights, is the mean loss that `transform` reached.

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
    if not isinstance(estimator, EnsembleRepresentationLearner):
        hint = " Give the step that is one, and what reaches it." * isinstance(estimator, Pipeline)
        raise TypeError(
            "estimator must be an EnsembleRepresentationLearner, whose MLPs recover the features, "
            f"got {type(estimator).__name__}.{hint}"
        )
    cosines = estimator._recover(X, max_iter)
    counted = ~np.isnan(cosines)
    totals, counts = np.where(counted, cosines, 0).sum(axis=0), counted.sum(axis=0)
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)


@validate_params(
    {"representations": "no_validation", "eps": [Interval(Real, 0, None, closed="left")]},
    prefer_skip_nested_validation=True,
)
def rankme_score(representations: ArrayLike, *, eps: float = 1e-7) -> float:
    """RankMe: the number of dimensions that representations fill, evenly or not.

    The exponential of the entropy of the singular values, of which each is divided by their sum
    before `eps` is added [1]_. Nothing is centred, as in that paper; other packages differ.

    Parameters
    ----------
    representations : array-like of shape (n_samples, n_components)
        One vector a sample.
    eps : float, default=1e-7
        Added to each share.

    Returns
    -------
    score : float
        From 1 (all rows on one line) to ``min(n_samples, n_components)``, which `eps` may exceed
        by a little.

    Raises
    ------
    ValueError
        If all representations are zero, or one is not finite.

    Notes
    -----
    It grows with the number of samples and with the width: compare scores of one number of
    samples. It takes O(n d^2) operations and O(d^2) memory, in float64.

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
        raise ValueError("representations are all zero: they have no rank.")
    shares = values / values.sum() + eps
    return float(np.exp(scipy.special.entr(shares).sum()))


@validate_params(
    {"representations": "no_validation", "center": ["boolean"], "normalize": ["boolean"]},
    prefer_skip_nested_validation=True,
)
def singular_value_spectrum(
    representations: ArrayLike, *, center: bool = False, normalize: bool = True
) -> NDArray[Any]:
    """Singular values of representations, the largest first.

    A flat curve means that the representations spread over many directions [1]_.

    Parameters
    ----------
    representations : array-like of shape (n_samples, n_components)
        One vector a sample.
    center : bool, default=False
        Whether the mean is subtracted first.
    normalize : bool, default=True
        Whether the values are divided by the largest.

    Returns
    -------
    values : ndarray of shape (min(n_samples, n_components),)
        Not negative, and at most 1 where `normalize`. float64 where the representations are,
        else float32; they are computed in float64.

    Raises
    ------
    ValueError
        If there is nothing but zeros to normalise by, or a representation is not finite.

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
            what = "all alike" if center else "all zero"
            raise ValueError(f"representations are {what}: there is nothing to normalise by.")
        values = values / values[0]
    return values.astype(rows.dtype)


@validate_params(
    {"queries": "no_validation", "database": "no_validation"},
    prefer_skip_nested_validation=True,
)
def normalized_maximum_similarity(queries: ArrayLike, database: ArrayLike) -> NDArray[Any]:
    """How much nearer than an average pair is each query's nearest neighbour.

    The highest cosine similarity of a query with a row of the database, divided by the mean
    cosine similarity of all pairs of a query and a row [1]_.

    Parameters
    ----------
    queries : array-like of shape (n_queries, n_components)
        Representations, such as those of test samples.
    database : array-like of shape (n_samples, n_components)
        Representations to find neighbours in, such as those of training samples.

    Returns
    -------
    similarity : ndarray of shape (n_queries,)
        Mostly above 1, without an upper limit; the higher the tighter are the neighbours. float64
        where both are float64, else float32. The similarity with a zero row is 0.

    Raises
    ------
    ValueError
        If the mean similarity is not positive, or some similarities are negative and the mean is
        at most ``5 / sqrt(n_queries * n_samples)``, as for centred representations: the ratio then
        says nothing.

    Notes
    -----
    It takes O(n_queries * n_samples * d) operations. Made for representations in one orthant,
    where no similarity is negative: the nearer the mean is to 0, the less can values be compared.
    The bound is five times what the mean deviates from 0 at most where rows have no direction in
    common: its standard deviation is at most ``1 / sqrt(n_queries * n_samples)``, and as much do
    the similarities of rows with themselves add where the queries are the database.

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
    if mean <= 0:
        raise ValueError(
            f"The mean cosine similarity of queries and database is {mean:.3g}. It must be "
            "positive to divide by, as it is for representations that are not centred."
        )
    largest, least = np.empty(len(a), dtype=a.dtype), 0.0
    for rows, similarity in similarities(a, b):
        largest[rows] = similarity.max(axis=1)
        least = min(least, float(similarity.min()))
    bound = LEAST_DEVIATIONS / np.sqrt(len(a) * len(b))
    if least < 0 and mean <= bound:
        raise ValueError(
            f"The mean cosine similarity of queries and database is {mean:.3g}. It must be more "
            f"than {bound:.3g}, which chance alone makes of so many rows, to divide by, as it is "
            "for representations that are not centred."
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
    """Skewness of how often a row is among the nearest neighbours of others.

    Where it is high, some rows, the hubs, are neighbours of very many, and others of none [1]_.

    Parameters
    ----------
    queries : array-like of shape (n_queries, n_components)
        Representations.
    database : array-like of shape (n_samples, n_components), default=None
        Representations to find neighbours in. None finds them among the queries; a row is then
        not its own neighbour.
    n_neighbors : int, default=10
        Neighbours of each query.

    Returns
    -------
    score : float
        Third standardised moment of the counts, one a row of the database; 0 where all are
        equal. Without limits; about 0 where there are no hubs.

    Raises
    ------
    ValueError
        If there are not more rows than `n_neighbors` that are not zero (with a `database`: not
        as many). Rows of zeros are left out.

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
    >>> arms = np.vstack([np.ones(6), np.eye(6)])  # the first row is everybody's neighbour
    >>> round(hubness_score(arms, n_neighbors=1), 2)
    1.93
    """
    return skewness(k_occurrence(queries, database, n_neighbors))


@validate_params(
    {
        "X": "no_validation",
        "views": ["array-like", Mapping, None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "missing_views": [StrOptions({"error", "mask"})],
    },
    prefer_skip_nested_validation=True,
)
def neighbor_agreement(
    X: Any, views: Any = None, *, n_neighbors: int = 10, missing_views: str = "error"
) -> NDArray[np.float64]:
    """Share of the nearest neighbours that views have in common, pair by pair.

    The mutual k-nearest-neighbour alignment of [1]_, here with the cosine: for each sample, the
    size of the intersection of its nearest neighbours in two views, divided by `n_neighbors`;
    then the mean over samples.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
        Features of several models, or any representations of the same samples, in any form that
        :class:`~sknnens.EnsembleRepresentationLearner` takes.
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    n_neighbors : int, default=10
        Neighbours of each sample; a sample is not its own.
    missing_views : {"error", "mask"}, default="error"
        With ``"mask"``, samples that lack a view, or all of them, are left out.

    Returns
    -------
    agreement : ndarray of shape (n_views, n_views)
        Symmetric, from 0 to 1, with 1 on the diagonal. Views that have nothing in common are
        at about ``n_neighbors / n_samples``.

    Raises
    ------
    ValueError, TypeError
        If `X` is not as described, or if there are not more samples than `n_neighbors` that all
        views have. Samples that are zero in a view are left out.

    Notes
    -----
    With m views of width d it takes O(m n^2 d) operations. It is symmetric, so that of two views
    it cannot say which is the stronger.

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
    arrays, _ = read_views(X, views, missing_views=missing_views, leaves_out=True)
    units = [to_unit(x) for x in arrays]
    kept = np.all([x.any(axis=1) for x in units], axis=0)
    if not n_neighbors < kept.sum():
        raise ValueError(
            f"n_neighbors={n_neighbors} must be less than the number of samples that have all "
            f"views, {kept.sum()}."
        )
    neighbors = [nearest(x[kept], None, n_neighbors) for x in units]
    agreement = np.eye(len(units))
    for i, j in combinations(range(len(units)), 2):
        agreement[i, j] = agreement[j, i] = overlap(neighbors[i], neighbors[j])
    return agreement


def _singular_values(x: NDArray[Any], *, center: bool) -> NDArray[np.float64]:
    """Singular values, the largest first, from QR decompositions of some rows at a time."""
    mean = x.mean(axis=0, dtype=np.float64) if center else 0.0
    factor: NDArray[np.float64] = np.empty((0, x.shape[1]))
    for begin in range(0, len(x), max(BLOCK_ROWS, x.shape[1])):
        block = x[begin : begin + max(BLOCK_ROWS, x.shape[1])].astype(np.float64) - mean
        factor = np.asarray(np.linalg.qr(np.concatenate([factor, block]), mode="r"))
    return np.asarray(np.linalg.svd(factor, compute_uv=False), dtype=np.float64)
