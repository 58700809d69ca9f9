"""Adam on the rows of a batch and on the networks, with one kernel."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.optim.adam import adam

from sknnens._engine._networks import Linear, Networks

FUSED_DEVICES = ("cpu", "cuda")  # on which torch._fused_adam_ works
BETAS = (0.9, 0.999)
EPS = 1e-8
FLUSH_STEPS = 100  # after which a moment of 1e-19 is not subnormal yet


class RowAdam:
    """Adam (Kingma and Ba, 2014) with a state per row of `bank`, which it changes in place.

    A row that is not in the batch keeps its place and its moments, so a step costs as much as the
    batch is large, not as the bank. With all rows in every batch it is ``torch.optim.Adam``. With
    `non_negative`, every step ends with negative entries set to 0; a row that would be left with
    nothing stays as it was.

    Attributes
    ----------
    count : int
        Steps that every row has taken: each row is in one batch per epoch.
    state : list of Tensor of shape (n, d)
        The bank and its moments.
    """

    def __init__(
        self, bank: torch.Tensor, batch_size: int, learning_rate: float, non_negative: bool
    ):
        self.learning_rate = learning_rate
        self.non_negative = non_negative
        self.count = 0
        self.state = [bank, torch.zeros_like(bank), torch.zeros_like(bank)]
        self._done = torch.zeros((), dtype=torch.float32, device=bank.device)
        self._buffers = [bank.new_empty(batch_size, bank.shape[1]) for _ in self.state]

    def begin_epoch(self, n_epochs: int = 1) -> None:
        """Advance the step count by one epoch, or by more after a resume."""
        self.count += n_epochs
        self._done.fill_(self.count)

    def take(self, index: torch.Tensor) -> torch.Tensor:
        """Copy some rows into a buffer, which the next call overwrites."""
        rows = self._buffers[0][: index.shape[0]]
        return torch.index_select(self.state[0], 0, index, out=rows)

    def step(self, index: torch.Tensor, grad: torch.Tensor) -> None:
        """Move the rows that were taken last, of shape (b, d), against their gradients."""
        rows, *moments = parts = [buffer[: index.shape[0]] for buffer in self._buffers]
        for whole, part in zip(self.state[1:], moments, strict=True):
            torch.index_select(whole, 0, index, out=part)
        before = rows.clone() if self.non_negative else None
        _adam([rows], [grad], [moments[0]], [moments[1]], self._done, self.learning_rate)
        if before is not None:
            clamp_rows(rows, before)
        for whole, part in zip(self.state, parts, strict=True):
            whole.index_copy_(0, index, part)


class NetworkAdam:
    """``torch.optim.Adam`` on the weights and biases of the networks, which it changes in place.

    `alpha` is the L2 penalty of the weights, added to the mean loss of a batch. `states` has for
    each part of ``networks.layers`` the weight and the bias, their moments, and the number of
    steps.
    """

    def __init__(self, networks: Networks, learning_rate: float, alpha: float):
        self.learning_rate = learning_rate
        self.alpha = alpha
        self.states = [[self._state(part) for part in layer] for layer in networks.layers]
        self.counts = [[0] * len(layer) for layer in networks.layers]

    @property
    def tensors(self) -> list[torch.Tensor]:
        """The networks and their moments."""
        parts = [state for layer in self.states for state in layer]
        return [x for part in parts for name in ("params", "first", "second") for x in part[name]]

    def set_counts(self, counts: Iterable[int]) -> None:
        """Set the number of steps of each part, in the order of `states`."""
        left = iter(counts)
        for parts, own in zip(self.states, self.counts, strict=True):
            for i, state in enumerate(parts):
                own[i] = next(left)
                state["done"].fill_(own[i])

    @staticmethod
    def _state(part: Linear) -> dict[str, Any]:
        params = [part.weight, part.bias]
        return {
            "params": params,
            "first": [torch.zeros_like(x) for x in params],
            "second": [torch.zeros_like(x) for x in params],
            "done": torch.zeros((), dtype=torch.float32, device=part.weight.device),
        }

    def step(
        self,
        n_rows: int,
        layer: int,
        part: int,
        weight_grad: torch.Tensor,
        bias_grad: torch.Tensor,
    ) -> None:
        """Move one part of ``networks.layers`` by gradients summed over `n_rows` rows.

        The gradients may be changed.
        """
        state = self.states[layer][part]
        if self.alpha:
            weight_grad.add_(state["params"][0], alpha=self.alpha * n_rows)
        state["done"].add_(1)
        _adam(**state, grads=[weight_grad, bias_grad], learning_rate=self.learning_rate)
        self.counts[layer][part] += 1
        if self.counts[layer][part] % FLUSH_STEPS == 0 and weight_grad.device.type == "cpu":
            self._flush(state)

    @staticmethod
    def _flush(state: dict[str, Any]) -> None:
        """Set numbers to 0 that are too small to matter, and that the CPU is slow with.

        Weights of units that are never active decay under an L2 penalty, and so do the moments
        of Adam while a gradient stays 0. Once they, or their products, are subnormal, a matrix
        product takes ten times as long.
        """
        smallest = torch.finfo(state["params"][0].dtype).tiny
        for name, limit in (
            ("params", smallest**0.5),
            ("first", smallest**0.5),
            ("second", smallest),
        ):
            for x in state[name]:
                torch.ops.aten.hardshrink.out(x, limit, out=x)


def clamp_rows(rows: torch.Tensor, before: torch.Tensor) -> None:
    """Set negative entries to 0; a row that would be left with nothing stays as it was."""
    rows.clamp_min_(0)
    torch.where(rows.any(dim=1, keepdim=True), rows, before, out=rows)


def _adam(
    params: list[torch.Tensor],
    grads: list[torch.Tensor],
    first: list[torch.Tensor],
    second: list[torch.Tensor],
    done: torch.Tensor,
    learning_rate: float,
) -> None:
    """Take one step of torch's own Adam, which changes all but the gradients in place.

    ``torch.optim.adam.adam`` calls the same kernel, but sorts the tensors first, at every step;
    with narrow views that takes almost as long as the step.
    """
    settings: dict[str, Any] = {
        "lr": learning_rate,
        "beta1": BETAS[0],
        "beta2": BETAS[1],
        "weight_decay": 0.0,
        "amsgrad": False,
        "eps": EPS,
        "maximize": False,
    }
    if done.device.type in FUSED_DEVICES:
        steps = [done] * len(params)
        torch._fused_adam_(params, grads, first, second, [], steps, **settings)
    else:
        # counts the step itself
        steps = [(done - 1).cpu() for _ in params]
        adam(params, grads, first, second, [], steps, foreach=False, **settings)
