"""The loss of a row, 1 - cosine similarity summed over the views, and its gradient."""

from collections.abc import Callable, Sequence

import torch

from sknnens._engine._device import Precision
from sknnens._engine._networks import Networks, Workspace, first_rows

# Smallest norm of a network's output that is divided by, as in torch's cosine_similarity.
EPS = 1e-8


def normalize_rows(x: torch.Tensor) -> torch.Tensor:
    """Divide each row of shape (n, d) by its L2 norm; a zero row stays zero.

    Rows are first divided by their largest entry, so that no square over- or underflows.
    """
    largest = x.abs().amax(dim=1, keepdim=True)
    x = x / torch.where(largest > 0, largest, 1)
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / torch.where(length > 0, length, 1)


def cosine_loss(
    output: torch.Tensor,
    target: torch.Tensor,
    *,
    weight: torch.Tensor | float = 1.0,
    scale: torch.Tensor | None = None,
    grad: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the weighted 1 - cosine similarity of each row, shape (..., n).

    Parameters
    ----------
    output, target : Tensor of shape (..., n, d)
        Output of a network, and rows of length 1, or zero if the row takes no part.
    weight : Tensor that broadcasts to shape (..., n) or float, default=1
        Factor of the loss.
    scale : Tensor of shape (..., n), default=None
        Factors that bring the rows of `target` to length 1 if they are not; 0 for rows that take
        no part.
    grad : Tensor of shape (..., n, d), default=None
        Receives the gradient with respect to `output`; 0 for rows that take no part.
    """
    if scale is None:
        scale = target.any(dim=-1).to(target.dtype)
    weight = torch.sign(scale) * weight
    length = torch.linalg.vector_norm(output, dim=-1)
    clamped = length.clamp_min(EPS)
    scale = scale / clamped
    cosine = torch.mul(output, target, out=grad).sum(dim=-1).mul_(scale)
    if grad is not None:
        torch.mul(target, scale.mul_(weight).neg_()[..., None], out=grad)
        # the length is not differentiated if it is clamped
        along = (weight * cosine).div_(clamped).div_(clamped).masked_fill_(length <= EPS, 0)
        grad.addcmul_(output, along[..., None])
    return torch.addcmul(weight, weight, cosine, value=-1)


class BatchLoss:
    """Losses and gradients of a batch of rows, with preallocated buffers.

    A batch has at most `n_rows` rows. `on_grads` takes the gradients of the networks, see
    `Workspace`.

    Attributes
    ----------
    targets : list of Tensor of shape (n_rows, n_features_v)
        To be filled with each batch's views; a zero row takes no part.
    scales : list of Tensor of shape (n_rows,)
        To be filled with the factors that bring the rows of `targets` to length 1; 0 for a zero
        row.
    view_weights : Tensor of shape (n_views,)
        As given.
    """

    def __init__(
        self,
        networks: Networks,
        n_rows: int,
        view_weights: Sequence[float],
        precision: Precision,
        on_grads: Callable[[int, int, int, torch.Tensor, torch.Tensor], None] | None = None,
    ):
        self._workspace = Workspace(networks, n_rows, precision, on_grads)
        last = networks.layers[-1]
        self._targets = [x.weight.new_zeros(len(x.weight), n_rows, x.weight.shape[2]) for x in last]
        self._scales = [x.new_zeros(x.shape[:2]) for x in self._targets]
        self._grads = [torch.empty_like(x) for x in self._targets]
        self.view_weights = last[0].weight.new_tensor(view_weights)
        self._weights = [self.view_weights[x.views, None] for x in last]
        self.targets = [view for group in self._targets for view in group]
        self.scales = [view for group in self._scales for view in group]

    def __call__(
        self, rows: torch.Tensor, *, rows_move: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the loss of each row, and the gradient of their sum if `rows_move`.

        With the sum, not the mean, a row's gradient does not depend on the size of the batch.
        `rows` are the representations of the first rows of `targets`. The next call overwrites the
        gradient.
        """
        backward = rows_move or self._workspace.on_grads is not None
        outputs = self._workspace.forward(rows)
        parts = self._targets, self._scales, self._grads
        targets, scales, grads = ([first_rows(x, rows.shape[0]) for x in part] for part in parts)
        losses = [
            cosine_loss(output, target, weight=weight, scale=scale, grad=grad if backward else None)
            for output, target, scale, weight, grad in zip(
                outputs, targets, scales, self._weights, grads, strict=True
            )
        ]
        loss = (losses[0] if len(losses) == 1 else torch.cat(losses)).sum(dim=0)
        if not backward:
            return loss, None
        return loss, self._workspace.backward(grads, rows_move=rows_move)
