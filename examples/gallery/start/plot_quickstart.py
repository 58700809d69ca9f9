"""
Five minutes: from files to neighbors
=====================================

Start with one file of embeddings per model. Compare the models with their fusions, fit the learner,
save it, and search.
"""

# %%
# Your files
# ----------
# You have one ``.npy`` file per model, with the same samples in the same order. The widths may
# differ. This script first makes five such files: features of 1,000 images of clothes, from small
# networks. Use your own files instead.
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np

from sknnens.datasets import load_fashion_mnist_features

folder = TemporaryDirectory()
path = Path(folder.name)
models = ["simclr_0", "barlow_twins", "swav", "rotnet", "autoencoder"]
for name in models:
    np.save(path / f"{name}.npy", load_fashion_mnist_features([name]).X_train)

X = {name: np.load(path / f"{name}.npy") for name in models}
for name, x in X.items():
    print(name, x.shape)

# %%
# Is it worth it?
# ---------------
# The comparison classifies samples by their nearest neighbors: with each model alone, with fusions
# of all models, and with the learner. No method sees the labels; they are used only to
# measure accuracy. If you have no labels, leave out `y` (:doc:`/guide/evaluation`).
from sknnens.inspection import compare_representations

y = load_fashion_mnist_features(models).y_train
comparison = compare_representations(X, y, random_state=0)
print(comparison)

# %%
# The gain is the difference from the concatenation at k = 5, in points; ± is half of its 95 %
# interval. With 1,000 samples, the intervals are wide. If the interval includes zero (gray),
# the gain may be chance.
comparison.plot()
plt.show()

# %%
# Fit, transform, save
# --------------------
from sknnens import EnsembleRepresentationLearner

learner = EnsembleRepresentationLearner(n_components=64, random_state=0)
vectors = learner.fit_transform(X)
learner.save(path / "learner.safetensors")
print(vectors.shape)

# %%
# In a notebook, a fitted learner shows its parameters, and the views with their weights.
learner

# %%
# Search
# ------
# New samples get vectors from the saved learner. The vectors have length 1, so the inner product is
# the cosine similarity. Any index takes them (:doc:`/guide/recipes`); for a few thousand
# samples, NumPy is enough. These are the nearest training images of four test images.
learner = EnsembleRepresentationLearner.load(path / "learner.safetensors")
data = load_fashion_mnist_features(models)
parts = np.split(data.X_test[:4], len(models), axis=1)
new = dict(zip(models, parts, strict=True))
nearest = np.argsort(-(learner.transform(new) @ vectors.T), axis=1)[:, :6]

fig, axes = plt.subplots(4, 7, figsize=(7, 4.4), layout="constrained")
for row, (query, found) in enumerate(zip(data.images_test, nearest, strict=False)):
    for ax, image in zip(axes[row], [query, *data.images_train[found]], strict=True):
        ax.imshow(image, cmap="gray_r")
        ax.set(xticks=[], yticks=[])
axes[0, 0].set_title("query")
axes[0, 1].set_title("nearest", loc="left")
plt.show()

# %%
# In a pipeline
# -------------
# scikit-learn's tools split rows, so they cannot use a dictionary of matrices. They need one matrix
# with the models side by side, or a DataFrame. :func:`~sknnens.stack_views` returns the matrix and
# the widths.
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sknnens import stack_views

stacked, sizes = stack_views(X)
fusion = EnsembleRepresentationLearner(sizes, n_components=64, random_state=0)
scores = cross_val_score(make_pipeline(fusion, KNeighborsClassifier(5)), stacked, y, cv=3)
print(scores.round(2))
folder.cleanup()

# %%
# What next
# ---------
# - Samples without some of the models: :doc:`/guide/missing`.
# - Tune with labels: :ref:`sphx_glr_auto_examples_start_plot_grid_search.py`.
# - Millions of rows, parquet, Dask: :doc:`/large_data`.
