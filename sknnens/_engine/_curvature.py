"""How strongly the loss of a row bends, on average, along each direction of a representation.

Newton's method needs the second derivatives of each row's loss.  As in the method of Gauss and
Newton, those of the networks are left out; what is left is averaged over rows.  It is one matrix,
found once, that turns the gradient of any row into a step of about the right length along every
direction.
"""

from collections.abc import Sequence

import torch

from sknnens._engine._device import Precision
from sknnens._engine._loss import EPS, normalize_rows
from sknnens._engine._networks import Networks, Pass

# Added to all curvatures, relative to their mean: directions that bend less are hardly followed.
DAMPING = 0.5
# Outputs shorter than this, relative to the mean of their view and to that of all views, count as
# if they were so long: a single one that is almost zero would bend more than all others together.
SHORTEST = 0.25


def mean_curvature(
    networks: Networks,
    rows: torch.Tensor,
    present: Sequence[torch.Tensor],
    view_weights: Sequence[float],
) -> torch.Tensor:
    """Mean over rows of the Gauss-Newton matrix of their loss.

    A view with output o, of which u is the direction, and the Jacobian J of its MLP adds
    ``w / |o|**2 * J' (I - u u') J``. The mean of the second term is exact; that of the first one
    takes the ReLUs of one layer to be independent of those of the others and of the length of o,
    since it would need the Jacobian of every row.

    Parameters
    ----------
    networks : Networks
        One MLP a view.
    rows : Tensor of shape (n, d)
        Representations.
    present : sequence of Tensor of shape (n,)
        Which rows have the view.
    view_weights : sequence of float
        One a view.

    Returns
    -------
    curvature : Tensor of shape (d, d)
        Symmetric.
    """
    passes = Pass(networks, len(rows), Precision(rows.dtype))
    outputs = passes.forward(rows)
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
                active = (passes.activations[layer][0][v] > 0).to(rows.dtype)
                w = networks.layers[layer][0].weight[v]
                inner = w @ (inner * (active.T @ active / len(rows))) @ w.T
                along = (along * active) @ w.T
            curvature += inner - along.T @ along / len(rows)
    return curvature


def invert(curvature: torch.Tensor) -> torch.Tensor:
    """Inverse of a curvature with `DAMPING`; the identity where nothing bends.

    The curvature is an estimate and may have negative eigenvalues, which count as 0.

    Parameters
    ----------
    curvature : Tensor of shape (d, d)
        Symmetric.

    Returns
    -------
    inverse : Tensor of shape (d, d)
        Positive definite.
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
