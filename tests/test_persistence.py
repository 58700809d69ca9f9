"""A fitted learner goes to a file and comes back the same."""

import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from sknnens import EnsembleRepresentationLearner


@pytest.fixture
def fitted(views, device):
    return EnsembleRepresentationLearner(
        max_iter=2, transform_max_iter=3, device=device, init="pca", random_state=0
    ).fit(views)


def test_pickle(fitted, views):
    loaded = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(loaded.transform(views), fitted.transform(views))


def test_joblib(fitted, views, tmp_path):
    joblib.dump(fitted, tmp_path / "learner.joblib", compress=3)
    for mmap_mode in (None, "r"):
        joblib.dump(fitted, tmp_path / "plain.joblib")
        loaded = joblib.load(tmp_path / "plain.joblib", mmap_mode=mmap_mode)
        assert_array_equal(loaded.transform(views), fitted.transform(views))
    loaded = joblib.load(tmp_path / "learner.joblib")
    assert_array_equal(loaded.transform(views), fitted.transform(views))


def test_a_fresh_process_gives_the_same_bits(fitted, views, tmp_path):
    joblib.dump((fitted, views), tmp_path / "both.joblib")
    code = (
        "import joblib, numpy, sys\n"
        "learner, views = joblib.load(sys.argv[1])\n"
        "numpy.save(sys.argv[2], learner.transform(views))\n"
    )
    out = tmp_path / "out.npy"
    subprocess.run([sys.executable, "-c", code, tmp_path / "both.joblib", out], check=True)
    assert_array_equal(np.load(out), fitted.transform(views))


def contents(x):
    """Everything that an object holds, to the leaves."""
    yield x
    if isinstance(x, dict):
        for value in x.values():
            yield from contents(value)
    elif isinstance(x, list | tuple):
        for value in x:
            yield from contents(value)


def test_no_torch_object_is_kept(fitted, views):
    fitted.transform(views)
    for leaf in contents(vars(fitted)):
        assert not type(leaf).__module__.startswith("torch"), leaf
    assert fitted.device in ("cpu", "cuda")
    assert isinstance(fitted.device_, str)


def test_auto_is_resolved_at_each_use(views):
    learner = EnsembleRepresentationLearner(max_iter=1, transform_max_iter=1).fit(views)
    assert learner.device == "auto"
    assert torch.device(learner.device_).type == ("cuda" if torch.cuda.is_available() else "cpu")
