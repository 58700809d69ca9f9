"""
Parquet and Hugging Face datasets
=================================

Fuse embeddings stored in parquet files or in a Hugging Face dataset, and see how many bytes the
result saves.

It needs ``pip install pyarrow datasets``.
"""

# %%
# A folder of parquet files with an identifier, a label and one column per model, which has a vector
# in each cell. Vectors are lists of fixed size in float16.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from datasets import Dataset
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from sknnens import EnsembleRepresentationLearner, sample_rows
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import Concatenation, NeighborhoodProjection

names = ["simclr_0", "barlow_twins", "swav"]
folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
path = Path(folder.name)
data = load_fashion_mnist_features(names)


def vectors(rows, dtype):
    """A column with a vector in each cell."""
    return pa.FixedSizeListArray.from_arrays(rows.astype(dtype).ravel(), rows.shape[1])


parts = dict(zip(names, np.split(data.X_train, len(names), axis=1), strict=True))
table = pa.table(
    {"id": np.arange(len(data.y_train)), "label": data.y_train}
    | {name: vectors(rows, np.float16) for name, rows in parts.items()}
)
(path / "embeddings").mkdir()
for number in range(4):
    pq.write_table(table.slice(250 * number, 250), path / "embeddings" / f"{number}.parquet")
print(table.schema)

# %%
# :func:`~sknnens.sample_rows` draws rows to fit to. ``transform`` reads the folder some rows at a
# time, and only the columns of the views. With ``out`` its result goes to a file in NumPy's format.
X = ds.dataset(path / "embeddings")
views = {name: [name] for name in names}
sample = sample_rows(X, 500, columns=names, random_state=0)
learner = EnsembleRepresentationLearner(views, n_components=64, random_state=0).fit(sample)
rows = learner.transform(X, out=path / "rows.npy")
print(type(sample).__name__, sample.shape, "->", type(rows).__name__, rows.shape)

# %%
# Rows keep the order of the dataset, so the identifier can be read beside them. The result is
# parquet again.
result = X.to_table(columns=["id", "label"]).append_column("joint", vectors(rows, np.float16))
pq.write_table(result, path / "joint.parquet")
result.slice(0, 3).to_pandas()

# %%
# A Hugging Face dataset in NumPy format gives dictionaries of arrays. The learner takes them as
# they are. Here the dataset is in memory; ``load_dataset("parquet", data_files=...)`` opens files
# in the same way.
hf = Dataset.from_dict({name: rows.astype(np.float32) for name, rows in parts.items()})
hf = hf.with_format("numpy")


def add_joint(batch):
    return {"joint": learner.transform({name: batch[name] for name in names})}


hf = hf.map(add_joint, batched=True, batch_size=500)
print(hf)

# %%
# The size on disk, and the cross-validated 5-NN accuracy on the 1,000 rows. Dictionary encoding is
# off: it shrinks these features only because they have few distinct values.
fusion = NeighborhoodProjection(views, n_components=64, random_state=0).fit(sample)
columns = {
    "concatenation": Concatenation(views).fit(sample).transform(X),
    "fusion": fusion.transform(X),
    "learner": rows,
}
knn = KNeighborsClassifier(5)
measured = []
for name, values in columns.items():
    for dtype in np.float32, np.float16:
        column = pa.table({"x": vectors(values, dtype)})
        pq.write_table(column, path / "x.parquet", use_dictionary=False)
        size = (path / "x.parquet").stat().st_size / len(values)
        accuracy = 100 * cross_val_score(knn, values.astype(dtype), data.y_train, cv=5).mean()
        measured.append((f"{name}, {dtype.__name__}", size, accuracy))
measured = pd.DataFrame(measured, columns=["vectors", "bytes per row", "5-NN accuracy (%)"])
measured.round(1)

# %%
fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
colors = np.repeat(["gray", "#0072B2", "#D55E00"], 2)
bars = ax.barh(measured["vectors"], measured["bytes per row"], color=colors)
ax.bar_label(bars, [f"{x:.1f}%" for x in measured["5-NN accuracy (%)"]], padding=4)
ax.margins(x=0.15)
ax.invert_yaxis()
ax.set_xlabel("bytes per row in parquet; the label is the 5-NN accuracy")
plt.show()

# %%
folder.cleanup()
