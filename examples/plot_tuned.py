"""
With labels: learner and rivals, both tuned
===========================================

Where some samples have labels, one search over the learner and what people use instead of it says
what to take. Each contender is tuned by cross-validation on the training images, number of
neighbors included, and measured once on the test images.

Prints one table and saves one plot. Some minutes on two cores.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from sknnens import EnsembleRepresentationLearner
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import GCCA, Concatenation, ConcatenationPCA

DATA = Path(__file__).resolve().parent / "data" / "fashion_mnist.npz"  # 9,000 images
MODELS = ["simclr_0", "barlow_twins", "swav", "rotnet", "autoencoder"]
NEIGHBORS = [1, 5, 10, 20]


def contenders(sizes, max_iter=50):
    """Each representation with the grid of what is tuned in it."""
    return {
        "concatenation": (Concatenation(sizes), {"scaling": [None, "center", "standard"]}),
        "PCA": (
            ConcatenationPCA(sizes, random_state=0),
            {"n_components": [64, 128], "whiten_exponent": [0, 0.5, 1]},
        ),
        "GCCA": (GCCA(sizes), {"n_components": [32, 64, 128]}),
        "learner": (
            EnsembleRepresentationLearner(sizes, max_iter=max_iter, random_state=0),
            {"init": ["auto", "whiten"], "representation_learning_rate": [3e-4, 3e-3]},
        ),
    }


def tune(representation, grid, data, n_train, cv=3):
    """Search over the grid and the number of neighbors."""
    model = Pipeline(
        [("representation", representation), ("knn", KNeighborsClassifier(weights="distance"))]
    )
    params = {f"representation__{name}": values for name, values in grid.items()}
    search = GridSearchCV(model, params | {"knn__n_neighbors": NEIGHBORS}, cv=cv)
    return search.fit(data.X_train[:n_train], data.y_train[:n_train])


def compare(n_train=None, max_iter=50):
    """Accuracy in per cent, as it is at the defaults and after tuning, with 95 % limits."""
    data = load_fashion_mnist_features(MODELS, path=DATA)
    n_train = n_train or len(data.X_train)
    rows = []
    for name, (representation, grid) in contenders(data.view_sizes, max_iter).items():
        plain = Pipeline([("representation", representation), ("knn", KNeighborsClassifier())])
        plain.fit(data.X_train[:n_train], data.y_train[:n_train])
        search = tune(representation, grid, data, n_train)
        scores = [100 * model.score(data.X_test, data.y_test) for model in (plain, search)]
        share = scores[1] / 100
        limit = 196 * np.sqrt(share * (1 - share) / len(data.y_test))
        chosen = {key.rpartition("__")[2]: value for key, value in search.best_params_.items()}
        rows.append([name, *scores, limit, ", ".join(f"{k}={v}" for k, v in chosen.items())])
    return pd.DataFrame(rows, columns=["representation", "default", "tuned", "±", "chosen"])


def plot(table):
    """Draw accuracies before and after tuning."""
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    place = np.arange(len(table))[::-1]
    axes.barh(place + 0.2, table["default"], 0.4, label="default settings, k = 5")
    axes.barh(place - 0.2, table["tuned"], 0.4, xerr=table["±"], label="tuned")
    axes.set_yticks(place, table["representation"])
    axes.set_xlim(left=table["default"].min() - 3)
    axes.set_xlabel("accuracy on test images, per cent")
    axes.legend(loc="lower left", fontsize="small")
    return figure


def main():
    parser = argparse.ArgumentParser(description="Tune learner and rivals alike.")
    parser.add_argument("--n-train", type=int, help="training images, all 6,000 by default")
    args = parser.parse_args()
    table = compare(args.n_train)
    print(table.to_string(index=False, float_format="%.1f"))
    plot(table).savefig("tuned.png", dpi=120)
    print("\nThe plot is in tuned.png.")


if __name__ == "__main__":
    main()
