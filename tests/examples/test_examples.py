"""The examples, and the script that makes the shipped features."""

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch

N_IMAGES = {"train": 6000, "test": 3000}
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(name):
    path = EXAMPLES / name
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script():
    return load("data/make_fashion_mnist.py")


@pytest.mark.parametrize("zipped", [True, False])
def test_idx_files(script, tmp_path, zipped):
    images = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    raw = bytes([0, 0, 8, 3]) + np.array([2, 3, 3], ">i4").tobytes() + images.tobytes()
    name = "train-images-idx3-ubyte" + (".gz" if zipped else "")
    (tmp_path / name).write_bytes(gzip.compress(raw) if zipped else raw)
    np.testing.assert_array_equal(script.read_idx(tmp_path, "train-images-idx3"), images)


def test_openml(script, monkeypatch):
    X, y = np.zeros((70000, 784)), np.full(70000, "7", dtype=object)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda *args, **kwargs: (X, y))
    parts = script.load_images()
    assert [p.shape for p in parts] == [(60000, 28, 28), (60000,), (10000, 28, 28), (10000,)]
    assert parts[1][0] == 7


@pytest.mark.slow
@pytest.mark.parametrize("method", ["simclr", "barlow_twins", "swav", "rotnet", "autoencoder"])
def test_each_method_learns_without_labels(script, method):
    rng = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):  # modules draw from the global generator
        torch.manual_seed(0)
        model = script.METHODS[method]()
    x = torch.zeros(64, 1, 28, 28)
    for image, (top, left) in zip(x, torch.randint(0, 18, (64, 2), generator=rng), strict=True):
        image[0, top : top + 10, left : left + 5] = 1  # upright bars
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        loss = model(x, None, rng)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.97 * np.mean(losses[:5])
    features = script.encode(model.encoder.eval(), np.zeros((2, 28, 28), dtype=np.uint8))
    assert features.shape == (2, 128)
    assert features.min() >= 0


def test_packing_rounds_to_six_significant_bits(script):
    x = np.random.RandomState(0).gamma(1, size=(100, 4)).astype(np.float32)
    packed = script.pack(x)
    assert packed.dtype == np.float16
    # half of the last of six bits, and float16's own rounding before it
    np.testing.assert_allclose(packed, x, rtol=2**-6 + 2**-11)


def test_the_sample_of_the_package_is_up_to_date(script, tmp_path):
    # an image in the test holds a random shade, so that no two rows are easily confused
    rng = np.random.RandomState(0)
    shades = {part: rng.randint(0, 256, n).astype(np.uint8) for part, n in N_IMAGES.items()}
    images = {part: np.repeat(x, 784).reshape(-1, 28, 28) for part, x in shades.items()}
    whole = np.load(EXAMPLES / "data" / "fashion_mnist.npz")
    script.write_sample(whole.fid.name, tmp_path / "sample.npz", images)
    with whole, np.load(tmp_path / "sample.npz") as made, np.load(script.SAMPLE) as kept:
        assert made.files == kept.files
        for name in kept.files:
            assert made[name].dtype == kept[name].dtype
            if name.startswith("images_"):
                part, n = name.removeprefix("images_"), len(kept[name]) // 10
                y = whole[f"y_{part}"]
                rows = np.sort(np.concatenate([np.flatnonzero(y == c)[:n] for c in range(10)]))
                np.testing.assert_array_equal(made[name][:, 0, 0], shades[part][rows] // 16 * 16)
                continue
            np.testing.assert_array_equal(made[name], kept[name])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the memory")
def test_memory_of_stacking(tmp_path):
    """At a tenth of the size: were it held, it would show."""
    benchmark = load("benchmarks/stack_memory.py")
    report = benchmark.measure(tmp_path, 0.4, "float32")
    assert report["shape"] == [46603, 2304]
    assert report["peak_mb"] - report["import_mb"] < 60  # some chunks of 8 MiB; that is 430 MB
