"""Train small networks on Fashion-MNIST and write their features.

Nine networks with one architecture: four SimCLR from different seeds, Barlow
Twins, SwAV, RotNet and an autoencoder, none of which sees a label, and one
classifier trained with labels. Each gives 128 post-ReLU, average-pooled
features per image. The training images are the 60,000 of Fashion-MNIST; the
features kept are those of a class-balanced 6,000 of them and 3,000 of the test
images.

    python make_fashion_mnist.py --images FOLDER   # the four IDX files
    python make_fashion_mnist.py                   # from OpenML
    python make_fashion_mnist.py --full FILE       # all 70,000 images, for examples/paper
    python make_fashion_mnist.py --sample          # what the package contains

``--full`` writes the features of all images under all networks, with two more
classifiers trained with labels, and leaves ``fashion_mnist.npz`` alone.
``--sample`` trains nothing: it takes 1,000 training and 500 test images of
``fashion_mnist.npz``, the first ones of each class, and writes their features
into the package, with the images in 16 shades of gray.

A network that is finished is kept in ``--work`` and not trained again.
Two CPU cores take about an hour and a half.
"""

import argparse
import gzip
from pathlib import Path

import joblib
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  the field's name for it
from torch import nn

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parents[1] / "sknnens" / "_data" / "fashion_mnist.npz"
WIDTH = 128
# name -> (method, seed, epochs)
NETWORKS = {
    "simclr_0": ("simclr", 0, 12),
    "simclr_1": ("simclr", 1, 12),
    "simclr_2": ("simclr", 2, 12),
    "simclr_3": ("simclr", 3, 12),
    "barlow_twins": ("barlow_twins", 4, 12),
    "swav": ("swav", 5, 12),
    "rotnet": ("rotnet", 6, 12),
    "autoencoder": ("autoencoder", 7, 12),
    "supervised": ("supervised", 8, 6),
    "supervised_1": ("supervised", 9, 6),
    "supervised_2": ("supervised", 10, 6),
}
# fashion_mnist.npz holds these; the others are for the larger ensembles of examples/paper
SHIPPED = (
    "simclr_0",
    "simclr_1",
    "simclr_2",
    "simclr_3",
    "barlow_twins",
    "swav",
    "rotnet",
    "autoencoder",
    "supervised",
)


def read_idx(folder, stem):
    """Read one gzipped or plain IDX file of unsigned bytes."""
    path = next(p for p in sorted(Path(folder).iterdir()) if p.name.startswith(stem))
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        raw = file.read()
    n_axes = raw[3]
    shape = np.frombuffer(raw, ">i4", n_axes, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * n_axes).reshape(shape)


def load_images(folder=None):
    """Fashion-MNIST as (train images, train labels, test images, test labels)."""
    if folder is not None:
        return tuple(
            read_idx(folder, f"{part}-{kind}")
            for part in ("train", "t10k")
            for kind in ("images-idx3", "labels-idx1")
        )
    from sklearn.datasets import fetch_openml

    X, y = fetch_openml("Fashion-MNIST", version=1, return_X_y=True, as_frame=False)
    X, y = X.reshape(-1, 28, 28).astype(np.uint8), y.astype(np.uint8)
    return X[:60000], y[:60000], X[60000:], y[60000:]


def make_encoder():
    """Four strided convolutions; the features are pooled after the last ReLU."""
    layers, c_in = [], 1
    for c_out, stride in [(32, 2), (64, 2), (96, 1), (WIDTH, 2)]:
        layers += [
            nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(c_out),
            nn.ReLU(),
        ]
        c_in = c_out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def make_projector(hidden, out):
    return nn.Sequential(
        nn.Linear(WIDTH, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, out),
    )


def augment(x, rng):
    """Random crop and resize, flip, contrast and brightness, cutout; x is (b, 1, 28, 28)."""
    b = len(x)

    def uniform(low, high):
        return low + (high - low) * torch.rand(b, generator=rng)

    scale_x, scale_y = uniform(0.3, 1.0).sqrt(), uniform(0.3, 1.0).sqrt()
    flip = torch.where(torch.rand(b, generator=rng) < 0.5, -1.0, 1.0)
    theta = torch.zeros(b, 2, 3)
    theta[:, 0, 0] = scale_x * flip
    theta[:, 1, 1] = scale_y
    theta[:, 0, 2] = uniform(-1, 1) * (1 - scale_x)
    theta[:, 1, 2] = uniform(-1, 1) * (1 - scale_y)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, align_corners=False)
    x = uniform(0.6, 1.4).view(-1, 1, 1, 1) * x + uniform(-0.2, 0.2).view(-1, 1, 1, 1)
    at = torch.randint(0, 28, (b, 2), generator=rng)
    ruler = torch.arange(28)
    inside_y = (ruler - at[:, :1]).abs() < 4  # (b, 28)
    inside_x = (ruler - at[:, 1:]).abs() < 4
    return x.masked_fill((inside_y[:, :, None] & inside_x[:, None])[:, None], 0.0)


