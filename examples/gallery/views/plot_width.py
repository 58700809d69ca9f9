"""
How wide should it be?
======================

Choose `n_components`: accuracy against the width of the representation.
"""

# %%
# Narrow vectors need less memory and are faster to search. By default the representation is as
# wide as the widest model.
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier

from sknnens import EnsembleRepresentationLearner
from sknnens.datasets import load_fashion_mnist_features
from sknnens.fusion import Concatenation, ConcatenationPCA, NeighborhoodProjection

data = load_fashion_mnist_features(["simclr_0", "barlow_twins", "swav", "rotnet", "autoencoder"])
sizes = data.view_sizes


def score(method):
    """5-NN accuracy in percent."""
    knn = KNeighborsClassifier(5).fit(method.fit_transform(data.X_train), data.y_train)
    return 100 * knn.score(method.transform(data.X_test), data.y_test)


methods = {
    "PCA": ConcatenationPCA(sizes, whiten_exponent=0, random_state=0),
    "PCA, half-whitened": ConcatenationPCA(sizes, random_state=0),
    "neighborhood projection": NeighborhoodProjection(sizes, random_state=0),
    "learner": EnsembleRepresentationLearner(sizes, random_state=0),
}
widths = [8, 16, 32, 64, 128, 256]
table = pd.DataFrame(
    {
        name: [score(clone(method).set_params(n_components=width)) for width in widths]
        for name, method in methods.items()
    },
    index=pd.Index(widths, name="width"),
)
concatenation = score(Concatenation(sizes))
print(f"concatenation, width {sum(sizes)}: {concatenation:.1f} %")
table.round(1)

# %%
# The table and the picture have the 5-NN accuracy in percent on 500 test images. The 95 % interval
# of one accuracy is about ± 3 points, so look at the trend, not at single points.
fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
styles = [("#CC79A7", "v-"), ("#009E73", "^-"), ("#0072B2", "D-"), ("#D55E00", "s-")]
for name, (color, style) in zip(table, styles, strict=True):
    ax.plot(table.index, table[name], style, color=color, label=name)
ax.axhline(concatenation, color="black", ls="--", label=f"concatenation (width {sum(sizes)})")
ax.set_xscale("log", base=2)
ax.set_xticks(widths, widths)
ax.set(xlabel="width of the representation", ylabel="5-NN accuracy (%)")
ax.spines[["top", "right"]].set_visible(False)
fig.legend(loc="outside right upper", frameon=False)
plt.show()
