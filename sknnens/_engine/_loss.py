"""The loss of one row: how far its features are from being recovered."""

import torch

# Smallest norm of a network's output that is divided by; as torch.nn.functional.cosine_similarity.
EPS = 1e-8


def normalize_rows(x: torch.Tensor) -> torch.Tensor:
    """Scale each row to length 1; a zero row stays zero.

    The rows are first divided by their largest entry, so that neither very large nor very
    small numbers are lost in the square.

    Parameters
    ----------
    x : Tensor of shape (n, d)

    Returns
    -------
    x : Tensor of shape (n, d)
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
    """Weighted 1 - cosine similarity, row by row.

    Parameters
    ----------
    output : Tensor of shape (..., n, d)
        What a network makes of the representations.
    target : Tensor of shape (..., n, d)
        Rows of length 1, or zero where the row takes no part.
    weight : Tensor that broadcasts to shape (..., n) or float, default=1
        What the loss is multiplied by.
    scale : Tensor of shape (..., n), default=None
        What brings the rows of `target` to length 1, where they are not; 0 for rows that take no
        part.
    grad : Tensor of shape (..., n, d), default=None
        Receives the gradient with respect to `output`.

    Returns
    -------
    loss : Tensor of shape (..., n)
        In [0, 2 * weight]; 0, with a gradient of 0, for rows that take no part.
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
        # the length is not differentiated where it is clamped
        along = (weight * cosine).div_(clamped).div_(clamped).masked_fill_(length <= EPS, 0)
        grad.addcmul_(output, along[..., None])
    return torch.addcmul(weight, weight, cosine, value=-1)
