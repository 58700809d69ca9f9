"""
Dask
====

Transform a Dask array on its workers, and see how many rows ``fit`` needs and how large the chunks
should be.

It needs ``pip install "sknnens[dask]"``.
"""

# %%
# An array of Dask is divided into chunks of rows. The columns must be in one chunk.
from time import perf_counter

import dask
import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.neighbors import KNeighborsClassifier

from sknnens import EnsembleRepresentationLearner, sample_rows
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import Concatenation, NeighborhoodProjection

data = load_fashion_mnist_features(["simclr_0", "barlow_twins", "swav", "rotnet"])
views = data.view_sizes
X = da.from_array(data.X_train, chunks=(250, -1))
print(X)

# %%
# ``fit`` takes a sample in memory, which :func:`~sknnens.sample_rows` draws. ``transform`` returns
# another array of Dask, which is computed when you ask for it.
fusion = NeighborhoodProjection(views, random_state=0).fit(sample_rows(X, 500, random_state=0))
rows = fusion.transform(X)
print(rows)
with dask.config.set(scheduler="threads"):
    computed = rows.compute()
print("equal to a direct call:", np.array_equal(computed, fusion.transform(data.X_train)))

# %%
# The accuracy of 5-NN against the number of rows that ``fit`` gets. All rows are transformed and
# searched.
methods = {
    "concatenation": lambda: Concatenation(views),
    "fusion": lambda: NeighborhoodProjection(views, n_components=64, random_state=0),
    "learner": lambda: EnsembleRepresentationLearner(views, n_components=64, random_state=0),
}
counts = [125, 250, 500, 1000]
accuracies = pd.DataFrame(index=pd.Index(counts, name="rows in fit"), columns=list(methods))
for name, make in methods.items():
    for n in counts:
        method = make().fit(sample_rows(X, n, random_state=0))
        knn = KNeighborsClassifier(5).fit(method.transform(X).compute(), data.y_train)
        accuracies.loc[n, name] = 100 * knn.score(method.transform(data.X_test), data.y_test)
accuracies = accuracies.astype(float)
accuracies.round(1)

# %%
# The rate against the rows per chunk, with the threaded scheduler, for 10,000 rows. Each chunk has
# the overhead of a task, so small chunks are slow.
many = np.tile(data.X_train, (10, 1))
chunks = [16, 64, 256, 1024, 5000]
rates = {}
for name in "fusion", "learner":
    method = methods[name]().fit(data.X_train)
    rates[name] = []
    for size in chunks:
        lazy = method.transform(da.from_array(many, chunks=(size, -1)))
        start = perf_counter()
        lazy.compute(scheduler="threads")
        rates[name].append(len(many) / (perf_counter() - start))

# %%
colors = {"concatenation": "black", "fusion": "#0072B2", "learner": "#D55E00"}
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
for name, color in colors.items():
    style = {"linestyle": "--"} if name == "concatenation" else {"marker": "o"}
    left.plot(counts, accuracies[name], color=color, label=name, **style)
left.set_xscale("log")
left.set_xticks(counts, counts)
left.minorticks_off()
left.set_xlabel("rows in fit")
left.set_ylabel("5-NN accuracy (%)")
for name, values in rates.items():
    right.plot(chunks, values, color=colors[name], marker="o")
right.set_xscale("log")
right.set_xticks(chunks, chunks)
right.minorticks_off()
right.set_yscale("log")
right.set_xlabel("rows per chunk")
right.set_ylabel("rows per second")
fig.legend(loc="outside upper center", ncols=3, frameon=False)
plt.show()

# %%
# Frames of Dask work in the same way, with a vector in each cell and one column per model:
# ``learner.transform(dd.read_parquet("embeddings/")).to_parquet("representations/")``.
# :doc:`/large_data` has the number of rows that ``fit`` needs on larger data.