class SimCLR(nn.Module):
    """Chen et al., 2020: normalized temperature-scaled cross entropy of two crops."""

    def __init__(self):
        super().__init__()
        self.encoder, self.head = make_encoder(), make_projector(256, 128)

    def forward(self, x, y, rng):
        crops = torch.cat([augment(x, rng), augment(x, rng)])
        z = F.normalize(self.head(self.encoder(crops)), dim=1)
        logits = (z @ z.T / 0.2).fill_diagonal_(-torch.inf)
        positive = torch.arange(len(z)).roll(len(x))
        return F.cross_entropy(logits, positive)


class BarlowTwins(nn.Module):
    """Zbontar et al., 2021: the crops' cross-correlation is driven to the identity."""

    def __init__(self):
        super().__init__()
        self.encoder, self.head = make_encoder(), make_projector(512, 512)

    def forward(self, x, y, rng):
        z = self.head(self.encoder(torch.cat([augment(x, rng), augment(x, rng)])))
        a, b = ((h - h.mean(0)) / (h.std(0) + 1e-5) for h in z.chunk(2))
        correlation = a.T @ b / len(x)
        diagonal = correlation.diagonal()
        off = correlation.square().sum() - diagonal.square().sum()
        return ((1 - diagonal).square().sum() + 5e-3 * off) / len(correlation)


class SwAV(nn.Module):
    """Caron et al., 2020: each crop predicts the other's balanced cluster assignment."""

    def __init__(self, n_prototypes=200):
        super().__init__()
        self.encoder, self.head = make_encoder(), make_projector(256, 128)
        self.prototypes = nn.Linear(128, n_prototypes, bias=False)

    @torch.no_grad()
    def assign(self, scores):
        q = ((scores - scores.max()) / 0.05).exp()  # (b, prototypes)
        for _ in range(3):  # Sinkhorn-Knopp
            q = q / q.sum(0, keepdim=True).clamp_min(1e-12)
            q = q / q.sum(1, keepdim=True).clamp_min(1e-12)
        return q

    def forward(self, x, y, rng):
        z = self.head(self.encoder(torch.cat([augment(x, rng), augment(x, rng)])))
        weight = F.normalize(self.prototypes.weight, dim=1)
        a, b = (F.normalize(z, dim=1) @ weight.T).chunk(2)
        return 0.5 * (
            F.cross_entropy(a / 0.1, self.assign(b)) + F.cross_entropy(b / 0.1, self.assign(a))
        )


class RotNet(nn.Module):
    """Gidaris et al., 2018: which of four rotations was applied?"""

    def __init__(self):
        super().__init__()
        self.encoder, self.head = make_encoder(), nn.Linear(WIDTH, 4)

    def forward(self, x, y, rng):
        x = augment(x, rng)
        turns = torch.arange(len(x)) % 4
        x = torch.cat([torch.rot90(x[turns == t], t, (2, 3)) for t in range(4)])
        return F.cross_entropy(self.head(self.encoder(x)), turns.sort().values)


class Autoencoder(nn.Module):
    """Reconstruct the image from the pooled features, squared error."""

    def __init__(self):
        super().__init__()
        self.encoder = make_encoder()
        self.head = nn.Sequential(
            nn.Linear(WIDTH, 64 * 7 * 7),
            nn.ReLU(),
            nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 4, 2, 1),
        )

    def forward(self, x, y, rng):
        return F.mse_loss(self.head(self.encoder(x)), x)


class Supervised(nn.Module):
    """Cross entropy with the labels."""

    def __init__(self):
        super().__init__()
        self.encoder, self.head = make_encoder(), nn.Linear(WIDTH, 10)

    def forward(self, x, y, rng):
        return F.cross_entropy(self.head(self.encoder(augment(x, rng))), y)


METHODS = {
    "simclr": SimCLR,
    "barlow_twins": BarlowTwins,
    "swav": SwAV,
    "rotnet": RotNet,
    "autoencoder": Autoencoder,
    "supervised": Supervised,
}


def train(name, images, labels, *, batch_size=256):
    """Train one network with Adam and a one-cycle schedule; return its encoder."""
    method, seed, epochs = NETWORKS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = METHODS[method]()
    rng = torch.Generator().manual_seed(seed)
    x, y = torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64))
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=1e-6)
    n_steps = len(x) // batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, epochs * n_steps)
    for epoch in range(epochs):
        total = 0.0
        order = torch.randperm(len(x), generator=rng)[: n_steps * batch_size]
        for rows in order.view(n_steps, batch_size):
            loss = model(x[rows, None].float() / 255, y[rows], rng)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"{name}: epoch {epoch + 1} of {epochs}, loss {total / n_steps:.4f}", flush=True)
    return model.encoder.eval()


