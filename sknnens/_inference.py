"""The representations of new rows, with the networks frozen."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from sknnens._batching import SMALL_CHUNKS, chunk_rows, copy_rows
from sknnens._device import Precision, to_numpy
from sknnens._engine import Step, diverged, is_finite
from sknnens._loss import normalize_rows
from sknnens._network import Networks
from sknnens._optim import LEAST_STEPS, RowAdam, RowNewton
from sknnens._start import Start

# Rows enter when at least this share of the slots is free.
REFILL = 0.25
# Products of narrower rows round in too many ways to be tried out.
NARROWEST = 16


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
    inverse_curvature: torch.Tensor | None = None,
    out: NDArray[Any],
) -> int:
    """Learn the representations of new rows with the networks frozen.

    A fixed number of rows is worked on at a time, and nothing is shared between them, so a row's
    result does not depend on which others there are. Rows that are done make room for others.

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
        Adam's step size; Newton's steps it bounds.
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
    inverse_curvature : Tensor of shape (d, d), default=None
        For Newton steps; None takes those of Adam.
    out : ndarray of shape (n_samples, d)
        Receives the result.

    Returns
    -------
    n_unfinished : int
        Rows that were still moving when the budget ran out; 0 without `tol`.

    Raises
    ------
    ValueError
        If a result is not finite.
    """
    make_solver: partial[RowAdam] | partial[RowNewton]
    if inverse_curvature is None:
        make_solver = partial(RowAdam, learning_rate=learning_rate, non_negative=non_negative)
    else:
        make_solver = partial(
            RowNewton,
            inverse_curvature=inverse_curvature,
            learning_rate=learning_rate,
            non_negative=non_negative,
            least_steps=LEAST_STEPS if tol is None else math.inf,  # then tol says when to stop
        )
    width = max(size for layers in networks.weights for w in layers for size in w.shape)
    size = small = chunk_rows(device, width)
    n_left = len(views[0]) % size
    if n_left and device.type == "cpu" and networks.n_components >= NARROWEST:
        arithmetic = _Arithmetic(start, networks, view_weights, precision, make_solver)
        fitting = [n for n in SMALL_CHUNKS if n_left <= n < size]
        small = next((n for n in fitting if arithmetic.is_the_same(n, size)), size)
    pieces = [(slice(None), size)]
    if small < size:
        begin = len(views[0]) - n_left
        pieces = [(slice(begin), size)] * (begin > 0) + [(slice(begin, None), small)]
    n_unfinished = 0
    for piece, n_slots in pieces:
        step = Step(networks, n_slots, view_weights, precision)
        rows = step.view_weights.new_zeros(n_slots, networks.n_components)
        solver = make_solver(rows)
        stopping = RowStopping(rows, tol if max_iter else None, n_iter_no_change)
        parts = [view[piece] for view in views]
        for samples, slots, loss in _run(parts, start, step, solver, stopping, max_iter):
            if not is_finite(rows[slots]):
                raise diverged(representation_learning_rate=learning_rate)
            # all of them: in one shape a row comes out the same
            found = normalize_rows(rows) if normalize else rows
            out[piece][samples] = to_numpy(found[slots])
            on_chunk(len(samples), loss)
        n_unfinished += stopping.n_expired
    return n_unfinished


def _run(
    views: Sequence[NDArray[Any]],
    start: Start,
    step: Step,
    solver: RowAdam | RowNewton,
    stopping: "RowStopping",
    max_iter: int,
) -> Iterator[tuple[NDArray[np.intp], slice | torch.Tensor, float]]:
    """Work on as many rows at a time as there are slots.

    Yields
    ------
    samples : ndarray of int
        Those that have just been done.
    slots : slice or Tensor of int
        Where they are in ``solver.rows``.
    loss : float
        Their mean loss before the last step.
    """
    rows, weights = solver.rows, step.view_weights
    n_samples, n_slots, device = len(views[0]), len(rows), rows.device
    sample = np.full(n_slots, -1)  # which one each slot holds; -1 where there is none
    n_steps = np.zeros(n_slots, dtype=np.intp)
    n_begun = 0
    while True:
        n_left = n_samples - n_begun
        free = np.flatnonzero(sample < 0)[:n_left]
        if n_left and len(free) >= min(n_left, REFILL * n_slots):
            entering = slice(n_begun, n_begun + len(free))
            sample[free], n_steps[free] = np.arange(entering.start, entering.stop), 0
            n_begun = entering.stop
            slots = _as_index(free, device)
            _enter([view[entering] for view in views], step, slots)
            rows[slots] = start(step.targets, step.scales)[slots]
            present = [scale[slots] != 0 for scale in step.scales]
            # one after another: a sum would be taken in an order that depends on how many enter
            whole, weight = weights.new_zeros(()), weights.new_zeros(len(free))
            for own, here in zip(weights.unbind(), present, strict=True):
                whole, weight = whole + own, weight + own * here
            # the loss of few views bends less
            solver.restart(slots, torch.where(weight > 0, whole / weight, 1)[:, None])
            stopping.restart(slots, weight > 0)
        busy = sample >= 0
        if not busy.any():
            return
        losses = weights.new_zeros(n_slots)
        if max_iter:
            losses, row_grad = step(rows, rows_move=True)
            stopping.update(losses)
            assert row_grad is not None
            solver.advance(losses, row_grad, stopping.moving)
            n_steps[busy] += 1
        moving = True if stopping.moving is None else to_numpy(stopping.moving)
        last = n_steps >= max_iter
        if solver.done is not None and max_iter:
            last = last | to_numpy(solver.done)
        expired = busy & last & moving
        done = np.flatnonzero(expired | busy & np.logical_not(moving))
        if not len(done):
            continue
        if isinstance(solver, RowNewton) and expired.any() and max_iter:
            solver.settle(step(rows, rows_move=False)[0], torch.from_numpy(expired).to(device))
        stopping.n_expired += 0 if stopping.moving is None else int(expired.sum())
        slots = _as_index(done, device)
        yield sample[done], slots, losses[slots].mean().item()
        sample[done] = -1


def _enter(views: Sequence[NDArray[Any]], step: Step, slots: slice | torch.Tensor) -> None:
    """Put rows of the views into the slots of a step."""
    for view, target, scale in zip(views, step.targets, step.scales, strict=True):
        copy_rows(view, target, slots)
        length = torch.linalg.vector_norm(target, dim=1)  # of all: in one shape, one result
        scale.copy_(torch.where(length > 0, 1 / length, 0))


def _as_index(numbers: NDArray[np.intp], device: torch.device) -> slice | torch.Tensor:
    """Increasing numbers as what is quickest to index with."""
    if numbers[-1] - numbers[0] + 1 == len(numbers):
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return torch.from_numpy(numbers).to(device)


@dataclass(frozen=True)
class _Arithmetic:
    """What is calculated with a chunk of rows, other than row by row.

    A row comes out equal to the last bit in chunks of few and of many rows where the machine's
    matrix products do. That is up to its library, the widths and the number of threads, and is
    tried out once, on random rows.
    """

    start: Start
    networks: Networks
    view_weights: Sequence[float]
    precision: Precision
    make_solver: partial[RowAdam] | partial[RowNewton]

    known: ClassVar[dict[Any, bool]] = {}

    def is_the_same(self, few: int, many: int) -> bool:
        """Whether rows come out the same in chunks of both sizes."""
        key = (
            tuple(tuple(w.shape for w in layers) for layers in self.networks.weights),
            tuple(self.networks.relu_output),
            self.start.projection is None,
            self.make_solver.func,
            self.precision,
            torch.get_num_threads(),
            (few, many),
        )
        if key not in self.known:
            rng = np.random.RandomState(0)
            views = [rng.standard_normal((many, w[-1].shape[1])) for w in self.networks.weights]
            noise = rng.standard_normal((many, self.networks.n_components))
            whole = self(views, noise)
            blocks = [slice(begin, begin + few) for begin in range(0, many, few)]
            self.known[key] = all(
                torch.equal(self([view[rows] for view in views], noise[rows]), whole[rows])
                for rows in blocks
            )
        return self.known[key]

    def __call__(self, views: Sequence[NDArray[Any]], noise: NDArray[Any]) -> torch.Tensor:
        """Calculate all that a step needs at the start of some rows and off it, and take some."""
        step = Step(self.networks, len(noise), self.view_weights, self.precision)
        _enter(views, step, slice(None))
        rows = self.start(step.targets, step.scales)
        found = [rows]
        for place in (rows, rows + torch.from_numpy(noise).to(rows)):
            losses, grad = step(place, rows_move=True)
            assert grad is not None
            found += [losses[:, None], grad.clone()]
        solver = self.make_solver(rows.clone(), learning_rate=1e-3)  # a user's may overflow
        for _ in range(2):
            losses, grad = step(solver.rows, rows_move=True)
            assert grad is not None
            solver.advance(losses, grad, None)
            found.append(solver.rows.clone())
        return torch.cat(found, dim=1)


class RowStopping:
    """Which rows still move: each stops on its own, when its loss no longer falls.

    Parameters
    ----------
    rows : Tensor of shape (n, d)
        The rows.
    tol : float or None
        Smallest fall of the loss that counts; None never stops.
    n_iter_no_change : int or inf
        A row stops after more steps than this without such a fall.

    Attributes
    ----------
    n_expired : int
        Rows that were still moving when they had taken all their steps.
    moving : Tensor of shape (n,) or None
        False for rows that have stopped; None where none ever does.
    """

    def __init__(self, rows: torch.Tensor, tol: float | None, n_iter_no_change: float):
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.n_expired = 0
        self.best = rows.new_full((len(rows),), math.inf)
        self.n_stale = rows.new_zeros(len(rows), dtype=torch.int32)
        self.moving = None
        if tol is not None:
            self.moving = rows.new_zeros(len(rows), dtype=torch.bool)

    def restart(self, slots: torch.Tensor | slice, present: torch.Tensor) -> None:
        """Take new rows; those without any view have nowhere to go."""
        self.best[slots] = math.inf
        self.n_stale[slots] = 0
        if self.moving is not None:
            self.moving[slots] = present

    def update(self, losses: torch.Tensor) -> None:
        """Take the latest loss of each row."""
        if self.tol is None or self.moving is None:
            return
        self.n_stale = torch.where(losses > self.best - self.tol, self.n_stale + 1, 0)
        self.best = torch.fmin(self.best, losses)  # of those that are numbers
        self.moving &= self.n_stale <= self.n_iter_no_change
