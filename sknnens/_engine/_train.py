"""The algorithm: learn representations from which every view can be recovered.

Algorithm 1 of Wallace, Arpit, Wang and Xiong, "Learning Rich Nearest Neighbor Representations
from Self-supervised Ensembles".  `train` moves the networks and the memory bank; `Step` is what
it does with a batch of rows, as does the inference phase in `_inference`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sknnens._engine._device import Precision
from sknnens._engine._loss import cosine_loss
from sknnens._engine._networks import Networks, Pass, first_rows
from sknnens._engine._optim import BankAdam, NetworkAdam, SummedGrads
from sknnens._engine._rows import UnitRows, shuffled_batches


class Step:
    """Losses and gradients of a batch of rows, in buffers that are kept from call to call.

    Parameters
    ----------
    networks : Networks
        One MLP a view.
    n_rows : int
        Most rows of a batch.
    view_weights : sequence of float
        One a view.
    precision : Precision
        Of the products.
    on_grads : callable, default=None
        Takes the gradients of the networks, see `Pass`.

    Attributes
    ----------
    targets : list of Tensor of shape (n_rows, n_features_v)
        To be filled with each batch's views; a zero row takes no part.
    scales : list of Tensor of shape (n_rows,)
        To be filled with what brings the rows of `targets` to length 1; 0 for a zero row.
    view_weights : Tensor of shape (n_views,)
        As given.
    """

    def __init__(
        self,
        networks: Networks,
        n_rows: int,
        view_weights: Sequence[float],
        precision: Precision,
        on_grads: Callable[[int, int, int, torch.Tensor, torch.Tensor], None] | None = None,
    ):
        self._pass = Pass(networks, n_rows, precision, on_grads)
        last = networks.layers[-1]
        self._targets = [x.weight.new_zeros(len(x.weight), n_rows, x.weight.shape[2]) for x in last]
        self._scales = [x.new_zeros(x.shape[:2]) for x in self._targets]
        self._grads = [torch.empty_like(x) for x in self._targets]
        self.view_weights = last[0].weight.new_tensor(view_weights)
        self._weights = [self.view_weights[x.views, None] for x in last]
        self.targets = [view for group in self._targets for view in group]
        self.scales = [view for group in self._scales for view in group]

    def __call__(
        self, rows: torch.Tensor, *, rows_move: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Loss of each row, and the gradient of their sum.

        The sum, not the mean: a row's gradient then does not depend on how many others there
        are.

        Parameters
        ----------
        rows : Tensor of shape (n, d)
            Representations of the first rows of `targets`.
        rows_move : bool
            Whether their gradient is wanted.

        Returns
        -------
        losses : Tensor of shape (n,)
            Weighted sum over views of 1 - cosine similarity.
        row_grad : Tensor of shape (n, d) or None
            The next call overwrites it.
        """
        backward = rows_move or self._pass.on_grads is not None
        outputs = self._pass.forward(rows)
        parts = self._targets, self._scales, self._grads
        targets, scales, grads = ([first_rows(x, rows.shape[0]) for x in part] for part in parts)
        losses = [
            cosine_loss(
                output,
                target,
                weight=weight,
                scale=scale,
                grad=grad if backward else None,
            )
            for output, target, scale, weight, grad in zip(
                outputs, targets, scales, self._weights, grads, strict=True
            )
        ]
        loss = (losses[0] if len(losses) == 1 else torch.cat(losses)).sum(dim=0)
        return loss, self._pass.backward(grads, rows_move=rows_move) if backward else None


@dataclass
class TrainRecord:
    """What happened in `train`.

    Attributes
    ----------
    loss_curve : list of float
        Mean loss of a row in each whole epoch.
    best : float
        Lowest loss after the warm-up that `tol` was compared with.
    n_stale : int
        Epochs since it fell by `tol`.
    converged : bool
        Whether the loss stopped falling.
    interrupted : bool
        Whether the user stopped it with Ctrl-C.
    stopped : bool
        Whether `on_epoch` stopped it.
    """

    loss_curve: list[float] = field(default_factory=list)
    best: float = math.inf
    n_stale: int = 0
    converged: bool = False
    interrupted: bool = False
    stopped: bool = False


