"""Algorithm 1: train the networks and the memory bank together.

Wallace, Arpit, Wang and Xiong, "Learning Rich Nearest Neighbor Representations from
Self-supervised Ensembles", arXiv:2110.10293.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sknnens._engine._adam import NetworkAdam, RowAdam
from sknnens._engine._device import Precision
from sknnens._engine._loss import BatchLoss
from sknnens._engine._networks import Networks
from sknnens._engine._rows import NormalizedRows, shuffled_batches
from sknnens._views import Views


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `train`: the learner's parameters of the same names, and these.

    Attributes
    ----------
    view_weights : list of float
        One per view.
    warmup_epochs : int
        Epochs at the beginning in which only the networks move.
    precision : Precision
        Types of the computation.
    """

    view_weights: list[float]
    max_iter: int
    warmup_epochs: int
    batch_size: int
    learning_rate: float
    representation_learning_rate: float
    alpha: float
    non_negative: bool
    tol: float | None
    n_iter_no_change: float
    precision: Precision


@dataclass
class TrainRecord:
    """Course of a training.

    Attributes
    ----------
    loss_curve : list of float
        Mean loss of a row in each whole epoch.
    best, n_stale : float, int
        Lowest loss after the warm-up that `tol` was compared with, and epochs since.
    converged, interrupted, stopped : bool
        Whether the loss stopped falling, Ctrl-C or `on_epoch` stopped the training.
    """

    loss_curve: list[float] = field(default_factory=list)
    best: float = math.inf
    n_stale: int = 0
    converged: bool = False
    interrupted: bool = False
    stopped: bool = False

    def add(self, loss: float, config: TrainConfig) -> None:
        """Append the loss of an epoch, and decide whether the training has converged."""
        self.loss_curve.append(loss)
        if config.tol is not None and len(self.loss_curve) > config.warmup_epochs:
            self.n_stale = self.n_stale + 1 if loss > self.best - config.tol else 0
            self.best = min(self.best, loss)
            self.converged = self.n_stale > config.n_iter_no_change


def train(
    views: Views,
    bank: torch.Tensor,
    networks: Networks,
    config: TrainConfig,
    generator: torch.Generator,
    *,
    on_epoch: Callable[[list[float]], bool | None],
    on_epoch_begin: Callable[[int], None] = lambda epoch: None,
    resume_from: Mapping[str, NDArray[Any]] | None = None,
    save_state: Callable[[int, Callable[[], dict[str, NDArray[Any]]]], None] | None = None,
) -> TrainRecord:
    """Train the networks and the memory bank, which is on their device; both are changed in place.

    Parameters
    ----------
    generator : torch.Generator
        For the order of the rows, on the CPU.
    on_epoch : callable
        Called with the loss curve after each epoch, and after a resume; True stops.
    on_epoch_begin : callable, default=do nothing
        Called with the number of epochs before.
    resume_from : mapping from str to ndarray, default=None
        A saved state; the result is as if there had been no break.
    save_state : callable, default=None
        Called after each epoch with the number of epochs and a function that returns the state.

    Raises
    ------
    ValueError
        If the loss or a result is not finite.
    """
    step_sizes = {
        "learning_rate": config.learning_rate,
        "representation_learning_rate": config.representation_learning_rate,
    } | ({"alpha": config.alpha} if config.alpha else {})
    if not config.alpha * config.batch_size <= torch.finfo(config.precision.dtype).max:
        raise diverged(alpha=config.alpha)
    training = _Training(views, bank, networks, config, generator)
    record = training.record
    callers_mode = partial(torch.inference_mode, False)  # for the caller's own code
    if resume_from is not None:
        training.load(resume_from)
        with callers_mode():
            on_epoch(record.loss_curve)
    try:
        for epoch in range(len(record.loss_curve), config.max_iter):
            if record.converged or record.stopped:
                break
            with callers_mode():
                on_epoch_begin(epoch)
            loss = training.run_epoch(rows_move=epoch >= config.warmup_epochs)
            if not math.isfinite(loss):
                raise diverged(**step_sizes)
            record.add(loss, config)
            if save_state is not None:
                save_state(len(record.loss_curve), training.dump)
            with callers_mode():
                record.stopped = bool(on_epoch(record.loss_curve))
    except KeyboardInterrupt:
        record.interrupted = True
    parameters = chain(*networks.weights, *networks.biases)
    if not all(is_finite(x) for x in (bank, *parameters)):
        raise diverged(**step_sizes)
    return record


