"""Joint nearest-neighbor representations of samples embedded by several frozen models."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sknnens._version import __version__

if TYPE_CHECKING:
    from sknnens import callbacks, datasets, fusion, inspection, metrics
    from sknnens._learner import EnsembleRepresentationLearner
    from sknnens._show_versions import show_versions
    from sknnens._views import sample_rows, stack_views

__all__ = [
    "EnsembleRepresentationLearner",
    "__version__",
    "callbacks",
    "datasets",
    "fusion",
    "inspection",
    "metrics",
    "sample_rows",
    "show_versions",
    "stack_views",
]

# imported when first used: the learner needs torch, nothing else does
_MODULES = {
    "EnsembleRepresentationLearner": "_learner",
    "sample_rows": "_views",
    "show_versions": "_show_versions",
    "stack_views": "_views",
}


if not TYPE_CHECKING:  # type checkers know the names above and find misspelled ones

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first used."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = import_module(f"{__name__}.{_MODULES.get(name, name)}")
        value = globals()[name] = getattr(module, name) if name in _MODULES else module
        return value


def __dir__() -> list[str]:
    return __all__
