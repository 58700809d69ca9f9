"""
Neighbors of a query, as images
===============================

See which training images are nearest to a test image for one model, for the concatenation of five
models, and for the learner.
"""

# %%
# Five neighbors per query
# ------------------------
# The fusions and the learner return rows of length 1, so Euclidean neighbors are cosine neighbors.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import NearestNeighbors

from sknnens import EnsembleRepresentationLearner
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import Concatenation, SingleModel

data = load_fashion_mnist_features(["simclr_0", "barlow_twins", "swav", "rotnet", "autoencoder"])
sizes = data.view_sizes
representations = {
    "one model (SimCLR)": SingleModel(sizes, view=0),
    "concatenation": Concatenation(sizes),
    "learner": EnsembleRepresentationLearner(sizes, random_state=0),
}
neighbors, precision = {}, {}
for name, model in representations.items():
    index = NearestNeighbors(n_neighbors=5).fit(model.fit_transform(data.X_train))
    neighbors[name] = index.kneighbors(model.transform(data.X_test), return_distance=False)
    right = data.y_train[neighbors[name]] == data.y_test[:, None]
    precision[name] = 100 * right.mean()
    print(f"{name:18}  precision@5 = {precision[name]:.1f} %")

# %%
# The precision@5 is the share of neighbors of the query's class, over all 500 test images.
#
# Which queries to show
# ---------------------
# For most queries, the neighbors are the same in all representations. The picture shows the queries
# with the most different images in the three lists, one query per class, regardless of which list
# is right. To judge the representations, use the precision on all test images, not the picture.
found = np.concatenate(list(neighbors.values()), axis=1)
n_different = np.array([len(np.unique(row)) for row in found])
order = np.argsort(-n_different, kind="stable")
_, first = np.unique(data.y_test[order], return_index=True)
queries = order[np.sort(first)[:6]]
print("different images in the three lists:", n_different[queries])

# %%
# An orange frame marks a neighbor of another class.
fig, ax = plt.subplots(figsize=(9, 3.9), layout="constrained")
size = 0.92  # of an image; the distance of two images is 1
for y, query in enumerate(queries):
    name = data.target_names[data.y_test[query]]
    ax.text(-0.15, y + size / 2, name, ha="right", va="center", fontsize=10)
    ax.imshow(data.images_test[query], cmap="gray_r", extent=(0, size, y + size, y))
for column, (name, rows) in enumerate(neighbors.items()):
    left = 1.4 + 5.4 * column
    title = f"{name}\nprecision@5 = {precision[name]:.1f} %"
    ax.text(left + 2.5, -0.2, title, ha="center", fontsize=11)
    for (y, rank), row in np.ndenumerate(rows[queries]):
        x = left + rank
        ax.imshow(data.images_train[row], cmap="gray_r", extent=(x, x + size, y + size, y))
        if data.y_train[row] != data.y_test[queries[y]]:
            frame = {"fill": False, "edgecolor": "#E69F00", "linewidth": 2.5}
            ax.add_patch(plt.Rectangle((x, y), size, size, **frame))
ax.text(size / 2, -0.2, "query", ha="center", fontsize=11)
ax.text(17.2, len(queries) + 0.4, "frame: another class", ha="right", color="#B87A00", fontsize=10)
ax.set(xlim=(-1.9, 17.3), ylim=(len(queries) + 0.5, -1.1))
ax.axis("off")
plt.show()
