"""Adam on rows."""

import math

import pytest
import torch

from sknnens._engine._networks import init_networks
from sknnens._engine._optim import (
    FLUSH_STEPS,
    LEAST_STEPS,
    REACH,
    SHORTER,
    BankAdam,
    NetworkAdam,
    RowAdam,
    RowNewton,
)


def run_torch(start, grads, lr):
    parameter = torch.nn.Parameter(start.clone())
    adam = torch.optim.Adam([parameter], lr=lr)
    for grad in grads:
        parameter.grad = grad
        adam.step()
    return parameter.detach()


@pytest.fixture
def grads():
    rng = torch.Generator().manual_seed(0)
    return torch.randn(30, 5, 3, generator=rng, dtype=torch.float64)


def step_bank(adam, grads, batches):
    """One epoch."""
    adam.begin_epoch()
    for index in batches:
        taken = adam.take(index)
        assert torch.equal(taken, adam.state[0][index])
        adam.step(index, grads[index])


def test_all_rows_are_torch_s_adam(grads):
    start = torch.ones(5, 3, dtype=torch.float64)
    bank, rows = start.clone(), start.clone()
    in_bank = BankAdam(bank, 5, 0.01, non_negative=False)
    adam = RowAdam(rows, 0.01, non_negative=False)
    for grad in grads:
        step_bank(in_bank, grad, [torch.arange(5)])
        adam.advance(None, grad, None)
    torch.testing.assert_close(bank, run_torch(start, grads, 0.01))
    torch.testing.assert_close(rows, run_torch(start, grads, 0.01))


def test_a_row_of_the_bank_takes_one_step_an_epoch(grads):
    start = torch.ones(5, 3, dtype=torch.float64)
    bank = start.clone()
    adam = BankAdam(bank, 2, 0.01, non_negative=False)
    for epoch, grad in enumerate(grads):
        order = torch.tensor([3, 0, 4, 1]).roll(epoch)  # one row is in no batch
        step_bank(adam, grad, order.split(2))
    torch.testing.assert_close(bank[[0, 1, 3, 4]], run_torch(start, grads, 0.01)[[0, 1, 3, 4]])
    assert torch.equal(bank[2], start[2])


def test_rows_that_begin_later_count_their_own_steps(grads):
    start = torch.ones(5, 3, dtype=torch.float64)
    rows = start.clone()
    adam = RowAdam(rows, 0.01, non_negative=False)
    for t, grad in enumerate(grads):
        if t == 10:
            rows[1] = 1
            adam.restart(torch.tensor([1]))
        adam.advance(None, grad, None)
    torch.testing.assert_close(rows[0], run_torch(start, grads, 0.01)[0])
    torch.testing.assert_close(rows[1], run_torch(start, grads[10:], 0.01)[1])


def test_first_steps_are_exact_in_float32(grads):
    rows = torch.zeros(5, 3)
    adam = RowAdam(rows, 1.0, non_negative=False)
    adam.advance(None, grads[0].float(), None)
    # the first step of Adam is the sign of the gradient; 1 - 0.999 must not lose its digits
    torch.testing.assert_close(rows, -grads[0].float().sign(), atol=1e-6, rtol=0)


def test_non_negative(grads):
    rows = torch.full((5, 3), 0.01, dtype=torch.float64)
    adam = RowAdam(rows, 0.1, non_negative=True)
    for grad in grads:
        adam.advance(None, grad, None)
    assert rows.min() == 0
    assert rows.max() > 0
    bank = torch.full((5, 3), 0.01, dtype=torch.float64)
    step_bank(BankAdam(bank, 5, 0.1, non_negative=True), grads[0], [torch.arange(5)])
    assert bank.min() == 0
    assert bank.max() > 0


def test_stopped_rows_stay(grads):
    rows = torch.ones(5, 3, dtype=torch.float64)
    adam = RowAdam(rows, 0.1, non_negative=False)
    adam.advance(None, grads[0], torch.tensor([True, False, True, False, True]))
    assert torch.equal(rows[[1, 3]], torch.ones(2, 3, dtype=torch.float64))
    assert (rows[[0, 2, 4]] != 1).all()


def test_numbers_too_small_to_matter_become_zero(grads):
    networks = init_networks(
        [[3, 5]], [True], generator=torch.Generator(), dtype=torch.float32, device="cpu"
    )
    adam = NetworkAdam(networks, 0.01, 0.0)
    gradient = grads[0].T.float()[None].contiguous()
    gradient[0, :2, :2] = 0
    gradients = gradient, torch.zeros(1, 1, 5)  # a bias whose gradient is 0 keeps its value
    (state,) = adam.states[0]
    weights, biases = state["params"]
    for _ in range(FLUSH_STEPS - 1):
        adam.step(1, 0, 0, *gradients)
    weights[0, 0, 0], biases[0, 0, 0] = 1e-30, -1e-30
    weights[0, 0, 1], biases[0, 0, 1] = 1e-10, -1e-10
    state["first"][0][0, 1, 1] = 1e-40
    state["second"][0][0, 1, 1] = 1e-40
    adam.step(1, 0, 0, *gradients)
    assert weights[0, 0, 0] == biases[0, 0, 0] == 0
    assert weights[0, 0, 1] == pytest.approx(1e-10)
    assert biases[0, 0, 1] == pytest.approx(-1e-10)
    assert state["first"][0][0, 1, 1] == state["second"][0][0, 1, 1] == 0
    assert (state["first"][0] != 0).sum() == (state["second"][0] > 0).sum() == 11


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