class _Training:
    """The state of a training, and its epochs."""

    def __init__(
        self,
        views: Views,
        bank: torch.Tensor,
        networks: Networks,
        config: TrainConfig,
        generator: torch.Generator,
    ):
        device, precision = bank.device, config.precision
        self.record = TrainRecord()
        self.generator = generator
        self.batch_size = config.batch_size
        self.sources = [
            NormalizedRows(x, norms, precision, device)
            for x, norms in zip(views.arrays, views.norms, strict=True)
        ]
        self.network_optimizer = NetworkAdam(networks, config.learning_rate, config.alpha)
        self.bank_optimizer = RowAdam(
            bank, config.batch_size, config.representation_learning_rate, config.non_negative
        )
        self.loss = BatchLoss(
            networks,
            config.batch_size,
            config.view_weights,
            precision,
            self.network_optimizer.step,
        )

    def run_epoch(self, *, rows_move: bool) -> float:
        """Take one step per batch; return the mean loss of a row."""
        if rows_move:
            self.bank_optimizer.begin_epoch()
        bank = self.bank_optimizer.state[0]
        total = bank.new_zeros(())
        for index in shuffled_batches(len(bank), self.batch_size, self.generator):
            n_rows, on_device = len(index), index.to(bank.device, non_blocking=True)
            for source, target, scale in zip(
                self.sources, self.loss.targets, self.loss.scales, strict=True
            ):
                source.take(index, target[:n_rows], scale[:n_rows])
            rows = self.bank_optimizer.take(on_device)
            losses, row_grad = self.loss(rows, rows_move=rows_move)
            if row_grad is not None:
                self.bank_optimizer.step(on_device, row_grad)
            total += losses.sum()
        return total.item() / len(bank)

    def _tensors(self) -> list[torch.Tensor]:
        """Tensors that move; the moments of the bank are 0 until it does."""
        bank = self.bank_optimizer
        return [*self.network_optimizer.tensors, *bank.state[: 3 if bank.count else 1]]

    def dump(self) -> dict[str, NDArray[Any]]:
        """Return the state by name; on the CPU the arrays share its memory."""
        record, counts = self.record, chain(*self.network_optimizer.counts)
        return {
            "counts": np.array([self.bank_optimizer.count, *counts]),
            "generator": self.generator.get_state().numpy(),
            "loss_curve": np.array(record.loss_curve),
            "stopping": np.array([record.best, record.n_stale, record.converged]),
        } | {f"tensor_{i}": x.cpu().numpy() for i, x in enumerate(self._tensors())}

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Restore a state of `dump`."""
        bank_count, *counts = saved["counts"].tolist()
        self.bank_optimizer.begin_epoch(bank_count)
        self.network_optimizer.set_counts(counts)
        self.generator.set_state(torch.from_numpy(saved["generator"]))
        self.record.loss_curve += saved["loss_curve"].tolist()
        self.record.best, n_stale, converged = saved["stopping"].tolist()
        self.record.n_stale, self.record.converged = int(n_stale), bool(converged)
        for i, x in enumerate(self._tensors()):
            x.copy_(torch.from_numpy(saved[f"tensor_{i}"]))


def is_finite(x: torch.Tensor) -> bool:
    """Whether every row has a finite length: no NaN, nothing whose square is infinite."""
    return bool(torch.linalg.vector_norm(x, dim=-1).isfinite().all())


def diverged(**settings: float) -> ValueError:
    """Return the error of a loss that is not finite, with the parameters to lower."""
    named = " or ".join(f"{name} (now {value:g})" for name, value in settings.items())
    return ValueError(f"The loss is no longer finite. Lower {named}.")
