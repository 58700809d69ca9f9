"""Devices and precisions: names given by the user to what torch needs."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

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
    try:
        probe = torch.zeros(1, device=torch.device(name))
        probe.item()  # a device may be known and hold no numbers
    except Exception as error:  # torch raises many kinds
        reason = str(error).splitlines()[0].split(". ")[0].rstrip(".") if str(error) else "unknown"
        raise ValueError(
            f"device={name!r} cannot be used: {reason[:200]}. Allowed are 'auto', 'cpu' and the "
            "devices that torch sees here, such as 'cuda' or 'cuda:1'."
        ) from error
    return probe.device


@contextmanager
def own_modes(device: torch.device) -> Iterator[None]:
    """Shut out the modes that the caller's thread may be in, for as long as the context lasts.

    Gradients are needed even inside ``no_grad`` and ``inference_mode``, and ``autocast`` must not
    choose the types.
    """
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
    ):
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

    def products(self, device: torch.device) -> AbstractContextManager[Any]:
        """Context in which the matrix products of the networks run.

        It holds for the thread alone, without the cache of casts, which all threads share.
        """
        if self.bfloat16_products:
            return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)
        return nullcontext()


def resolve_precision(name: str, input_dtype: Any, device: torch.device) -> Precision:
    """Turn the `precision` parameter into types.

    Parameters
    ----------
    name : {"auto", "float32", "tf32", "bfloat16"}
        ``"auto"`` computes in the type of the input.
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
    double = name == "auto" and np.dtype(input_dtype) == np.float64
    return Precision(torch.float64 if double else torch.float32, name == "bfloat16")


def _tf32_is_on() -> bool:
    matmul = torch.backends.cuda.matmul
    # torch 2.9 put a name in the place of the flag, which can no longer be read once it is used
    if hasattr(matmul, "fp32_precision"):
        return bool(matmul.fp32_precision == "tf32")
    return bool(matmul.allow_tf32)


def to_tensor(x: NDArray[Any], precision: Precision, device: torch.device) -> torch.Tensor:
    """Copy an array to the device, row by row in memory whatever its own layout.

    The copy shares no memory with `x`, which may be read-only.
    """
    return torch.from_numpy(np.array(x, order="C")).to(device, precision.dtype)


def to_numpy(x: torch.Tensor) -> NDArray[Any]:
    """Copy a tensor to an array that owns its memory."""
    return x.detach().cpu().numpy().copy()
