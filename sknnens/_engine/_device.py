"""Devices and precisions: from parameters to torch, and between NumPy and torch."""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

PRECISIONS = ("auto", "float32", "bfloat16")
# Parts of the message of a RuntimeError: only CUDA has an error class of its own.
OUT_OF_MEMORY = "out of memory", "can't allocate memory", "not enough memory", "status_alloc_failed"

_forked: list[int] = []  # process number of a forked child

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _forked.append(os.getpid()))


def check_not_forked() -> None:
    """Raise RuntimeError in a forked process in which OpenMP would wait forever for its threads."""
    if _forked and _forked[-1] == os.getpid() and torch.get_num_threads() > 1:
        raise RuntimeError(
            "torch cannot compute with several threads in a forked process. Start workers with "
            "joblib's 'loky' backend or multiprocessing's 'spawn', or call "
            "torch.set_num_threads(1) in the child first."
        )


def resolve_device(name: str) -> torch.device:
    """Return the torch device of a name; ``"auto"`` is CUDA if there is one, else the CPU.

    Raises
    ------
    ValueError
        If torch does not know the name or does not see the device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return torch.device(name)
    try:
        probe = torch.zeros(1, device=torch.device(name))
        probe.item()  # a device may be known and hold no numbers
    except Exception as error:  # torch raises many kinds
        if is_out_of_memory(error):
            raise
        reason = str(error).splitlines()[0].split(". ")[0].rstrip(".") if str(error) else "unknown"
        raise ValueError(
            f"device={name!r} cannot be used: {reason[:200]}. This machine has "
            f"{describe_devices()}; 'auto' takes what there is."
        ) from error
    return probe.device


def describe_devices() -> str:
    """Name the devices that torch finds."""
    devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    devices += ["mps"] * torch.backends.mps.is_available() + ["xpu"] * torch.xpu.is_available()
    return ", ".join(map(repr, devices))


@contextmanager
def isolated_torch_mode(device: torch.device) -> Iterator[None]:
    """Shut out the caller's gradient mode and autocast as long as the context lasts."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        for kind in {"cpu", device.type}:
            if torch.amp.is_autocast_available(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@dataclass(frozen=True)
class Precision:
    """Types of a computation.

    Attributes
    ----------
    dtype : torch.dtype
        Type of the representations, the weights, the optimizer's state and the loss.
    bfloat16_products : bool
        Whether the matrix products run in bfloat16.
    """

    dtype: torch.dtype
    bfloat16_products: bool = False


def resolve_precision(name: str, input_dtype: Any, device: torch.device) -> Precision:
    """Return the types of the parameter `precision`.

    ``"auto"`` computes in the type of the input, or in float32 if the device has no float64.
    """
    double = name == "auto" and np.dtype(input_dtype) == np.float64 and _has_float64(device)
    return Precision(torch.float64 if double else torch.float32, name == "bfloat16")


def _has_float64(device: torch.device) -> bool:
    if device.type in ("cpu", "cuda"):
        return True
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (TypeError, RuntimeError) as error:  # mps and some other accelerators do not
        if is_out_of_memory(error):
            raise
        return False
    return True


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no room, on a device or on the host."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and any(text in str(error).lower() for text in OUT_OF_MEMORY)
    )


def free_memory(device: torch.device) -> int | None:
    """Bytes that a CUDA device has left; None on other devices."""
    if device.type != "cuda":
        return None
    # torch keeps what was used before
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + kept


def share_memory(x: NDArray[Any]) -> torch.Tensor:
    """Return a tensor of an array, in the same memory whenever torch can read it.

    It must not be written to: the array may be read-only, of which torch would warn.
    """
    x = np.asarray(x)
    if any(stride < 0 or stride % x.itemsize for stride in x.strides):
        x = np.ascontiguousarray(x)
    if x.flags.writeable:
        return torch.from_numpy(x)
    return torch.from_numpy(np.asarray(_Writable(x)))


class _Writable:
    """The memory of a read-only array, declared writable."""

    def __init__(self, x: NDArray[Any]):
        self.array = x  # kept alive
        self.__array_interface__ = {**x.__array_interface__, "data": (x.ctypes.data, False)}


def to_tensor(x: NDArray[Any], precision: Precision, device: torch.device) -> torch.Tensor:
    """Copy an array to a device, contiguous whatever its layout."""
    return torch.from_numpy(np.array(x, order="C")).to(device, precision.dtype)


def to_numpy(x: torch.Tensor) -> NDArray[Any]:
    """Copy a tensor to an array that owns its memory."""
    return x.detach().cpu().numpy().copy()
