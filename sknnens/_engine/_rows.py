"""Which rows are worked on together."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sknnens._engine._device import Precision, share_memory
from sknnens._engine._loss import normalize_rows
from sknnens._engine._memory import free_memory

# Rows that are inferred together.  Every chunk has exactly so many, the last one padded with
# zero rows: a matrix product rounds differently for different numbers of rows.
CHUNK_ROWS = {"cpu": 256, "cuda": 8192}
# On the CPU narrow rows go in larger chunks, of about so many entries.
CHUNK_ENTRIES, MOST_CHUNK_ROWS = 2**19, 1024
# Fewer rows, or the last ones, go in one of these, where a row comes out the same.
SMALL_CHUNKS = (16, 64, 256, 512)
# Rows of one product, where their number must not matter even to rounding.
BLOCK_ROWS = {"cpu": 16, "cuda": 1024}
SCAN_ROWS = 4096  # rows that are read together where a view is read from end to end
RESIDENT_SHARE = 0.2  # of a CUDA device's free memory that a view may take to be kept there
CHUNK_SHARE = 0.5  # of it that a chunk may take


def chunk_rows(device: torch.device, width: int, row_bytes: int = 0) -> int:
    """Rows that are inferred together on a device.

    Parameters
    ----------
    device : torch.device
        Where the work is done. On the CPU the number does not depend on what is free.
    width : int
        Of the widest layer.
    row_bytes : int, default=0
        What a row takes.

    Returns
    -------
    n_rows : int
    """
    least = CHUNK_ROWS.get(device.type, CHUNK_ROWS["cuda"])
    if device.type != "cpu":
        free = free_memory(device)
        while free is not None and least > 1 and least * row_bytes > CHUNK_SHARE * free:
            least //= 2
        return least
    size = MOST_CHUNK_ROWS
    while size > least and size * width > CHUNK_ENTRIES:
        size //= 2
    return size


def shuffled_batches(
    n_rows: int, batch_size: int, generator: torch.Generator
) -> Iterator[torch.Tensor]:
    """Yield index tensors that together hold each row once, in random order.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    batch_size : int
        Rows a batch; the last one may be smaller.
    generator : torch.Generator
        On the CPU.

    Yields
    ------
    index : Tensor of shape (b,)
        On the CPU.
    """
    order = torch.randperm(n_rows, generator=generator, device="cpu")
    yield from torch.split(order, batch_size)


def unit_rows(x: NDArray[Any], precision: Precision, device: torch.device) -> torch.Tensor:
    """Copy an array to the device with its rows L2-normalised.

    Parameters
    ----------
    x : ndarray of shape (n, d)
        Of any layout; it may be read-only or memory-mapped. A row may be NaN in all columns.
    precision : Precision
        Type of the result. The length is taken in the type of `x`, which may hold larger numbers.
    device : torch.device
        Where the result goes.

    Returns
    -------
    rows : Tensor of shape (n, d)
        Contiguous; a zero row stays zero, and a row of NaN becomes zero.
    """
    rows = torch.from_numpy(np.array(x, order="C"))
    rows.masked_fill_(rows[:, :1].isnan(), 0)
    if rows.dtype == precision.dtype:
        rows = rows.to(device)
    return normalize_rows(rows).to(device, precision.dtype)


class UnitRows:
    """The rows of a view, and what brings each to length 1, so that no copy of them is kept.

    On a CUDA device with room for them they are kept there.

    Parameters
    ----------
    view : ndarray of shape (n, d)
        Of any layout; it may be read-only or memory-mapped. A row may be NaN in all columns.
    precision : Precision
        Type of what is taken.
    device : torch.device
        Where it is taken to.
    keep : bool, default=True
        Whether they may be kept there.
    """

    def __init__(
        self, view: NDArray[Any], precision: Precision, device: torch.device, keep: bool = True
    ):
        self.rows = share_memory(view)
        largest = self.rows.new_empty(len(self.rows), 1)
        length = torch.empty_like(largest)  # of a row that is divided by its largest entry
        for begin in range(0, len(self.rows), SCAN_ROWS):
            part = slice(begin, begin + SCAN_ROWS)
            x = self.rows[part].abs().contiguous()  # sums are taken in one order
            torch.amax(x, dim=1, keepdim=True, out=largest[part])
            x /= torch.where(largest[part] > 0, largest[part], 1)
            torch.linalg.vector_norm(x, dim=1, keepdim=True, out=length[part])
        present = largest > 0  # NaN is not
        self.absent = None if present.all() else (~present)[:, 0].to(device)
        largest, length = (torch.where(present, x, 1) for x in (largest, length))
        limit = torch.finfo(precision.dtype).max ** 0.25
        whole = largest * length
        self.divisors = None
        if whole.min() < 1 / limit or whole.max() > limit:  # the loss could overflow
            self.divisors, whole = (largest, length), torch.ones_like(whole)
        self.scales = torch.where(present, 1 / whole, 0)[:, 0].to(device, precision.dtype)
        n_bytes = self.rows.numel() * precision.dtype.itemsize
        free = free_memory(device)
        if keep and free is not None and n_bytes < RESIDENT_SHARE * free:
            resident = torch.empty(self.rows.shape, dtype=precision.dtype, device=device)
            for begin in range(0, len(self.rows), SCAN_ROWS):
                end = min(begin + SCAN_ROWS, len(self.rows))
                index = torch.arange(begin, end, device="cpu")
                self._copy(index, resident[begin : begin + SCAN_ROWS])
            self.rows, self.divisors = resident, None

    def take(self, index: torch.Tensor, out: torch.Tensor, scale: torch.Tensor) -> None:
        """Copy some rows.

        Parameters
        ----------
        index : Tensor of shape (b,)
            Which; on the CPU.
        out : Tensor of shape (b, d)
            Receives them; a zero row stays zero, and a row of NaN becomes zero.
        scale : Tensor of shape (b,)
            Receives what brings them to length 1; 0 for a row of zeros or NaN.
        """
        on_device = index.to(out.device, non_blocking=True)
        self._copy(on_device if self.rows.device == out.device else index, out)
        torch.index_select(self.scales, 0, on_device, out=scale)
        if self.absent is not None:
            out.masked_fill_(self.absent[on_device][:, None], 0)

    def _copy(self, index: torch.Tensor, out: torch.Tensor) -> None:
        if self.rows.device == out.device and self.rows.dtype == out.dtype and not self.divisors:
            torch.index_select(self.rows, 0, index, out=out)
            return
        taken = self.rows[index]
        for divisor in self.divisors or ():
            taken /= divisor[index]
        # from pinned memory the copy need not be waited for
        out.copy_(taken.pin_memory() if out.is_cuda else taken, non_blocking=True)


def copy_rows(x: NDArray[Any], out: torch.Tensor, slots: slice | torch.Tensor) -> None:
    """Copy rows of a view, so that their squares are numbers.

    Parameters
    ----------
    x : ndarray of shape (b, d)
        Of any layout; it may be read-only or memory-mapped. A row may be NaN in all columns, and
        becomes zero.
    out : Tensor of shape (n, d)
        Receives them.
    slots : slice or Tensor of shape (b,)
        Where to.
    """
    rows = share_memory(x)
    largest = rows.abs().amax(dim=1, keepdim=True)  # exact, whatever the company
    limit = torch.finfo(out.dtype).max ** 0.25
    usual = (largest > 1 / limit) & (largest < limit)
    if not usual.all():
        rows = torch.where(usual, rows, rows / torch.where(largest > 0, largest, 1))
        rows.masked_fill_(largest.isnan(), 0)
    out[slots] = rows.to(out.device, out.dtype)


def multiply_rows(rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Multiply rows with a matrix so that a row comes out the same among any others.

    A matrix product rounds differently for different numbers of rows: each takes as many here.

    Parameters
    ----------
    rows : Tensor of shape (n, d)
    matrix : Tensor of shape (d, k)

    Returns
    -------
    product : Tensor of shape (n, k)
    """
    size = BLOCK_ROWS.get(rows.device.type, BLOCK_ROWS["cuda"])
    product = rows.new_empty(len(rows), matrix.shape[1])
    for some, part in zip(torch.split(rows, size), torch.split(product, size), strict=True):
        if len(some) == size:
            torch.mm(some, matrix, out=part)
        else:
            padded = rows.new_zeros(size, rows.shape[1])
            padded[: len(some)] = some
            part[:] = (padded @ matrix)[: len(some)]
    return product


def padded_chunks(
    views: Sequence[NDArray[Any]], precision: Precision, device: torch.device
) -> Iterator[tuple[slice, list[torch.Tensor]]]:
    """Yield the rows in order, normalised, in chunks of one size.

    Parameters
    ----------
    views : sequence of ndarray of shape (n_samples, n_features_v)
        Of any layout; they may be read-only or memory-mapped.
    precision : Precision
        Type of the tensors.
    device : torch.device
        Where the tensors go.

    Yields
    ------
    rows : slice
        Which samples these are.
    chunk : list of Tensor of shape (chunk_rows, n_features_v)
        The samples' L2-normalised features, then zero rows.
    """
    size, n_samples = chunk_rows(device, max(x.shape[1] for x in views)), len(views[0])
    for begin in range(0, n_samples, size):
        rows = slice(begin, min(begin + size, n_samples))
        chunk = []
        for view in views:
            padded = np.zeros((size, view.shape[1]), dtype=view.dtype)
            padded[: rows.stop - begin] = view[rows]
            chunk.append(unit_rows(padded, precision, device))
        yield rows, chunk
