"""Where a fit stands, in a file from which it goes on after a crash."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknnens._batching import SCAN_ROWS
from sknnens._memory_map import check_path, new_file, release_pages

IDENTITY = "identity"
START = ("start_weights", "start_mean", "start_components", "start_exponent")


class Checkpoint:
    """A file with the state of one fit.

    It is in NumPy's npz format, written under another name and renamed, so that it is always whole.

    Parameters
    ----------
    path : str or path-like
        Its name.
    every : int
        Epochs from one state to the next.
    identity : mapping from str to str
        What the fit depends on.
    """

    def __init__(self, path: str | os.PathLike[str], every: int, identity: Mapping[str, str]):
        self.path = check_path(path, "checkpoint")
        self.every = every
        self.identity = dict(identity)

    def open(self) -> Any:
        """Open the state that an earlier fit left, array by name; None where there is none.

        Raises
        ------
        ValueError
            If the file is not a whole checkpoint, or is that of another fit.
        """
        for partial in self.path.parent.glob(
            f"{self.path.name}.*.partial"
        ):  # of one that was killed
            partial.unlink(missing_ok=True)
        if not self.path.exists():
            return None
        where, remedy = f"checkpoint={str(self.path)!r}", "Remove the file to begin anew."
        try:
            saved = np.load(self.path, allow_pickle=False)
            damaged = saved.zip.testzip()
            identity = json.loads(str(saved[IDENTITY]))
        except Exception as error:  # a damaged file has many ways to be wrong
            raise ValueError(f"{where} is not a whole checkpoint ({error}). {remedy}") from None
        if damaged is not None:
            saved.close()
            raise ValueError(f"{where} is damaged, in its part {damaged}. {remedy}")
        if identity != self.identity:
            saved.close()
            names = identity.keys() | self.identity.keys()
            other = sorted(x for x in names if identity.get(x) != self.identity.get(x))
            raise ValueError(
                f"{where} is of a fit that differs in {', '.join(other)}. {remedy} A fit that runs "
                "beside another needs a file of its own."
            )
        return saved

    def save(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Put a state in the place of the last one."""
        arrays: dict[str, Any] = {IDENTITY: np.array(json.dumps(self.identity)), **state}
        with new_file(self.path, "checkpoint") as file:
            np.savez(file, **arrays)

    def remove(self) -> None:
        """Remove the file: the fit is over."""
        self.path.unlink(missing_ok=True)


def digest_views(views: Sequence[NDArray[Any]]) -> str:
    """Hash of all numbers of some views."""
    found = hashlib.blake2b(digest_size=16)
    for view in views:
        found.update(repr((view.shape, view.dtype.str)).encode())
        for begin in range(0, len(view), SCAN_ROWS):
            found.update(np.ascontiguousarray(view[begin : begin + SCAN_ROWS]).data.cast("B"))
            release_pages(view)
    return found.hexdigest()


def dump_start(weights: NDArray[Any], projection: Sequence[Any]) -> dict[str, NDArray[Any]]:
    """Name the weights of the views, and mean, components and exponent of the projection."""
    parts = zip(START, (weights, *projection), strict=True)
    return {name: np.asarray(part) for name, part in parts if part is not None}


def load_start(saved: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], tuple[Any, Any, Any]]:
    """Give what `dump_start` was given."""
    mean, components, exponent = (saved.get(x) for x in START[1:])
    return saved[START[0]], (mean, components, None if exponent is None else float(exponent))
