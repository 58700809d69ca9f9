"""Imputation of missing views from the views that are there."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA

from sknnens._views import column_slices, row_slices
from sknnens.fusion._base import multiply_rows
from sknnens.fusion._weights import ROUNDING

MOST_FACTORS = 256
NOISE_SHARE = 0.1  # least noise, relative to the mean variance of a view's columns
MOST_SHRINKAGE = 0.99
N_ROUNDS = 3  # of finding factors and imputing
SCAN_ROWS = 4096  # imputed together in fit
CACHED_NUMBERS = 2**24  # of the covariances that are kept, 128 MB in float64


class Imputer(BaseEstimator):
    """Imputation of missing views by a factor model.

    The views side by side are factors times loadings, plus noise of variance 1, all of it times
    the deviation of the view. A missing view is imputed with its conditional mean, given the views
    that are there.

    Attributes
    ----------
    loadings_ : ndarray of shape (n_factors, n_features)
        Loadings of at most 256 factors.
    deviations_ : ndarray of shape (n_views,)
        Standard deviation of the noise of each view.
    view_sizes_ : list of int
        Width of each view.
    """

    def fit(
        self,
        stacked: NDArray[Any],
        sizes: Sequence[int],
        present: NDArray[np.bool_],
        random_state: Any,
        dtype: Any = np.float64,
    ) -> Self:
        """Fit the factors, and impute the missing views of `stacked` in place.

        The factors are principal components of the views, each scaled to the same variance.
        If views are missing, finding factors and imputing alternate three times.

        Parameters
        ----------
        stacked : ndarray of shape (n_samples, n_features)
            Views of these `sizes` side by side, in float64, with the mean in place of missing ones.
        present : ndarray of shape (n_samples, n_views)
            Whether each sample has each view.
        random_state
            For scikit-learn's randomized solver, which large matrices get.
        dtype
            Dtype of the fitted arrays.
        """
        self.view_sizes_ = list(sizes)
        complete = bool(present.all())
        for _ in range(1 if complete else N_ROUNDS):
            mean = stacked.mean(axis=0)
            self._cache: dict[bytes, NDArray[Any]] = {}
            self.loadings_, self.deviations_ = _find_factors(
                stacked, mean, sizes, present, random_state
            )
            if not complete:
                self._impute_in_place(stacked, mean, present)
        self._cache = {}
        self.loadings_ = np.ascontiguousarray(self.loadings_, dtype)
        self.deviations_ = self.deviations_.astype(dtype)
        return self

    def impute(self, centered: NDArray[Any], present: NDArray[np.bool_]) -> NDArray[Any]:
        """Return `centered` with its missing views, 0 before, replaced by their conditional means.

        Views are side by side; `present` of shape (n_samples, n_views) tells which a sample has. A
        row does not depend on the others. One without any view stays 0.
        """
        incomplete = np.flatnonzero(present.any(axis=1) & ~present.all(axis=1))
        if not len(incomplete) or not len(self.loadings_):
            return centered
        dtype, rows, here = centered.dtype, centered[incomplete], present[incomplete]
        loadings = self.loadings_.astype(dtype, copy=False)
        deviations = np.repeat(self.deviations_.astype(dtype, copy=False), self.view_sizes_)
        scores = multiply_rows(rows / deviations, loadings.T)
        factors = np.empty_like(scores)
        for pattern in np.unique(here, axis=0):
            same = (here == pattern).all(axis=1)
            covariance = self._condition(pattern).astype(dtype, copy=False)
            factors[same] = multiply_rows(scores[same], covariance)
        expected = multiply_rows(factors, loadings) * deviations
        imputed = centered.copy()
        imputed[incomplete] = np.where(np.repeat(here, self.view_sizes_, axis=1), rows, expected)
        return imputed

    def _impute_in_place(
        self, stacked: NDArray[Any], mean: NDArray[Any], present: NDArray[np.bool_]
    ) -> None:
        for rows in row_slices(len(stacked), SCAN_ROWS):
            there = np.repeat(present[rows], self.view_sizes_, axis=1)
            imputed = self.impute(np.where(there, stacked[rows] - mean, 0), present[rows])
            np.copyto(stacked[rows], imputed + mean, where=~there)

    def _condition(self, pattern: NDArray[np.bool_]) -> NDArray[Any]:
        """Covariance of the factors given the views of a pattern; (n_factors, n_factors)."""
        cache, key = self.__dict__.setdefault("_cache", {}), pattern.tobytes()
        if key in cache:
            covariance: NDArray[Any] = cache[key]
            return covariance
        given = self.loadings_[:, np.repeat(pattern, self.view_sizes_)].astype(np.float64)
        identity = np.eye(len(given))
        root = scipy.linalg.cho_factor(identity + given @ given.T)
        covariance = scipy.linalg.cho_solve(root, identity)
        if (len(cache) + 1) * covariance.size <= CACHED_NUMBERS:
            cache[key] = covariance
        return covariance

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_cache"}


def _find_factors(
    stacked: NDArray[Any],
    mean: NDArray[Any],
    sizes: Sequence[int],
    present: NDArray[np.bool_],
    random_state: Any,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return loadings of principal factors, none without variance, and deviations of the noise."""
    # imputed rows vary less than the others: the first scales the result, the second the PCA
    observed = _find_deviations(stacked, mean, sizes, present)
    imputed = _find_deviations(stacked, mean, sizes, np.ones_like(present))
    if not imputed.any():
        return np.zeros((0, stacked.shape[1])), np.ones(len(sizes))
    inverse = np.divide(1, imputed, out=np.zeros_like(imputed), where=imputed > 0)
    scaled = (stacked - mean) * np.repeat(inverse, sizes)
    squares = np.einsum("ij,ij->i", scaled, scaled)
    n_factors = min(MOST_FACTORS, *stacked.shape)
    pca = PCA(n_factors, copy=False, random_state=random_state).fit(scaled)
    noise = max(NOISE_SHARE, find_noise(squares, pca.explained_variance_, stacked.shape[1]))
    loadings = np.sqrt(pca.explained_variance_ / noise)[:, None] * pca.components_
    # a view that does not vary predicts nothing
    return loadings, np.sqrt(noise) * np.where(observed > 0, observed, 1)


