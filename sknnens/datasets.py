"""Loaders of embeddings of real images."""

import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from sknnens._views import stack_views

__all__ = ["load_fashion_mnist_features"]

SELF_SUPERVISED_NAMES = (
    "simclr_0",
    "simclr_1",
    "simclr_2",
    "simclr_3",
    "barlow_twins",
    "swav",
    "rotnet",
    "autoencoder",
)
MODEL_NAMES = (*SELF_SUPERVISED_NAMES, "supervised")
TARGET_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def load_fashion_mnist_features(
    models: Sequence[str] = SELF_SUPERVISED_NAMES, *, path: str | os.PathLike[str] | None = None
) -> Bunch:
    """Load features of Fashion-MNIST images from small convolutional networks.

    Nine networks of one architecture, eight of them trained without labels on the 60,000 training
    images [1]_, each give 128 post-ReLU, average-pooled features per image. The package contains
    a class-balanced sample of 1,000 training and 500 test images. The file
    ``examples/data/fashion_mnist.npz`` of the source repository has 6,000 training and 3,000 test
    images.

    Parameters
    ----------
    models : sequence of str, default=SELF_SUPERVISED_NAMES
        Networks to load, in this order: "simclr_0" to "simclr_3" (one method, four seeds),
        "barlow_twins", "swav", "rotnet", "autoencoder" and, trained with labels, "supervised".
    path : str or path-like, default=None
        File to read, such as ``examples/data/fashion_mnist.npz`` of the source repository. If
        None, the sample in the package is read.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with the attributes

        X_train : ndarray of shape (1000, 128 * n_models)
            Features of the training images, float32, with the models side by side.
        X_test : ndarray of shape (500, 128 * n_models)
            Features of the test images.
        y_train : ndarray of shape (1000,)
            Classes of the training images, 0 to 9.
        y_test : ndarray of shape (500,)
            Classes of the test images.
        images_train : ndarray of shape (1000, 28, 28)
            Training images, uint8, in 16 shades of gray. Only the sample in the package has them.
        images_test : ndarray of shape (500, 28, 28)
            Test images.
        view_sizes : list of int
            Number of features per model.
        view_names : list of str
            Names of the models.
        target_names : list of str
            Names of the classes.
        DESCR : str
            Description of the features.

    Raises
    ------
    ValueError
        If `models` is empty or names an unknown model.

    References
    ----------
    .. [1] H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for
       Benchmarking Machine Learning Algorithms", arXiv:1708.07747, 2017.

    Examples
    --------
    >>> from sknnens.datasets import load_fashion_mnist_features
    >>> data = load_fashion_mnist_features(["simclr_0", "rotnet"])
    >>> data.X_train.shape, data.view_sizes
    ((1000, 256), [128, 128])
    """
    names = [models] if isinstance(models, str) else list(models)
    unknown = [name for name in names if name not in MODEL_NAMES]
    if unknown or not names:
        raise ValueError(f"models must be some of {list(MODEL_NAMES)}, got {names}.")
    folder = files("sknnens") / "_data"
    source = folder / "fashion_mnist.npz" if path is None else Path(path)
    with source.open("rb") as file, np.load(file) as stored:
        X_train, sizes = stack_views([stored[f"{name}_train"] for name in names])
        X_test, _ = stack_views([stored[f"{name}_test"] for name in names])
        others = {key: stored[key] for key in stored if key.startswith(("y_", "images_"))}
    return Bunch(
        X_train=X_train,
        X_test=X_test,
        **others,
        view_sizes=sizes,
        view_names=names,
        target_names=list(TARGET_NAMES),
        DESCR=(folder / "fashion_mnist.md").read_text(encoding="utf-8"),
    )
