"""The shipped features, from a checkout and from an installed wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from sknnens.datasets import MODEL_NAMES, load_fashion_mnist_features

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_each_model(name):
    data = load_fashion_mnist_features([name])
    assert data.X_train.shape == (6000, 128)
    assert data.X_test.shape == (3000, 128)
    assert data.X_train.dtype == np.float32
    assert data.X_train.min() >= 0
    assert (data.X_train.any(axis=1)).all()
    assert np.bincount(data.y_train).tolist() == [600] * 10
    assert np.bincount(data.y_test).tolist() == [300] * 10
    knn = KNeighborsClassifier(5, metric="cosine").fit(data.X_train, data.y_train)
    # ten classes; a network that had learned nothing would be far below
    assert knn.score(data.X_test, data.y_test) > 0.7


def test_models_in_the_order_asked_for():
    both = load_fashion_mnist_features(["rotnet", "swav"])
    assert both.view_names == ["rotnet", "swav"]
    assert both.view_sizes == [128, 128]
    swav = load_fashion_mnist_features(["swav"])
    np.testing.assert_array_equal(both.X_test[:, 128:], swav.X_test)
    np.testing.assert_array_equal(both.y_test, swav.y_test)


def test_default_is_without_labels():
    data = load_fashion_mnist_features()
    assert len(data.view_names) == 8
    assert "supervised" not in data.view_names
    assert "Fashion-MNIST" in data.DESCR
    assert len(data.target_names) == 10


@pytest.mark.parametrize("models", [["resnet"], [], "resnet"])
def test_unknown_model(models):
    with pytest.raises(ValueError, match=r"models must be some of .*'supervised'"):
        load_fashion_mnist_features(models)


def test_the_file_is_small():
    assert (ROOT / "examples" / "data" / "fashion_mnist.npz").stat().st_size < 12e6


def test_loads_from_an_installed_wheel(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    code = (
        "import sknnens.datasets as d; data = d.load_fashion_mnist_features(['swav'])\n"
        "print(d.__file__)\n"
        "print(int(data.X_train.sum()), data.DESCR[:5])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    place, contents = run.stdout.splitlines()
    assert Path(place).is_relative_to(tmp_path)
    here = load_fashion_mnist_features(["swav"])
    assert contents == f"{int(here.X_train.sum())} {here.DESCR[:5]}"
