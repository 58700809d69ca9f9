"""What to do where memory runs out: the same with less at a time."""

import errno
import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

T = TypeVar("T")
# of a RuntimeError: torch raises it for all but CUDA, in these words
TEXTS = "out of memory", "can't allocate memory", "not enough memory", "status_alloc_failed"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no room, on a device or on the host."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error).lower() for text in TEXTS)
    )


def mark_callback(error: Exception) -> None:
    """Say that an error is of the user's own code, which is not called again."""
    # an error has a dictionary, but no attribute of this name for mypy
    error._sknnens_callback = True  # type: ignore[attr-defined]


def is_of_callback(error: Exception) -> bool:
    """Whether `mark_callback` was called with it."""
    return getattr(error, "_sknnens_callback", False)


def free_memory(device: torch.device) -> int | None:
    """Bytes that a device has left; None where that is not known, or the device is the host."""
    if device.type != "cuda":
        return None
    # torch keeps what was used before
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + kept


def release_memory(device: torch.device) -> None:
    """Give back what is no longer used, before memory is asked for again."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


@dataclass(frozen=True)
class MemoryPlan:
    """How much of a fit is held on its device at a time.

    Attributes
    ----------
    on_device : bool
        Whether features, representations and their moments may be kept there.
    n_parts : int
        In how many parts a batch is worked on.
    """

    on_device: bool = True
    n_parts: int = 1

    def less(self) -> "MemoryPlan":
        """Hold less: first only what is worked on, then half of that."""
        return MemoryPlan(False, self.n_parts if self.on_device else 2 * self.n_parts)


def within_memory(
    attempt: Callable[[MemoryPlan], T], device: torch.device, most_parts: int = 1
) -> tuple[T, MemoryPlan]:
    """Try, with less and less on the device as long as there is no room.

    Parameters
    ----------
    attempt : callable
        Called with a plan, until it does not run out of memory.
    device : torch.device
        Where it works.
    most_parts : int, default=1
        Where a batch is in as many parts, the error is raised.

    Returns
    -------
    result, plan
        What it returned, and the plan that it did so with.
    """
    plan = MemoryPlan()
    while True:
        try:
            return attempt(plan), plan
        except Exception as error:  # torch raises many kinds; all others go on to the caller
            least = not plan.on_device and plan.n_parts >= most_parts
            if least or not is_out_of_memory(error) or is_of_callback(error):
                raise
        plan = plan.less()
        release_memory(device)  # not before the error is gone, which holds on to what was there
