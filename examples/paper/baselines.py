"""Fusions that only the study needs: rank fusion, graph diffusion and Procrustes analysis.

All views must be there. Parameters and results are as in ``sknnens.fusion``.
"""

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval

from sknnens._views import column_slices
from sknnens.fusion import Fusion
from sknnens.fusion._base import multiply_rows
from sknnens.fusion._weights import find_directed

COUNT = [Interval(Integral, 1, None, closed="left")]
NON_NEGATIVE = [Interval(Real, 0, None, closed="left")]
SHARED = {key: Fusion._parameter_constraints[key] for key in ("views", "view_weights")}
NORMALIZED = SHARED | {"normalize": ["boolean"]}


class Baseline(Fusion):
    """A fusion without missing views."""

    missing_views = "error"


class ReciprocalRankFusion(Baseline):
    """Distances to the samples of `fit`, from their ranks among each model's neighbors.

    A sample of `fit` scores the weighted sum over views of ``1 / (rank_constant + rank)``, for
    its rank by the cosine, from 1 [1]_. A zero row has no rank. The distance is 1 minus the
    score, relative to the highest possible: for scikit-learn's ``metric="precomputed"``.

    References
    ----------
    .. [1] G. V. Cormack, C. L. A. Clarke, S. Buettcher, "Reciprocal Rank Fusion outperforms
       Condorcet and individual Rank Learning Methods", SIGIR 2009.
    """

    normalize = False
    _parameter_constraints = SHARED | {"rank_constant": NON_NEGATIVE}

    def __init__(self, views=None, *, rank_constant=60, view_weights=None):
        self.views = views
        self.rank_constant = rank_constant
        self.view_weights = view_weights

    def _fit_views(self, data, weights):
        return {"units_": data.views.units()}

    def _map(self, views, weights):
        directed = find_directed(views)
        points = 1 / (self.rank_constant + np.arange(1, self._n_features_out + 1))
        scores = np.zeros((len(views), len(points)), dtype=views.dtype)
        for v, weight in enumerate(weights):
            similarity = find_similarities(views.units()[v], self.units_[v])
            order = np.argsort(-similarity, axis=1, kind="stable")
            ranked = np.empty_like(scores)
            np.put_along_axis(ranked, order, (weight * points).astype(views.dtype)[None], axis=1)
            scores += np.where(similarity == -np.inf, 0, ranked) * directed[:, v, None]
        return 1 - scores / views.dtype.type(sum(weights) * points[0])

    @property
    def _n_features_out(self):
        return len(self.units_[0])


class GraphDiffusion(Baseline):
    """The concatenation, mixed with its neighbors' in the views' fused neighbor graph.

    In each view, a sample has edges to its nearest samples of `fit` by the cosine, unless it is
    zero there. A step takes each row to ``(1 - alpha) * concatenation + alpha * mean of its
    neighbors``, as they were one step earlier: the propagation of [1]_, of features as in [2]_.

    References
    ----------
    .. [1] D. Zhou, O. Bousquet, T. N. Lal, J. Weston, B. Schoelkopf, "Learning with Local and
       Global Consistency", NeurIPS 2003.
    .. [2] R. Arandjelovic, A. Zisserman, "Three things everyone should know to improve object
       retrieval", CVPR 2012 (database-side feature augmentation).
    """

    _parameter_constraints = NORMALIZED | {
        "n_neighbors": COUNT,
        "alpha": [Interval(Real, 0, 1, closed="both")],
        "n_steps": COUNT,
    }

    def __init__(
        self,
        views=None,
        *,
        n_neighbors=10,
        alpha=0.5,
        n_steps=1,
        view_weights=None,
        normalize=True,
    ):
        self.views = views
        self.n_neighbors = n_neighbors
        self.alpha = alpha
        self.n_steps = n_steps
        self.view_weights = view_weights
        self.normalize = normalize

    def _fit_views(self, data, weights):
        most = find_directed(data.views).sum(axis=0).min()
        if self.n_neighbors > most:
            raise ValueError(
                f"n_neighbors={self.n_neighbors} must be at most {most}, the number of samples "
                "that are not zero in a view."
            )
        units = data.views.units()
        diffused = concatenate(units, weights.tolist())
        for _ in range(self.n_steps - 1):
            diffused = self._step(units, weights.tolist(), units, diffused)
        return {"units_": units, "diffused_": diffused}

    def _map(self, views, weights):
        return self._step(views.units(), weights, self.units_, self.diffused_)

    def _step(self, units, weights, fitted, values):
        """Mix rows with the values of their neighbors among the fitted ones."""
        rows = concatenate(units, weights)
        spread, shares = np.zeros_like(rows), np.zeros((len(rows), 1), dtype=rows.dtype)
        for x, database, weight in zip(units, fitted, weights, strict=True):
            similarity = find_similarities(x, database)
            near = np.argsort(-similarity, axis=1, kind="stable")[:, : self.n_neighbors]
            near.sort(axis=1)  # so that the sum is rounded in one way
            total = np.zeros_like(rows)
            for neighbor in near.T:  # one at a time, for the memory
                total += values[neighbor]
            share = weight * x.any(axis=1)[:, None].astype(rows.dtype)
            spread += share * total / self.n_neighbors
            shares += share
        spread /= np.where(shares > 0, shares, 1)  # a row that is zero in all views stays zero
        return (1 - self.alpha) * rows + self.alpha * spread

    @property
    def _n_features_out(self):
        return self.diffused_.shape[1]