@torch.no_grad()
def encode(encoder, images):
    x = torch.from_numpy(images.copy())
    return torch.cat([encoder(part[:, None].float() / 255) for part in x.split(1000)]).numpy()


def balanced_rows(labels, per_class, rng):
    """The same number of rows of each class, in ascending order."""
    rows = [
        rng.choice(np.flatnonzero(labels == c), per_class, replace=False) for c in np.unique(labels)
    ]
    return np.sort(np.concatenate(rows))


def pack(x, bits=5):
    """Float16 with ``bits`` explicit bits of mantissa, column by column: it compresses well."""
    drop = 10 - bits
    as_int = x.astype(np.float16).view(np.uint16)
    rounded = (as_int + (1 << (drop - 1))) >> drop << drop
    return np.asfortranarray(rounded.astype(np.uint16).view(np.float16))


def make_features(name, data, keep, work):
    """Train one network unless it is in ``work``; return its features of the kept rows.

    ``keep`` holds the rows of the training and of the test images; None is all of them.
    """
    path = work / f"{name}.npz"
    if not path.exists():
        torch.set_num_threads(1)
        encoder = train(name, data[0], data[1])
        np.savez(path, train=encode(encoder, data[0]), test=encode(encoder, data[2]))
    with np.load(path) as stored:
        train_part, test_part = stored["train"], stored["test"]
    return (train_part, test_part) if keep is None else (train_part[keep[0]], test_part[keep[1]])


def write_full(path, data, keep, work, n_jobs):
    """All rows of all networks, float16, in the data set's own order, and which are shipped."""
    features = joblib.Parallel(n_jobs)(
        joblib.delayed(make_features)(name, data, None, work) for name in NETWORKS
    )
    arrays = {"y_train": data[1], "y_test": data[3]}
    arrays |= {"shipped_train": keep[0], "shipped_test": keep[1]}
    for name, (train_part, test_part) in zip(NETWORKS, features, strict=True):
        arrays[f"{name}_train"] = train_part.astype(np.float16)
        arrays[f"{name}_test"] = test_part.astype(np.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")


def write_sample(source, path, images, n_train=1000, n_test=500):
    """The first images of each class, as many of each, with the values as they are stored."""
    with np.load(source) as stored:
        arrays = dict(stored)
    for part, n_rows in (("train", n_train), ("test", n_test)):
        labels = arrays[f"y_{part}"]
        classes = np.unique(labels)
        first = [np.flatnonzero(labels == c)[: n_rows // len(classes)] for c in classes]
        rows = np.sort(np.concatenate(first))
        for name in arrays:
            if name.endswith(part):
                arrays[name] = np.asarray(arrays[name][rows], order="F")  # as `pack`
        arrays[f"images_{part}"] = images[part][rows] >> 4 << 4  # half the size of all 256 shades
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", help="folder of the four IDX files; OpenML without it")
    parser.add_argument("--work", type=Path, default=Path("fashion_mnist_networks"))
    parser.add_argument("--out", type=Path, default=HERE / "fashion_mnist.npz")
    parser.add_argument("--only", nargs="*", choices=NETWORKS, help="train these, write no file")
    parser.add_argument("--full", type=Path, help="write all rows of all networks here instead")
    parser.add_argument("--sample", action="store_true", help="write the package's sample instead")
    parser.add_argument("--n-jobs", type=int, default=2)
    args = parser.parse_args()
    data = load_images(args.images)
    rng = np.random.RandomState(0)
    keep = balanced_rows(data[1], 600, rng), balanced_rows(data[3], 300, rng)
    if args.sample:
        write_sample(args.out, SAMPLE, {"train": data[0][keep[0]], "test": data[2][keep[1]]})
        return
    args.work.mkdir(parents=True, exist_ok=True)
    if args.full:
        write_full(args.full, data, keep, args.work, args.n_jobs)
        return
    names = args.only or SHIPPED
    features = joblib.Parallel(args.n_jobs)(
        joblib.delayed(make_features)(name, data, keep, args.work) for name in names
    )
    if args.only:
        return
    arrays = {"y_train": data[1][keep[0]], "y_test": data[3][keep[1]]}
    for name, (train_part, test_part) in zip(names, features, strict=True):
        arrays[f"{name}_train"] = pack(train_part)
        arrays[f"{name}_test"] = pack(test_part)
    np.savez_compressed(args.out, **arrays)
    print(f"{args.out.name}: {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
