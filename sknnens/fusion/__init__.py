"""What else can be made of the features of several models.

The transformers take the same input as :class:`~sknnens.EnsembleRepresentationLearner`, so that a
search over one step of a ``Pipeline`` can put them beside it.
"""

from sknnens.fusion._autoencoder import ConcatenationAutoencoder
from sknnens.fusion._neighbors import GraphDiffusion, ReciprocalRankFusion
from sknnens.fusion._projections import GCCA, ConcatenationPCA, ProcrustesAverage
from sknnens.fusion._simple import Average, Concatenation, SingleModel

__all__ = [
    "GCCA",
    "Average",
    "Concatenation",
    "ConcatenationAutoencoder",
    "ConcatenationPCA",
    "GraphDiffusion",
    "ProcrustesAverage",
    "ReciprocalRankFusion",
    "SingleModel",
]
