"""Devices and precisions: names given by the user to what torch needs."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sknnens._engine._memory import is_out_of_memory

PRECISIONS = ("auto", "float32", "tf32", "bfloat16")


def resolve_device(name: str) -> torch.device:
    """Turn a device name into a torch device that is there.

    Parameters
    ----------
    name : str
        ``"auto"`` (CUDA where there is one, else the CPU) or a torch device such as ``"cuda:1"``.

    Returns
    -------
    device : torch.device
        With an index where the kind of device has one.

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
            f"device={name!r} cannot be used: {reason[:200]}. Allowed are 'auto', 'cpu' and the "
            "devices that torch sees here, such as 'cuda' or 'cuda:1'."
        ) from error
    return probe.device


def resolve_device_or_auto(name: str) -> torch.device:
    """Turn a device name into a torch device, of this machine if not the one that is named.

    Parameters
    ----------
    name : str
        As `resolve_device` takes it.

    Returns
    -------
    device : torch.device
        That of ``"auto"``, with a warning, where torch knows the name and does not have the device.

    Raises
    ------
    ValueError
        If torch does not know the name.
    """
    try:
        return resolve_device(name)
    except ValueError as error:
        try:
            torch.device(name)
        except Exception:  # no such kind of device anywhere
            raise error from None
        device = resolve_device("auto")
        warnings.warn(f"{error} Working on device={str(device)!r} instead.", stacklevel=4)
        return device


@contextmanager
def own_modes(device: torch.device) -> Iterator[None]:
    """Shut out the modes that the caller's thread may be in, for as long as the context lasts.

    No gradient is asked of torch, and ``autocast`` must not choose the types.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        for kind in {"cpu", device.type}:
            if torch.amp.is_autocast_available(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@dataclass(frozen=True)
class Precision:
    """What is computed in which type.

    Attributes
    ----------
    dtype : torch.dtype
        Of the representations, the weights, the optimiser's state and the loss.
    bfloat16_products : bool
        Whether the matrix products run in bfloat16.
    """

    dtype: torch.dtype
    bfloat16_products: bool = False


def resolve_precision(name: str, input_dtype: Any, device: torch.device) -> Precision:
    """Turn the `precision` parameter into types.

    Parameters
    ----------
    name : {"auto", "float32", "tf32", "bfloat16"}
        ``"auto"`` computes in the type of the input where the device has it, else in float32.
    input_dtype : dtype
        float32 or float64.
    device : torch.device
        Where the work is done.

    Returns
    -------
    precision : Precision

    Raises
    ------
    ValueError
        If TF32 is asked for on a CUDA device while torch's process-wide switch is off. The
        switch has no thread-local form, so it is the caller's to turn on.
    """
    if name == "tf32" and device.type == "cuda" and not _tf32_is_on():
        raise ValueError(
            "precision='tf32' needs torch.set_float32_matmul_precision('high') first: torch has "
            "only a process-wide switch for TF32, and this package changes no global setting. "
            "Allowed without it are 'auto', 'float32' and 'bfloat16'."
        )
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


def _tf32_is_on() -> bool:
    matmul = torch.backends.cuda.matmul
    # torch 2.9 put a name in the place of the flag, which can no longer be read once it is used
    if hasattr(matmul, "fp32_precision"):
        return bool(matmul.fp32_precision == "tf32")
    return bool(matmul.allow_tf32)


def share_memory(x: NDArray[Any]) -> torch.Tensor:
    """Make a tensor of an array, in the same memory wherever torch can read it.

    The tensor must not be written to: the array may be read-only, of which torch would warn.

    Parameters
    ----------
    x : ndarray
        Of any layout; it may be read-only or memory-mapped.

    Returns
    -------
    x : Tensor
        On the CPU.
    """
    x = np.asarray(x)
    if any(stride < 0 or stride % x.itemsize for stride in x.strides):
        x = np.ascontiguousarray(x)
    if x.flags.writeable:
        return torch.from_numpy(x)
    return torch.from_numpy(np.asarray(_Writable(x)))


class _Writable:
    """The memory of a read-only array, as one that is not."""

    def __init__(self, x: NDArray[Any]):
        self.array = x  # kept alive
        self.__array_interface__ = {**x.__array_interface__, "data": (x.ctypes.data, False)}


def to_tensor(x: NDArray[Any], precision: Precision, device: torch.device) -> torch.Tensor:
    """Copy an array to the device, row by row in memory whatever its own layout.

    The copy shares no memory with `x`, which may be read-only.
    """
    return torch.from_numpy(np.array(x, order="C")).to(device, precision.dtype)


def to_numpy(x: torch.Tensor) -> NDArray[Any]:
    """Copy a tensor to an array that owns its memory."""
    return x.detach().cpu().numpy().copy()
