"""
Files larger than memory
========================

Fuse files of embeddings that do not fit in memory, and resume after the process is killed.

The command line at the end needs ``pip install safetensors``.
"""

# %%
# Three models have written one ``.npy`` file each. Here the rows are features of Fashion-MNIST with
# some noise, repeated 40 times.
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import NeighborhoodProjection

names = ["simclr_0", "barlow_twins", "swav"]
folder = tempfile.TemporaryDirectory()
path = Path(folder.name)
rng = np.random.default_rng(0)
data = load_fashion_mnist_features(names)
for name, rows in zip(names, np.split(data.X_train, 3, axis=1), strict=True):
    rows = np.tile(rows, (40, 1))
    np.save(path / name, rows + 0.05 * rng.standard_normal(rows.shape, dtype=np.float32))
    print(f"{name}.npy: {(path / name).with_suffix('.npy').stat().st_size / 1e6:.0f} MB")

# %%
# Open the files as memory maps. ``stack_views`` puts them side by side in one more file, chunk by
# chunk. :meth:`~sknnens.fusion.NeighborhoodProjection.fit` gets a sample of the rows, and
# ``transform`` writes its result to a file, also chunk by chunk.
parts = {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in names}
X, views = stack_views(parts, out=path / "stacked.npy")
sample = np.sort(rng.choice(len(X), 4000, replace=False))
fusion = NeighborhoodProjection(views, random_state=0).fit(X[sample])
representations = fusion.transform(X, out=path / "representations.npy")
print(type(representations).__name__, representations.shape, representations.dtype)

# %%
# The peak memory of both steps against the number of rows, with files and without. It is the
# memory that NumPy allocates, as tracemalloc counts it. Pages of a memory map are not counted,
# since the system drops them if it needs the space.


def peak(n_rows, to_files):
    stacked, out = (path / "a.npy", path / "b.npy") if to_files else (None, None)
    tracemalloc.start()
    some = {name: part[:n_rows] for name, part in parts.items()}
    fusion.transform(stack_views(some, out=stacked)[0], out=out)
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size / 1e6


counts = [5000, 10_000, 20_000, 40_000]
table = pd.DataFrame(
    {
        "read from files (MB)": [n * X.itemsize * X.shape[1] / 1e6 for n in counts],
        "in memory (MB)": [peak(n, to_files=False) for n in counts],
        "to files (MB)": [peak(n, to_files=True) for n in counts],
    },
    index=pd.Index(counts, name="rows"),
)
table.round(1)

# %%
fig, ax = plt.subplots(figsize=(6.5, 3.5), layout="constrained")
styles = {"read from files (MB)": "k--", "in memory (MB)": "C1o-", "to files (MB)": "C0o-"}
for column, style in styles.items():
    ax.plot(table.index, table[column], style, label=column.removesuffix(" (MB)"))
ax.set_xlabel("rows")
ax.set_ylabel("peak memory, or size of the files (MB)")
ax.xaxis.set_major_formatter("{x:,.0f}")
fig.legend(loc="outside right upper", frameon=False)
plt.show()

# %%
# Killed and resumed
# ------------------
# A long ``transform`` may be killed. This one runs on the command line, with a learner that is
# fitted to the sample, and is killed when some rows are written.
learner = EnsembleRepresentationLearner(views, max_iter=10, random_state=0).fit(X[sample])
learner.save(path / "learner.safetensors")
files = [str(path / f"{name}.npy") for name in names]
out, partial = path / "learned.npy", path / "learned.npy.partial"
command = [sys.executable, "-m", "sknnens", "transform", str(path / "learner.safetensors")]
command += [*files, "--out", str(out), "--resume"]
process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
try:
    while process.poll() is None and not (partial.exists() and partial.stat().st_size > 1e6):
        time.sleep(0.01)
finally:
    process.kill()
    process.wait()
print(sorted(file.name for file in path.glob("learned*")))

# %%
# The partial file holds the rows written so far. The same call continues, on the command line or in
# Python. It recomputes a few rows and raises an error if they differ.
written = partial.stat().st_size / 1e6
start = time.perf_counter()
learned = learner.transform(parts, out=out, resume=True)
seconds = time.perf_counter() - start
print(f"{written:.1f} MB were there, {out.stat().st_size / 1e6:.1f} MB after {seconds:.1f} s")
print("equal to a call without a break:", np.array_equal(learned[:500], learner.transform(X[:500])))

parts.clear()
del X, representations, learned  # Windows removes no file that is mapped
folder.cleanup()
