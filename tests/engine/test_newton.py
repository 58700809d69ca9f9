"""The shared curvature, against the Jacobians of every row, and the steps that it gives."""

import pytest
import torch
from test_train import plain_mlps, problem
from torch import nn

from sknnens._engine._loss import normalize_rows
from sknnens._engine._newton import SHORTEST, RowNewton, invert, mean_curvature


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
    present = torch.rand(3, 60, generator=torch.Generator().manual_seed(0)) < 0.8
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
    mean_curvature(networks, rows, torch.ones(3, 60, dtype=torch.bool), [1.0] * 3)
    assert torch.equal(rows, before)
    assert normalize_rows(rows).isfinite().all()


@pytest.fixture
def bowl():
    """Losses of rows with one curvature and different minima."""
    rng = torch.Generator().manual_seed(0)
    half = torch.randn(3, 3, generator=rng, dtype=torch.float64)
    curvature = half @ half.T + torch.eye(3, dtype=torch.float64)
    minima = torch.randn(5, 3, generator=rng, dtype=torch.float64)

    def evaluate(rows):
        grad = (rows - minima) @ curvature
        return ((rows - minima) * grad).sum(dim=1) / 2, grad

    return curvature, minima, evaluate


def descend(rows, evaluate, inverse, n_steps, non_negative=False):
    """Return the rows after each step."""
    newton, places = RowNewton(inverse, non_negative), [rows]
    for _ in range(n_steps):
        places.append(newton.step(places[-1], evaluate(places[-1])[1]))
    return places


def test_newton_needs_one_step_if_the_curvature_is_right(bowl):
    curvature, minima, evaluate = bowl
    rows = torch.zeros(5, 3, dtype=torch.float64)
    torch.testing.assert_close(descend(rows, evaluate, torch.linalg.inv(curvature), 1)[1], minima)


@pytest.mark.parametrize("factor", [0.3, 1.5, 5.0, 50.0])
def test_newton_lowers_the_loss_whatever_the_curvature(bowl, factor):
    """A first step of 5 or 50 times the right length raises the loss; the next are shorter."""
    curvature, _, evaluate = bowl
    rows = torch.zeros(5, 3, dtype=torch.float64)
    places = descend(rows, evaluate, factor * torch.linalg.inv(curvature), 6)
    first, *_, last = (evaluate(place)[0] for place in places)
    assert (last < 0.2 * first).all()


def test_newton_shortens_steps_by_the_measured_curvature(bowl):
    curvature, minima, evaluate = bowl
    rows = torch.zeros(5, 3, dtype=torch.float64)
    inverse = 4 * torch.linalg.inv(curvature)
    newton = RowNewton(inverse, non_negative=False)
    moved = newton.step(rows, evaluate(rows)[1])
    torch.testing.assert_close(moved, 4 * minima)
    moved = newton.step(moved, evaluate(moved)[1])
    torch.testing.assert_close(newton.length, torch.full((5, 1), 0.25, dtype=torch.float64))
    torch.testing.assert_close(moved, minima)


def test_newton_non_negative(bowl):
    curvature, minima, evaluate = bowl
    rows = torch.ones(5, 3, dtype=torch.float64)
    for place in descend(rows, evaluate, torch.linalg.inv(curvature), 60, True)[1:]:
        assert place.min() >= 0
        assert place.any(dim=1).all()
    assert (minima < 0).any()
    assert evaluate(place)[0].sum() < evaluate(rows)[0].sum()
    # at the constrained minimum no entry can gain; rows whose minimum is nothing stay before it
    grad = evaluate(place)[1]
    settled = ((grad.abs() < 1e-2) | ((place == 0) & (grad > 0))).all(dim=1)
    assert settled.sum() >= 2


def test_newton_on_rows_that_have_nowhere_to_go():
    rows = torch.ones(2, 3)
    newton = RowNewton(torch.eye(3), non_negative=False)
    for _ in range(3):
        rows = newton.step(rows, torch.zeros(2, 3))
    assert torch.equal(rows, torch.ones(2, 3))
