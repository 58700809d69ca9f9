"""Where a representation starts: a deterministic function of its row's views."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sknnens._engine._loss import normalize_rows
from sknnens._engine._rows import multiply_rows
from sknnens.fusion._imputation import ConditionalMean


@dataclass(frozen=True)
class Start:
    """Start of the representations of rows whose views are normalised.

    Attributes
    ----------
    view_weights : sequence of float
        One a view.
    projection : pair of Tensor, of shape (n_features,) and (n_features, n_components), or None
        What is subtracted from the weighted views side by side, and what they are then
        multiplied with; None for the mean of the views.
    given : ConditionalMean, default=None
        What the views of a row predict of those that are not there. None takes them to be at the
        mean.
    non_negative : bool
        Whether negative entries are set to 0.
    """

    view_weights: Sequence[float]
    projection: tuple[torch.Tensor, torch.Tensor] | None = None
    given: ConditionalMean | None = None
    non_negative: bool = False

    def __call__(
        self, targets: Sequence[torch.Tensor], scales: Sequence[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Map views of shape (n, n_features_v) to rows of length 1, shape (n, n_components).

        A view that is zero in a row has no part in it: it is taken to be `given` the others.
        `scales`, of shape (n,), bring the rows of each view to length 1, where they are not.
        """
        multiples: Sequence[torch.Tensor | float] = self.view_weights
        if scales is not None:
            pairs = zip(self.view_weights, scales, strict=True)
            multiples = [(w * scale)[:, None] for w, scale in pairs]
        weighted = [f * target for f, target in zip(multiples, targets, strict=True)]
        if self.projection is None:
            rows = sum(weighted[1:], weighted[0])
        else:
            mean, components = self.projection
            means = torch.split(mean, [x.shape[1] for x in weighted])
            present = [target.any(dim=1) for target in targets]
            parts = zip(weighted, means, present, strict=True)
            centred = torch.cat(
                [torch.where(here[:, None], x - m, 0) for x, m, here in parts], dim=1
            )
            if self.given is not None:
                centred = self.given.fill(centred, torch.stack(present, dim=1))
            rows = multiply_rows(centred, components)
        if self.non_negative:
            rows = rows.clamp_min(0)
        return normalize_rows(rows)
