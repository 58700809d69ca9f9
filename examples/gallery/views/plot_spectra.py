"""
Spectra, agreement, hubness
===========================

Look into representations without labels: over how many directions they spread, whether models have
the same neighbors, whether a few samples are neighbors of many, and what the MLPs recover.
"""

# %%
# **None of these measures ranks representations.** They show outliers, for example a collapsed
# representation or a model that agrees with no other one. If some samples have labels, compare on
# these (:ref:`sphx_glr_auto_examples_start_plot_compare.py`).
import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import NearestNeighbors

from sknnens import EnsembleRepresentationLearner
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import Average, Concatenation, NeighborhoodProjection
from sknnens.inspection import NeighborAgreementDisplay, SpectrumDisplay
from sknnens.metrics import hubness_score, rankme_score, recoverability_score

data = load_fashion_mnist_features(["simclr_0", "barlow_twins", "swav", "rotnet", "autoencoder"])
sizes = data.view_sizes
methods = {
    "average": Average(sizes),
    "concatenation": Concatenation(sizes),
    "neighborhood projection": NeighborhoodProjection(sizes, random_state=0),
    "learner": EnsembleRepresentationLearner(sizes, random_state=0),
}
rows = {name: method.fit(data.X_train).transform(data.X_test) for name, method in methods.items()}
colors = dict(zip(methods, ["#009E73", "black", "#0072B2", "#D55E00"], strict=True))

# %%
# Spectra
# -------
# Singular values in descending order, relative to the largest. A flat curve spreads over many
# directions; :func:`~sknnens.metrics.rankme_score` is one number for it.
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, x in rows.items():
    label = f"{name} (RankMe {rankme_score(x):.0f})"
    SpectrumDisplay.from_representations(x, name=label, ax=ax, color=colors[name])
ax.set(xlim=(0, 200), ylim=(2e-3, 1.3), ylabel="Singular value, relative to the first")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Agreement
# ---------
# The share of the ten nearest neighbors that two models, or a model and a representation, have in
# common.
names = dict(zip(data.view_names, np.split(data.X_test, len(sizes), axis=1), strict=True))
fig, ax = plt.subplots(figsize=(7, 5.5), layout="constrained")
NeighborAgreementDisplay.from_views(names | rows, ax=ax, cmap="Blues")
plt.show()

# %%
# Hubness
# -------
# The k-occurrence of a sample is the number of samples that have it among their ten nearest
# neighbors. Hubs are at the far right. :func:`~sknnens.metrics.hubness_score` is the skewness.
fig, axes = plt.subplots(1, 4, figsize=(8, 2.6), sharex=True, sharey=True, layout="constrained")
for ax, (name, x) in zip(axes, rows.items(), strict=True):
    neighbors = NearestNeighbors(n_neighbors=10).fit(x).kneighbors(return_distance=False)
    occurrence = np.bincount(neighbors.ravel(), minlength=len(x))
    ax.hist(occurrence, bins=np.arange(0, 41, 2), color=colors[name])
    ax.set_title(f"{name}\nskewness {hubness_score(x):.2f}", fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("samples")
fig.supxlabel("10-occurrence", fontsize=10)
plt.show()

# %%
# Recoverability
# --------------
# How well do the MLPs recover each model's features, at the start of ``transform`` and at its end?
# The learner optimizes this, so it tells whether ``transform`` has converged, not whether the
# neighbors are better.
start = recoverability_score(methods["learner"], data.X_test, max_iter=0)
end = recoverability_score(methods["learner"], data.X_test)
order = np.argsort(end)
models = np.array(data.view_names)[order]
fig, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
ax.hlines(models, start[order], end[order], color="0.8", linewidth=3, zorder=1)
for score, label, color in ((start, "start", "#0072B2"), (end, "end", "#D55E00")):
    ax.scatter(score[order], models, s=70, color=color, label=label)
ax.set_xlabel("mean cosine similarity with the features")
ax.spines[["top", "right"]].set_visible(False)
fig.legend(loc="outside right upper", frameon=False, title="of transform")
plt.show()
