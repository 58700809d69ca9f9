"""Features of real images that come with the package."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from sknnens._views._stack import stack_views

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


def _find(name: str) -> Any:
    """Path of a data file: inside an installed package, or in a checkout's examples."""
    installed = files("sknnens") / "_data" / name
    checkout = Path(__file__).resolve().parent.parent / "examples" / "data" / name
    return installed if installed.is_file() else checkout


def load_fashion_mnist_features(models: Sequence[str] = SELF_SUPERVISED_NAMES) -> Bunch:
    """Load features that small convolutional networks give to Fashion-MNIST.

    Nine networks of one architecture, eight of them trained without labels, on the 60,000
    training images [1]_. Each gives 128 features, post-ReLU and average-pooled, of 6,000 of
    the training images and 3,000 of the test images, the same number of each class.

    Parameters
    ----------
    models : sequence of str, default=SELF_SUPERVISED_NAMES
        Which networks, and in which order: "simclr_0" to "simclr_3" (one method, four seeds),
        "barlow_twins", "swav", "rotnet", "autoencoder" and, trained with labels, "supervised".

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like, with the attributes

        X_train : ndarray of shape (6000, 128 * n_models)
            The models' features side by side, float32.
        X_test : ndarray of shape (3000, 128 * n_models)
            The same of the test images.
        y_train : ndarray of shape (6000,)
            Classes, 0 to 9.
        y_test : ndarray of shape (3000,)
            Classes, 0 to 9.
        view_sizes : list of int
            Width of each model's features.
        view_names : list of str
            The models.
        target_names : list of str
            Names of the classes.
        DESCR : str
            What the features are and how they were made.

    Raises
    ------
    ValueError
        If a name is not one of the models.

    References
    ----------
    .. [1] H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for
       Benchmarking Machine Learning Algorithms", arXiv:1708.07747, 2017.

    Examples
    --------
    >>> from sknnens.datasets import load_fashion_mnist_features
    >>> data = load_fashion_mnist_features(["simclr_0", "rotnet"])
    >>> data.X_train.shape, data.view_sizes
    ((6000, 256), [128, 128])
    """
    names = [models] if isinstance(models, str) else list(models)
    unknown = [name for name in names if name not in MODEL_NAMES]
    if unknown or not names:
        raise ValueError(f"models must be some of {list(MODEL_NAMES)}, got {names}.")
    with _find("fashion_mnist.npz").open("rb") as file, np.load(file) as stored:
        X_train, sizes = stack_views([stored[f"{name}_train"] for name in names])
        X_test, _ = stack_views([stored[f"{name}_test"] for name in names])
        y_train, y_test = stored["y_train"], stored["y_test"]
    return Bunch(
        X_train=X_train,
        X_test=X_test,
        y_train=y_train,
        y_test=y_test,
        view_sizes=sizes,
        view_names=names,
        target_names=list(TARGET_NAMES),
        DESCR=_find("fashion_mnist.md").read_text(encoding="utf-8"),
    )