def find_noise(squares: NDArray[Any], variances: NDArray[Any], n_features: int) -> float:
    """Ledoit-Wolf shrinkage of a covariance, expressed as a noise variance.

    `squares` are the squared norms of the centered rows, `variances` the leading eigenvalues of
    their covariance; the others are taken to be equal. The result is the multiple of the identity
    to add to the covariance.
    """
    n_samples, total = len(squares), squares.mean()
    variances = variances * (n_samples - 1) / n_samples
    rest, n_left = max(total - variances.sum(), 0.0), n_features - len(variances)
    second = np.square(variances).sum() + (rest**2 / n_left if n_left else 0.0)
    spread = second - total**2 / n_features
    error = (np.square(squares).mean() - second) / n_samples
    shrinkage = error / spread if spread > error else 1.0
    shrinkage = min(max(shrinkage, 0.0), MOST_SHRINKAGE)
    return float(shrinkage / (1 - shrinkage) * total / n_features)


def _find_deviations(
    stacked: NDArray[Any], mean: NDArray[Any], sizes: Sequence[int], rows: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Root of the mean variance of each view's columns over some rows; 0 if it is rounding."""
    deviations = np.zeros(len(sizes))
    for v, (columns, here) in enumerate(zip(column_slices(sizes), rows.T, strict=True)):
        if here.any():
            deviation = np.sqrt(stacked[here, columns].var(axis=0).mean())
            level = np.sqrt(np.square(mean[columns]).mean())
            deviations[v] = deviation if deviation > ROUNDING * level else 0.0
    return deviations
