"""
Models of unequal width and strength
====================================

Combine models of different widths, see the weight that each one gets, and check the weights
against equal ones and against leaving a model out.
"""

# %%
# Three views
# -----------
# A network with 128 features, 512 random features of the pixels, and 16 principal components of
# another network with noise. :func:`~sknnens.stack_views` takes any widths.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import SingleModel

data = load_fashion_mnist_features(["autoencoder", "simclr_0"])
n_train = len(data.X_train)
network, other = np.split(np.concatenate([data.X_train, data.X_test]), 2, axis=1)
images = np.concatenate([data.images_train, data.images_test]) / 255.0

rng = np.random.default_rng(0)
pixels = np.maximum(images.reshape(len(images), -1) @ rng.normal(size=(28 * 28, 512)), 0)
narrow = PCA(16, random_state=0).fit(other[:n_train]).transform(other)
narrow += rng.normal(scale=narrow.std(), size=narrow.shape)

X, views = stack_views({"network": network, "random pixels": pixels, "noisy PCA": narrow})
X_train, X_test = X[:n_train], X[n_train:]
print(views)

# %%
# Weights
# -------
# By default, ``view_weights="auto"`` estimates a weight per view without labels: a view gets more
# weight if the other views predict it well, if its effective rank is high, and if its samples lie
# close together. ``view_shares_`` has the share of its variance that the others predict.


def score(model):
    """5-NN accuracy in percent."""
    knn = KNeighborsClassifier(5).fit(model.fit_transform(X_train), data.y_train)
    return 100 * knn.score(model.transform(X_test), data.y_test)


learner = EnsembleRepresentationLearner(views, n_components=64, random_state=0)
scores = {"default weights": score(learner)}
table = pd.DataFrame(
    {
        "weight": learner.view_weights_,
        "predicted share": learner.view_shares_,
        "accuracy alone": [score(SingleModel(views, view=name)) / 100 for name in views],
    },
    index=list(views),
)
fig, axes = plt.subplots(1, 3, figsize=(8, 2.4), sharey=True, layout="constrained")
for ax, (title, values), color in zip(axes, table.items(), ("C0", "C7", "k"), strict=True):
    ax.bar_label(ax.barh(table.index, values, color=color), fmt="%.2f", padding=3)
    ax.set(title=title, xlim=(0, 1.25), xticks=[0, 0.5, 1])
    ax.spines[["top", "right"]].set_visible(False)
axes[0].invert_yaxis()
plt.show()

# %%
# Only the last panel uses labels. The weights use only the information in the other views, which
# cannot distinguish a rich view that is hard to predict from a noisy view.
#
# What the weights are worth
# --------------------------
# A view of weight 0 has no influence. If you have some labels, compare these candidates yourself,
# for example in a grid search over `view_weights`.
scores["equal weights"] = score(learner.set_params(view_weights=None))
for name in views:
    scores[f"without {name}"] = score(learner.set_params(view_weights={name: 0}))
scores["best view alone"] = 100 * table["accuracy alone"].max()
scores = pd.Series(scores).sort_values()

fig, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
colors = ["#D55E00" if name == "default weights" else "#0072B2" for name in scores.index]
left = scores.min() - 2
ax.hlines(scores.index, left, scores, color="0.85", zorder=1)
ax.scatter(scores, scores.index, s=70, c=colors, zorder=2)
for name, accuracy in scores.items():
    ax.annotate(f"{accuracy:.1f}", (accuracy, name), (8, -3.5), textcoords="offset points")
ax.set(xlabel="5-NN accuracy (%)", xlim=(left, scores.max() + 1.5))
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# All rows except the best view alone use the learner. The 95 % interval of one accuracy on 500 test
# images is about ± 3 points. If the other views are weak, the best view alone can be as good as any
# fusion, but without labels you cannot tell which view is best.