def train(
    views: Sequence[NDArray[Any]],
    bank: torch.Tensor,
    networks: Networks,
    *,
    view_weights: Sequence[float],
    max_iter: int,
    warmup_epochs: int,
    batch_size: int,
    learning_rate: float,
    representation_learning_rate: float,
    alpha: float,
    non_negative: bool,
    tol: float | None,
    n_iter_no_change: float,
    generator: torch.Generator,
    precision: Precision,
    on_epoch: Callable[[int, list[float]], bool | None],
    on_epoch_begin: Callable[[int], None] | None = None,
    moments: Sequence[torch.Tensor] | None = None,
    n_parts: int = 1,
    keep_views: bool = True,
    resume_from: AbstractContextManager[Mapping[str, NDArray[Any]]] | None = None,
    save_state: Callable[[int, Callable[[], dict[str, NDArray[Any]]]], None] | None = None,
) -> TrainRecord:
    """Learn the networks and the memory bank together; both are changed in place.

    Parameters
    ----------
    views : sequence of ndarray of shape (n, n_features_v)
        As given by the user.
    bank : Tensor of shape (n, d)
        The representations, at their start. They may be on another device than `networks`, where
        the work is done.
    networks : Networks
        One MLP a view.
    view_weights : sequence of float
        One a view.
    max_iter, warmup_epochs : int
        Epochs in all, and those at the beginning in which only the networks move.
    batch_size : int
        Rows a step.
    learning_rate, representation_learning_rate : float
        Adam's step sizes, of the networks and of the bank.
    alpha : float
        L2 penalty of the networks' weights.
    non_negative : bool
        Keep the representations in the first orthant.
    tol : float or None
        Stop when the loss has not fallen by `tol` for more than `n_iter_no_change` epochs after
        the warm-up; None runs all epochs.
    n_iter_no_change : int or inf
        See `tol`.
    generator : torch.Generator
        For the order of the rows, on the CPU.
    precision : Precision
        Of the products.
    on_epoch : callable
        Called with 1, or how many there were before, and the loss of each epoch; True stops.
    on_epoch_begin : callable, default=None
        Called with how many epochs there were.
    moments : sequence of two Tensor of shape (n, d), default=None
        Zeros, where the moments of the representations are to be kept; None makes them.
    n_parts : int, default=1
        In how many parts a batch is worked on; the result is the same, but for rounding.
    keep_views : bool, default=True
        Whether views may be kept on the device.
    resume_from : context manager of a mapping from name to ndarray, default=None
        A state that was saved: the result is as if there had been no break.
    save_state : callable, default=None
        Called after each epoch, with how many there were and a function that gives the state.

    Returns
    -------
    record : TrainRecord

    Raises
    ------
    ValueError
        If the loss or a result is not finite.
    """
    device = networks.layers[0][0].weight.device
    step_sizes = {
        "learning_rate": learning_rate,
        "representation_learning_rate": representation_learning_rate,
    } | ({"alpha": alpha} if alpha else {})
    if not alpha * batch_size <= torch.finfo(precision.dtype).max:
        raise diverged(alpha=alpha)
    part_size = math.ceil(batch_size / n_parts)
    sources = [UnitRows(view, precision, device, keep=keep_views) for view in views]
    network_optimizer = NetworkAdam(networks, learning_rate, alpha)
    bank_optimizer = BankAdam(
        bank, part_size, representation_learning_rate, non_negative, moments, device
    )
    summed = SummedGrads(networks) if n_parts > 1 else None
    on_grads = network_optimizer.step if summed is None else summed.add
    step = Step(networks, part_size, view_weights, precision, on_grads)
    state = _TrainState(TrainRecord(), bank_optimizer, network_optimizer, generator)
    record, n_samples = state.record, len(bank)
    if resume_from is not None:
        with resume_from as saved:
            state.load(saved)
        on_epoch(len(record.loss_curve), record.loss_curve)
    try:
        for epoch in range(len(record.loss_curve), max_iter):
            if record.converged or record.stopped:
                break
            if on_epoch_begin is not None:
                on_epoch_begin(epoch)
            rows_move = epoch >= warmup_epochs
            if rows_move:
                bank_optimizer.begin_epoch()
            total = networks.layers[0][0].weight.new_zeros(())
            for batch in shuffled_batches(n_samples, batch_size, generator):
                for index in torch.split(batch, part_size):
                    n_rows, on_device = len(index), index.to(device, non_blocking=True)
                    for source, target, scale in zip(
                        sources, step.targets, step.scales, strict=True
                    ):
                        source.take(index, target[:n_rows], scale[:n_rows])
                    losses, row_grad = step(bank_optimizer.take(on_device), rows_move=rows_move)
                    if row_grad is not None:
                        bank_optimizer.step(on_device, row_grad)
                    total += losses.sum()
                if summed is not None:
                    summed.hand_over(network_optimizer)
            loss = total.item() / n_samples
            if not math.isfinite(loss):
                raise diverged(**step_sizes)
            record.loss_curve.append(loss)
            if tol is not None and rows_move:
                record.n_stale = record.n_stale + 1 if loss > record.best - tol else 0
                record.best = min(record.best, loss)
                record.converged = record.n_stale > n_iter_no_change
            if save_state is not None:
                save_state(len(record.loss_curve), state.dump)
            record.stopped = bool(on_epoch(1, record.loss_curve))
    except KeyboardInterrupt:
        record.interrupted = True
    parameters = [x for w in (networks.weights, networks.biases) for view in w for x in view]
    if not all(is_finite(x) for x in [bank, *parameters]):
        raise diverged(**step_sizes)
    return record


