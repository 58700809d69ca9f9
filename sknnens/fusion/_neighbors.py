"""Fusions of the views' neighbours among the samples of fit."""

from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval

from sknnens._neighbors import largest
from sknnens.fusion._base import (
    Baseline,
    WeightedBaseline,
    find_directed,
    padded_chunks,
    sum_weights,
)
from sknnens.fusion._initialization import mean_columns, stack_units


class ReciprocalRankFusion(Baseline):
    """Distances to the samples of `fit`, from their ranks among each model's neighbours.

    A sample of `fit` scores the weighted sum over views of ``1 / (rank_constant + rank)``, where
    its rank is 1 if it is the nearest in that view, by the cosine [1]_. `transform` gives 1 minus
    the score, relative to the highest possible: distances for scikit-learn's estimators with
    ``metric="precomputed"``.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    rank_constant : float, default=60
        The higher, the less the first ranks count; 60 is the value of [1]_.
    view_weights : array-like of shape (n_views,), or mapping from name to weight, default=None
        Weights of the sum. None weighs all alike.
    missing_views : {"error", "mask"}, default="error"
        With ``"mask"``, samples that lack a view have no rank in it. Nor have, in any case,
        those that are zero in it.

    Attributes
    ----------
    units_ : list of ndarray of shape (n_samples_fit, n_features_v)
        For each view that has a weight, its L2-normalised features in `fit`.
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
    Samples whose computed similarities are equal rank in the order of `fit`; those of duplicates
    may differ in their last bits. With D columns in all, m models and n samples of `fit`, a
    sample takes O(n D + m n log n) operations and n numbers of memory: `fit_transform` gives a
    matrix of n x n. The fitted transformer holds the features of `fit`.

    Without ``metric="precomputed"``, KNeighborsClassifier raises no error: it takes distances
    between rows of distances.

    References
    ----------
    .. [1] G. V. Cormack, C. L. A. Clarke, S. Buettcher, "Reciprocal Rank Fusion outperforms
       Condorcet and individual Rank Learning Methods", SIGIR 2009.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sknnens.fusion import ReciprocalRankFusion
    >>> from sknnens.datasets import load_fashion_mnist_features
    >>> data = load_fashion_mnist_features(["simclr_0", "simclr_1"])
    >>> fusion = ReciprocalRankFusion(views=data.view_sizes)
    >>> model = make_pipeline(fusion, KNeighborsClassifier(5, metric="precomputed"))
    >>> model = model.fit(data.X_train[:500], data.y_train[:500])
    >>> bool(model.score(data.X_test[:500], data.y_test[:500]) > 0.7)
    True
    """

    normalize = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Baseline._parameter_constraints,
        "rank_constant": [Interval(Real, 0, None, closed="left")],
        "view_weights": ["array-like", Mapping, None],
    }

    def __init__(
        self,
        views: Sequence[int] | Mapping[Any, Any] | None = None,
        *,
        rank_constant: float = 60,
        view_weights: ArrayLike | Mapping[str, float] | None = None,
        missing_views: str = "error",
    ) -> None:
        self.views = views
        self.rank_constant = rank_constant
        self.view_weights = view_weights
        self.missing_views = missing_views

    def transform(self, X: Any) -> NDArray[Any]:
        """Find distances of samples to those of `fit`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
            The same views as in `fit`.

        Returns
        -------
        distances : ndarray of shape (n_samples, n_samples_fit)
            From 0, for a sample that is the nearest in all views, to 1, for one that has no rank
            in any. float64 where `X` is float64, else float32.

        Raises
        ------
        ValueError, TypeError
            If `X` does not have the views of `fit`, or is not finite.
        """
        return super().transform(X)

    def _learn(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> dict[str, Any]:
        return {
            "units_": units,
            "_directed": find_directed(units),
            "_n_features_out": len(present),
        }

    def _map(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[Any]:
        dtype = units[0].dtype
        directed = find_directed(units)
        scores = np.zeros((len(present), len(self.units_[0])), dtype=dtype)
        points = 1 / (self.rank_constant + np.arange(1, scores.shape[1] + 1))
        for v, fitted in enumerate(self.units_):
            own_points = (weights[v] * points).astype(dtype)
            for rows, similarity in _similarities(units[v], fitted, self._directed[:, v]):
                ranked = _score_by_rank(similarity, own_points)
                scores[rows] += ranked * directed[rows, v, None]
        return 1 - scores / dtype.type(weights.sum() * points[0])


def _similarities(
    units: NDArray[Any], fitted: NDArray[Any], directed: NDArray[np.bool_]
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield the cosine similarities of some rows with all of fit, -inf with those of no direction.

    Parameters
    ----------
    units : ndarray of shape (n_samples, d)
        Rows of length 1, or zero.
    fitted : ndarray of shape (n, d)
        The same.
    directed : ndarray of shape (n,)
        Which of `fitted` are not zero.

    Yields
    ------
    rows : slice
        Which rows these are.
    similarity : ndarray of shape (b, n)
        It does not depend on what other rows there are.
    """
    database = fitted.astype(units.dtype, copy=False).T
    for rows, chunk in padded_chunks(units):
        similarity = (chunk @ database)[: rows.stop - rows.start]
        similarity[:, ~directed] = -np.inf
        yield rows, similarity


def _score_by_rank(similarity: NDArray[Any], points: NDArray[Any]) -> NDArray[Any]:
    """Points of each fitted row for its rank among the neighbours of each row; (b, n)."""
    order = np.argsort(-similarity, axis=1, kind="stable")
    scores = np.empty_like(similarity)
    np.put_along_axis(scores, order, points[None], axis=1)
    return np.where(similarity == -np.inf, 0, scores)


class GraphDiffusion(WeightedBaseline):
    """The concatenation, mixed with its neighbours' in the views' fused neighbour graph.

    In the graph a sample has edges to its nearest samples of `fit` in each view, by the cosine;
    where views agree an edge counts for more. A step takes each row to
    ``(1 - alpha) * concatenation + alpha * mean of its neighbours``, where these are as the step
    before left them: the propagation of [1]_, here of features instead of labels [2]_.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    n_neighbors : int, default=10
        Neighbours in each view.
    alpha : float, default=0.5
        Share of the neighbours.
    n_steps : int, default=1
        Steps; a sample takes its last one from neighbours that have taken one less.
    view_weights : array-like of shape (n_views,), or mapping from name to weight, default=None
        Weights of the views in the concatenation and in the graph. None weighs all alike.
    missing_views : {"error", "mask"}, default="error"
        With ``"mask"``, a sample has no edges from a view that it lacks, and in the
        concatenation that view is at its mean over the samples of `fit`. A sample that is zero
        in a view has no edges from it in any case.
    normalize : bool, default=True
        Whether the rows have length 1.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Mean of the weighted, normalised features, for samples that lack a view.
    diffused_ : ndarray of shape (n_samples_fit, n_features)
        The samples of `fit`, after all steps but the last.
    units_ : list of ndarray of shape (n_samples_fit, n_features_v)
        For each view that has a weight, its L2-normalised features in `fit`.
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
    A sample of `fit` is its own nearest neighbour in `transform`, or a duplicate of it is. Of
    equal computed similarities the first ones in `fit` are taken; those of duplicates may differ
    in their last bits. With D columns in all, a sample costs O(n_samples_fit D) operations in
    `transform`, and the fitted transformer holds the features of `fit` twice.

    References
    ----------
    .. [1] D. Zhou, O. Bousquet, T. N. Lal, J. Weston, B. Schoelkopf, "Learning with Local and
       Global Consistency", NeurIPS 2003.
    .. [2] R. Arandjelovic, A. Zisserman, "Three things everyone should know to improve object
       retrieval", CVPR 2012 (database-side feature augmentation).

    Examples
    --------
    >>> from sknnens.fusion import GraphDiffusion
    >>> from sknnens.datasets import load_fashion_mnist_features
    >>> data = load_fashion_mnist_features(["simclr_0", "simclr_1"])
    >>> GraphDiffusion(views=data.view_sizes).fit(data.X_train).transform(data.X_test).shape
    (3000, 256)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **WeightedBaseline._parameter_constraints,
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0, 1, closed="both")],
        "n_steps": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        views: Sequence[int] | Mapping[Any, Any] | None = None,
        *,
        n_neighbors: int = 10,
        alpha: float = 0.5,
        n_steps: int = 1,
        view_weights: ArrayLike | Mapping[str, float] | None = None,
        missing_views: str = "error",
        normalize: bool = True,
    ) -> None:
        self.views = views
        self.n_neighbors = n_neighbors
        self.alpha = alpha
        self.n_steps = n_steps
        self.view_weights = view_weights
        self.missing_views = missing_views
        self.normalize = normalize

    def _learn(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> dict[str, Any]:
        directed = find_directed(units)
        most = directed.sum(axis=0).min()
        if self.n_neighbors > most:
            raise ValueError(
                f"n_neighbors={self.n_neighbors} must be at most {most}, the number of samples "
                "that have a view and are not zero in it."
            )
        mean = mean_columns(units, weights.tolist(), present)
        rows = stack_units(units, weights.tolist(), present, mean, units[0].dtype)
        diffused = rows
        for _ in range(self.n_steps - 1):
            diffused = self._step(rows, units, weights, (diffused, units, directed))
        return {
            "mean_": mean,
            "diffused_": diffused,
            "units_": units,
            "_directed": directed,
            "_n_features_out": len(mean),
        }

    def _map(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[Any]:
        dtype = units[0].dtype
        rows = stack_units(units, weights.tolist(), present, self.mean_, dtype)
        fitted = (self.diffused_.astype(dtype, copy=False), self.units_, self._directed)
        return self._step(rows, units, weights, fitted)

    def _step(
        self,
        rows: NDArray[Any],
        units: list[NDArray[Any]],
        weights: NDArray[np.float64],
        fitted: tuple[NDArray[Any], list[NDArray[Any]], NDArray[np.bool_]],
    ) -> NDArray[Any]:
        """Mix rows with the values of their neighbours, of which they may be the first state."""
        values, fitted_units, fitted_directed = fitted
        directed = find_directed(units)
        spread = np.zeros_like(rows)
        for v, weight in enumerate(weights.tolist()):
            chunks = _similarities(units[v], fitted_units[v], fitted_directed[:, v])
            for part, similarity in chunks:
                mean = _mean_of_nearest(similarity, values, self.n_neighbors)
                spread[part] += weight * mean * directed[part, v, None]
        shares = sum_weights(directed, weights).astype(rows.dtype)
        spread /= np.where(shares > 0, shares, 1)  # a row that is zero in all views stays zero
        mixed = (1 - self.alpha) * rows + self.alpha * spread
        return np.asarray(mixed, dtype=rows.dtype)


def _mean_of_nearest(
    similarity: NDArray[Any], values: NDArray[Any], n_neighbors: int
) -> NDArray[Any]:
    """Mean of the values of the rows that are most similar; (b, n_values)."""
    found = largest(similarity, n_neighbors)
    found.sort(axis=1)  # so that the sum is rounded in one way
    total = np.zeros((len(found), values.shape[1]), dtype=values.dtype)
    for neighbor in found.T:  # one at a time, so that k copies of the rows are never in memory
        total += values[neighbor]
    return total / values.dtype.type(n_neighbors)
