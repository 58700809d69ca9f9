"""The representations of new rows, with the networks frozen: chunks times a fixed number of steps.

Nothing is shared between rows, every chunk has the same size, and no step depends on a decision,
so the bits of a row do not depend on the other rows of a call.
"""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

from sknnens._engine._adam import RowAdam
from sknnens._engine._device import Precision, is_out_of_memory, to_numpy, to_tensor
from sknnens._engine._loss import BatchLoss, cosine_loss, normalize_rows
from sknnens._engine._networks import Networks
from sknnens._engine._newton import RowNewton
from sknnens._engine._rows import NormalizedRows, chunk_rows
from sknnens._engine._train import diverged, is_finite
from sknnens._views import Views, row_slices

# Multiple of which all widths are, filled up with zeros.  At other widths MKL rounds a row
# differently at different places of a chunk: measured for float32, float64 and bfloat16.
WIDTH_MULTIPLE = 16
# Copies of each layer's output and of a representation that a row takes, about.
COPIES = 6
SCORED_ROWS = 1024  # recovered together


@dataclass(frozen=True)
class InferConfig:
    """Settings of `infer`, most of them the learner's parameters.

    Attributes
    ----------
    max_iter : int
        Steps of every row; 0 leaves the rows at their start.
    step_size : float
        Step size of Adam.
    inverse_curvature : Tensor of shape (d, d) or None
        For quasi-Newton steps; None takes Adam's.
    """

    view_weights: list[float]
    max_iter: int
    step_size: float
    inverse_curvature: torch.Tensor | None
    non_negative: bool
    normalize: bool
    precision: Precision


def infer(
    views: Views,
    start: Callable[[slice], NDArray[Any]],
    networks: Networks,
    config: InferConfig,
    out: NDArray[Any],
    on_chunk: Callable[[int, float], None],
) -> int:
    """Learn the representations of new rows; if memory runs out, with smaller chunks.

    Parameters
    ----------
    views : Views
        Features of the rows.
    start : callable
        Returns the start of the representations of a slice of rows, shape (b, d).
    out : ndarray of shape (n_samples, d)
        Receives the result; ValueError if it is not finite.
    on_chunk : callable
        Called with the number of rows of each chunk and their mean loss before the last step.

    Returns
    -------
    n_halvings : int
        How often memory ran out.
    """
    device = networks.layers[0][0].weight.device
    networks = networks.padded(WIDTH_MULTIPLE)
    sizes = [size for layers in networks.weights for w in layers for size in w.shape]
    size = chunk_rows(device, COPIES * sum(sizes) * config.precision.dtype.itemsize)
    sources = [
        NormalizedRows(x, norms, config.precision, device, keep=False)
        for x, norms in zip(views.arrays, views.norms, strict=True)
    ]
    begin = n_halvings = 0
    chunk: _Chunk | None = None
    while begin < len(views):
        part = slice(begin, min(begin + size, len(views)))
        try:
            chunk = chunk or _Chunk(size, networks, config)
            rows, loss = chunk.find(sources, part, start(part))
            out[part] = to_numpy(rows)
        except Exception as error:  # torch raises many kinds; all others go on to the caller
            if size == 1 or not is_out_of_memory(error):
                raise
            chunk, size, n_halvings = None, size // 2, n_halvings + 1
        else:
            begin = part.stop
            on_chunk(part.stop - part.start, loss)
            continue
        # not before the error is gone, which holds on to the tensors
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return n_halvings


class _Chunk:
    """Rows that are worked on together, in buffers for all chunks."""

    def __init__(self, size: int, networks: Networks, config: InferConfig):
        self.config = config
        self.loss = BatchLoss(networks, size, config.view_weights, config.precision)
        self.rows = self.loss.view_weights.new_zeros(size, networks.n_components)
        self.inverse_curvature = None
        if config.inverse_curvature is not None:
            margin = networks.n_components - len(config.inverse_curvature)
            self.inverse_curvature = pad(config.inverse_curvature, (0, margin, 0, margin))

    def find(
        self, sources: list[NormalizedRows], part: slice, start: NDArray[Any]
    ) -> tuple[torch.Tensor, float]:
        """Return the representations of some samples, and their mean loss before the last step."""
        n_rows = part.stop - part.start
        for source, target, scale in zip(sources, self.loss.targets, self.loss.scales, strict=True):
            target[n_rows:], scale[n_rows:] = 0, 0
            source.take(part, target[:n_rows, : source.rows.shape[1]], scale[:n_rows])
        self.rows.zero_()
        width = start.shape[1]
        self.rows[:n_rows, :width] = torch.from_numpy(start)
        losses = self._move()
        if not is_finite(self.rows):
            names = {"representation_learning_rate": self.config.step_size}
            if self.config.inverse_curvature is not None:
                names = {"transform_max_iter": self.config.max_iter}
            raise diverged(**names)
        # all of them: in one shape a row comes out the same
        rows = normalize_rows(self.rows) if self.config.normalize else self.rows
        return rows[:n_rows, :width], float(losses[:n_rows].mean())

    def _move(self) -> torch.Tensor:
        """Take all steps; return the losses before the last one."""
        config, losses = self.config, self.rows.new_zeros(len(self.rows))
        step = self._adam_step()
        if self.inverse_curvature is not None:
            step = RowNewton(self.inverse_curvature, config.non_negative).step
        for _ in range(config.max_iter):
            losses, grad = self.loss(self.rows, rows_move=True)
            assert grad is not None
            self.rows = step(self.rows, grad)
        return losses

    def _adam_step(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        index = torch.arange(len(self.rows), device=self.rows.device)
        adam = RowAdam(self.rows, len(index), self.config.step_size, self.config.non_negative)

        def step(rows: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
            adam.begin_epoch()
            adam.take(index)
            adam.step(index, grad)
            return rows

        return step


def recovered_cosines(
    views: Views, rows: NDArray[Any], networks: Networks, precision: Precision
) -> NDArray[np.float64]:
    """Return the cosines of views and what the networks recover of them, (n_samples, n_views).

    NaN if a sample lacks a view or is zero in it.
    """
    device = networks.layers[0][0].weight.device
    cosines = np.full((len(views), len(views.arrays)), np.nan)
    for part in row_slices(len(views), SCORED_ROWS):
        outputs = networks(to_tensor(rows[part], precision, device), precision)
        units = views.take(part).units()
        for v, (output, unit) in enumerate(zip(outputs, units, strict=True)):
            target = to_tensor(unit, precision, device)
            cosine = 1 - cosine_loss(output.to(precision.dtype), target)
            cosines[part, v] = to_numpy(torch.where(target.any(dim=1), cosine, torch.nan))
    return cosines
