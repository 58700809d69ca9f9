"""Describe pictures of emoji with EfficientNet-Lite and with their colors.

    python make_emoji.py --emoji FOLDER   # the unpacked npm package emoji-datasource-twitter

Views: EfficientNet-Lite 0 and 1 (1280 each), a histogram of colors (64), and what is opaque of
the picture in 8 x 8 cells (64). A class is a group of emoji; skin tones count once.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from ensembles import save_features
from make_efficientnet import SIZE, load_network
from PIL import Image
from torch.nn.functional import interpolate

LEFT_OUT = ("Component", "Flags")  # two colored fields are no objects


def read_pictures(folder):
    """RGBA pictures of shape (n, 64, 64, 4) in 0 to 1, and the name of the group of each."""
    pictures, groups = [], []
    for emoji in json.loads((folder / "emoji.json").read_text("utf-8")):
        path = folder / "img" / "twitter" / "64" / emoji["image"]
        if emoji["category"] in LEFT_OUT or not path.exists():
            continue
        with Image.open(path) as image:
            rgba = image.convert("RGBA").resize((64, 64))
        pictures.append(np.asarray(rgba, np.float32) / 255)
        groups.append(emoji["category"])
    return np.stack(pictures), np.array(groups)


@torch.no_grad()
def encode(network, pictures, batch_size=50):
    """Features of the pictures on white, averaged over the map."""
    opaque = pictures[..., 3:]
    x = torch.from_numpy(pictures[..., :3] * opaque + (1 - opaque)).permute(0, 3, 1, 2)
    features = []
    for part in x.split(batch_size):
        large = interpolate(part, (SIZE, SIZE), mode="bilinear", align_corners=False)
        features.append(network.extract_features(large * 2 - 1).mean((2, 3)))
    return torch.cat(features).numpy()


def colors(pictures):
    """Root of the share of the opaque part that each of 4 x 4 x 4 colors has."""
    bins = np.minimum((pictures[..., :3] * 4).astype(int), 3) @ (16, 4, 1)
    counts = np.stack([((bins == b) * pictures[..., 3]).sum((1, 2)) for b in range(64)], axis=1)
    return np.sqrt(counts / counts.sum(axis=1, keepdims=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--emoji", type=Path, default=Path("node_modules/emoji-datasource-twitter"))
    folder = parser.parse_args().emoji
    if not (folder / "emoji.json").exists():
        raise SystemExit(f"{folder} has no emoji.json: npm install emoji-datasource-twitter")
    pictures, groups = read_pictures(folder)
    names, y = np.unique(groups, return_inverse=True)
    print(f"{len(y)} pictures, {len(names)} groups")
    start = time.perf_counter()
    views = {
        "lite_0": encode(load_network(0), pictures),
        "lite_1": encode(load_network(1), pictures),
        "colors": colors(pictures),
        "shape": pictures[..., 3].reshape(-1, 8, 8, 8, 8).mean((2, 4)).reshape(len(y), -1),
    }
    print(f"{time.perf_counter() - start:.0f} s")
    save_features("emoji.npz", y=y, y_names=names, **views)


if __name__ == "__main__":
    main()