FAR = 1.0  # a step size that lets rows go where they want to


def test_newton_needs_one_step_where_the_curvature_is_right(bowl):
    curvature, minima, evaluate = bowl
    rows = torch.zeros(5, 3, dtype=torch.float64)
    newton = RowNewton(
        rows, torch.linalg.inv(curvature), FAR, non_negative=False, least_steps=math.inf
    )
    newton.advance(*evaluate(rows), None)
    torch.testing.assert_close(rows, minima)


def test_newton_never_raises_a_loss(bowl):
    curvature, minima, evaluate = bowl
    rows = torch.zeros(5, 3, dtype=torch.float64)
    newton = RowNewton(
        rows, 5 * torch.linalg.inv(curvature), FAR, non_negative=False, least_steps=math.inf
    )
    best, everyone = evaluate(rows)[0], torch.ones(5, dtype=torch.bool)
    raised = 0
    for _ in range(12):
        newton.advance(*evaluate(rows), None)
        raised += (evaluate(rows)[0] > best).sum()
        settled = newton.rows.clone()
        newton.settle(evaluate(rows)[0], everyone)
        assert (evaluate(rows)[0] <= best).all()
        best = evaluate(rows)[0]
        rows.copy_(settled)
    assert raised > 0  # or nothing was tested
    newton.settle(evaluate(rows)[0], everyone)
    torch.testing.assert_close(rows, minima, atol=0.05, rtol=0)


def test_newton_keeps_rows_that_have_stopped_and_forgets_those_that_left(bowl):
    curvature, minima, evaluate = bowl
    rows = torch.zeros(5, 3, dtype=torch.float64)
    newton = RowNewton(
        rows, torch.linalg.inv(curvature), FAR, non_negative=False, least_steps=math.inf
    )
    moving = torch.tensor([True, False, True, True, True])
    newton.advance(*evaluate(rows), moving)
    assert torch.equal(rows[1], torch.zeros(3, dtype=torch.float64))
    rows[1] = 10.0
    newton.restart(torch.tensor([1]))
    newton.advance(*evaluate(rows), None)  # without having forgotten, it would go back to 0
    torch.testing.assert_close(rows, minima)


def test_newton_non_negative(bowl):
    curvature, minima, evaluate = bowl
    rows = torch.ones(5, 3, dtype=torch.float64)
    newton = RowNewton(
        rows, torch.linalg.inv(curvature), FAR, non_negative=True, least_steps=math.inf
    )
    newton.advance(*evaluate(rows), None)
    torch.testing.assert_close(rows, minima.clamp_min(0))
    for _ in range(60):
        newton.advance(*evaluate(rows), None)
        assert rows.min() >= 0
    grad = evaluate(newton.kept)[1]  # nothing can be gained where no entry may fall below 0
    assert (minima < 0).any()
    least = newton.kept > 0
    # a row does not go where nothing is left of it, even if that were best
    not_zero = (evaluate(torch.zeros_like(rows))[1] < 0).any(dim=1)
    assert 0 < not_zero.sum() < 5
    assert least.any(dim=1).all()
    found = (grad * least)[not_zero]
    torch.testing.assert_close(found, torch.zeros_like(found), atol=1e-2, rtol=0)
    assert (grad[~least] > -1e-2).all()


def test_newton_learns_the_curvature_along_its_last_step(bowl):
    curvature, minima, evaluate = bowl
    along = torch.linalg.eigh(curvature).eigenvectors[:, -1]
    rows = minima + 3 * along
    newton = RowNewton(
        rows, 0.05 * torch.linalg.inv(curvature), FAR, non_negative=False, least_steps=math.inf
    )
    newton.advance(*evaluate(rows), None)
    assert torch.linalg.vector_norm(rows - minima, dim=1).min() > 2.8
    newton.advance(*evaluate(rows), None)
    torch.testing.assert_close(rows, minima)


def test_newton_corrects_the_curvature_as_bfgs_does(bowl):
    _, _, evaluate = bowl
    inverse = 0.1 * torch.eye(3, dtype=torch.float64)
    rows = torch.zeros(5, 3, dtype=torch.float64)
    newton = RowNewton(rows, inverse, FAR, non_negative=False, least_steps=math.inf)
    newton.restart(slice(None), torch.linspace(0.5, 1.5, 5, dtype=torch.float64)[:, None])
    places, grads = [rows.clone()], [evaluate(rows)[1]]
    newton.advance(*evaluate(rows), None)
    places.append(rows.clone())
    grads.append(evaluate(rows)[1])
    newton.advance(*evaluate(rows), None)
    for i in range(5):
        s, y = places[1][i] - places[0][i], grads[1][i] - grads[0][i]
        off = torch.eye(3, dtype=torch.float64) - torch.outer(s, y) / (s @ y)
        own = off @ (inverse * newton.scale[i]) @ off.T + torch.outer(s, s) / (s @ y)
        torch.testing.assert_close(rows[i], places[1][i] - own @ grads[1][i])


