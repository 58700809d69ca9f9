"""Fusions of the views' neighbours among the samples of fit."""

from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval

from sknnens._initialization import mean_columns, stack_units
from sknnens.baselines._base import Baseline, WeightedBaseline, map_chunks


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
        With ``"mask"``, samples that lack a view have no rank in it.

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
    The result has a row for each sample and a column for each sample of `fit`. Samples that are
    equally near rank in the order of `fit`.

    References
    ----------
    .. [1] G. V. Cormack, C. L. A. Clarke, S. Buettcher, "Reciprocal Rank Fusion outperforms
       Condorcet and individual Rank Learning Methods", SIGIR 2009.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sknnens.baselines import ReciprocalRankFusion
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

    def _learn(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> dict[str, Any]:
        return {"units_": units, "_present": present, "_n_features_out": len(present)}

    def _map(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[Any]:
        dtype = units[0].dtype
        scores = np.zeros((len(present), len(self.units_[0])), dtype=dtype)
        points = 1 / (self.rank_constant + np.arange(1, scores.shape[1] + 1))
        for v, (own, fitted) in enumerate(zip(units, self.units_, strict=True)):
            score = partial(
                _score_by_rank,
                fitted=fitted.astype(dtype),
                present=self._present[:, v],
                points=(weights[v] * points).astype(dtype),
            )
            scores += map_chunks(score, own) * present[:, [v]]
        return 1 - scores / dtype.type(weights.sum() * points[0])


def _score_by_rank(
    rows: NDArray[Any], fitted: NDArray[Any], present: NDArray[np.bool_], points: NDArray[Any]
) -> NDArray[Any]:
    """Points of each fitted row for its rank among the neighbours of each row; (b, n)."""
    distances = np.where(present, -(rows @ fitted.T), np.inf)
    order = distances.argsort(axis=1, kind="stable")
    scores = np.empty_like(distances)
    np.put_along_axis(scores, order, points[None], axis=1)
    return np.where(present, scores, 0)


class GraphDiffusion(WeightedBaseline):
    """The concatenation, mixed with its neighbours' in the views' fused neighbour graph.

    In the graph a sample has edges to its nearest samples of `fit` in each view, by the cosine;
    where views agree an edge counts for more. A step replaces each row by
    ``(1 - alpha) * row + alpha * mean of its neighbours``, as the propagation of [1]_, here of
    features instead of labels [2]_.

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
        concatenation that view is at its mean over the samples of `fit`.
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
    A sample of `fit` is its own nearest neighbour in `transform`. With D columns in all, a
    sample costs O(n_samples_fit D) operations in `transform`, and the fitted transformer holds
    the features of `fit` twice.

    References
    ----------
    .. [1] D. Zhou, O. Bousquet, T. N. Lal, J. Weston, B. Schoelkopf, "Learning with Local and
       Global Consistency", NeurIPS 2003.
    .. [2] R. Arandjelovic, A. Zisserman, "Three things everyone should know to improve object
       retrieval", CVPR 2012 (database-side feature augmentation).

    Examples
    --------
    >>> from sknnens.baselines import GraphDiffusion
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
        n_views = present.sum(axis=0)
        if self.n_neighbors > n_views.min():
            raise ValueError(
                f"n_neighbors={self.n_neighbors} must be at most {n_views.min()}, the number of "
                "samples that have a view."
            )
        mean = mean_columns(units, weights.tolist(), present)
        rows = stack_units(units, weights.tolist(), present, mean, units[0].dtype)
        for _ in range(self.n_steps - 1):
            rows = self._step(rows, units, present, weights, (rows, units, present))
        return {
            "mean_": mean,
            "diffused_": rows,
            "units_": units,
            "_present": present,
            "_n_features_out": len(mean),
        }

    def _map(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[Any]:
        dtype = units[0].dtype
        rows = stack_units(units, weights.tolist(), present, self.mean_, dtype)
        fitted = (self.diffused_.astype(dtype), self.units_, self._present)
        return self._step(rows, units, present, weights, fitted)

    def _step(
        self,
        rows: NDArray[Any],
        units: list[NDArray[Any]],
        present: NDArray[np.bool_],
        weights: NDArray[np.float64],
        fitted: tuple[NDArray[Any], list[NDArray[Any]], NDArray[np.bool_]],
    ) -> NDArray[Any]:
        """Mix rows with those of their neighbours; both may be the same samples."""
        values, fitted_units, fitted_present = fitted
        spread = np.zeros_like(rows)
        for v, weight in enumerate(weights.tolist()):
            mean = partial(
                _mean_of_neighbors,
                fitted=fitted_units[v].astype(rows.dtype),
                present=fitted_present[:, v],
                values=values,
                n_neighbors=self.n_neighbors,
            )
            spread += weight * map_chunks(mean, units[v]) * present[:, [v]]
        shares = (present @ weights)[:, None].astype(rows.dtype)
        mixed = (1 - self.alpha) * rows + self.alpha * (spread / shares)
        return np.asarray(mixed, dtype=rows.dtype)


def _mean_of_neighbors(
    rows: NDArray[Any],
    fitted: NDArray[Any],
    present: NDArray[np.bool_],
    values: NDArray[Any],
    n_neighbors: int,
) -> NDArray[Any]:
    """Mean of the values of each row's nearest fitted rows; (b, n_values)."""
    similarity = np.where(present, rows @ fitted.T, -np.inf)
    nearest = similarity.argpartition(-n_neighbors, axis=1)[:, -n_neighbors:]
    nearest.sort(axis=1)  # so that the sum is rounded in one way
    return np.asarray(values[nearest].mean(axis=1))
