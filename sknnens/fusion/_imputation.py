"""What the views that a sample has predict of those that it lacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from sknnens._engine._rows import SCAN_ROWS, multiply_rows
from sknnens._views._forms import column_slices

MOST_FACTORS = 256
NOISE_SHARE = 0.1  # of the mean variance of a view's columns, at least
MOST_SHRINKAGE = 0.99
LEAST_DEVIATION = 1e-6  # of what is not rounding, as a share of the mean
FILL_ROUNDS = 3  # of finding factors and filling gaps
# Numbers of the matrices that are kept to be used again, about.
KEPT_NUMBERS = 2**26


@dataclass(frozen=True)
class Factors:
    """Covariance of views side by side: that of few factors, and of noise.

    A column of a view is the factors times its loadings, plus noise of variance 1, all of it times
    the deviation of the view.

    Attributes
    ----------
    loadings : ndarray of shape (n_factors, n_features)
        Those of a column of the views side by side are in one column.
    deviations : ndarray of shape (n_views,)
        Of the noise.
    """

    loadings: NDArray[Any]
    deviations: NDArray[Any]

    def to(self, dtype: Any) -> "Factors":
        """Convert them."""
        return Factors(self.loadings.astype(dtype), self.deviations.astype(dtype))


class ConditionalMean:
    """What a row is to be expected to have, given the views that it has.

    Parameters
    ----------
    loadings : Tensor of shape (n_factors, n_features)
        As those of `Factors`.
    deviations : Tensor of shape (n_views,)
        As those of `Factors`.
    sizes : sequence of int
        Width of each view.
    """

    def __init__(self, loadings: torch.Tensor, deviations: torch.Tensor, sizes: Sequence[int]):
        self.loadings = loadings
        self.sizes = list(sizes)
        of_columns = np.repeat(np.arange(len(self.sizes)), self.sizes)
        self._view = torch.from_numpy(of_columns).to(loadings.device)
        self.deviations = self._spread(deviations)
        self._products: list[torch.Tensor] = []
        self._covariances: dict[tuple[bool, ...], torch.Tensor] = {}

    def fill(self, centred: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Put the conditional mean in the place of what rows lack.

        Parameters
        ----------
        centred : Tensor of shape (n, n_features)
            Rows, zero where a view is not there.
        present : Tensor of shape (n, n_views)
            Which row has which views.

        Returns
        -------
        filled : Tensor of shape (n, n_features)
            A row that has every view is as it was, and one that has none.
        """
        patterns, which = torch.unique(present.cpu(), dim=0, return_inverse=True)
        lacking = (patterns.any(dim=1) & ~patterns.all(dim=1)).nonzero()[:, 0].tolist()
        if not lacking or not len(self.loadings):
            return centred
        scores = multiply_rows(centred / self.deviations, self.loadings.T)
        factors = torch.zeros_like(scores)
        for number in lacking:
            rows = (which == number).nonzero()[:, 0].to(scores.device)
            covariance = self._condition(tuple(patterns[number].tolist()))
            factors[rows] = multiply_rows(scores[rows], covariance)
        expected = multiply_rows(factors, self.loadings) * self.deviations
        return torch.where(self._spread(present), centred, expected)

    def _spread(self, of_views: torch.Tensor) -> torch.Tensor:
        """From one a view to one a column."""
        return of_views[..., self._view]

    def _condition(self, pattern: tuple[bool, ...]) -> torch.Tensor:
        """Covariance of the factors, given the views of a pattern."""
        if pattern in self._covariances:
            return self._covariances[pattern]
        if not self._products:
            parts = torch.split(self.loadings.cpu().double(), self.sizes, dim=1)
            self._products = [part @ part.T for part in parts]
        precision = torch.eye(len(self.loadings), dtype=torch.float64, device="cpu")
        for here, product in zip(pattern, self._products, strict=True):
            if here:
                precision += product
        found = torch.cholesky_inverse(torch.linalg.cholesky(precision))
        found = found.to(self.loadings.dtype).to(self.loadings.device)
        if (len(self._covariances) + 1) * found.numel() <= KEPT_NUMBERS:
            self._covariances[pattern] = found
        return found


