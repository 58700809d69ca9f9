"""Adam on rows."""

import pytest
import torch

from sknnens._network import init_networks
from sknnens._optim import NetworkAdam, RowAdam


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


def test_all_rows_are_torch_s_adam(grads):
    start = torch.ones(5, 3, dtype=torch.float64)
    rows = start.clone()
    adam = RowAdam(rows, 0.01, non_negative=False)
    for grad in grads:
        adam.step(slice(None), grad)
    torch.testing.assert_close(rows, run_torch(start, grads, 0.01))


def test_each_row_counts_only_its_own_steps(grads):
    start = torch.ones(5, 3, dtype=torch.float64)
    rows = start.clone()
    adam = RowAdam(rows, 0.01, non_negative=False)
    for t, grad in enumerate(grads):
        index = torch.tensor([0, 2] if t % 3 else [2, 4])
        adam.step(index, grad[index])
    often = [t for t in range(30) if t % 3]
    seldom = [t for t in range(30) if not t % 3]
    torch.testing.assert_close(rows[0], run_torch(start, grads[often], 0.01)[0])
    torch.testing.assert_close(rows[2], run_torch(start, grads, 0.01)[2])
    torch.testing.assert_close(rows[4], run_torch(start, grads[seldom], 0.01)[4])
    assert torch.equal(rows[[1, 3]], start[[1, 3]])


def test_first_steps_are_exact_in_float32(grads):
    rows = torch.zeros(5, 3)
    adam = RowAdam(rows, 1.0, non_negative=False)
    adam.step(slice(None), grads[0].float())
    # the first step of Adam is the sign of the gradient; 1 - 0.999 must not lose its digits
    torch.testing.assert_close(rows, -grads[0].float().sign(), atol=1e-6, rtol=0)


def test_non_negative(grads):
    rows = torch.full((5, 3), 0.01, dtype=torch.float64)
    adam = RowAdam(rows, 0.1, non_negative=True)
    for grad in grads:
        adam.step(slice(None), grad)
    assert rows.min() == 0
    assert rows.max() > 0


def test_stopped_rows_stay(grads):
    rows = torch.ones(5, 3, dtype=torch.float64)
    adam = RowAdam(rows, 0.1, non_negative=False)
    adam.step(slice(None), grads[0], torch.tensor([True, False, True, False, True]))
    assert torch.equal(rows[[1, 3]], torch.ones(2, 3, dtype=torch.float64))
    assert (rows[[0, 2, 4]] != 1).all()


def test_numbers_too_small_to_matter_become_zero(grads):
    networks = init_networks(
        [[3, 5]], [True], generator=torch.Generator(), dtype=torch.float32, device="cpu"
    )
    adam = NetworkAdam(networks, 0.01, 0.0)
    weights, biases = adam.parameters
    gradient = grads[0].T.float()
    adam.step((gradient, torch.zeros(5)), 1)  # a bias whose gradient is 0 keeps its value
    weights[0, 0], biases[0] = 1e-30, -1e-30
    kept = weights.clone(), biases.clone()
    state = adam.adam.state[weights]
    state["exp_avg"][1, 1] = 1e-40
    state["exp_avg_sq"][1, 1] = 1e-40
    adam.flush()
    kept[0][0, 0] = kept[1][0] = 0
    assert torch.equal(weights, kept[0])
    assert torch.equal(biases, kept[1])
    assert state["exp_avg"][1, 1] == 0
    assert state["exp_avg_sq"][1, 1] == 0
    assert (state["exp_avg_sq"] > 0).sum() == 14
