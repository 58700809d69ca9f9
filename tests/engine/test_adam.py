"""Adam, against torch.optim.Adam."""

import pytest
import torch

from sknnens._engine._adam import FLUSH_STEPS, NetworkAdam, RowAdam
from sknnens._engine._networks import init_networks


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
    bank = start.clone()
    adam = RowAdam(bank, 5, 0.01, non_negative=False)
    for grad in grads:
        step_bank(adam, grad, [torch.arange(5)])
    torch.testing.assert_close(bank, run_torch(start, grads, 0.01))


def test_a_row_of_the_bank_takes_one_step_per_epoch(grads):
    start = torch.ones(5, 3, dtype=torch.float64)
    bank = start.clone()
    adam = RowAdam(bank, 2, 0.01, non_negative=False)
    for epoch, grad in enumerate(grads):
        order = torch.tensor([3, 0, 4, 1]).roll(epoch)  # one row is in no batch
        step_bank(adam, grad, order.split(2))
    torch.testing.assert_close(bank[[0, 1, 3, 4]], run_torch(start, grads, 0.01)[[0, 1, 3, 4]])
    assert torch.equal(bank[2], start[2])


def test_non_negative(grads):
    bank = torch.full((5, 3), 0.01, dtype=torch.float64)
    adam = RowAdam(bank, 5, 0.1, non_negative=True)
    for grad in grads:
        step_bank(adam, grad, [torch.arange(5)])
        assert bank.any(dim=1).all()  # a step never leaves nothing of a row
    assert bank.min() == 0


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
