"""Adam, on the rows of the memory bank and on the networks."""

import math

import torch

from sknnens._network import Networks

BETAS = (0.9, 0.999)
EPS = 1e-8


class RowAdam:
    """Adam (Kingma and Ba, 2014) with its own state and step count for each row.

    A row that is not in the batch keeps its place, its moments and its count, so a step costs
    as much as the batch is large, not as the bank.  With all rows in every batch it is
    ``torch.optim.Adam``.

    Parameters
    ----------
    rows : Tensor of shape (n, d)
        Changed in place.
    learning_rate : float
        Step size.
    non_negative : bool
        Whether every step ends with the rows' negative entries set to 0.
    """

    def __init__(self, rows: torch.Tensor, learning_rate: float, non_negative: bool):
        self.rows = rows
        self.learning_rate = learning_rate
        self.non_negative = non_negative
        self.first = torch.zeros_like(rows)  # (n, d)
        self.second = torch.zeros_like(rows)
        self.count = rows.new_zeros(len(rows), 1)

    def step(
        self, index: torch.Tensor | slice, grad: torch.Tensor, moving: torch.Tensor | None = None
    ) -> None:
        """Move rows against their gradient.

        Parameters
        ----------
        index : Tensor of shape (b,) or slice
            Which rows, none of them twice.
        grad : Tensor of shape (b, d)
            Gradient of the loss of each row with respect to it.
        moving : Tensor of shape (b,), default=None
            Rows where it is False stay where they are, for good: their state is not kept.
        """
        beta1, beta2 = BETAS
        count = self.count[index] + 1
        first = self.first[index] * beta1 + grad * (1 - beta1)
        second = self.second[index] * beta2 + grad * grad * (1 - beta2)
        # 1 - beta ** count, without the cancellation
        corrected = first / -torch.expm1(count * math.log(beta1))
        scale = (second / -torch.expm1(count * math.log(beta2))).sqrt() + EPS
        rows = self.rows[index]
        moved = rows - self.learning_rate * corrected / scale
        if self.non_negative:
            moved = moved.clamp_min(0)
        if moving is not None:
            moved = torch.where(moving[:, None], moved, rows)
        self.rows[index] = moved
        self.first[index], self.second[index], self.count[index] = first, second, count


class NetworkAdam:
    """``torch.optim.Adam`` on the weights and biases of the networks.

    Parameters
    ----------
    networks : Networks
        Changed in place.
    learning_rate : float
        Step size.
    alpha : float
        L2 penalty of the weights, beside the mean loss of a batch.
    """

    def __init__(self, networks: Networks, learning_rate: float, alpha: float):
        weights, biases = networks.parameters()
        self.alpha = alpha
        self.parameters = [*weights, *biases]
        self.adam = torch.optim.Adam(
            [{"params": weights}, {"params": biases}],
            lr=learning_rate,
            betas=BETAS,
            eps=EPS,
            fused=True,
        )

    def step(self, grads: tuple[torch.Tensor, ...], n_rows: int) -> None:
        """Move the parameters against gradients of a loss that is summed over `n_rows` rows."""
        self.adam.param_groups[0]["weight_decay"] = self.alpha * n_rows
        for parameter, grad in zip(self.parameters, grads, strict=True):
            parameter.grad = grad
        self.adam.step()

    def flush(self) -> None:
        """Set numbers to 0 that are too small to matter, and that the CPU is slow with.

        Weights of units that are never active decay for ever under an L2 penalty, and so do the
        moments of Adam where a gradient stays 0. Once they, or their products, are subnormal,
        a matrix product takes ten times as long.
        """
        for parameter in self.parameters:
            state = self.adam.state[parameter]
            smallest = torch.finfo(parameter.dtype).tiny
            for x, limit in (
                (parameter.data, smallest**0.5),
                (state["exp_avg"], smallest**0.5),
                (state["exp_avg_sq"], smallest),
            ):
                x.masked_fill_(x.abs() < limit, 0)
