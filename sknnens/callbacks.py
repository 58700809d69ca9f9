"""Callbacks of `fit`: checkpoints, and the bridge to scikit-learn's callbacks."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknnens._compat import CallbackSupportMixin
from sknnens._files import check_not_read, check_path, new_file, release_pages, remove_partials
from sknnens._version import __version__
from sknnens._views import FitInput, Views, row_slices

__all__ = ["Checkpoint"]

IDENTITY = "identity"
# Parameters that the result of fit does not depend on, or that are part of it in another form.
NOT_IN_CHECKPOINT = {
    *("views", "view_weights", "warm_start", "random_state", "precision", "device", "verbose"),
    *("transform_solver", "transform_max_iter", "normalize"),
}
DIGEST_ROWS = 4096  # hashed together


class Checkpoint:
    """Save the state of a running `fit` to a file, and resume from it.

    Set it with ``learner.set_callbacks(Checkpoint("fit.npz"))``. If the file exists and belongs to
    a killed or interrupted fit with the same data and parameters, `fit` resumes from it. The result
    equals an uninterrupted fit to the last bit, on the same kind of device with the same number of
    threads. `fit` removes the file when it ends.

    Parameters
    ----------
    path : str or path-like
        Name of the file. Fits that run at the same time, such as the fits of a search with
        `n_jobs`, need different files.

    every : int, default=5
        Number of epochs between two saved states. A state is three times as large as the memory
        bank (the vectors of the training samples).

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from sknnens import EnsembleRepresentationLearner
    >>> from sknnens.callbacks import Checkpoint
    >>> views = [np.random.RandomState(i).rand(50, 8) for i in range(2)]
    >>> path = os.path.join(tempfile.mkdtemp(), "fit.npz")
    >>> learner = EnsembleRepresentationLearner(max_iter=4, random_state=0)
    >>> learner = learner.set_callbacks(Checkpoint(path, every=2)).fit(views)
    >>> os.path.exists(path)
    False
    """

    def __init__(self, path: str | os.PathLike[str], *, every: int = 5) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"every={every!r} must be a positive integer.")
        self.path = check_path(path, "path")
        self.every = every

    # scikit-learn's protocol, whose hooks do not see the state of the optimizer

    def setup(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def read(self, identity: Mapping[str, str]) -> dict[str, NDArray[Any]] | None:
        """Return the state that an earlier fit left, None if there is none.

        Raises
        ------
        ValueError
            If the file is not a whole checkpoint, or belongs to another fit.
        """
        remove_partials(self.path)
        if not self.path.exists():
            return None
        where, remedy = f"Checkpoint {str(self.path)!r}", "Remove the file to start anew."
        try:
            with np.load(self.path, allow_pickle=False) as saved:
                if (damaged := saved.zip.testzip()) is not None:
                    raise ValueError(f"{damaged} is damaged")
                state = dict(saved)
            found, names = json.loads(str(state.pop(IDENTITY)))
            if names != sorted(state):
                raise ValueError("arrays are missing")
        except Exception as error:  # a damaged file has many ways to be wrong
            raise ValueError(f"{where} is not a whole checkpoint ({error}). {remedy}") from None
        if found != identity:
            names = found.keys() | identity.keys()
            other = sorted(x for x in names if found.get(x) != identity.get(x))
            raise ValueError(
                f"{where} belongs to a fit that differs in {', '.join(other)}. {remedy} Fits that "
                "run at the same time need different files."
            )
        return state

    def save(self, identity: Mapping[str, str], state: Mapping[str, Any]) -> None:
        """Replace the last state, if any."""
        with new_file(self.path, "path") as file:
            header = np.array(json.dumps([identity, sorted(state)]))
            np.savez(file, **{IDENTITY: header, **state})


class ResumableFit:
    """The state of a fit in the estimator's Checkpoint; without one nothing is saved.

    `state` is the state to resume from, None if there is none. `seed` and `continuing`, whether
    the fit continues an earlier one, are then as when it began.
    """

    def __init__(
        self, estimator: Any, data: FitInput, precision: str, seed: int, continuing: bool
    ) -> None:
        found = [x for x in getattr(estimator, "_skl_callbacks", []) if isinstance(x, Checkpoint)]
        if len(found) > 1:
            raise ValueError("set_callbacks takes one Checkpoint at most.")
        self.checkpoint = found[0] if found else None
        self.seed, self.continuing = seed, continuing
        self.state = None
        if self.checkpoint is not None:
            check_not_read(self.checkpoint.path, data.views.arrays, "Checkpoint(path)")
            self._identity = identify_fit(estimator, data, precision)
            self.state = self.checkpoint.read(self._identity)
        if self.state is not None:  # a fit goes on as it began
            self.seed = int(self.state.pop("seed"))
            self.continuing = bool(self.state.pop("continuing"))

    def save(self, n_epochs: int, dump: Callable[[], dict[str, NDArray[Any]]]) -> None:
        """Save the state that `dump` returns, if it is time."""
        if self.checkpoint is not None and n_epochs % self.checkpoint.every == 0:
            begun = {"seed": np.array(self.seed), "continuing": np.array(self.continuing)}
            self.checkpoint.save(self._identity, begun | dump())

    def finish(self) -> None:
        """Remove the file: the fit has ended."""
        if self.checkpoint is not None:
            self.checkpoint.path.unlink(missing_ok=True)


def identify_fit(estimator: Any, data: FitInput, precision: str) -> dict[str, str]:
    """Return everything that the result of the learner's `fit` depends on, by name."""
    identity = {
        name: repr(value.item() if isinstance(value, np.generic) else value)
        for name, value in estimator.get_params(deep=False).items()
        if name not in NOT_IN_CHECKPOINT
    }
    weights = estimator.view_weights
    identity |= {
        "version": __version__,
        "the data": digest_views(data.views),
        "the names of the views": repr(data.attributes["view_names_"].tolist()),
        "view_weights": repr(weights if isinstance(weights, str) else data.view_weights.tolist()),
        "precision": precision,
    }
    # a generator is at another place each time
    if not isinstance(estimator.random_state, np.random.RandomState | None):
        identity["random_state"] = repr(int(estimator.random_state))
    return identity


