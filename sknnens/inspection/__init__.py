"""Plots of representations, and a comparison of several on one's own data.

The displays work as scikit-learn's: a class method measures, `plot` draws, and drawing again does
not measure again. matplotlib and pandas are imported when they are needed.
"""

from sknnens.inspection._comparison import ComparisonDisplay, compare_representations
from sknnens.inspection._representation_displays import (
    HubnessDisplay,
    MaximumSimilarityDisplay,
    SpectrumDisplay,
)
from sknnens.inspection._view_displays import NeighborAgreementDisplay, RecoverabilityDisplay

__all__ = [
    "ComparisonDisplay",
    "HubnessDisplay",
    "MaximumSimilarityDisplay",
    "NeighborAgreementDisplay",
    "RecoverabilityDisplay",
    "SpectrumDisplay",
    "compare_representations",
]
