"""The algorithm: learn representations from which every view can be recovered.

Algorithm 1 of Wallace, Arpit, Wang and Xiong, "Learning Rich Nearest Neighbor Representations
from Self-supervised Ensembles".  `train` moves the networks and the memory bank; `Step` is what
it does with a batch of rows, as does the inference phase in `_inference`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray

from sknnens._batching import UnitRows, shuffled_batches
from sknnens._device import Precision
from sknnens._loss import cosine_loss
from sknnens._network import Networks, Pass, first_rows
from sknnens._optim import BankAdam, NetworkAdam


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
    converged : bool
        Whether the loss stopped falling.
    interrupted : bool
        Whether the user stopped it with Ctrl-C.
    """

    loss_curve: list[float] = field(default_factory=list)
    converged: bool = False
    interrupted: bool = False


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
    on_epoch: Callable[[int, float], None],
) -> TrainRecord:
    """Learn the networks and the memory bank together; both are changed in place.

    Parameters
    ----------
    views : sequence of ndarray of shape (n, n_features_v)
        As given by the user.
    bank : Tensor of shape (n, d)
        The representations, at their start.
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
        Called with 1 and the epoch's mean loss.

    Returns
    -------
    record : TrainRecord

    Raises
    ------
    ValueError
        If the loss or a result is not finite.
    """
    record = TrainRecord()
    step_sizes = {
        "learning_rate": learning_rate,
        "representation_learning_rate": representation_learning_rate,
    }
    sources = [UnitRows(view, precision, bank.device) for view in views]
    network_optimizer = NetworkAdam(networks, learning_rate, alpha)
    bank_optimizer = BankAdam(bank, batch_size, representation_learning_rate, non_negative)
    step = Step(networks, batch_size, view_weights, precision, network_optimizer.step)
    best, n_stale = math.inf, 0
    try:
        for epoch in range(max_iter):
            rows_move = epoch >= warmup_epochs
            if rows_move:
                bank_optimizer.begin_epoch()
            total = bank.new_zeros(())
            for index in shuffled_batches(len(bank), batch_size, generator):
                on_device = index.to(bank.device, non_blocking=True)
                for source, target, scale in zip(sources, step.targets, step.scales, strict=True):
                    source.take(index, target[: len(index)], scale[: len(index)])
                losses, row_grad = step(bank_optimizer.take(on_device), rows_move=rows_move)
                if row_grad is not None:
                    bank_optimizer.step(on_device, row_grad)
                total += losses.sum()
            loss = total.item() / len(bank)
            if not math.isfinite(loss):
                raise diverged(**step_sizes)
            record.loss_curve.append(loss)
            on_epoch(1, loss)
            if tol is not None and rows_move:
                n_stale = n_stale + 1 if loss > best - tol else 0
                best = min(best, loss)
                if n_stale > n_iter_no_change:
                    record.converged = True
                    break
    except KeyboardInterrupt:
        record.interrupted = True
    parameters = [x for w in (networks.weights, networks.biases) for view in w for x in view]
    if not all(is_finite(x) for x in [bank, *parameters]):
        raise diverged(**step_sizes)
    return record


def is_finite(x: torch.Tensor) -> bool:
    """Whether every row has a finite length: no NaN, nothing whose square is infinite."""
    return bool(torch.linalg.vector_norm(x, dim=-1).isfinite().all())


def diverged(**step_sizes: float) -> ValueError:
    named = " or ".join(f"{name} (now {value:g})" for name, value in step_sizes.items())
    return ValueError(f"The loss is no longer finite. Lower {named}.")
