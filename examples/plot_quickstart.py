"""
Quickstart: k-NN accuracy of an ensemble's representations
==========================================================

Several small networks, trained without labels, describe the same images. Which single
representation of their features has the best nearest neighbors? Labels serve only to measure.

Prints one table and saves one plot. About a minute and a half on two cores.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.neighbors import KNeighborsClassifier

from sknnens import EnsembleRepresentationLearner
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import (
    Average,
    Concatenation,
    ConcatenationPCA,
    NeighborhoodProjection,
    SingleModel,
)

DATA = Path(__file__).resolve().parent / "data" / "fashion_mnist.npz"  # 9,000 images
ENSEMBLES = {
    "four SimCLR": ["simclr_0", "simclr_1", "simclr_2", "simclr_3"],
    "varied five": ["simclr_0", "barlow_twins", "swav", "rotnet", "autoencoder"],
    "Barlow Twins": ["barlow_twins"],
}
NEIGHBORS = (1, 5, 20)
PAPER = {
    "init": "average",
    "view_weights": None,
    "transform_solver": "adam",
    "transform_max_iter": 50,
}
LEARNERS = {"learner, as in the paper": PAPER, "learner": {}}


def methods(data, seeds):
    """Yield each method with its name."""
    sizes = data.view_sizes
    for view, name in enumerate(data.view_names):
        yield name, SingleModel(sizes, view=view)
    yield "average", Average(sizes)
    yield "concatenation", Concatenation(sizes)
    for name, exponent in (("PCA", 0), ("PCA, half-whitened", 0.5)):  # as wide as the learner
        yield name, ConcatenationPCA(sizes, whiten_exponent=exponent, random_state=0)
    yield "neighborhood projection", NeighborhoodProjection(sizes, random_state=0)
    for name, params in LEARNERS.items():
        for seed in range(seeds):
            yield name, EnsembleRepresentationLearner(sizes, random_state=seed, verbose=1, **params)


def correct(train, test, data, k):
    """Which test rows the majority of their k cosine neighbors gets right, as 0 and 1."""
    knn = KNeighborsClassifier(k, metric="cosine").fit(train, data.y_train)
    return (knn.predict(test) == data.y_test).astype(float)


def compare(seeds=1):
    """Accuracy in per cent, and the gain over the concatenation at k = 5.

    The limits of the gain are 95 % over test images. Where there are several seeds, every figure
    is the mean over them, and `sd` the standard deviation of the accuracy at k = 5.
    """
    rows = []
    for ensemble, models in ENSEMBLES.items():
        data = load_fashion_mnist_features(models, path=DATA)
        hits = {}  # name -> one dictionary from k to hits a seed
        for name, method in methods(data, seeds):
            a, b = method.fit_transform(data.X_train), method.transform(data.X_test)
            hits.setdefault(name, []).append({k: correct(a, b, data, k) for k in NEIGHBORS})
        for name, runs in hits.items():
            mean = {k: np.mean([run[k] for run in runs], axis=0) for k in NEIGHBORS}
            gain = 100 * (mean[5] - hits["concatenation"][0][5])
            rows.append(
                {"ensemble": ensemble, "representation": name}
                | {f"k = {k}": 100 * mean[k].mean() for k in NEIGHBORS}
                | {"gain": gain.mean(), "±": 1.96 * gain.std() / np.sqrt(len(gain))}
                | {"sd": np.std([100 * run[5].mean() for run in runs])}
            )
    return pd.DataFrame(rows)


def to_markdown(table):
    """The table as the README shows it."""
    lines = ["| " + " | ".join(table.columns) + " |", "|---|---|" + "--:|" * len(table.columns[2:])]
    for row in table.itertuples(index=False):
        lines.append("| " + " | ".join([*row[:2], *(f"{x:.1f}" for x in row[2:])]) + " |")
    return "\n".join(lines)


def plot(table, path):
    """One panel an ensemble, one bar a representation, at k = 5."""
    fig, axes = plt.subplots(1, len(ENSEMBLES), figsize=(13, 4), layout="constrained")
    for ax, (ensemble, part) in zip(axes, table.groupby("ensemble", sort=False), strict=True):
        learned = part["representation"].str.startswith("learner")
        colors = np.where(learned, "tab:orange", "tab:blue")
        ax.barh(part["representation"], part["k = 5"], color=colors)
        ax.set_xlim(part["k = 5"].min() - 2, part["k = 5"].max() + 1)
        ax.invert_yaxis()
        ax.set_title(ensemble)
        ax.set_xlabel("5-NN accuracy (%)")
    fig.savefig(path, dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="k-NN accuracy of an ensemble's representations")
    parser.add_argument("--seeds", type=int, default=1, help="fits of each learner")
    parser.add_argument("--plot", default="quickstart.png")
    args = parser.parse_args()
    table = compare(args.seeds)
    print(to_markdown(table))
    print("\ngain: at k = 5 over the concatenation, in points, with 95 % limits over test images;")
    print(f"sd: of the accuracy at k = 5 over {args.seeds} seed(s) of the learner")
    plot(table, args.plot)
    print(f"The plot is in {args.plot}.")