class ProcrustesAverage(Baseline):
    """The average of the L2-normalized features, after each view is turned towards the others.

    Generalized orthogonal Procrustes analysis [1]_ without translation or scaling: one orthogonal
    matrix per view, found in turns with the average. Narrow views are padded with zeros.

    References
    ----------
    .. [1] J. C. Gower, "Generalized Procrustes analysis", Psychometrika 40(1), 1975.
    """

    _parameter_constraints = NORMALIZED | {"max_iter": COUNT, "tol": NON_NEGATIVE}

    def __init__(self, views=None, *, max_iter=100, tol=1e-4, view_weights=None, normalize=True):
        self.views = views
        self.max_iter = max_iter
        self.tol = tol
        self.view_weights = view_weights
        self.normalize = normalize

    def _fit_views(self, data, weights):
        sizes = data.views.sizes
        slices, width = column_slices(sizes), max(sizes)
        stacked = np.hstack(data.views.units()).astype(np.float64)
        products = stacked.T @ stacked  # (D, D)
        # the widest view stays as it is, and the others turn towards it first
        rotations = np.zeros((sum(sizes), width))
        rotations[slices[sizes.index(width)]] = np.eye(width)
        spread = np.repeat(weights, sizes)[:, None]
        agreement, n_iter = 0.0, 0
        for n_iter in range(1, self.max_iter + 1):
            towards = products @ (spread * rotations)  # (D, d): of each view, and the sum of all
            before, agreement = agreement, 0.0
            for weight, columns in zip(weights.tolist(), slices, strict=True):
                left, values, right = np.linalg.svd(towards[columns], full_matrices=False)
                rotations[columns] = left @ right
                agreement += weight * values.sum()
            if self.tol > 0 and n_iter > 2 and agreement - before <= self.tol * agreement:
                break
        else:
            if self.tol > 0:
                warnings.warn(
                    f"The agreement of the views still rose after max_iter={self.max_iter} turns. "
                    f"Raise max_iter, or tol (now {self.tol:g}).",
                    ConvergenceWarning,
                    stacklevel=2,
                )
        return {"rotations_": [rotations[columns] for columns in slices], "n_iter_": n_iter}

    def _map(self, views, weights):
        turned = np.vstack([w * r for w, r in zip(weights, self.rotations_, strict=True)])
        return multiply_rows(np.hstack(views.units()), turned.astype(views.dtype)) / sum(weights)

    @property
    def _n_features_out(self):
        return self.rotations_[0].shape[1]


def concatenate(units, weights):
    """Weighted views side by side."""
    return np.hstack([w * x for w, x in zip(weights, units, strict=True)])


def find_similarities(units, fitted):
    """Cosine similarities with the rows of fit; -inf with those that are zero."""
    similarity = multiply_rows(units, fitted.astype(units.dtype, copy=False).T)
    similarity[:, ~fitted.any(axis=1)] = -np.inf
    return similarity
