"""
MLPs transferred to another data set
====================================

Fit on one data set, and represent another one: its reference rows and its queries alike.
"""

# %%
# The MLPs of a fitted learner are frozen in ``transform``, and only the vectors of new samples are
# learned. So nothing needs to be fitted on the second data set (section 4.3 of the paper). Here the
# classes 0 to 4 and 5 to 9 of Fashion-MNIST are the two data sets.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.neighbors import KNeighborsClassifier

from sknnens import EnsembleRepresentationLearner
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import Concatenation, NeighborhoodProjection

data = load_fashion_mnist_features(["simclr_0", "barlow_twins", "swav", "rotnet", "autoencoder"])
sizes = data.view_sizes
halves = {"classes 0-4": np.arange(5), "classes 5-9": np.arange(5, 10)}
for name, classes in halves.items():
    print(f"{name}: {', '.join(data.target_names[c] for c in classes)}")

parts = {}
for name, classes in halves.items():
    rows, queries = np.isin(data.y_train, classes), np.isin(data.y_test, classes)
    parts[name] = data.X_train[rows], data.y_train[rows], data.X_test[queries], data.y_test[queries]

# %%
# Each half serves once as the target. The methods are fitted on the target's reference rows, or on
# the training rows of the other half. The concatenation learns nothing.


def score(method, target):
    """5-NN accuracy in percent on the target, with a fitted method."""
    X_train, y_train, X_test, y_test = parts[target]
    knn = KNeighborsClassifier(5).fit(method.transform(X_train), y_train)
    return 100 * knn.score(method.transform(X_test), y_test)


scores = {}
for target, source in (list(halves), list(halves)[::-1]):
    for name, method in {
        "neighborhood projection": NeighborhoodProjection(sizes, random_state=0),
        "learner": EnsembleRepresentationLearner(sizes, random_state=0),
    }.items():
        scores[f"{name}, transferred", target] = score(method.fit(parts[source][0]), target)
        scores[f"{name}, fitted here", target] = score(method.fit(parts[target][0]), target)
    scores["concatenation", target] = score(Concatenation(sizes).fit(parts[target][0]), target)
table = pd.Series(scores).unstack()
table.round(1)

# %%
# The table has the accuracy in percent on 250 test images per half, so a difference of a few
# points is within chance.
fig, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
order = table.mean(axis=1).sort_values().index
colors = {"neighborhood projection": "#0072B2", "learner": "#D55E00", "concatenation": "black"}
for ax, target in zip(axes, halves, strict=True):
    for name in order:
        color = colors[name.partition(",")[0]]
        face = "white" if "transferred" in name else color
        ax.scatter(table[target][name], name, s=70, facecolors=face, edgecolors=color, linewidths=2)
    ax.axvline(table[target]["concatenation"], color="black", linestyle="--", linewidth=1, zorder=0)
    ax.set(title=f"represented: {target}", xlabel="5-NN accuracy (%)")
    ax.grid(axis="y", color="0.9")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Open circles are transferred, filled ones are fitted on the data set that they represent.
