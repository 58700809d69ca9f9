"""The features: the sample in the package, and the repository's file."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import FEATURES
from sklearn.neighbors import KNeighborsClassifier

from sknnens.datasets import MODEL_NAMES, load_fashion_mnist_features

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
@pytest.mark.parametrize("name", MODEL_NAMES)
@pytest.mark.parametrize("path", [None, FEATURES], ids=["sample", "file"])
def test_each_model(name, path):
    data = load_fashion_mnist_features([name], path=path)
    n_train, n_test = (1000, 500) if path is None else (6000, 3000)
    assert data.X_train.shape == (n_train, 128)
    assert data.X_test.shape == (n_test, 128)
    assert data.X_train.dtype == np.float32
    assert data.X_train.min() >= 0
    assert data.X_train.any(axis=1).all()
    assert np.bincount(data.y_train).tolist() == [n_train // 10] * 10
    assert np.bincount(data.y_test).tolist() == [n_test // 10] * 10
    knn = KNeighborsClassifier(5, metric="cosine").fit(data.X_train, data.y_train)
    # ten classes; a network that had learned nothing would be far below
    assert knn.score(data.X_test, data.y_test) > 0.7


def test_the_sample_is_made_of_the_file():
    """The first rows of each class, with the same bits."""
    sample, whole = load_fashion_mnist_features(), load_fashion_mnist_features(path=str(FEATURES))
    for part, n_rows in (("train", 100), ("test", 50)):
        labels = whole[f"y_{part}"]
        first = np.sort(np.concatenate([np.flatnonzero(labels == c)[:n_rows] for c in range(10)]))
        np.testing.assert_array_equal(sample[f"y_{part}"], labels[first])
        np.testing.assert_array_equal(sample[f"X_{part}"], whole[f"X_{part}"][first])


def test_the_sample_has_its_images():
    """Images of one class look alike: 1-NN on pixels is far above chance if the rows match."""
    sample = load_fashion_mnist_features(["swav"])
    assert sample.images_train.shape == (1000, 28, 28)
    assert sample.images_test.dtype == np.uint8
    knn = KNeighborsClassifier(1).fit(sample.images_train.reshape(1000, -1), sample.y_train)
    assert knn.score(sample.images_test.reshape(500, -1), sample.y_test) > 0.7
    assert "images_train" not in load_fashion_mnist_features(["swav"], path=FEATURES)


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


@pytest.mark.slow
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
