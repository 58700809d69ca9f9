"""
A service that answers one query
================================

Build a web service that takes the features of one sample and returns its nearest neighbors. It is
called here in the same process, to measure the latency of single queries.

It needs ``pip install fastapi httpx safetensors``.
"""

# %%
# Two transformers are fitted once and saved: a fusion, which is a linear map, and the learner,
# which takes a few steps of optimization for each query.
import tempfile
from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sklearn.neighbors import NearestNeighbors

from sknnens import EnsembleRepresentationLearner
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import NeighborhoodProjection

data = load_fashion_mnist_features(["simclr_0", "barlow_twins", "swav"])
views = dict(zip(data.view_names, data.view_sizes, strict=True))
folder = tempfile.TemporaryDirectory()
paths = {
    "fusion": Path(folder.name, "fusion.safetensors"),
    "learner": Path(folder.name, "learner.safetensors"),
}
NeighborhoodProjection(views, random_state=0).fit(data.X_train).save(paths["fusion"])
EnsembleRepresentationLearner(views, random_state=0).fit(data.X_train).save(paths["learner"])

# %%
# The service loads the transformer and builds the index when it starts, not for each query. A query
# is a dictionary from the name of a model to its features. The transformer checks them: a missing
# model or a wrong width is an error.


def make_app(transformer, rows):
    app = FastAPI()
    index = NearestNeighbors(n_neighbors=5).fit(transformer.transform(rows))

    @app.post("/neighbors")
    def neighbors(features: dict[str, list[float]]):
        query = {name: np.array([row], dtype=np.float32) for name, row in features.items()}
        distances, found = index.kneighbors(transformer.transform(query))
        return {"rows": found[0].tolist(), "distances": distances[0].tolist()}

    return app


clients = {
    "fusion": TestClient(make_app(NeighborhoodProjection.load(paths["fusion"]), data.X_train)),
    "learner": TestClient(
        make_app(EnsembleRepresentationLearner.load(paths["learner"]), data.X_train)
    ),
}
folder.cleanup()

# %%
# One query, and the images of the rows that come back.


def as_json(row):
    parts = np.split(row, np.cumsum(data.view_sizes)[:-1])
    return {name: part.tolist() for name, part in zip(views, parts, strict=True)}


answer = clients["fusion"].post("/neighbors", json=as_json(data.X_test[0])).json()
print(answer)

# %%
# The latency includes JSON in both directions, the transformer and the search, but no network.
# The first queries are not counted.
latencies = {}
for name, client in clients.items():
    seconds = []
    for row in data.X_test[:220]:
        query = as_json(row)
        start = perf_counter()
        client.post("/neighbors", json=query).raise_for_status()
        seconds.append(perf_counter() - start)
    latencies[name] = 1000 * np.array(seconds[20:])
table = pd.DataFrame(latencies)
table.quantile([0.5, 0.95]).rename({0.5: "median (ms)", 0.95: "95th percentile (ms)"}).round(1)

# %%
fig = plt.figure(figsize=(7.5, 4.5), layout="constrained")
top, bottom = fig.subfigures(2, 1, height_ratios=[1, 2])
images = [data.images_test[0], *data.images_train[answer["rows"]]]
titles = ["query", *(f"{x:.2f}" for x in answer["distances"])]
for ax, image, title in zip(top.subplots(1, 6), images, titles, strict=True):
    ax.imshow(image, cmap="gray_r")
    ax.set_title(title, fontsize=10)
    ax.set_axis_off()
ax = bottom.subplots()
bins = np.linspace(0, table.quantile(0.98).max(), 50)
for name, color in (("fusion", "#0072B2"), ("learner", "#D55E00")):
    ax.hist(table[name], bins, color=color, alpha=0.7, label=name)
    ax.axvline(table[name].median(), color=color, linestyle="--", linewidth=1)
ax.set_xlabel("latency of one query (ms); dashed: median; the slowest are not shown")
ax.set_ylabel("queries")
bottom.legend(loc="outside right upper", frameon=False)
plt.show()

# %%
# To run the service, put ``make_app`` and a line ``app = make_app(...)`` into ``service.py``, and
# start it with ``uvicorn service:app``. With the learner, a single row costs as much as a chunk
# of 64, so a busy service should batch its queries. FastAPI runs the function in threads, and any
# number of threads may call ``transform`` on one fitted transformer.
