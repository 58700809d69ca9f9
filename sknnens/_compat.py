"""Private and recent parts of scikit-learn, so that a change of them shows in one place."""

from collections.abc import Callable
from typing import Any, Self, TypeVar

from sklearn.base import _fit_context
from sklearn.utils._optional_dependencies import check_matplotlib_support, check_pandas_support
from sklearn.utils._param_validation import (
    Interval,
    Options,
    RealNotInt,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils._param_validation import validate_params as _validate_params
from sklearn.utils._set_output import _get_output_config

__all__ = [
    "CallbackSupportMixin",
    "HTMLMixin",
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


Function = TypeVar("Function", bound=Callable[..., Any])


def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Function], Function]:
    """Return scikit-learn's decorator of `fit`, which keeps the types of what it decorates."""
    typed: Callable[[Function], Function] = _fit_context(
        prefer_skip_nested_validation=prefer_skip_nested_validation
    )
    return typed


def validate_params(
    constraints: dict[str, Any], *, prefer_skip_nested_validation: bool
) -> Callable[[Function], Function]:
    """Return scikit-learn's decorator of functions, which keeps the types as well."""
    typed: Callable[[Function], Function] = _validate_params(
        constraints, prefer_skip_nested_validation=prefer_skip_nested_validation
    )
    return typed


def output_container(estimator: Any) -> str:
    """Name of the container that `set_output`, or the configuration, asks `transform` for."""
    return str(_get_output_config("transform", estimator)["dense"])


class HTMLMixin:
    """Adds what `_fitted_html` returns to the diagram that notebooks show.

    It stands before `BaseEstimator` among the bases of a class, so mypy does not see its parent.
    """

    def _fitted_html(self) -> str:
        """Return HTML to append; every class with this mixin has its own."""
        raise NotImplementedError

    def _repr_html_inner(self) -> str:
        return str(super()._repr_html_inner()) + self._fitted_html()  # type: ignore[misc]

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        if "text/html" in bundle:
            bundle["text/html"] += self._fitted_html()
        return bundle


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
