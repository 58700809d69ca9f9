"""Where a fit stands, in a file from which it goes on after a crash."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknnens._engine._rows import SCAN_ROWS
from sknnens._files._atomic import check_path, new_file, release_pages
from sknnens.fusion._imputation import Factors
from sknnens.fusion._initialization import Projection

IDENTITY = "identity"


class Checkpoint:
    """A file with the state of one fit.

    It is in NumPy's npz format, written under another name and renamed, so that it is always whole.

    Parameters
    ----------
    path : str or path-like
        Its name.
    identity : mapping from str to str
        What the fit depends on.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Mapping[str, str]):
        self.path = check_path(path, "checkpoint")
        self.identity = dict(identity)

    def check(self) -> bool:
        """Whether an earlier fit left a state.

        Raises
        ------
        ValueError
            If the file is not a whole checkpoint, or is that of another fit.
        """
        if not self.path.exists():
            return False
        where, remedy = f"checkpoint={str(self.path)!r}", "Remove the file to begin anew."
        try:
            with np.load(self.path, allow_pickle=False) as saved:
                damaged = saved.zip.testzip()
                identity = json.loads(str(saved[IDENTITY]))
        except Exception as error:  # a damaged file has many ways to be wrong
            raise ValueError(f"{where} is not a whole checkpoint ({error}). {remedy}") from None
        if damaged is not None:
            raise ValueError(f"{where} is not a whole checkpoint ({damaged} is damaged). {remedy}")
        if identity != self.identity:
            names = identity.keys() | self.identity.keys()
            other = sorted(x for x in names if identity.get(x) != self.identity.get(x))
            raise ValueError(
                f"{where} is of a fit that differs in {', '.join(other)}. {remedy} A fit that runs "
                "beside another needs a file of its own."
            )
        return True

    def open(self) -> Any:
        """Open the state, array by name, to be closed; None where there is none."""
        return np.load(self.path, allow_pickle=False) if self.path.exists() else None

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


def dump_start(
    weights: NDArray[Any], projection: Projection | None, warm: bool
) -> dict[str, NDArray[Any]]:
    """Name how a fit began.

    Parameters
    ----------
    weights : ndarray of shape (n_views,)
        Of the views.
    projection : Projection or None
        Of the start.
    warm : bool
        Whether another fit was continued.
    """
    begun = {"start_weights": weights, "start_warm": np.asarray(warm)}
    if projection is not None:
        begun["start_mean"] = projection.mean
        begun["start_components"] = projection.components
        begun["start_exponent"] = np.asarray(projection.whiten_exponent)
        if projection.factors is not None:
            begun["start_loadings"] = projection.factors.loadings
            begun["start_deviations"] = projection.factors.deviations
    return begun


def load_start(
    saved: Mapping[str, NDArray[Any]],
) -> tuple[NDArray[Any], Projection | None, bool]:
    """Give what `dump_start` was given."""
    projection = factors = None
    if "start_loadings" in saved:
        factors = Factors(saved["start_loadings"], saved["start_deviations"])
    if "start_mean" in saved:
        exponent = float(saved["start_exponent"])
        projection = Projection(saved["start_mean"], saved["start_components"], exponent, factors)
    return saved["start_weights"], projection, bool(saved["start_warm"])
