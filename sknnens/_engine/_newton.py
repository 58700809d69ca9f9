"""Quasi-Newton steps of rows, with one curvature for all of them.

Newton's method needs the second derivatives of each row's loss.  As in the Gauss-Newton method,
the second derivatives of the networks are left out; the rest is averaged over rows into one
matrix, found once, whose inverse turns the gradient of any row into a step of about the right
length along every direction.
"""

from collections.abc import Sequence

import torch

from sknnens._engine._adam import clamp_rows
from sknnens._engine._device import Precision
from sknnens._engine._loss import EPS, normalize_rows
from sknnens._engine._networks import Networks, Workspace

# Added to all eigenvalues, relative to their mean: flatter directions are hardly followed.
DAMPING = 0.5
# Shortest output that counts, relative to the mean length of its view and of all views: a single
# output that is almost zero would have more curvature than all others together.
SHORTEST = 0.25


def find_inverse_curvature(
    networks: Networks, rows: torch.Tensor, present: torch.Tensor, view_weights: Sequence[float]
) -> torch.Tensor:
    """Return the damped inverse of `mean_curvature`, of the same arguments."""
    return invert(mean_curvature(networks, rows, present, view_weights))


def mean_curvature(
    networks: Networks,
    rows: torch.Tensor,
    present: torch.Tensor,
    view_weights: Sequence[float],
) -> torch.Tensor:
    """Return the mean over rows of the Gauss-Newton matrix of their loss, shape (d, d).

    A view whose MLP has the output o of direction u and the Jacobian J adds
    ``w / |o|**2 * J' (I - u u') J``. The mean of the second term is exact; that of the first one
    takes the ReLUs of one layer to be independent of those of the others and of the length of o,
    since it would need the Jacobian of every row. `present` of shape (n_views, n) tells whether a
    row has a view and is not zero in it.
    """
    workspace = Workspace(networks, len(rows), Precision(rows.dtype))
    outputs = workspace.forward(rows)
    curvature = rows.new_zeros(rows.shape[1], rows.shape[1])
    lengths = [torch.linalg.vector_norm(output, dim=2, keepdim=True) for output in outputs]
    mean_length = torch.cat(lengths).mean()
    for last, output, own_lengths in zip(networks.layers[-1], outputs, lengths, strict=True):
        for i, v in enumerate(range(last.views.start, last.views.stop)):
            unit = normalize_rows(output[i])
            length = own_lengths[i]
            shortest = SHORTEST * torch.maximum(length.mean(), mean_length)
            length = torch.maximum(length, shortest).clamp_min(EPS)
            weight = view_weights[v] * present[v][:, None].to(rows.dtype)
            active = output[i] > 0 if last.relu else torch.ones_like(output[i])
            inner = (last.weight[i] * (active * weight / length**2).mean(dim=0)) @ last.weight[i].T
            along = (unit / length * weight.sqrt()) @ last.weight[i].T  # unit is 0 where not active
            for layer in reversed(range(len(networks.layers) - 1)):
                active = (workspace.activations[layer][0][v] > 0).to(rows.dtype)
                w = networks.layers[layer][0].weight[v]
                inner = w @ (inner * (active.T @ active / len(rows))) @ w.T
                along = (along * active) @ w.T
            curvature += inner - along.T @ along / len(rows)
    return curvature


def invert(curvature: torch.Tensor) -> torch.Tensor:
    """Return the inverse of a symmetric matrix with `DAMPING`; the identity if it has none.

    The curvature is an estimate and may have negative eigenvalues, which count as 0.
    """
    identity = torch.eye(len(curvature), dtype=curvature.dtype, device=curvature.device)
    if not curvature.isfinite().all():
        return identity
    # not all accelerators have it
    values, vectors = torch.linalg.eigh(curvature if curvature.is_cuda else curvature.cpu())
    values.clamp_min_(0)
    mean = values.mean()
    inverse = (vectors / (values + DAMPING * mean)) @ vectors.T
    return inverse.to(identity) if mean > 0 and inverse.isfinite().all() else identity


class RowNewton:
    """Quasi-Newton steps of rows, with one curvature for all of them and a length per row.

    A row whose curvature along its last step was larger than the shared one takes a shorter step,
    in proportion, so that rounding moves no row by more than rounding. With `non_negative` the
    steps are projected (Bertsekas, 1982): negative entries are set to 0. That is a decision, after
    which the expected curvature may be near 0 and a row may stand still for a step.
    """

    def __init__(self, inverse_curvature: torch.Tensor, non_negative: bool):
        self.inverse_curvature = inverse_curvature
        self.non_negative = non_negative
        self.length: torch.Tensor | float = 1.0
        self.last: tuple[torch.Tensor, torch.Tensor] | None = None

    def step(self, rows: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
        """Return rows of shape (n, d) after a step against their gradients."""
        if self.last is not None:
            move, before = self.last
            expected = -self.length * _dot(move, before)  # by the shared curvature
            tiny = torch.finfo(rows.dtype).tiny
            ratio = _dot(move, grad - before) / expected.clamp_min(tiny)
            self.length = ratio.clamp_min(1).reciprocal()
        direction = grad
        if self.non_negative:  # entries at 0 that would become negative take no part
            free = (rows > 0) | (grad < 0)
            direction = torch.where(free, grad, 0)
        move = torch.mm(direction, self.inverse_curvature) * -self.length
        if self.non_negative:
            moved = rows + torch.where(free, move, 0)
            clamp_rows(moved, rows)
            move = moved - rows
        else:
            moved = rows + move
        self.last = move, grad.clone()  # the next gradient overwrites this one
        return moved


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum(dim=1, keepdim=True)