def digest_views(views: Views) -> str:
    """Hash of all numbers of some views."""
    found = hashlib.blake2b(digest_size=16)
    for x in views.arrays:
        found.update(repr((x.shape, x.dtype.str)).encode())
        for rows in row_slices(len(x), DIGEST_ROWS):
            found.update(np.ascontiguousarray(x[rows]).data.cast("B"))
            release_pages(x)
    return found.hexdigest()


class FitTasks:
    """Reports a fit of at most `n_epochs` to scikit-learn's callbacks.

    To be made before anything in `fit` that may raise.
    """

    def __init__(self, estimator: CallbackSupportMixin, X: Any, y: Any, n_epochs: int):
        self._passed = {"estimator": estimator, "X": X, "y": y}
        self._root = estimator._init_callback_context(max_subtasks=n_epochs)
        self._root.call_on_fit_task_begin(**self._passed)
        self._epochs: list[Any] = []

    def begin(self, epoch: int) -> None:
        """Begin an epoch, counted from 0; epochs before a resume only count."""
        while len(self._epochs) <= epoch:
            self._epochs.append(self._root.subcontext(task_name="epoch"))
        self._epochs[epoch].call_on_fit_task_begin(**self._passed)

    def end(self, epoch: int, state: Callable[[], dict[str, Any]]) -> bool:
        """End an epoch; return whether a callback asks to stop.

        `state` returns the attributes of an estimator fitted so far.
        """
        if epoch >= len(self._epochs):  # it was run before a resume
            return False
        end = self._epochs[epoch].call_on_fit_task_end
        return bool(end(**self._passed, reconstruction_attributes=state))

    def finish(self) -> None:
        """End the fit, whose attributes are set."""
        self._root.call_on_fit_task_end(**self._passed, reconstruction_attributes={})
