"""
One model alone
===============

Improve the neighbors of a single model's features: the method also works without an ensemble.
"""

# %%
# With one view there is nothing to fuse. The learner still replaces the features by a vector from
# which an MLP can recover them (section 4.2 of the paper). Its initialization,
# :class:`~sknnens.fusion.NeighborhoodProjection`, is a linear map that reweights directions. With
# ``views=None`` one matrix is one view.
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.neighbors import KNeighborsClassifier

from sknnens import EnsembleRepresentationLearner
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import NeighborhoodProjection, SingleModel

models = ["simclr_0", "barlow_twins", "swav", "rotnet", "autoencoder"]
methods = {
    "raw features": SingleModel(),
    "neighborhood projection": NeighborhoodProjection(random_state=0),
    "learner": EnsembleRepresentationLearner(random_state=0),
}
scores = {}
for name in models:
    data = load_fashion_mnist_features(name)
    for method, model in methods.items():
        knn = KNeighborsClassifier(5).fit(model.fit_transform(data.X_train), data.y_train)
        scores[name, method] = 100 * knn.score(model.transform(data.X_test), data.y_test)
table = pd.Series(scores).unstack()[list(methods)].sort_values("raw features", ascending=False)
table.loc["mean"] = table.mean()
table.round(1)

# %%
# The table has the 5-NN accuracy in percent. On 500 test images, a difference of one or two points
# for one model is within chance; the mean over models is more reliable.
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
styles = {"raw features": ("0.4", "o"), "neighborhood projection": ("#0072B2", "D")}
styles["learner"] = ("#D55E00", "s")
ax.hlines(table.index, table.min(axis=1), table.max(axis=1), color="0.8", linewidth=2, zorder=1)
for method, (color, marker) in styles.items():
    ax.scatter(table[method], table.index, s=60, color=color, marker=marker, label=method)
ax.invert_yaxis()
ax.set_xlabel("5-NN accuracy (%)")
ax.spines[["top", "right"]].set_visible(False)
fig.legend(loc="outside upper center", ncols=3, frameon=False)
plt.show()

# %%
# The course of the training
# --------------------------
# ``loss_curve_`` has the mean loss per epoch. During the warm-up, the first half, only the MLP
# learns; then the vectors move too. On 1,000 samples, the default batch size of 256 makes only four
# steps per epoch. Smaller batches make more steps and reach a lower loss. The loss tells whether
# `fit` has converged, not which representation has the better neighbors.
data = load_fashion_mnist_features("simclr_0")
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for size, color in ((256, "#CC79A7"), (128, "#E69F00"), (64, "#D55E00")):
    learner = methods["learner"].set_params(batch_size=size).fit(data.X_train)
    epochs = range(1, learner.n_iter_ + 1)
    ax.plot(epochs, learner.loss_curve_, color=color, linewidth=2)
    end = learner.n_iter_ + 0.7, learner.loss_curve_[-1]
    ax.annotate(f"batch size {size}", end, va="center", color=color)
ax.axvspan(0, learner.warmup * learner.max_iter + 0.5, color="0.94", zorder=0)
ax.text(1, 1.02, "warm-up: only the MLP learns", transform=ax.get_xaxis_transform(), color="0.4")
ax.set(xlabel="epoch", ylabel="loss (1 - cosine similarity)", yscale="log", xlim=(0, 62))
ax.set_yticks([0.1, 0.2, 0.4], ["0.1", "0.2", "0.4"])
ax.minorticks_off()
ax.spines[["top", "right"]].set_visible(False)
plt.show()
