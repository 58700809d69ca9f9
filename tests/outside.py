"""What users' type checkers see: mypy --strict reads this file beside an installed wheel."""

from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import sknnens
from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.fusion import NeighborhoodProjection
from sknnens.inspection import ComparisonDisplay, compare_representations


def use(x: NDArray[np.float32]) -> None:
    stacked, views = stack_views([x, x], out="x.npy")
    learner = assert_type(
        EnsembleRepresentationLearner(views).fit(stacked), EnsembleRepresentationLearner
    )
    fusion = assert_type(NeighborhoodProjection(views).fit(stacked), NeighborhoodProjection)
    rows = {"a": fusion.transform(x), "b": learner.transform(x)}
    assert_type(compare_representations(rows), ComparisonDisplay)


def misuse(learner: EnsembleRepresentationLearner, x: NDArray[np.float32]) -> None:
    """Mistakes that are found: --strict also reports a comment that hides nothing."""
    print(sknnens.typo)  # type: ignore[attr-defined]
    EnsembleRepresentationLearner(init=3)  # type: ignore[arg-type]
    EnsembleRepresentationLearner(typo=3)  # type: ignore[call-arg]
    learner.transform(x, outt=3)  # type: ignore[call-arg]
    compare_representations(x, typo=3)  # type: ignore[call-arg]
