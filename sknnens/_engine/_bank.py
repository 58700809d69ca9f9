"""Where the memory bank and its moments are kept: on the device, on the host, or in files."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch

from sknnens._engine._memory import free_memory
from sknnens._files._atomic import new_matrix

BANK_SHARE = 0.5  # of a device's free memory that the bank and its moments may take


@contextmanager
def new_bank(
    shape: tuple[int, int],
    dtype: torch.dtype,
    device: torch.device,
    *,
    path: str | os.PathLike[str] | None,
    on_device: bool,
) -> Iterator[list[torch.Tensor]]:
    """Make room for a memory bank and its moments.

    Parameters
    ----------
    shape : tuple of int
        Of each of them.
    dtype : torch.dtype
        Of each of them.
    device : torch.device
        Where they are kept if there is room.
    path : str, path-like or None
        Name of a file in NumPy's format that receives the bank; the moments are then in files
        without a name in the same folder.
    on_device : bool
        Whether they may be on `device` at all.

    Yields
    ------
    bank : list of three Tensor
        The first one is not filled, the moments are 0.
    """
    if path is None:
        itemsize = dtype.itemsize
        free = free_memory(device)
        n_bytes = 3 * itemsize * shape[0] * shape[1]
        if not on_device or (free is not None and n_bytes > BANK_SHARE * free):
            device = torch.device("cpu")
        yield [torch.zeros(shape, dtype=dtype, device=device) for _ in range(3)]
        return
    as_numpy = np.dtype(str(dtype).removeprefix("torch."))
    with ExitStack() as stack:
        rows = [stack.enter_context(new_matrix(path, shape, as_numpy, "embedding_path"))]
        for _ in range(2):
            file = stack.enter_context(tempfile.TemporaryFile(dir=Path(path).parent))
            rows.append(np.memmap(file, as_numpy, "w+", shape=shape))
        yield [torch.from_numpy(x) for x in rows]
