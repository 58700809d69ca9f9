"""Data, devices and scripts that the tests share."""

import importlib
import os
import sys
from pathlib import Path

# without it scikit-learn skips one of its checks; scipy reads it when it is imported
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# threads that spin as they wait take ten times as long on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import pytest
import torch

FEATURES = Path(__file__).resolve().parents[1] / "examples" / "data" / "fashion_mnist.npz"
DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


@pytest.fixture(params=DEVICES)
def device(request):
    """Every device of this machine."""
    return request.param


def make_views(n_samples=60, sizes=(6, 6, 6), *, seed=0, dtype=np.float32, non_negative=True):
    """Nonlinear features of a common latent vector, one matrix a width."""
    rng = np.random.RandomState(seed)
    latent = rng.randn(n_samples, 4)
    views = [
        np.tanh(latent @ rng.randn(4, size)) + 0.1 * rng.randn(n_samples, size) for size in sizes
    ]
    return [(np.abs(v) if non_negative else v).astype(dtype) for v in views]


@pytest.fixture
def views():
    """Three non-negative views of six columns, 60 rows, float32."""
    return make_views()


@pytest.fixture(scope="module")
def benchmarks():
    """Import a script of the benchmarks; afterwards what it imports is forgotten."""
    examples = Path(__file__).resolve().parents[1] / "examples"
    folders = [examples / name for name in ("paper", "benchmarks", "scale")]
    names = {path.stem for folder in folders for path in folder.glob("*.py")}
    with pytest.MonkeyPatch.context() as patch:
        for folder in folders:
            patch.syspath_prepend(folder)
        for name in names:
            patch.delitem(sys.modules, name, raising=False)
        yield importlib.import_module
        for name in names:
            sys.modules.pop(name, None)


def drop(views, share, seed=0):
    """Make a share of the entries NaN; every row keeps a view."""
    rng = np.random.RandomState(seed)
    missing = rng.rand(len(views[0]), len(views)) < share
    missing[np.arange(len(missing)), rng.randint(len(views), size=len(missing))] = False
    return [
        np.where(m[:, None], np.nan, v).astype(v.dtype)
        for m, v in zip(missing.T, views, strict=True)
    ]


@pytest.fixture
def two_strong_one_weak():
    """Two views of one latent vector, and one that is nearly all noise of its own."""
    rng = np.random.RandomState(0)
    latent = rng.randn(400, 6)
    strong = [latent @ rng.randn(6, 12) + 0.3 * rng.randn(400, 12) for _ in range(2)]
    return [*strong, 0.5 * latent @ rng.randn(6, 12) + 3 * rng.randn(400, 12)]
