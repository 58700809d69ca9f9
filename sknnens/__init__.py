"""Nearest-neighbour representations learned from the features of several frozen models."""

from sknnens import baselines, datasets, inspection, metrics
from sknnens._estimator import EnsembleRepresentationLearner
from sknnens._stacking import stack_views
from sknnens._version import __version__

__all__ = [
    "EnsembleRepresentationLearner",
    "__version__",
    "baselines",
    "datasets",
    "inspection",
    "metrics",
    "stack_views",
]
