"""Encode all 70,000 images of Fashion-MNIST with EfficientNet-Lite 0, 1 and 2.

    python make_fashion_mnist.py --images FOLDER   # the four IDX files
    python make_fashion_mnist.py                   # from OpenML

As ``examples/paper/make_efficientnet.py`` does for a part of them, but from images of 80 by 80
pixels. The features are the 256 leading principal components of each network's, fitted on the
training images. The file goes to the folder of ``examples/paper/ensembles.py``.
"""

import argparse
import sys
import time
from pathlib import Path

from sklearn.decomposition import PCA

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paper"))
import make_efficientnet
from ensembles import save_features

make_efficientnet.SIZE = 80  # the time grows faster than the number of pixels
WIDTH = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", help="folder of the four IDX files; OpenML without it")
    args = parser.parse_args()
    images = make_efficientnet.load_fashion_script().load_images(args.images)
    train, y_train, test, y_test = images
    arrays = {"y_train": y_train, "y_test": y_test}
    for number in range(3):
        start = time.perf_counter()
        network, name = make_efficientnet.load_network(number), f"lite_{number}"
        encoded = make_efficientnet.encode(network, train, 20)
        pca = PCA(WIDTH, svd_solver="covariance_eigh").fit(encoded)
        arrays[f"{name}_train"] = pca.transform(encoded)
        arrays[f"{name}_test"] = pca.transform(make_efficientnet.encode(network, test, 20))
        share = pca.explained_variance_ratio_.sum()
        seconds = time.perf_counter() - start
        print(f"{name}: {share:.1%} of the variance, {seconds:.0f} s", flush=True)
    save_features("fashion_efficientnet_all.npz", **arrays)


if __name__ == "__main__":
    main()
