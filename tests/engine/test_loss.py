"""The per-row loss."""

import numpy as np
import pytest
import torch

from sknnens._engine._loss import cosine_loss, normalize_rows


def test_values():
    output = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [1.0, 1.0]])
    target = torch.tensor([[1.0, 0.0]] * 4)
    torch.testing.assert_close(
        cosine_loss(output, target), torch.tensor([0.0, 1.0, 2.0, 1 - 0.5**0.5])
    )


def test_against_torch():
    rng = torch.Generator().manual_seed(0)
    output, target = (torch.randn(9, 5, generator=rng, dtype=torch.float64) for _ in range(2))
    expected = 1 - torch.nn.functional.cosine_similarity(output, target)
    torch.testing.assert_close(cosine_loss(output, normalize_rows(target)), expected)


@pytest.mark.parametrize("zero", ["output", "target"])
def test_zero_rows_give_finite_losses_and_gradients(zero):
    output = torch.full((1, 3), 0.0 if zero == "output" else 1.0, requires_grad=True)
    target = torch.tensor([[0.0, 0.0, 1.0]]) * (zero == "output")
    loss = cosine_loss(output, target)
    (grad,) = torch.autograd.grad(loss.sum(), output)
    assert loss.item() == (1 if zero == "output" else 0)
    assert grad.isfinite().all()
    if zero == "target":
        assert not grad.any()


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1, 1e30, 1e38])
def test_normalize_rows_at_every_scale(scale):
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]]) / 4 * scale
    out = normalize_rows(x).numpy()
    np.testing.assert_allclose(out, [[0.6, 0.8], [0, 0]], rtol=1e-5)