@dataclass(frozen=True)
class _TrainState:
    """All that the rest of `train` depends on, between two epochs."""

    record: TrainRecord
    bank: BankAdam
    networks: NetworkAdam
    generator: torch.Generator

    def tensors(self) -> list[torch.Tensor]:
        """Give what moves; the moments of the bank are 0 until it does."""
        return [*self.networks.tensors, *self.bank.state[: 3 if self.bank.count else 1]]

    def dump(self) -> dict[str, NDArray[Any]]:
        """Give the state by name; where it is on the CPU, the arrays share its memory."""
        record = self.record
        return {
            "counts": np.array([self.bank.count, *chain(*self.networks.counts)]),
            "generator": self.generator.get_state().numpy(),
            "loss_curve": np.array(record.loss_curve),
            "stopping": np.array([record.best, record.n_stale, record.converged]),
        } | {f"tensor_{i}": x.cpu().numpy() for i, x in enumerate(self.tensors())}

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Go to a state that `dump` gave."""
        bank_count, *counts = saved["counts"].tolist()
        self.bank.begin_epoch(bank_count)
        self.networks.set_counts(counts)
        self.generator.set_state(torch.from_numpy(saved["generator"]))
        self.record.loss_curve += saved["loss_curve"].tolist()
        self.record.best, n_stale, converged = saved["stopping"].tolist()
        self.record.n_stale, self.record.converged = int(n_stale), bool(converged)
        for i, x in enumerate(self.tensors()):
            x.copy_(torch.from_numpy(saved[f"tensor_{i}"]))


def is_finite(x: torch.Tensor) -> bool:
    """Whether every row has a finite length: no NaN, nothing whose square is infinite."""
    return bool(torch.linalg.vector_norm(x, dim=-1).isfinite().all())


def diverged(**step_sizes: float) -> ValueError:
    named = " or ".join(f"{name} (now {value:g})" for name, value in step_sizes.items())
    return ValueError(f"The loss is no longer finite. Lower {named}.")
