"""scikit-learn's callbacks where it has them (1.9 and later); nothing where it has not."""

from collections.abc import Callable
from typing import Any

import torch

from sknnens._engine._memory import mark_callback

__all__ = ["CallbackSupportMixin", "FitTasks"]

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class _NoContext:
        """Calls nobody, and never asks to stop."""

        def subcontext(self, **kwargs: Any) -> "_NoContext":
            return self

        def call_on_fit_task_begin(self, **kwargs: Any) -> "_NoContext":
            return self

        def call_on_fit_task_end(self, **kwargs: Any) -> bool:
            return False

    # in the place of the one that is not there, which mypy sees where it is
    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Takes no callbacks."""

        def _init_callback_context(self, **kwargs: Any) -> _NoContext:
            return _NoContext()


class FitTasks:
    """Tells callbacks of a fit and of its epochs, each of them once.

    To be made before anything in `fit` that may raise.

    Parameters
    ----------
    estimator : estimator with `CallbackSupportMixin`
        What is fitted.
    X, y : object
        As given by the user.
    n_epochs : int
        How many there are at most.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, n_epochs: int):
        self._passed = {"estimator": estimator, "X": X, "y": y}
        self._root = estimator._init_callback_context(max_subtasks=n_epochs)
        self._root.call_on_fit_task_begin(**self._passed)
        self._epochs: list[Any] = []
        self._n_begun = self._n_ended = 0
        self._stopped = False

    def begin(self, epoch: int) -> None:
        """Begin an epoch, counted from 0; those before it that had no beginning only count."""
        while len(self._epochs) <= epoch:
            self._epochs.append(self._root.subcontext(task_name="epoch"))
        if epoch >= self._n_begun:
            self._n_begun = epoch + 1
            self._call(self._epochs[epoch].call_on_fit_task_begin)

    def end(self, epoch: int, state: Callable[[], dict[str, Any]]) -> bool:
        """End an epoch, if it has begun.

        Parameters
        ----------
        epoch : int
            Which.
        state : callable
            Gives the attributes of an estimator that is fitted so far.

        Returns
        -------
        stop : bool
            Whether a callback asks to stop.
        """
        if epoch < self._n_ended or epoch >= self._n_begun:
            return self._stopped and epoch == self._n_ended - 1
        self._n_ended = epoch + 1
        end = self._epochs[epoch].call_on_fit_task_end
        self._stopped = bool(self._call(end, reconstruction_attributes=state))
        return self._stopped

    def _call(self, hook: Callable[..., Any], **params: Any) -> Any:
        try:
            with torch.inference_mode(False):  # whatever a callback does
                return hook(**self._passed, **params)
        except Exception as error:  # of any kind; it goes on to the caller
            mark_callback(error)
            raise

    def finish(self) -> None:
        """End the fit, whose attributes are set."""
        self._root.call_on_fit_task_end(**self._passed, reconstruction_attributes={})
