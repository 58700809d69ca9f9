"""The names of the package, and when they are imported."""

import subprocess
import sys

import pytest

import sknnens


def test_public_names():
    assert dir(sknnens) == sorted(sknnens.__all__)
    for name in sknnens.__all__:
        assert getattr(sknnens, name) is vars(sknnens)[name]
    with pytest.raises(AttributeError, match=r"^module 'sknnens' has no attribute 'learner'$"):
        sknnens.learner  # noqa: B018


@pytest.mark.slow
def test_torch_is_imported_with_the_learner():
    code = """
import sys
import numpy as np
from sknnens import datasets, fusion, inspection, metrics, stack_views
stack_views([np.eye(3), np.eye(3)])
print("torch" in sys.modules)
from sknnens import EnsembleRepresentationLearner
print("torch" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == ["False", "True"], result.stderr
