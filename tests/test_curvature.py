"""The curvature of Newton's steps, against the Jacobians of every row."""

import pytest
import torch
from test_engine import plain_mlps, problem
from torch import nn

from sknnens._engine._curvature import SHORTEST, invert, mean_curvature
from sknnens._engine._loss import normalize_rows


def exact(networks, rows, present, weights):
    """Mean Gauss-Newton matrix, from the Jacobian of each view's direction in each row."""
    total = torch.zeros(rows.shape[1], rows.shape[1], dtype=rows.dtype)
    mean_length = torch.stack([mlp(rows).norm(dim=1) for mlp in plain_mlps(networks)]).mean()
    for mlp, here, weight in zip(plain_mlps(networks), present, weights, strict=True):
        lengths = mlp(rows).norm(dim=1).detach()
        shortest = SHORTEST * max(lengths.mean(), mean_length)
        for row, length, there in zip(rows, lengths, here, strict=True):
            jacobian = torch.autograd.functional.jacobian(
                lambda x, mlp=mlp: nn.functional.normalize(mlp(x), dim=0), row
            )
            shrink = (length / shortest).clamp_max(1)
            total += there * weight * shrink**2 * jacobian.T @ jacobian
    return total / len(rows)


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        ({"n_layers": 1, "relu": False}, 1e-12),
        ({"n_layers": 1}, 1e-12),
        ({"n_layers": 2, "hidden_size": 40, "relu": False}, 0.15),
        ({"n_layers": 3, "hidden_size": 40, "relu": False}, 0.15),
    ],
)
def test_mean_over_rows(shape, error):
    _, rows, networks = problem(**shape)
    present = [torch.rand(60, generator=torch.Generator().manual_seed(v)) < 0.8 for v in range(3)]
    weights = [1.0, 0.5, 2.0]
    expected = exact(networks, rows, present, weights)
    found = mean_curvature(networks, rows, present, weights)
    assert (found - expected).norm() <= error * expected.norm()


def test_inverse_is_damped():
    curvature = torch.diag(torch.tensor([4.0, 2.0, 0.0]))
    torch.testing.assert_close(invert(curvature), torch.diag(1 / torch.tensor([5.0, 3.0, 1.0])))


@pytest.mark.parametrize("bad", [torch.zeros(3, 3), torch.full((3, 3), torch.nan)])
def test_nothing_bends(bad):
    assert torch.equal(invert(bad), torch.eye(3))


def test_an_estimate_that_is_not_positive():
    inverse = invert(torch.diag(torch.tensor([10.0, 2.0, -6.0])))
    torch.testing.assert_close(inverse, torch.diag(1 / torch.tensor([12.0, 4.0, 2.0])))


def test_rows_are_not_changed():
    _, rows, networks = problem()
    before = rows.clone()
    mean_curvature(networks, rows, [torch.ones(60, dtype=torch.bool)] * 3, [1.0] * 3)
    assert torch.equal(rows, before)
    assert normalize_rows(rows).isfinite().all()
