"""
Samples that some models never saw
==================================

A share of the (sample, model) entries is removed at random, in the training and in the test
rows; every sample keeps at least one model. Which representation of the rest is best? All methods
but the averages impute the missing features from the features of the other models.

Prints one table and saves one plot. About a minute and a half on two cores for one seed.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.neighbors import KNeighborsClassifier

from sknnens import EnsembleRepresentationLearner
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import GCCA, Average, Concatenation, ConcatenationPCA

DATA = Path(__file__).resolve().parent / "data" / "fashion_mnist.npz"  # 9,000 images
ENSEMBLES = {
    "four SimCLR": ["simclr_0", "simclr_1", "simclr_2", "simclr_3"],
    "varied five": ["simclr_0", "barlow_twins", "swav", "rotnet", "autoencoder"],
}
SHARES = (0.0, 0.2, 0.4, 0.6)
K = 5


def methods(sizes, seed):
    """Every method by name; all take rows with gaps."""
    params = {"missing_views": "impute", "random_state": seed}
    as_in_the_paper = {
        "init": "average",
        "view_weights": None,
        "transform_solver": "adam",
        "transform_max_iter": 50,
    }
    return {
        "imputed, concatenation": Concatenation(sizes, missing_views="impute"),
        "average of present views": Average(sizes, missing_views="impute"),
        "imputed, half-whitened PCA": ConcatenationPCA(sizes, **params),
        "imputed, GCCA": GCCA(sizes, missing_views="impute"),
        "learner, as in the paper": EnsembleRepresentationLearner(
            sizes, **params, **as_in_the_paper
        ),
        "learner": EnsembleRepresentationLearner(sizes, **params),
    }


def take_away(X, sizes, share, random_state):
    """Make this share of the entries NaN; each row keeps a model that is drawn for it."""
    n_views = len(sizes)
    order = random_state.rand(len(X), n_views).argsort(axis=1)
    missing = random_state.rand(len(X), n_views) < share * n_views / (n_views - 1)
    missing &= order > 0
    return np.where(np.repeat(missing, sizes, axis=1), np.nan, X).astype(X.dtype)


def compare(seeds=1, shares=SHARES, n_train=None):
    """Accuracy at k = 5 in per cent, mean over seeds of the gaps and of the learner.

    `gain` is over the first method, in points, with 95 % limits over test images.
    """
    rows = []
    for ensemble, models in ENSEMBLES.items():
        data = load_fashion_mnist_features(models, path=DATA)
        for share in shares:
            hits = {}
            for seed in range(seeds):
                rng = np.random.RandomState(seed)
                train = take_away(data.X_train, data.view_sizes, share, rng)[:n_train]
                test = take_away(data.X_test, data.view_sizes, share, rng)
                for name, method in methods(data.view_sizes, seed).items():
                    knn = KNeighborsClassifier(K).fit(
                        method.fit_transform(train), data.y_train[:n_train]
                    )
                    right = knn.predict(method.transform(test)) == data.y_test
                    hits.setdefault(name, []).append(right)
            means = {name: 100 * np.mean(runs, axis=0) for name, runs in hits.items()}
            for name, mean in means.items():
                gain = mean - next(iter(means.values()))
                rows.append(
                    {"ensemble": ensemble, "missing": share, "representation": name}
                    | {"accuracy": mean.mean(), "gain": gain.mean()}
                    | {"±": 1.96 * gain.std() / np.sqrt(len(gain))}
                )
    return pd.DataFrame(rows)


def to_markdown(table):
    """One row a method, one column a share."""
    lines = []
    for ensemble, part in table.groupby("ensemble", sort=False):
        shares = part["missing"].unique()
        lines += [
            f"| {ensemble} | " + " | ".join(f"{share:.0%} missing" for share in shares) + " |",
            "|---|" + "--:|" * len(shares),
        ]
        for name, runs in part.groupby("representation", sort=False):
            cells = [
                f"{r.accuracy:.1f} ({r.gain:+.1f} ± {r[5]:.1f})"
                for r in runs.itertuples(index=False)
            ]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def plot(table, path):
    """One panel an ensemble, one line a method."""
    fig = plt.figure(figsize=(11, 4.5), layout="constrained")
    axes = fig.subplots(1, len(ENSEMBLES), sharey=True, squeeze=False)[0]
    for ax, (ensemble, part) in zip(axes, table.groupby("ensemble", sort=False), strict=True):
        for name, runs in part.groupby("representation", sort=False):
            style = "-o" if name.startswith("learner") else "--o"
            ax.plot(100 * runs["missing"], runs["accuracy"], style, label=name)
        ax.set_title(ensemble)
        ax.set_xlabel("missing entries (%)")
    axes[0].set_ylabel(f"{K}-NN accuracy (%)")
    axes[0].legend(fontsize="small")
    fig.savefig(path, dpi=150)
    plt.close(fig)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="k-NN accuracy where some models are missing")
    parser.add_argument("--seeds", type=int, default=1, help="of the gaps and of the learner")
    parser.add_argument("--plot", default="missing_views.png")
    args = parser.parse_args()
    table = compare(args.seeds)
    print(to_markdown(table))
    print(f"Accuracy in per cent at k = {K}, and in brackets the gain over the first row in points")
    print("with its 95 % limits over test images.")
    plot(table, args.plot)
    print(f"The plot is in {args.plot}.")