def fit_factors(
    stacked: NDArray[Any], sizes: Sequence[int], present: NDArray[np.bool_], random_state: Any
) -> Factors:
    """Find factors, and put what they predict in the place of what rows lack.

    They are principal components of the views, each brought to one variance, as they were filled
    in the round before.

    Parameters
    ----------
    stacked : ndarray of shape (n_samples, n_features)
        Views side by side, in float64, with the mean where one is not there: that is replaced.
    sizes : sequence of int
        Width of each view.
    present : ndarray of shape (n_samples, n_views)
        Which rows have which views.
    random_state : int, RandomState instance or None
        For scikit-learn's randomised solver, which large matrices get.

    Returns
    -------
    factors : Factors
    """
    n_factors = min(MOST_FACTORS, *stacked.shape)
    complete = bool(present.all())
    for _ in range(1 if complete else FILL_ROUNDS):
        mean = stacked.mean(axis=0)
        # what is filled in varies less than what is there
        rows = present, np.ones_like(present)
        own, filled = (_deviations(stacked, mean, sizes, x) for x in rows)
        if not filled.any():
            return Factors(np.zeros((0, stacked.shape[1])), np.ones(len(sizes)))
        scaled = (stacked - mean) * np.repeat(_inverse(filled), sizes)
        lengths = np.einsum("ij,ij->i", scaled, scaled)
        pca = PCA(n_factors, copy=False, random_state=random_state).fit(scaled)
        noise = max(NOISE_SHARE, find_noise(lengths, pca.explained_variance_, stacked.shape[1]))
        loadings = np.sqrt(pca.explained_variance_ / noise)[:, None] * pca.components_
        # no view says anything of those that do not vary, nor they of others
        factors = Factors(loadings, np.sqrt(noise) * np.where(own > 0, own, 1))
        if not complete:
            tensors = [torch.from_numpy(x) for x in (loadings, factors.deviations)]
            _fill(stacked, mean, present, ConditionalMean(tensors[0], tensors[1], sizes))
    return factors


def find_noise(lengths: NDArray[Any], variances: NDArray[Any], n_features: int) -> float:
    """Multiple of the identity that a covariance is best added to, after Ledoit and Wolf (2004).

    Parameters
    ----------
    lengths : ndarray of shape (n_samples,)
        Squared lengths of the centred rows.
    variances : ndarray of shape (n_components,)
        Leading eigenvalues of their covariance; the others count as alike.
    n_features : int
        Number of columns.

    Returns
    -------
    noise : float
        In units in which the covariance itself has the factor 1.
    """
    n_samples, total = len(lengths), lengths.mean()
    variances = variances * (n_samples - 1) / n_samples
    rest, n_left = max(total - variances.sum(), 0.0), n_features - len(variances)
    squares = np.square(variances).sum() + (rest**2 / n_left if n_left else 0.0)
    spread = squares - total**2 / n_features
    error = (np.square(lengths).mean() - squares) / n_samples
    shrinkage = error / spread if spread > error else 1.0
    shrinkage = min(max(shrinkage, 0.0), MOST_SHRINKAGE)
    return float(shrinkage / (1 - shrinkage) * total / n_features)


def _deviations(
    stacked: NDArray[Any], mean: NDArray[Any], sizes: Sequence[int], rows: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Root of the mean variance of each view's columns, over rows; 0 where it is rounding."""
    found = np.zeros(len(sizes))
    for v, (columns, here) in enumerate(zip(column_slices(sizes), rows.T, strict=True)):
        if here.any():
            deviation = np.sqrt(stacked[here, columns].var(axis=0).mean())
            level = np.sqrt(np.square(mean[columns]).mean())
            found[v] = deviation if deviation > LEAST_DEVIATION * level else 0.0
    return found


def _inverse(deviations: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(1, deviations, out=np.zeros_like(deviations), where=deviations > 0)


def _fill(
    stacked: NDArray[Any], mean: NDArray[Any], present: NDArray[np.bool_], given: ConditionalMean
) -> None:
    for begin in range(0, len(stacked), SCAN_ROWS):
        rows = slice(begin, begin + SCAN_ROWS)
        there = np.repeat(present[rows], given.sizes, axis=1)
        centred = torch.from_numpy(np.where(there, stacked[rows] - mean, 0))
        filled = given.fill(centred, torch.from_numpy(present[rows])).numpy()
        np.copyto(stacked[rows], filled + mean, where=~there)
