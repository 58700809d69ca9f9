"""The representations of new rows, with the networks frozen."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from sknnens._engine._device import Precision, to_numpy
from sknnens._engine._loss import normalize_rows
from sknnens._engine._memory import is_out_of_memory, release_memory
from sknnens._engine._networks import Networks
from sknnens._engine._optim import LEAST_STEPS, RowAdam, RowNewton
from sknnens._engine._rows import SMALL_CHUNKS, chunk_rows, copy_rows
from sknnens._engine._train import Step, diverged, is_finite
from sknnens.fusion._start import Start

# Rows enter when at least this share of the slots is free.
REFILL = 0.25
# Products of narrower rows round in too many ways to be tried out.
NARROWEST = 16
# Of each layer's output and of a representation that are held at a time, about.
COPIES = 6


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
) -> "InferRecord":
    """Learn the representations of new rows with the networks frozen.

    A fixed number of rows is worked on at a time, and nothing is shared between them, so a row's
    result does not depend on which others there are. Rows that are done make room for others. Where
    memory runs out, those that are not done begin anew, half as many at a time.

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
    record : InferRecord

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
    sizes = [size for layers in networks.weights for w in layers for size in w.shape]
    n_slots = chunk_rows(device, max(sizes), COPIES * sum(sizes) * precision.dtype.itemsize)
    arithmetic = _Arithmetic(start, networks, view_weights, precision, make_solver)
    may_shrink = device.type == "cpu" and networks.n_components >= NARROWEST
    queue, record = _Queue(len(views[0])), InferRecord(n_at_once=n_slots)

    def make_slots(n_slots: int) -> _Slots:
        step = Step(networks, n_slots, view_weights, precision)
        rows = step.view_weights.new_zeros(n_slots, networks.n_components)
        stopping = RowStopping(rows, tol if max_iter else None, n_iter_no_change)
        return _Slots(step, make_solver(rows), stopping, start, max_iter)

    same: dict[int, bool] = {}  # rows in chunks of so many come out the same; asked once a call

    def enough(n_now: int, n_busy: int, n_left: int) -> int:
        """Slots for the last rows: no more than needed, if a row comes out the same."""
        n_rows = n_busy + n_left
        if n_now <= SMALL_CHUNKS[0] or n_rows > n_slots // 2 or not may_shrink:
            return n_now
        for n in SMALL_CHUNKS:
            if n_rows <= n < n_now:
                if n not in same:
                    same[n] = arithmetic.is_the_same(n, n_slots, at_once=n_busy == 0)
                if same[n]:
                    return n
        return n_now

    def work_off() -> None:
        slots = make_slots(enough(n_slots, 0, len(queue)))
        try:
            while slots.n_busy or len(queue):
                n_now = len(slots.sample)
                if (n_fewer := enough(n_now, slots.n_busy, len(queue))) < n_now:
                    slots = slots.move(make_slots(n_fewer))
                slots.fill(views, queue)
                done, loss, n_expired = slots.advance()
                if not len(done):
                    continue
                index = _as_index(done, device)
                if not is_finite(slots.rows[index]):
                    raise diverged(representation_learning_rate=learning_rate)
                # all of them: in one shape a row comes out the same
                found = normalize_rows(slots.rows) if normalize else slots.rows
                out[slots.sample[done]] = to_numpy(found[index])
                slots.sample[done] = -1
                record.n_unfinished += n_expired
                on_chunk(len(done), loss)
        finally:
            queue.put_back(slots.sample[slots.sample >= 0])

    while len(queue):
        try:
            work_off()
        except Exception as error:  # torch raises many kinds; all others go on to the caller
            if n_slots == 1 or not is_out_of_memory(error):
                raise
            record.ran_out, record.n_at_once, n_slots = True, n_slots // 2, n_slots // 2
            same.clear()
        # not before the error is gone, which holds on to what was there
        if len(queue):
            release_memory(device)
    return record


