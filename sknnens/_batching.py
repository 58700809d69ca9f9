"""Which rows are worked on together."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sknnens._device import Precision
from sknnens._loss import normalize_rows

# Rows that are inferred together.  Every chunk has exactly this many, the last one padded with
# zero rows: a matrix product rounds differently for different numbers of rows.
CHUNK_ROWS = {"cpu": 256, "cuda": 8192}


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
    size = CHUNK_ROWS.get(device.type, CHUNK_ROWS["cuda"])
    n_samples = len(views[0])
    for begin in range(0, n_samples, size):
        rows = slice(begin, min(begin + size, n_samples))
        chunk = []
        for view in views:
            padded = np.zeros((size, view.shape[1]), dtype=view.dtype)
            padded[: rows.stop - begin] = view[rows]
            chunk.append(unit_rows(padded, precision, device))
        yield rows, chunk