def test_newton_stays_in_a_ball(bowl):
    curvature, minima, evaluate = bowl
    start = torch.full((5, 3), 0.3, dtype=torch.float64)
    way = torch.linalg.vector_norm(minima - start, dim=1)
    radius = way.median().item()
    inside = way <= radius
    assert inside.sum() == 3
    rows = start.clone()
    step = radius / REACH / 3**0.5
    newton = RowNewton(
        rows, torch.linalg.inv(curvature), step, non_negative=False, least_steps=math.inf
    )
    for _ in range(4):
        newton.advance(*evaluate(rows), None)
        travel = torch.linalg.vector_norm(rows - start, dim=1)
        assert travel.max() <= radius + 1e-12
    torch.testing.assert_close(rows[inside], minima[inside])
    torch.testing.assert_close(travel[~inside], torch.full_like(travel[~inside], radius))
    rows[1] = start[1] = minima[1] + 0.5 * radius / 3**0.5
    newton.restart(torch.tensor([1]))  # a new row has a ball of its own
    newton.advance(*evaluate(rows), None)
    torch.testing.assert_close(rows[1], minima[1])


def test_newton_goes_back_from_where_nothing_is_a_number(bowl):
    curvature, minima, evaluate = bowl
    rows = torch.zeros(5, 3, dtype=torch.float64)
    newton = RowNewton(
        rows, 0.5 * torch.linalg.inv(curvature), FAR, non_negative=False, least_steps=math.inf
    )
    newton.advance(*evaluate(rows), None)
    losses, grad = evaluate(rows)
    losses[2], grad[2] = torch.nan, torch.nan
    newton.advance(losses, grad, None)
    torch.testing.assert_close(rows[2], minima[2] / 2 * SHORTER)
    others = torch.tensor([0, 1, 3, 4])
    torch.testing.assert_close(rows[others], minima[others])
    rows[2], losses[2] = torch.inf, torch.nan  # a step that overflowed
    newton.advance(losses, grad, None)
    torch.testing.assert_close(rows[2], minima[2] / 2 * SHORTER**2)


def test_newton_takes_no_curvature_from_rounding(bowl):
    curvature, minima, evaluate = bowl
    rows = minima + 1
    newton = RowNewton(
        rows, 0.5 * torch.linalg.inv(curvature), FAR, non_negative=False, least_steps=math.inf
    )
    losses, grad = evaluate(rows)
    newton.advance(losses, grad, None)
    step = rows - newton.kept
    across = torch.linalg.cross(step, grad)  # at right angles to the step
    newton.advance(losses - 1, newton.kept_grad + across + 1e-9 * step, None)
    assert torch.linalg.vector_norm(rows - newton.kept, dim=1).max() < 10


def test_newton_goes_on_where_much_is_gained(bowl):
    curvature, _, evaluate = bowl
    rows = torch.zeros(5, 3, dtype=torch.float64)
    newton = RowNewton(rows, 0.05 * torch.linalg.inv(curvature), FAR, non_negative=False)
    grad = evaluate(rows)[1]
    for step in range(LEAST_STEPS - 1):
        newton.advance(torch.full((5,), 10.0 - step, dtype=torch.float64), grad, None)
        assert not newton.done.any()
    best = 10 - step
    gained = torch.tensor([0.2, 0.02, -0.2, torch.nan, 0.5], dtype=torch.float64)
    gained *= (10 - best) / (1 - gained)  # of all there is then
    newton.advance(best - gained, grad, None)
    assert newton.done.tolist() == [False, True, True, True, False]
    newton.restart(torch.tensor([1]))
    newton.advance(best - gained, grad, None)
    assert not newton.done[1]


def test_newton_goes_further_where_views_are_missing(bowl):
    curvature, _, evaluate = bowl
    rows = torch.zeros(5, 3, dtype=torch.float64)
    newton = RowNewton(rows, 0.05 * torch.linalg.inv(curvature), FAR, non_negative=False)
    newton.restart(slice(None), few=torch.tensor([False, True, True, False, True]))
    grad = evaluate(rows)[1]
    for step in range(LEAST_STEPS - 1):
        newton.advance(torch.full((5,), 10.0 - step, dtype=torch.float64), grad, None)
    best = 10 - step
    gained = torch.tensor([0.05, 0.05, 0.01, -0.2, -0.2], dtype=torch.float64)
    gained *= (10 - best) / (1 - gained)
    newton.advance(best - gained, grad, None)
    # after a step that was taken back, another may gain, but not for ever
    assert newton.done.tolist() == [True, False, True, True, False]
    for expected in ([True, False, False, True, True], [True] * 5):
        newton.advance(torch.full((5,), 10.0, dtype=torch.float64), grad, None)
        assert newton.done.tolist() == expected
