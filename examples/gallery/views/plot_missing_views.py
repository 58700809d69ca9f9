"""
Samples that lack some models
=============================

Represent samples that lack the features of some models, and see how much accuracy the gaps cost.
"""

# %%
# A sample lacks a model if all of the model's columns are NaN. With ``missing_views="impute"`` the
# fusions and the learner impute the missing features from the features of the other models.
# :class:`~sknnens.fusion.Average` imputes nothing: it takes the mean of the models that are there.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.neighbors import KNeighborsClassifier

from sknnens import EnsembleRepresentationLearner
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import Average, Concatenation, NeighborhoodProjection

data = load_fashion_mnist_features(["simclr_0", "swav", "rotnet", "autoencoder"])
sizes = data.view_sizes
methods = {
    "concatenation, imputed": Concatenation(sizes, missing_views="impute"),
    "average of present models": Average(sizes, missing_views="impute"),
    "neighborhood projection, imputed": NeighborhoodProjection(
        sizes, missing_views="impute", random_state=0
    ),
    "learner, imputed": EnsembleRepresentationLearner(
        sizes, missing_views="impute", random_state=0
    ),
}

# %%
# Gaps are drawn at random in training and test rows alike. Every row keeps one model.


def take_away(X, share, rng):
    """Set this share of the entries, each one model of one sample, to NaN."""
    shape = len(X), len(sizes)
    kept = rng.random(shape).argsort(axis=1) == 0  # one model per row
    missing = (rng.random(shape) < share * len(sizes) / (len(sizes) - 1)) & ~kept
    return np.where(np.repeat(missing, sizes, axis=1), np.nan, X)


scores = {}
for share in (0.0, 0.2, 0.4, 0.6):
    rng = np.random.default_rng(0)
    train, test = take_away(data.X_train, share, rng), take_away(data.X_test, share, rng)
    for name, method in methods.items():
        knn = KNeighborsClassifier(5).fit(method.fit_transform(train), data.y_train)
        scores[name, f"{share:.0%}"] = 100 * knn.score(method.transform(test), data.y_test)
table = pd.Series(scores).unstack()
table = table.sort_values(table.columns[-1], ascending=False)
table.round(1)

# %%
# The table has the 5-NN accuracy in percent by the share of missing entries. The average has
# the mean of the present models, which draws samples with the same models together.
fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
styles = {
    "learner, imputed": ("#D55E00", "s-"),
    "neighborhood projection, imputed": ("#0072B2", "D-"),
    "concatenation, imputed": ("black", "o--"),
    "average of present models": ("#009E73", "^-"),
}
for name, (color, style) in styles.items():
    ax.plot(table.columns, table.loc[name], style, color=color, label=name)
ax.set(xlabel="missing entries", ylabel="5-NN accuracy (%)")
ax.spines[["top", "right"]].set_visible(False)
fig.legend(loc="outside right upper", frameon=False)
plt.show()

# %%
# The 95 % interval of one accuracy on 500 test images is about ± 3 points. The neighborhood
# projection is the initialization of the learner. This is the learner's gain over it, in points:
difference = table.loc["learner, imputed"] - table.loc["neighborhood projection, imputed"]
print(difference.round(1).to_string())
