"""Nearest-neighbour representations learned from the features of several frozen models."""

from sknnens import datasets, fusion, inspection, metrics
from sknnens._learner import EnsembleRepresentationLearner
from sknnens._version import __version__
from sknnens._views._stack import stack_views

__all__ = [
    "EnsembleRepresentationLearner",
    "__version__",
    "datasets",
    "fusion",
    "inspection",
    "metrics",
    "stack_views",
]
