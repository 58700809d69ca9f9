"""
A narrow index: accuracy against bytes
======================================

See how small the vectors of a search index can be before they cost accuracy. Fewer components
and fewer bits per component are compared, in indexes of FAISS and usearch.

It needs ``pip install faiss-cpu usearch``.
"""

# %%
# Eight small networks describe 1,000 images of clothes, which are searched for each of 500 others.
# The measure is the precision at 10: the share of the ten nearest images that are of the same
# class as the query.
import faiss
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from usearch.index import Index

from sknnens import EnsembleRepresentationLearner
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import Concatenation, NeighborhoodProjection

data = load_fashion_mnist_features()


def precision(neighbors):
    return 100 * (data.y_train[neighbors] == data.y_test[:, None]).mean()


# %%
# The concatenation is the baseline. The fusion and the learner are fitted at several widths. All
# rows have length 1, so the index may use the inner product.
widths = 16, 32, 64, 128
methods = {("concatenation", data.X_train.shape[1]): Concatenation(data.view_sizes)}
for width in widths:
    settings = {"n_components": width, "random_state": 0}
    methods["fusion", width] = NeighborhoodProjection(data.view_sizes, **settings)
    methods["learner", width] = EnsembleRepresentationLearner(data.view_sizes, **settings)
vectors = {
    key: (method.fit_transform(data.X_train), method.transform(data.X_test))
    for key, method in methods.items()
}

# %%
# FAISS builds an index from a short description: ``Flat`` stores float32, ``SQ8`` stores one byte
# per component, and ``PQ64x4np`` encodes 64 groups of components with four bits each. Here a group
# has two components. ``code_size`` is the number of bytes per vector.
rows = []
for (name, width), (train, test) in vectors.items():
    codes = {"float32": "Flat", "int8 (SQ8)": "SQ8", "2 bits (PQ)": f"PQ{width // 2}x4np"}
    for code, description in codes.items():
        index = faiss.index_factory(width, description, faiss.METRIC_INNER_PRODUCT)
        index.train(train)
        index.add(train)
        found = precision(index.search(test, 10)[1])
        rows.append((name, width, code, index.code_size, found))
table = pd.DataFrame(rows, columns=["vectors", "width", "code", "bytes", "precision"])
table.pivot(index=["vectors", "width"], columns="code", values="precision").round(1)

# %%
# A line joins the widths of one method with one kind of code. The dashed line
# is the concatenation in float32.
colors = {"concatenation": "black", "fusion": "#0072B2", "learner": "#D55E00"}
markers = {"float32": "o", "int8 (SQ8)": "s", "2 bits (PQ)": "^"}

fig, ax = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
baseline = table.query("vectors == 'concatenation' and code == 'float32'")["precision"].item()
ax.axhline(baseline, color="black", linestyle="--", linewidth=1)
for (name, code), part in table.groupby(["vectors", "code"]):
    style = {"color": colors[name], "marker": markers[code], "linewidth": 1}
    ax.plot(part["bytes"], part["precision"], **style)
for name, color in colors.items():
    ax.plot([], [], color=color, linewidth=3, label=name)
for code, marker in markers.items():
    ax.plot([], [], color="gray", marker=marker, linestyle="", label=code)
ax.set_xscale("log", base=2)
ax.set_xticks([4, 16, 64, 256, 1024, 4096], [4, 16, 64, 256, 1024, 4096])
ax.set_xlabel("bytes per vector")
ax.set_ylabel("precision at 10 (%)")
fig.legend(loc="outside right upper", frameon=False)
plt.show()

# %%
# usearch builds a graph (HNSW) for approximate search, and rounds the components itself. The recall
# is the share of the ten exact neighbors that it finds. The edges of the graph add to the bytes.
train, test = vectors["fusion", 64]
exact = np.argsort(-test @ train.T, axis=1)[:, :10]
rows = []
for dtype in "f32", "f16", "i8":
    index = Index(ndim=64, metric="cos", dtype=dtype)
    index.add(np.arange(len(train)), train)
    found = index.search(test, 10).keys.astype(int)
    recall = np.mean([np.isin(a, b) for a, b in zip(exact, found, strict=True)])
    rows.append((dtype, 100 * recall, precision(found)))
pd.DataFrame(rows, columns=["dtype", "recall (%)", "precision (%)"]).round(1)

# %%
# The curves differ for other vectors. Measure the recall of your own index against an exact search
# on a sample of your rows. :doc:`/large_data` recommends an index by the number of rows.
