"""Describe the leaf outlines of OSULeaf, which come inside the package aeon, in four ways.

    python make_timeseries.py

Views: Catch22, MiniRocket, summaries of segments, and the spectrum. aeon may want other
versions than this package does, so install it in an environment of its own; this script
needs nothing else.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from ensembles import import_or_exit, save_features

INSTALL = "pip install 'aeon==1.6.*'"
N_SEGMENTS = 16


def standardize(x):
    """Mean 0 and standard deviation 1 a column, clipped at 5; constant columns go."""
    deviation = x.std(0)
    keep = deviation > 1e-9
    return np.clip((x[:, keep] - x.mean(0)[keep]) / deviation[keep], -5, 5)


def summaries(series):
    """Mean, standard deviation, minimum, maximum and trend of equal segments, (n, 5 * segments)."""
    columns = []
    for part in np.array_split(series, N_SEGMENTS, axis=1):
        columns += [part.mean(1), part.std(1), part.min(1), part.max(1), part[:, -1] - part[:, 0]]
    return np.stack(columns, axis=1)


def spectrum(series, n_frequencies=60):
    """Logarithm of the lowest amplitudes of the Fourier transform, without the mean."""
    amplitudes = np.abs(np.fft.rfft(series, axis=1))[:, 1 : n_frequencies + 1]
    return np.log(amplitudes + 1e-3)


def read_leaves(datasets):
    """The shipped files, training part first; ``load_classification`` might download them."""
    folder = Path(datasets.__file__).parent / "data" / "OSULeaf"
    paths = [folder / f"OSULeaf_{part}.ts" for part in ("TRAIN", "TEST")]
    if not all(path.exists() for path in paths):
        raise SystemExit(f"This aeon does not ship OSULeaf. Install it with: {INSTALL}")
    parts = [datasets.load_from_ts_file(path) for path in paths]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    datasets = import_or_exit("aeon.datasets", INSTALL)
    features = import_or_exit("aeon.transformations.collection.feature_based", INSTALL)
    rocket = import_or_exit("aeon.transformations.collection.convolution_based", INSTALL)
    X, labels = read_leaves(datasets)
    series = X[:, 0]  # (n, length)
    extractors = {
        "catch22": lambda: features.Catch22(replace_nans=True).fit_transform(X),
        "minirocket": lambda: rocket.MiniRocket(n_kernels=1000, random_state=0).fit_transform(X),
        "summary": lambda: summaries(series),
        "spectrum": lambda: spectrum(series),
    }
    views = {}
    for name, extract in extractors.items():
        start = time.perf_counter()
        views[name] = standardize(np.asarray(extract(), dtype=np.float64))
        print(f"{name}: {views[name].shape}, {time.perf_counter() - start:.0f} s", flush=True)
    names, y = np.unique(labels, return_inverse=True)
    save_features("timeseries.npz", y=y, y_names=names.astype(str), **views)


if __name__ == "__main__":
    main()
