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


def cosine_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """1 - cosine similarity, row by row.

    Parameters
    ----------
    output : Tensor of shape (n, d)
        What a network makes of the representations.
    target : Tensor of shape (n, d)
        Rows of length 1, or zero where the row takes no part.

    Returns
    -------
    loss : Tensor of shape (n,)
        In [0, 2]; 0, with a gradient of 0, where the target is zero.
    """
    length = torch.linalg.vector_norm(output, dim=1).clamp_min(EPS)
    cosine = (output * target).sum(dim=1) / length
    return torch.where(target.any(dim=1), 1 - cosine, 0 * cosine)
