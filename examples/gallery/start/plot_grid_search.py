"""
A pipeline with grid search
===========================

Search over representations, their parameters and the number of neighbors at once, with labels.
"""

# %%
# A step of a pipeline can be a parameter of the search, so one grid holds the learner and the
# fusions. `memory` caches fitted representations: each is fitted once per fold for all `k`.
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from sknnens import EnsembleRepresentationLearner
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import GCCA, Concatenation, ConcatenationPCA, NeighborhoodProjection

data = load_fashion_mnist_features(["simclr_0", "barlow_twins", "swav", "rotnet", "autoencoder"])
sizes = data.view_sizes
representations = {
    "concatenation": Concatenation(sizes),
    "PCA": ConcatenationPCA(sizes, whiten_exponent=0, random_state=0),
    "PCA, half-whitened": ConcatenationPCA(sizes, random_state=0),
    "GCCA": GCCA(sizes),
    "neighborhood projection": NeighborhoodProjection(sizes, random_state=0),
    "learner": EnsembleRepresentationLearner(sizes, random_state=0),
}
grid = {
    "representation": list(representations.values()),
    "knn__n_neighbors": [1, 3, 5, 10, 20],
}
with TemporaryDirectory() as folder:
    model = Pipeline(
        [("representation", "passthrough"), ("knn", KNeighborsClassifier(weights="distance"))],
        memory=folder,
    )
    search = GridSearchCV(model, grid, cv=3).fit(data.X_train, data.y_train)
print(search.best_params_)
print(f"cross-validated accuracy: {100 * search.best_score_:.1f} %")
print(f"test accuracy: {100 * search.score(data.X_test, data.y_test):.1f} %")

# %%
# The cross-validated accuracy of every candidate, in percent:
scores = pd.DataFrame(
    100 * search.cv_results_["mean_test_score"].reshape(5, -1),
    index=pd.Index(grid["knn__n_neighbors"], name="k"),
    columns=list(representations),
).T
scores = scores.loc[scores.max(axis=1).sort_values(ascending=False).index]
scores.round(1)

# %%
# Does the search choose well? Refit each candidate on all training images, and compare its
# cross-validated accuracy with its accuracy on the test images. This is only for the picture: the
# test accuracy of a candidate chosen on the test images would be too optimistic.
test = {}
for name, representation in representations.items():
    train, queries = (
        representation.fit_transform(data.X_train),
        representation.transform(data.X_test),
    )
    for k in scores.columns:
        knn = KNeighborsClassifier(k, weights="distance").fit(train, data.y_train)
        test[name, k] = 100 * knn.score(queries, data.y_test)

fig, ax = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
colors = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#555555"]
for name, color, marker in zip(scores.index, colors, "osD^vX", strict=True):
    y = [test[name, k] for k in scores.columns]
    ax.scatter(scores.loc[name], y, s=55, color=color, marker=marker, label=name)
chosen, k = (
    list(representations)[search.best_index_ % len(representations)],
    search.best_params_["knn__n_neighbors"],
)
ax.scatter(scores.loc[chosen, k], test[chosen, k], s=220, facecolors="none", edgecolors="black")
ax.annotate(
    f"chosen (k = {k})",
    (scores.loc[chosen, k], test[chosen, k]),
    xytext=(0, -20),
    textcoords="offset points",
    ha="center",
)
ax.set(xlabel="cross-validated accuracy (%)", ylabel="test accuracy (%)")
ax.spines[["top", "right"]].set_visible(False)
fig.legend(loc="outside right upper", frameon=False)
plt.show()
