"""
Compare your own embeddings
===========================

Find out with one call which representation of your embeddings has the best nearest neighbors, with
labels or without.
"""

# %%
# With labels
# -----------
# :func:`~sknnens.inspection.compare_representations` fits every method without labels on all
# folds but one and classifies the samples of the remaining fold. The labels serve only to measure
# accuracy. By default, it compares each model, the fusions and the learner. `max_samples` reduces
# the time.
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknnens import EnsembleRepresentationLearner
from sknnens.datasets import load_fashion_mnist_features
from sknnens.inspection import compare_representations

pd.set_option("display.width", 100)
data = load_fashion_mnist_features(["simclr_0", "swav", "autoencoder"])
X, y = data.X_train, data.y_train
views = dict(zip(data.view_names, data.view_sizes, strict=True))

comparison = compare_representations(X, y, views=views, max_samples=600, random_state=0)
print(comparison)

# %%
# ``plot`` shows the gain over the concatenation. A gain inside its 95 % interval may be chance: use
# more samples. The intervals are not corrected for multiple comparisons, so the best of many
# methods looks better than it is.
comparison.plot()
plt.show()

# %%
# Any column of ``comparison.table`` can be drawn.
comparison.plot(measure="accuracy_k1")
plt.show()

# %%
# Without labels
# --------------
# Without labels, there is no accuracy. ``rankme`` measures over how many directions the
# representations spread, ``hubness`` whether a few samples are neighbors of many others, and
# ``agreement`` how many neighbors a representation shares with the models. **None of them ranks
# representations.** They reveal outliers: a collapsed representation, a model with many hubs, or a
# model that agrees with no other model.
print(compare_representations(X, views=views, max_samples=600, random_state=0))

# %%
# A method of your own
# --------------------
# `methods` takes any transformer, also a ``Pipeline``. The parameters `views` and, if None,
# `random_state` are set for you. The concatenation is added as the baseline. The same
# `random_state` gives the same folds, so both tables can be compared.
methods = {
    "z-scores": StandardScaler(),
    "z-scores, PCA": make_pipeline(StandardScaler(), PCA(64)),
    "learner, width 64": EnsembleRepresentationLearner(n_components=64),
}
own = compare_representations(X, y, views=views, methods=methods, max_samples=600, random_state=0)
print(own)

# %%
own.plot()
plt.show()
