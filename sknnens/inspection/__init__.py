"""Plots of representations and views, and a comparison of fusions on the user's own data.

The displays follow scikit-learn's: a class method computes, `plot` draws, and drawing again does
not compute again. matplotlib and pandas are imported only when they are needed.
"""

from sknnens.inspection._comparison import compare_representations
from sknnens.inspection._displays import (
    ComparisonDisplay,
    NeighborAgreementDisplay,
    SpectrumDisplay,
)

__all__ = [
    "ComparisonDisplay",
    "NeighborAgreementDisplay",
    "SpectrumDisplay",
    "compare_representations",
]
