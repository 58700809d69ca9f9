"""
Near-duplicates and clusters
============================

Find altered copies of images, and group images without labels, by the neighbors in a joint
representation.
"""

# %%
# There are 1,500 images of clothes. Each has a copy that is shifted by up to one pixel, is fainter
# and has some noise.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, shift
from sklearn.cluster import HDBSCAN
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, average_precision_score

from sknnens import EnsembleRepresentationLearner
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import Concatenation, ConcatenationPCA, NeighborhoodProjection, SingleModel

rng = np.random.RandomState(0)
data = load_fashion_mnist_features()
images = np.concatenate([data.images_train, data.images_test]) / 255
moves = rng.randint(-1, 2, size=(len(images), 2))
copies = np.array([shift(x, move, order=1) for x, move in zip(images, moves, strict=True)])
copies = np.clip(0.9 * copies + 0.05 * rng.randn(*copies.shape), 0, 1)

# %%
# Three simple models stand in for networks: principal components of the pixels, histograms of
# gradient directions in 49 cells, and eight random filters with a ReLU, averaged over the cells.
filters = rng.randn(8, 25)
pixels = PCA(64, random_state=0).fit(images.reshape(-1, 784))


def cells(maps):
    n, height, width, depth = maps.shape
    return maps.reshape(n, height // 4, 4, width // 4, 4, depth).mean(axis=(2, 4)).reshape(n, -1)


def gradients(x):
    dy, dx = np.gradient(gaussian_filter(x, (0, 1, 1)), axis=(1, 2))
    directions = np.floor(np.arctan2(dy, dx) / np.pi * 4) % 8
    return cells((directions[..., None] == np.arange(8)) * np.hypot(dx, dy)[..., None])


def random_filters(x):
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(1, 2))
    return cells(np.maximum(patches.reshape(*x.shape, 25) @ filters.T, 0))


def embed(x):
    views = pixels.transform(x.reshape(-1, 784)), gradients(x), random_filters(x)
    return [view.astype(np.float32) for view in views]


originals, altered = embed(images), embed(copies)
sizes = [view.shape[1] for view in originals]

# %%
# Every method is fitted on the originals only. *found* is how often the nearest original of a copy
# is its source. *average precision* measures how well a similarity threshold separates the 1,500
# true pairs from the pairs of a copy and its nearest other original.
names = "pixels", "gradients", "random filters"
methods = {name: SingleModel(sizes, view=view) for view, name in enumerate(names)}
methods |= {
    "concatenation": Concatenation(sizes),
    "fusion": NeighborhoodProjection(sizes, n_components=64, random_state=0),
    "learner": EnsembleRepresentationLearner(sizes, n_components=64, random_state=0),
}
rows, found = [], {}
for name, method in methods.items():
    similarities = method.fit(originals).transform(altered) @ method.transform(originals).T
    found[name] = similarities.argmax(axis=1)
    true_pairs = similarities.diagonal().copy()
    np.fill_diagonal(similarities, -1)
    scores = np.concatenate([true_pairs, similarities.max(axis=1)])
    is_pair = np.arange(len(scores)) < len(images)
    correct = (found[name] == np.arange(len(images))).mean()
    rows.append((name, 100 * correct, 100 * average_precision_score(is_pair, scores)))
table = pd.DataFrame(rows, columns=["representation", "found (%)", "average precision (%)"])
table.set_index("representation").round(1)

# %%
# On the left are four copies whose source only the fusion finds, and on the right four whose source
# only the concatenation finds. Below each copy are the originals that both methods return.
right = {name: rows == np.arange(len(images)) for name, rows in found.items()}
by_fusion = np.flatnonzero(right["fusion"] & ~right["concatenation"])
by_concatenation = np.flatnonzero(right["concatenation"] & ~right["fusion"])
picked = np.concatenate([by_fusion[:4], by_concatenation[:4]])
shown = {
    "copy": copies[picked],
    "concatenation": images[found["concatenation"][picked]],
    "fusion": images[found["fusion"][picked]],
}
fig, axes = plt.subplots(3, 8, figsize=(7.5, 3), layout="constrained")
for line, (name, pictures) in zip(axes, shown.items(), strict=True):
    for ax, picture in zip(line, pictures, strict=False):
        ax.imshow(picture, cmap="gray_r", vmin=0, vmax=1)
    for ax in line:
        ax.set_axis_off()
    line[0].text(-6, 14, name, ha="right", va="center")
plt.show()

# %%
# Clusters
# --------
# HDBSCAN finds dense groups and leaves the rest out as noise. It runs on the features of eight
# networks. The adjusted Rand index (ARI) compares its groups with the classes: 1 is perfect
# agreement, and 0 is chance. It depends on the minimum cluster size and on the width of the
# representation. Noise counts as a separate cluster.
X = np.concatenate([data.X_train, data.X_test])
y = np.concatenate([data.y_train, data.y_test])
narrow = {"n_components": 16, "random_state": 0}
representations = {
    "concatenation": Concatenation(data.view_sizes).fit_transform(X),
    "PCA, width 16": ConcatenationPCA(data.view_sizes, **narrow).fit_transform(X),
    "fusion, width 128": NeighborhoodProjection(data.view_sizes, random_state=0).fit_transform(X),
    "fusion, width 16": NeighborhoodProjection(data.view_sizes, **narrow).fit_transform(X),
    "learner, width 16": EnsembleRepresentationLearner(data.view_sizes, **narrow).fit_transform(X),
}
least = [5, 10, 15, 20, 30]
clusters = {
    name: [HDBSCAN(min_cluster_size=n, min_samples=1, copy=True).fit_predict(rows) for n in least]
    for name, rows in representations.items()
}

fig, ax = plt.subplots(figsize=(6.5, 3.5), layout="constrained")
colors = "black", "#CC79A7", "#56B4E9", "#0072B2", "#D55E00"
for (name, found), color in zip(clusters.items(), colors, strict=True):
    scores = [adjusted_rand_score(y, groups) for groups in found]
    ax.plot(least, scores, color=color, marker="o", label=name)
ax.set_xlabel("minimum number of images in a cluster")
ax.set_ylabel("ARI")
ax.set_ylim(0)
fig.legend(loc="outside right upper", frameon=False)
plt.show()

# %%
# The largest clusters of the narrow fusion with at least 15 images, one row each.
groups = clusters["fusion, width 16"][least.index(15)]
counts = np.bincount(groups[groups >= 0])
largest = np.argsort(-counts)[:6]
images = np.concatenate([data.images_train, data.images_test])
fig, axes = plt.subplots(6, 12, figsize=(7.5, 4), layout="constrained")
for line, group in zip(axes, largest, strict=False):
    for ax, picture in zip(line, images[groups == group], strict=False):
        ax.imshow(picture, cmap="gray_r")
    for ax in line:
        ax.set_axis_off()
    line[0].text(-6, 14, f"{counts[group]} images", ha="right", va="center")
plt.show()
