"""Rows of the views on the device: batches in random order, chunks of one size."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sknnens._engine._device import Precision, free_memory, share_memory
from sknnens._views import row_slices

# Rows of a chunk.  All chunks have one size, the last one padded with zero rows: a matrix product
# rounds differently for different numbers of rows.  A single row costs as much as a chunk.
CHUNK_ROWS = {"cpu": 64, "cuda": 8192}
COPY_ROWS = 4096  # copied together to a device that keeps a view
RESIDENT_SHARE = 0.2  # of a CUDA device's free memory that a view may take to be kept there
CHUNK_SHARE = 0.5  # of it that a chunk may take


def chunk_rows(device: torch.device, row_bytes: int) -> int:
    """Rows of a chunk; on CUDA fewer if so many, of `row_bytes` each, would fill the device."""
    size = CHUNK_ROWS.get(device.type, CHUNK_ROWS["cuda"])
    free = free_memory(device)
    while free is not None and size > 1 and size * row_bytes > CHUNK_SHARE * free:
        size //= 2
    return size


def shuffled_batches(
    n_rows: int, batch_size: int, generator: torch.Generator
) -> Iterator[torch.Tensor]:
    """Yield index tensors on the CPU that together hold each row once, in random order."""
    order = torch.randperm(n_rows, generator=generator, device="cpu")
    yield from torch.split(order, batch_size)


class NormalizedRows:
    """Rows of one view with their scale factors, normalized on access instead of copied.

    The view may have any layout, and be read-only or memory-mapped. The norms of its rows are 0 for
    a row of zeros, NaN for a missing one. Rows are taken to `device`; with `keep`, a CUDA device
    with room for all of them keeps them.
    """

    def __init__(
        self,
        x: NDArray[Any],
        norms: NDArray[Any],
        precision: Precision,
        device: torch.device,
        *,
        keep: bool = True,
    ):
        self.rows = share_memory(x)
        directed = norms > 0
        scales = np.divide(1, norms, out=np.zeros_like(norms), where=directed)
        self.scales = torch.from_numpy(scales).to(device, precision.dtype)
        missing = np.isnan(norms)
        self.missing = torch.from_numpy(missing).to(device) if missing.any() else None
        n_bytes = self.rows.numel() * precision.dtype.itemsize
        free = free_memory(device)
        if keep and free is not None and n_bytes < RESIDENT_SHARE * free:
            resident = torch.empty(self.rows.shape, dtype=precision.dtype, device=device)
            for part in row_slices(len(x), COPY_ROWS):
                resident[part] = self.rows[part].to(device, precision.dtype)
            self.rows = resident

    def take(self, index: torch.Tensor | slice, out: torch.Tensor, scale: torch.Tensor) -> None:
        """Copy the rows of `index`, a slice or a tensor on the CPU, and their scale factors.

        `out` receives the rows; a missing row becomes zero. `scale` receives the factors that bring
        the rows to length 1; 0 for rows of zeros.
        """
        here = index if isinstance(index, slice) else index.to(out.device, non_blocking=True)
        if self.rows.device != out.device:
            rows = self.rows[index].to(out.dtype)
            # from pinned memory the copy need not be waited for
            out.copy_(rows.pin_memory() if out.is_cuda else rows, non_blocking=True)
        elif isinstance(here, slice) or self.rows.dtype != out.dtype:
            out.copy_(self.rows[here])
        else:
            torch.index_select(self.rows, 0, here, out=out)
        scale.copy_(self.scales[here])
        if self.missing is not None:
            out.masked_fill_(self.missing[here][:, None], 0)
