"""The algorithm: learn representations from which every view can be recovered.

Algorithm 1 of Wallace, Arpit, Wang and Xiong, "Learning Rich Nearest Neighbor Representations
from Self-supervised Ensembles".  `train` moves the networks and the memory bank, `infer` moves
new rows with the networks frozen; `gradients` is the step that both take.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sknnens._batching import padded_chunks, shuffled_batches
from sknnens._device import Precision, to_numpy
from sknnens._loss import cosine_loss, normalize_rows
from sknnens._network import Networks
from sknnens._optim import NetworkAdam, RowAdam
from sknnens._start import Start


def gradients(
    networks: Networks,
    rows: torch.Tensor,
    targets: Sequence[torch.Tensor],
    view_weights: Sequence[float],
    precision: Precision,
    *,
    rows_move: bool,
    networks_move: bool,
) -> tuple[torch.Tensor, torch.Tensor | None, tuple[torch.Tensor, ...]]:
    """Loss of each row, and the gradients of their sum.

    The sum, not the mean: a row's gradient then does not depend on how many others there are.

    Parameters
    ----------
    networks : Networks
        Their parameters require a gradient where `networks_move`.
    rows : Tensor of shape (n, d)
        Representations.
    targets : sequence of Tensor of shape (n, n_features_v)
        Normalised views; a zero row takes no part.
    view_weights : sequence of float
        One a view.
    precision : Precision
        Of the products.
    rows_move, networks_move : bool
        Which gradients are wanted.

    Returns
    -------
    losses : Tensor of shape (n,)
        Weighted sum over views of 1 - cosine similarity.
    row_grad : Tensor of shape (n, d) or None
    network_grads : tuple of Tensor
        In the order of `NetworkAdam.parameters`; empty where the networks are frozen.
    """
    rows = rows.detach().requires_grad_(rows_move)
    with precision.products(rows.device):
        outputs = networks(rows)
    pairs = zip(view_weights, outputs, targets, strict=True)
    losses = torch.stack([w * cosine_loss(o.to(rows.dtype), t) for w, o, t in pairs]).sum(0)
    wanted = [rows] if rows_move else []
    if networks_move:
        weights, biases = networks.parameters()
        wanted += [*weights, *biases]
    grads = torch.autograd.grad(losses.sum(), wanted)
    if not rows_move:
        return losses.detach(), None, grads
    return losses.detach(), grads[0], grads[1:]


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
    targets: Sequence[torch.Tensor],
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
    targets : sequence of Tensor of shape (n, n_features_v)
        Normalised views.
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
    networks.require_grad(True)
    bank_optimizer = RowAdam(bank, representation_learning_rate, non_negative)
    network_optimizer = NetworkAdam(networks, learning_rate, alpha)
    best, n_stale = math.inf, 0
    try:
        for epoch in range(max_iter):
            rows_move = epoch >= warmup_epochs
            total = bank.new_zeros(())
            for index in shuffled_batches(len(bank), batch_size, generator):
                index = index.to(bank.device)
                losses, row_grad, network_grads = gradients(
                    networks,
                    bank[index],
                    [target[index] for target in targets],
                    view_weights,
                    precision,
                    rows_move=rows_move,
                    networks_move=True,
                )
                network_optimizer.step(network_grads, len(index))
                if row_grad is not None:
                    bank_optimizer.step(index, row_grad)
                total += losses.sum()
            network_optimizer.flush()
            loss = total.item() / len(bank)
            if not math.isfinite(loss):
                raise _diverged(**step_sizes)
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
    networks.require_grad(False)
    if not all(_is_finite(x) for x in [bank, *network_optimizer.parameters]):
        raise _diverged(**step_sizes)
    return record


def _is_finite(x: torch.Tensor) -> bool:
    """Whether every row has a finite length: no NaN, nothing whose square is infinite."""
    return bool(torch.linalg.vector_norm(x, dim=-1).isfinite().all())


def _diverged(**step_sizes: float) -> ValueError:
    named = " or ".join(f"{name} (now {value:g})" for name, value in step_sizes.items())
    return ValueError(f"The loss is no longer finite. Lower {named}.")


@dataclass(frozen=True)
class InferRecord:
    """What `infer` found.

    Attributes
    ----------
    rows : ndarray of shape (n_samples, n_components)
        The representations.
    n_unfinished : int
        Rows that were still moving when the budget ran out; 0 without `tol`.
    """

    rows: NDArray[Any]
    n_unfinished: int


def infer(
    views: Sequence[NDArray[Any]],
    start: Start,
    networks: Networks,
    *,
    view_weights: Sequence[float],
    max_iter: int,
    learning_rate: float,
    non_negative: bool,
    tol: float | None,
    n_iter_no_change: float,
    normalize: bool,
    precision: Precision,
    device: torch.device,
    on_chunk: Callable[[int, float], None],
) -> InferRecord:
    """Learn the representations of new rows with the networks frozen.

    Rows are worked on in chunks of one fixed size, and nothing is shared between them, so a
    row's result does not depend on which others there are.

    Parameters
    ----------
    views : sequence of ndarray of shape (n_samples, n_features_v)
        As given by the user.
    start : Start
        Where the rows start.
    networks : Networks
        Not changed.
    view_weights : sequence of float
        One a view.
    max_iter : int
        Steps of a row; 0 leaves it at its start.
    learning_rate : float
        Adam's step size.
    non_negative : bool
        Keep the representations in the first orthant.
    tol : float or None
        A row stops when its loss has not fallen by `tol` for more than `n_iter_no_change` of
        its steps; None takes all steps.
    n_iter_no_change : int or inf
        See `tol`.
    normalize : bool
        Whether the result has rows of length 1.
    precision : Precision
        Of the products, and the type of all else.
    device : torch.device
        Where the work is done.
    on_chunk : callable
        Called with the number of rows just done and their mean loss.

    Returns
    -------
    record : InferRecord

    Raises
    ------
    ValueError
        If a result is not finite.
    """
    results, n_unfinished = [], 0
    for part, targets in padded_chunks(views, precision, device):
        n_rows = part.stop - part.start  # the rest is padding
        rows = start(targets)
        losses = rows.new_zeros(len(rows))
        optimizer = RowAdam(rows, learning_rate, non_negative)
        stopping = RowStopping(targets, tol if max_iter else None, n_iter_no_change)
        for _ in range(max_iter):
            losses, row_grad, _ = gradients(
                networks,
                rows,
                targets,
                view_weights,
                precision,
                rows_move=True,
                networks_move=False,
            )
            if stopping.all_done(losses):
                break
            assert row_grad is not None
            optimizer.step(slice(None), row_grad, stopping.moving)
        if not _is_finite(rows):
            raise _diverged(representation_learning_rate=learning_rate)
        if normalize:
            rows = normalize_rows(rows)
        results.append(to_numpy(rows[:n_rows]))
        n_unfinished += stopping.n_moving(n_rows)
        on_chunk(n_rows, losses[:n_rows].mean().item())
    return InferRecord(np.concatenate(results), n_unfinished)


class RowStopping:
    """Which rows still move: each stops on its own, when its loss no longer falls.

    Parameters
    ----------
    targets : sequence of Tensor of shape (n, n_features_v)
        Normalised views; a row that is zero in all of them has nowhere to go.
    tol : float or None
        Smallest fall of the loss that counts; None never stops.
    n_iter_no_change : int or inf
        A row stops after more steps than this without such a fall.

    Attributes
    ----------
    moving : Tensor of shape (n,) or None
        False for rows that have stopped; None where none ever does.
    """

    def __init__(self, targets: Sequence[torch.Tensor], tol: float | None, n_iter_no_change: float):
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        n_rows = len(targets[0])
        self.best = targets[0].new_full((n_rows,), math.inf)
        self.n_stale = targets[0].new_zeros(n_rows)
        self.moving = None
        if tol is not None:
            self.moving = torch.stack([target.any(dim=1) for target in targets]).any(dim=0)

    def all_done(self, losses: torch.Tensor) -> bool:
        """Take the rows' latest losses; tell whether every row has stopped."""
        if self.tol is None or self.moving is None:
            return False
        self.n_stale = torch.where(losses > self.best - self.tol, self.n_stale + 1, 0)
        self.best = torch.minimum(self.best, losses)
        self.moving &= self.n_stale <= self.n_iter_no_change
        return not bool(self.moving.any())

    def n_moving(self, n_rows: int) -> int:
        """How many of the first `n_rows` rows have not stopped."""
        return 0 if self.moving is None else int(self.moving[:n_rows].sum())
