"""Adam, on the rows of the memory bank and on the networks, and Newton's steps of new rows."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch.optim.adam import adam

from sknnens._engine._networks import Linear, Networks

FUSED_DEVICES = ("cpu", "cuda")  # that torch._fused_adam_ works on
BETAS = (0.9, 0.999)
EPS = 1e-8
FLUSH_STEPS = 100  # of Adam, after which a moment of 1e-19 is not subnormal yet
SHORTER = 0.5  # times the length of a Newton step that raised the loss
REACH = 42.5  # steps of Adam of full size, in all coordinates, that Newton steps add up to at most
LEAST_STEPS = 4  # of Newton for a row
LARGE_GAIN = 0.1  # of a Newton step, relative to all that its row has gained; then there are more
LARGE_GAIN_OF_FEW = 0.02  # the same where a row lacks views: it has further to go
SMALLEST_BEND = 1e-4  # of the gradient along a step, relative to both lengths; less is rounding


class BankAdam:
    """Adam (Kingma and Ba, 2014) with its own state for each row of the memory bank.

    A row that is not in the batch keeps its place and its moments, so a step costs as much as
    the batch is large, not as the bank.  With all rows in every batch it is ``torch.optim.Adam``.

    Parameters
    ----------
    bank : Tensor of shape (n, d)
        Changed in place.
    batch_size : int
        Most rows of a batch.
    learning_rate : float
        Step size.
    non_negative : bool
        Whether every step ends with the rows' negative entries set to 0; one that would leave a row
        without any is not taken.
    moments : sequence of two Tensor of shape (n, d), default=None
        Zeros, on the device of `bank`; None makes them.
    device : torch.device, default=None
        Where the steps are taken; None means where the bank is.

    Attributes
    ----------
    count : int
        Steps that every row has taken: each is in one batch an epoch.
    state : list of Tensor of shape (n, d)
        The bank and its moments.
    """

    def __init__(
        self,
        bank: torch.Tensor,
        batch_size: int,
        learning_rate: float,
        non_negative: bool,
        moments: Sequence[torch.Tensor] | None = None,
        device: torch.device | None = None,
    ):
        self.learning_rate = learning_rate
        self.non_negative = non_negative
        self.count = 0
        self.state = [bank, *(moments or (torch.zeros_like(bank), torch.zeros_like(bank)))]
        device = device or bank.device
        self._done = torch.zeros((), dtype=torch.float32, device=device)
        self._buffers = [
            torch.empty(batch_size, x.shape[1], dtype=x.dtype, device=device) for x in self.state
        ]

    def begin_epoch(self, n_epochs: int = 1) -> None:
        """Let each row take another step, or say that it has taken more."""
        self.count += n_epochs
        self._done.fill_(self.count)

    def take(self, index: torch.Tensor) -> torch.Tensor:
        """Copy some rows into a buffer, which the next call overwrites."""
        rows, *_ = self._buffers
        return self._gather(self.state[0], index, rows[: index.shape[0]])

    def step(self, index: torch.Tensor, grad: torch.Tensor) -> None:
        """Move rows against their gradient.

        Parameters
        ----------
        index : Tensor of shape (b,)
            Which rows, none of them twice; those that were taken last. On the device of the steps.
        grad : Tensor of shape (b, d)
            Gradient of the loss of each row with respect to it.
        """
        rows, *moments = parts = [buffer[: index.shape[0]] for buffer in self._buffers]
        for whole, part in zip(self.state[1:], moments, strict=True):
            self._gather(whole, index, part)
        before = rows.clone() if self.non_negative else None
        _adam([rows], [grad], [moments[0]], [moments[1]], self._done, self.learning_rate)
        if before is not None:
            _clamp(rows, before)
        index = index.to(self.state[0].device)
        for whole, part in zip(self.state, parts, strict=True):
            whole.index_copy_(0, index, part.to(whole.device))

    @staticmethod
    def _gather(whole: torch.Tensor, index: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        if whole.device == out.device:
            return torch.index_select(whole, 0, index, out=out)
        return out.copy_(whole[index.to(whole.device)])


class RowAdam:
    """Adam on rows that begin and end at different times, each with its own step count.

    No row is `done` before its steps are taken.

    Parameters
    ----------
    rows : Tensor of shape (n, d)
        Changed in place.
    learning_rate : float
        Step size.
    non_negative : bool
        Whether every step ends with the rows' negative entries set to 0; one that would leave a row
        without any is not taken.
    """

    def __init__(self, rows: torch.Tensor, learning_rate: float, non_negative: bool):
        self.rows = rows
        self.learning_rate = learning_rate
        self.non_negative = non_negative
        self.first = torch.zeros_like(rows)  # (n, d)
        self.second = torch.zeros_like(rows)
        self.count = rows.new_zeros(len(rows), 1)
        self.done = None

    @property
    def state(self) -> list[torch.Tensor]:
        """What is known of each row, but where it is."""
        return [self.first, self.second, self.count]

    def restart(
        self,
        slots: torch.Tensor | slice,
        scale: torch.Tensor | float = 1.0,
        few: torch.Tensor | bool = False,
    ) -> None:
        """Forget the state of some rows, whose place has been taken by others.

        The rest is what `RowNewton` asks for, and does not matter here.
        """
        for state in self.state:
            state[slots] = 0

    def advance(
        self, losses: torch.Tensor, grad: torch.Tensor, moving: torch.Tensor | None
    ) -> None:
        """Move the rows against their gradient.

        Parameters
        ----------
        losses : Tensor of shape (n,)
            As `RowNewton` needs them; they do not matter here.
        grad : Tensor of shape (n, d)
            Gradient of the loss of each row with respect to it.
        moving : Tensor of shape (n,) or None
            Rows where it is False stay where they are.
        """
        beta1, beta2 = BETAS
        self.count += 1
        self.first.lerp_(grad, 1 - beta1)
        self.second.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        # 1 - beta ** count, without the cancellation
        step = torch.sqrt(self.second)
        step /= torch.sqrt(-torch.expm1(self.count * math.log(beta2)))
        step += EPS
        torch.div(self.first, step, out=step)
        step *= self.learning_rate / -torch.expm1(self.count * math.log(beta1))
        if moving is not None:
            step.masked_fill_(~moving[:, None], 0)
        before = self.rows.clone() if self.non_negative else None
        self.rows -= step
        if before is not None:
            _clamp(self.rows, before)


class RowNewton:
    """Quasi-Newton steps of rows, with one curvature for all of them.

    The last step of a row corrects the curvature along it, as in L-BFGS (Liu and Nocedal, 1989)
    with one pair. A row whose loss was raised by a step goes back and takes a shorter one, so that
    its loss never rises. No row leaves a ball around its start: the loss falls further outside,
    but mostly by what is noise of this row. With `non_negative`, entries that are 0 and would
    become negative take no part in a step (Bertsekas, 1982).

    Parameters
    ----------
    rows : Tensor of shape (n, d)
        Changed in place.
    inverse_curvature : Tensor of shape (d, d)
        What gradients are multiplied with.
    learning_rate : float
        What Adam's step size would be. The radius of the ball is as far as `REACH` of its steps
        lead at most.
    non_negative : bool
        Whether every step ends with the rows' negative entries set to 0; one that would leave a row
        without any is not taken.
    least_steps : int or inf, default=LEAST_STEPS
        After these, a row takes another one only if the last but one lowered its loss by more than
        `LARGE_GAIN` of what all of them have. Where views are missing that is
        `LARGE_GAIN_OF_FEW`, and one that was taken back is followed by another.

    Attributes
    ----------
    done : Tensor of bool of shape (n,)
        Rows that have taken their last step.
    """

    def __init__(
        self,
        rows: torch.Tensor,
        inverse_curvature: torch.Tensor,
        learning_rate: float,
        non_negative: bool,
        least_steps: float = LEAST_STEPS,
    ):
        self.rows = rows
        self.inverse_curvature = inverse_curvature
        self.least_steps = least_steps
        self.radius = REACH * learning_rate * math.sqrt(rows.shape[1])
        self.non_negative = non_negative
        self.start = rows.clone()
        self.kept = rows.clone()  # the best place so far, its gradient and its loss
        self.kept_grad = torch.zeros_like(rows)
        self.kept_loss = rows.new_full((len(rows),), math.inf)
        self.start_loss = rows.new_zeros(len(rows))
        self.count = rows.new_zeros(len(rows), dtype=torch.int32)
        self.scale = rows.new_ones(len(rows), 1)
        self.length = rows.new_ones(len(rows), 1)
        self.few = rows.new_zeros(len(rows), dtype=torch.bool)
        self.done = rows.new_zeros(len(rows), dtype=torch.bool)

    @property
    def state(self) -> list[torch.Tensor]:
        """What is known of each row, but where it is."""
        places = [self.start, self.kept, self.kept_grad]
        numbers = [self.kept_loss, self.start_loss, self.count, self.scale, self.length]
        return [*places, *numbers, self.few]

    def restart(
        self,
        slots: torch.Tensor | slice,
        scale: torch.Tensor | float = 1.0,
        few: torch.Tensor | bool = False,
    ) -> None:
        """Forget the state of some rows, whose place has been taken by others.

        Parameters
        ----------
        slots : slice or Tensor of int
            Which rows.
        scale : Tensor of shape (len(slots), 1) or float, default=1
            Times `inverse_curvature` is theirs.
        few : Tensor of bool of shape (len(slots),) or bool, default=False
            Whether they lack views.
        """
        self.kept_loss[slots] = math.inf
        self.start[slots] = self.kept[slots] = self.rows[slots]
        self.kept_grad[slots] = 0
        self.scale[slots] = scale
        self.few[slots] = few
        self.length[slots] = 1
        self.count[slots] = 0

    def advance(
        self, losses: torch.Tensor, grad: torch.Tensor, moving: torch.Tensor | None
    ) -> None:
        """Move rows, or take them back.

        Parameters
        ----------
        losses : Tensor of shape (n,)
            Of each row, where it is.
        grad : Tensor of shape (n, d)
            Their gradients.
        moving : Tensor of shape (n,) or None
            Rows where it is False stay at the best place so far.
        """
        step, turn = self.rows - self.kept, grad - self.kept_grad
        better = losses < self.kept_loss  # not where it is NaN
        torch.where(self.count == 0, losses, self.start_loss, out=self.start_loss)
        gain, gains = self.kept_loss - losses, self.start_loss - losses
        self.count += 1
        self.length.mul_(SHORTER).masked_fill_(better[:, None], 1)
        large = torch.where(self.few, LARGE_GAIN_OF_FEW * gains, LARGE_GAIN * gains)
        goes_on = (gain > large) | self.few & ~better & (self.length[:, 0] > SHORTER**2)
        self.done = (self.count >= self.least_steps) & ~goes_on
        torch.where(better[:, None], self.rows, self.kept, out=self.kept)
        torch.where(better, losses, self.kept_loss, out=self.kept_loss)
        torch.where(better[:, None], grad, self.kept_grad, out=self.kept_grad)
        move = self._move(step, turn)
        torch.addcmul(self.kept, move, self.length, value=-1, out=self.rows)
        if self.non_negative:
            _clamp(self.rows, self.kept)
        travel = self.rows - self.start
        nearer = _length(travel).reciprocal_().mul_(self.radius).clamp_max_(1)
        torch.addcmul(self.start, travel, nearer, out=self.rows)
        if moving is not None:
            torch.where(moving[:, None], self.rows, self.kept, out=self.rows)

    def _move(self, step: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
        """Gradient times inverse curvature, corrected by what a last step did to the gradient."""
        grad = self.kept_grad
        if self.non_negative:
            free = (self.kept > 0) | (grad < 0)
            grad = torch.where(free, grad, 0)
        bend = _dot(step, turn)
        flat = ~(bend > SMALLEST_BEND * _length(step) * _length(turn))  # also where it is NaN
        for x in (step, turn):
            x.masked_fill_(flat, 0)
        inverse_bend = bend.reciprocal().masked_fill_(flat, 0)
        share = inverse_bend * _dot(step, grad)
        across = torch.addcmul(grad, share, turn, value=-1)
        move = torch.mm(across, self.inverse_curvature).mul_(self.scale)
        move.addcmul_(step, share - inverse_bend * _dot(turn, move))
        return torch.where(free, move, 0) if self.non_negative else move

    def settle(self, losses: torch.Tensor, which: torch.Tensor) -> None:
        """Take back those of some rows whose last step raised their loss.

        Parameters
        ----------
        losses : Tensor of shape (n,)
            Of each row, where it is.
        which : Tensor of bool of shape (n,)
            The rows.
        """
        self.go_back(which & ~(losses < self.kept_loss))

    def go_back(self, which: torch.Tensor) -> None:
        """Take some rows to the best place so far."""
        torch.where(which[:, None], self.kept, self.rows, out=self.rows)


def _clamp(rows: torch.Tensor, before: torch.Tensor) -> None:
    """Set negative entries to 0; a row that would have nothing left stays where it was."""
    rows.clamp_min_(0)
    torch.where(rows.any(dim=1, keepdim=True), rows, before, out=rows)


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum(dim=1, keepdim=True)


def _length(a: torch.Tensor) -> torch.Tensor:
    length: torch.Tensor = torch.linalg.vector_norm(a, dim=1, keepdim=True)
    return length


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

    Attributes
    ----------
    states : list of list of dict
        The state of each part of ``networks.layers``: the weight and the bias, their first and
        second moments, and how many steps are done.
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
        """Say how many steps each part has taken, in the order of `states`."""
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
        """Move one part of the networks.

        Parameters
        ----------
        n_rows : int
            How many rows the gradients are summed over.
        layer, part : int
            Which part of ``networks.layers``.
        weight_grad, bias_grad : Tensor
            Gradients. They may be changed.
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

        Weights of units that are never active decay for ever under an L2 penalty, and so do the
        moments of Adam where a gradient stays 0. Once they, or their products, are subnormal,
        a matrix product takes ten times as long.
        """
        smallest = torch.finfo(state["params"][0].dtype).tiny
        for name, limit in (
            ("params", smallest**0.5),
            ("first", smallest**0.5),
            ("second", smallest),
        ):
            for x in state[name]:
                torch.ops.aten.hardshrink.out(x, limit, out=x)


class SummedGrads:
    """Gradients of the networks over a batch that is taken in parts.

    Parameters
    ----------
    networks : Networks
        Whose.
    """

    def __init__(self, networks: Networks):
        self._sums = [
            [[torch.zeros_like(x) for x in (part.weight, part.bias)] for part in layer]
            for layer in networks.layers
        ]
        self._n_rows = 0

    def add(
        self,
        n_rows: int,
        layer: int,
        part: int,
        weight_grad: torch.Tensor,
        bias_grad: torch.Tensor,
    ) -> None:
        """Add what `NetworkAdam.step` would take."""
        for total, grad in zip(self._sums[layer][part], (weight_grad, bias_grad), strict=True):
            total += grad
        if layer == part == 0:
            self._n_rows += n_rows

    def hand_over(self, optimizer: NetworkAdam) -> None:
        """Move the networks by what was added up, and begin anew."""
        for layer, parts in enumerate(self._sums):
            for part, (weight_grad, bias_grad) in enumerate(parts):
                optimizer.step(self._n_rows, layer, part, weight_grad, bias_grad)
                weight_grad.zero_()
                bias_grad.zero_()
        self._n_rows = 0


def _adam(
    params: list[torch.Tensor],
    grads: list[torch.Tensor],
    first: list[torch.Tensor],
    second: list[torch.Tensor],
    done: torch.Tensor,
    learning_rate: float,
) -> None:
    """One step of torch's own Adam, which changes all but the gradients in place.

    On the CPU and CUDA that is one kernel. ``torch.optim.adam.adam`` calls the same, but sorts the
    tensors first, at every step; with narrow views that takes almost as long as the step.
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
