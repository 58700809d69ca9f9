"""What the views that a sample has predict of those that it lacks."""

from collections.abc import Sequence

import torch

from sknnens._batching import multiply_rows

# Numbers that are kept of matrices which are needed again, about.
KEPT_NUMBERS = 2**26


class FactorModel:
    """Probabilistic PCA of views side by side, as in Tipping and Bishop (1999).

    A centred row is a normal vector times the loadings, plus noise of variance 1 in each column.

    Parameters
    ----------
    loadings : Tensor of shape (n_factors, n_features)
        Principal axes, each times its deviation in units of that of the noise.
    sizes : sequence of int
        Width of each view.
    """

    def __init__(self, loadings: torch.Tensor, sizes: Sequence[int]):
        self.loadings = loadings
        self.sizes = list(sizes)
        self._products: list[torch.Tensor] = []
        self._covariances: dict[tuple[bool, ...], torch.Tensor] = {}

    def fill(self, centred: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Put what a row is to be expected to have in the place of what it lacks.

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
        scores = multiply_rows(centred, self.loadings.T)
        factors = torch.zeros_like(scores)
        for number in lacking:
            rows = (which == number).nonzero()[:, 0].to(scores.device)
            given = self._condition(tuple(patterns[number].tolist()))
            factors[rows] = multiply_rows(scores[rows], given)
        there = present.repeat_interleave(torch.tensor(self.sizes, device=present.device), dim=1)
        return torch.where(there, centred, multiply_rows(factors, self.loadings))

    def _condition(self, pattern: tuple[bool, ...]) -> torch.Tensor:
        """Covariance of the factors, given the views of a pattern."""
        if not self._products:
            exact = self.loadings.to("cpu", torch.float64)
            self._products = [part @ part.T for part in torch.split(exact, self.sizes, dim=1)]
        if pattern not in self._covariances:
            precision = torch.eye(len(self.loadings), dtype=torch.float64)
            for here, product in zip(pattern, self._products, strict=True):
                if here:
                    precision += product
            while len(self._covariances) >= max(1, KEPT_NUMBERS // precision.numel()):
                del self._covariances[next(iter(self._covariances))]
            found = torch.cholesky_inverse(torch.linalg.cholesky(precision))
            self._covariances[pattern] = found.to(self.loadings.dtype).to(self.loadings.device)
        return self._covariances[pattern]
