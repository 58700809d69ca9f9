"""Private and recent parts of scikit-learn, so that a change of them shows in one place."""

from typing import Any, Self

from sklearn.base import _fit_context as fit_context
from sklearn.utils._optional_dependencies import check_matplotlib_support, check_pandas_support
from sklearn.utils._param_validation import (
    Interval,
    Options,
    RealNotInt,
    StrOptions,
    validate_parameter_constraints,
    validate_params,
)
from sklearn.utils._set_output import _get_output_config

__all__ = [
    "CallbackSupportMixin",
    "Interval",
    "Options",
    "RealNotInt",
    "StrOptions",
    "check_matplotlib_support",
    "check_pandas_support",
    "fit_context",
    "output_container",
    "validate_parameter_constraints",
    "validate_params",
]


def output_container(estimator: Any) -> str:
    """Name of the container that `set_output`, or the configuration, asks `transform` for."""
    return str(_get_output_config("transform", estimator)["dense"])


try:
    from sklearn.callback import CallbackSupportMixin  # from 1.9 on
except ImportError:

    class _NoContext:
        """Calls nobody, and never asks to stop."""

        def subcontext(self, **kwargs: Any) -> "_NoContext":
            return self

        def call_on_fit_task_begin(self, **kwargs: Any) -> "_NoContext":
            return self

        def call_on_fit_task_end(self, **kwargs: Any) -> bool:
            return False

    # in place of scikit-learn's, which mypy sees if it is installed
    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Keeps callbacks, of which only `sknnens.callbacks.Checkpoint` is called."""

        def set_callbacks(self, *callbacks: Any) -> Self:
            """Set the callbacks of `fit`, in place of earlier ones."""
            self._skl_callbacks = list(callbacks)
            return self

        def _init_callback_context(self, **kwargs: Any) -> _NoContext:
            return _NoContext()