@dataclass
class InferRecord:
    """What happened in `infer`.

    Attributes
    ----------
    n_unfinished : int
        Rows that were still moving when the budget ran out; 0 without `tol`.
    n_at_once : int
        How many rows were worked on at a time, at most.
    ran_out : bool
        Whether that is fewer than at first, because memory ran out.
    """

    n_at_once: int
    n_unfinished: int = 0
    ran_out: bool = False


class _Queue:
    """Samples that are not worked on yet.

    Parameters
    ----------
    n_samples : int
        How many there are.
    """

    def __init__(self, n_samples: int):
        self.begin, self.end = 0, n_samples
        self.returned = np.empty(0, dtype=np.intp)

    def __len__(self) -> int:
        return len(self.returned) + self.end - self.begin

    def take(self, n_samples: int) -> NDArray[np.intp]:
        """Give up to so many, in increasing order."""
        if len(self.returned):
            taken, self.returned = np.split(self.returned, [n_samples])
            return taken
        taken = np.arange(self.begin, min(self.begin + n_samples, self.end))
        self.begin += len(taken)
        return taken

    def put_back(self, samples: NDArray[np.intp]) -> None:
        """Take some back that are not done."""
        self.returned = np.sort(np.concatenate([self.returned, samples]))


class _Slots:
    """Rows that are worked on together, each at its own step.

    Parameters
    ----------
    step : Step
        Holds their features.
    solver : RowAdam or RowNewton
        Holds the representations.
    stopping : RowStopping
        Says which of them stop before their last step.
    start : Start
        Where they start.
    max_iter : int
        Steps of a row.

    Attributes
    ----------
    sample : ndarray of int of shape (n_slots,)
        Which sample each slot holds; -1 where there is none.
    """

    def __init__(
        self,
        step: Step,
        solver: RowAdam | RowNewton,
        stopping: "RowStopping",
        start: Start,
        max_iter: int,
    ):
        self.step = step
        self.solver = solver
        self.stopping = stopping
        self.start = start
        self.max_iter = max_iter
        self.rows = solver.rows
        self.sample = np.full(len(self.rows), -1)
        self.n_steps = np.zeros(len(self.rows), dtype=np.intp)
        self.waiting = np.zeros(len(self.rows), dtype=bool)  # for the loss after their last step

    @property
    def n_busy(self) -> int:
        """How many slots hold a sample."""
        return int((self.sample >= 0).sum())

    def fill(self, views: Sequence[NDArray[Any]], queue: _Queue) -> None:
        """Let samples enter where enough slots are free."""
        free = np.flatnonzero(self.sample < 0)[: len(queue)]
        if not len(free) or len(free) < min(len(queue), REFILL * len(self.sample)):
            return
        entering = queue.take(len(free))
        free = free[: len(entering)]
        self.sample[free], self.n_steps[free] = entering, 0
        step, slots = self.step, _as_index(free, self.rows.device)
        rows = slice(entering[0], entering[-1] + 1)
        whole = rows.stop - rows.start == len(entering)
        _enter([view[rows if whole else entering] for view in views], step, slots)
        self.rows[slots] = self.start(step.targets, step.scales)[slots]
        present = torch.stack(step.scales) != 0  # (n_views, n_slots)
        # one after another: the order of torch's sum would depend on how many rows there are
        weight = reduce(torch.add, (step.view_weights[:, None] * present).unbind())
        whole_weight = reduce(torch.add, step.view_weights.unbind())
        # the loss of few views bends less
        scale = torch.where(weight > 0, whole_weight / weight, 1)[slots, None]
        self.solver.restart(slots, scale, ~present.all(dim=0)[slots])
        self.stopping.restart(slots, weight[slots] > 0)

    def advance(self) -> tuple[NDArray[np.intp], float, int]:
        """Take a step.

        Returns
        -------
        done : ndarray of int
            Slots whose rows have taken their last step.
        loss : float
            Their mean loss, mostly before that step.
        n_expired : int
            How many of them `stopping` had not stopped.
        """
        busy = self.sample >= 0
        if not self.max_iter:
            return np.flatnonzero(busy), 0.0, 0
        losses, row_grad = self.step(self.rows, rows_move=True)
        self.stopping.update(losses)
        assert row_grad is not None
        self.solver.advance(losses, row_grad, self.stopping.moving)
        self.n_steps[busy] += 1
        last, moving = self.n_steps >= self.max_iter, np.ones_like(busy)
        if self.solver.done is not None:
            last |= to_numpy(self.solver.done)
        if self.stopping.moving is not None:
            moving = to_numpy(self.stopping.moving)
        expired, stopped = busy & last & moving, busy & ~moving
        if isinstance(self.solver, RowNewton):
            expired = self._settle(self.solver, expired, busy & ~stopped)
        done = np.flatnonzero(expired | stopped)
        loss = losses[_as_index(done, losses.device)].mean().item() if len(done) else math.nan
        return done, loss, 0 if self.stopping.moving is None else int(expired.sum())

    def _settle(
        self, solver: RowNewton, expired: NDArray[np.bool_], busy: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Take back last steps that raised a loss; return which rows that was done for.

        Their loss takes half of another step. Few rows wait for the next step of the others, which
        has it as well.
        """
        seen, unseen = self.waiting, expired & ~self.waiting
        others = busy & ~(seen | unseen)
        wait = bool(others.any()) and unseen.sum() < REFILL * len(busy)
        self.waiting = unseen & wait
        if seen.any():
            solver.go_back(torch.from_numpy(seen).to(self.rows.device))
        if wait or not unseen.any():
            return seen
        losses, _ = self.step(self.rows, rows_move=False)
        solver.settle(losses, torch.from_numpy(unseen).to(losses.device))
        return seen | unseen

    def move(self, to: "_Slots") -> "_Slots":
        """Take the rows that are busy to the first of other slots, and return these."""
        busy = torch.from_numpy(self.sample >= 0)
        for here, there in zip(self._state(), to._state(), strict=True):
            there[: int(busy.sum())] = here[busy]
        return to

    def _state(self) -> list[torch.Tensor]:
        """All that is known of a row; on the CPU."""
        counted = [torch.from_numpy(x) for x in (self.sample, self.n_steps, self.waiting)]
        parts = self.step.targets, self.step.scales, self.solver.state, self.stopping.state
        return [self.rows, *counted, *chain.from_iterable(parts)]


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
    wanted: ClassVar[set[Any]] = set()

    def is_the_same(self, few: int, many: int, at_once: bool) -> bool:
        """Whether rows come out the same in chunks of both sizes.

        It takes about as long as all steps of a chunk to try this out. Where it is not needed
        `at_once` that is left for the next time that somebody asks, and the answer is no.
        """
        key = (
            tuple(tuple(w.shape for w in layers) for layers in self.networks.weights),
            tuple(self.networks.relu_output),
            self.start.projection is None,
            self.make_solver.func,
            self.precision,
            torch.get_num_threads(),
            (few, many),
        )
        if key not in self.known and not at_once and key not in self.wanted:
            self.wanted.add(key)
            return False
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
        """Take two steps of some rows, from off their start."""
        step = Step(self.networks, len(noise), self.view_weights, self.precision)
        _enter(views, step, slice(None))
        start = self.start(step.targets, step.scales)
        rows = start + torch.from_numpy(noise).to(start)
        solver = self.make_solver(rows, learning_rate=1e-3)  # a user's may overflow
        found = [start]
        for _ in range(2):
            losses, grad = step(rows, rows_move=True)
            assert grad is not None
            found += [losses[:, None], grad.clone()]
            solver.advance(losses, grad, None)
            found.append(rows.clone())
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
    moving : Tensor of shape (n,) or None
        False for rows that have stopped; None where none ever does.
    """

    def __init__(self, rows: torch.Tensor, tol: float | None, n_iter_no_change: float):
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.best = rows.new_full((len(rows),), math.inf)
        self.n_stale = rows.new_zeros(len(rows), dtype=torch.int32)
        self.moving = None
        if tol is not None:
            self.moving = rows.new_zeros(len(rows), dtype=torch.bool)

    @property
    def state(self) -> list[torch.Tensor]:
        """What is known of each row."""
        return [self.best, self.n_stale, *([] if self.moving is None else [self.moving])]

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
