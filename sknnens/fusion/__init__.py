"""Closed-form fusions of several models' embeddings.

They take the same input as :class:`~sknnens.EnsembleRepresentationLearner`, so that a search over
one step of a ``Pipeline`` can compare them with it, and each of them can be the learner's `init`.
None of them imports PyTorch.
"""

from typing import Any

from sklearn.base import clone

from sknnens.fusion._base import Fusion
from sknnens.fusion._gcca import GCCA
from sknnens.fusion._neighborhood import NeighborhoodProjection
from sknnens.fusion._pca import ConcatenationPCA
from sknnens.fusion._simple import Average, Concatenation, SingleModel

__all__ = [
    "GCCA",
    "Average",
    "Concatenation",
    "ConcatenationPCA",
    "Fusion",
    "NeighborhoodProjection",
    "SingleModel",
]


def make_fusion(init: str | Fusion, **settings: Any) -> Fusion:
    """Unfitted fusion for the learner's parameter `init`, a name or a fusion to clone.

    `settings` are set if the fusion has the parameter; `n_components` and `random_state` only if
    it is None there.
    """
    named: dict[str, Fusion] = {
        "auto": NeighborhoodProjection(),
        "average": Average(),
        "pca": ConcatenationPCA(whiten_exponent=0.0),
        "whiten": ConcatenationPCA(whiten_exponent=0.5),
    }
    fusion: Fusion = clone(named[init] if isinstance(init, str) else init)
    parameters = fusion.get_params(deep=False)
    kept = {name for name in ("n_components", "random_state") if parameters.get(name) is not None}
    known = {name: x for name, x in settings.items() if name in parameters.keys() - kept}
    return fusion.set_params(**known)
