"""The benchmark of fit and transform, at sizes that take no time."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from test_solvers import made_up

from sknnens import EnsembleRepresentationLearner

pytestmark = pytest.mark.slow

pytest.importorskip("matplotlib")
pytest.importorskip("pandas")

TINY = "600x16x2"
AXES = {"n": (300, 600), "d": (4, 8), "m": (1, 2), "depth": (1, 2)}
MEASUREMENTS = [
    "time_steps",
    "time_direct",
    "time_autoencoder",
    "time_start",
    "fit_to_loss",
    "time_transform",
    "time_one_row",
    "memory_of_maps",
    "fit_imagenet",
    "scaling",
]


@pytest.fixture(scope="module")
def speed(benchmarks):
    return benchmarks("speed")


@pytest.fixture(scope="module")
def speed_page(benchmarks):
    return benchmarks("speed_page")


@pytest.fixture
def tiny(speed):
    return speed.Size.parse(TINY)


@pytest.fixture(autouse=True)
def less(speed, speed_page, tiny, monkeypatch):
    for module in (speed, speed_page):
        monkeypatch.setattr(module, "SIZES", (TINY,))
        monkeypatch.setattr(module, "AXES", AXES)
        monkeypatch.setattr(module, "BASE", tiny)
        monkeypatch.setattr(module, "LARGE", TINY)


def test_products_of_a_step(speed, tiny):
    # a layer's product, its weights' gradient and that of its input are as large
    one = 2 * speed.BATCH * 16 * 16
    assert tiny.step_flops(rows_move=True) == 2 * 2 * 3 * one
    assert tiny.step_flops(rows_move=False) == 2 * (2 * 3 - 1) * one
    assert str(tiny) == TINY


def test_features_have_a_structure(speed, tiny):
    views = speed.planted(tiny)
    assert [v.shape for v in views] == [(600, 16)] * 2
    assert min(v.min() for v in views) == 0
    assert all(np.array_equal(a, b) for a, b in zip(views, speed.planted(tiny), strict=True))
    # what the models have in common can be told from one of them
    a, b = (v - v.mean(axis=0) for v in views)
    found = a @ np.linalg.lstsq(a, b, rcond=None)[0]
    assert 1 - np.var(b - found) / np.var(b) > 0.5


def test_direct_reading_learns(speed, tiny):
    views = speed.planted(tiny)
    model = speed.DirectReading(views, "cpu")
    before = model.mean_loss(model.bank.detach(), views)
    start = model.bank.detach().clone()
    list(model.epoch(rows_move=False))
    assert torch.equal(model.bank, start)
    model.fit(20, 0.5)
    assert (model.bank != start).any()
    assert model.mean_loss(model.bank.detach(), views) < before
    found = model.transform(views)
    start = torch.nn.functional.normalize(sum(model.normalized(views)))
    assert model.mean_loss(found, views) < model.mean_loss(start, views)


def test_direct_reading_takes_networks(speed, tiny):
    views = speed.planted(tiny)
    ours = speed.learner(tiny, "cpu", max_iter=2, normalize=False).fit(np.hstack(views))
    model = speed.DirectReading(views, "cpu")
    model.take_networks(ours)
    ours.set_params(transform_solver="adam", transform_max_iter=50)
    rows = ours.transform(np.hstack(views))
    np.testing.assert_allclose(model.transform(views).numpy(), rows, atol=1e-4)


def test_direct_reading_starts_where_it_is_told_to(speed):
    rng = np.random.RandomState(0)
    views = [rng.standard_normal((80, width)).astype(np.float32) for width in (6, 9)]
    ours = EnsembleRepresentationLearner(
        max_iter=2,
        normalize=False,
        transform_solver="adam",
        transform_max_iter=50,
        random_state=0,
    ).fit(views)
    assert ours.output_activations_ == ["identity"] * 2
    rows = ours.transform(views)
    start = ours.set_params(transform_max_iter=0).transform(views)
    model = speed.DirectReading(views, "cpu", start=start)
    model.take_networks(ours)
    np.testing.assert_allclose(model.transform(views, start).numpy(), rows, atol=1e-4)


def test_memory_is_that_of_the_block(speed):
    with speed.Memory() as memory:
        held = np.ones(25_000_000)
        assert held[-1] == 1
    if Path("/proc/self/status").exists():
        assert 190 < memory.private_mb < 260


def test_every_measurement_is_tried(speed):
    assert set(speed.MEASUREMENTS) == {*MEASUREMENTS, "time_compiled"}  # which takes a while


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_measurements(speed, tiny, name):
    numbers = speed.MEASUREMENTS[name](tiny, "cpu")
    assert numbers
    assert all(math.isfinite(x) and x >= 0 for x in numbers.values())
    if name == "fit_to_loss":
        assert numbers["printed_loss"] <= numbers["printed_direct_loss"]
        assert numbers["warmup_loss"] <= numbers["warmup_direct_loss"]
    if name == "time_transform":
        assert numbers["loss"] <= 1.01 * numbers["direct_loss"]


def test_page_is_written_from_the_results_alone(speed, speed_page, tmp_path, monkeypatch):
    def measured(name, size, device):
        if name == "time_compiled":
            return {"warmup_step": 0.5, "moving_step": 0.5}
        return speed.MEASUREMENTS[name](size, device)

    monkeypatch.setattr(speed, "measure", measured)
    results = tmp_path / "speed.json"
    command = ["speed.py", "--sizes", TINY, "--repeats", "2", "--results", str(results)]
    monkeypatch.setattr(sys, "argv", command)
    speed.main()
    found = json.loads(results.read_text())["CPU"]
    for row in found["rows"]:
        if row["measurement"] == "fit_to_loss":
            row |= {
                "printed_seconds": 2.0,
                "printed_direct_seconds": 30.0 + 10 * row["repeat"],
            }
        if row["measurement"] == "time_steps":
            steps = {"warmup_step": 1.0, "warmup_share": 0.9}
            row |= steps | {"moving_step": 3.0, "moving_share": 0.5}
    results.write_text(json.dumps({"CPU": found}))
    images = tmp_path / "images"
    solvers = speed_page.solvers
    monkeypatch.setattr(solvers, "IMAGES", images)
    monkeypatch.setattr(solvers, "RESULTS", tmp_path / "solvers.csv")
    pd.DataFrame(made_up(solvers, "made up", 0.35, 3.0, 1.0)).to_csv(solvers.RESULTS)
    page = tmp_path / "speed.rst"
    below = tmp_path / "speed" / "solvers.rst"
    speed_page.write_page(results, page)
    text = page.read_text()
    assert "17.5 [15.0, 20.0]" in text  # times as fast
    assert '"60 %"' in text  # 0.9 of one second and 0.5 of three
    assert "GPU times are not measured" in text
    assert {p.name for p in images.iterdir()} == {"solvers.png", "solvers_accuracy.png"}
    assert '"made up","70.0","73.0","+3.0 ± 0.7","better"' in below.read_text()
    found_gpu = {"CPU": found, "Some GPU": {"machine": {}, "rows": found["rows"]}}
    results.write_text(json.dumps(found_gpu))
    speed_page.write_page(results, page)
    assert "GPU times are not measured" not in page.read_text()
    assert "Some GPU" in page.read_text()


def test_the_pages_are_those_of_the_results(speed, speed_page, tmp_path, monkeypatch):
    """Whoever measures anew also writes the pages anew."""
    monkeypatch.undo()
    monkeypatch.setattr(speed_page.solvers, "IMAGES", tmp_path)
    speed_page.write_page(speed.HERE / "speed.json", tmp_path / "speed.rst")
    for path in ("speed.rst", "speed/solvers.rst"):
        assert (tmp_path / path).read_text() == (speed_page.PAGE.parent / path).read_text()


def test_slope(speed, speed_page):
    row = {f"{axis}={v} fit": float(v) for axis, values in speed.AXES.items() for v in values}
    row |= {key.replace("fit", "transform"): 1.0 for key in row}
    row |= {key.replace(" fit", " private_mb"): 1.0 for key in row}
    assert {found["slope"] for found in speed_page.slopes(pd.Series(row), "fit")} == {"1.00"}
    table = speed_page.slopes(pd.Series(row), "transform")
    assert {found["slope"] for found in table} <= {"0.00", "-0.00"}


def test_precision(benchmarks, tmp_path, monkeypatch, capsys):
    precision = benchmarks("precision")
    data = precision.load_fashion_mnist_features(["simclr_0", "simclr_1"])
    few = {x: data[x][:200] for x in ("X_train", "y_train", "X_test", "y_test")}
    data.update(few)
    monkeypatch.setattr(precision, "load_fashion_mnist_features", lambda names, path: data)
    out = tmp_path / "table.csv"
    arguments = ["--seeds", "2", "--rounds", "2", "--sizes", "300x8x2", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["precision.py", *arguments])
    precision.main()
    assert "threads" in capsys.readouterr().out
    table = pd.read_csv(out, index_col=0).T
    assert table.index.tolist() == ["float32", "bfloat16", "float64"]
    assert table.loc["float32", "fit, 300x8x2"] == "1.00 [1.00, 1.00]"
    distances = table["distance to float64"].astype(float)
    assert 0 == distances["float64"] < distances["float32"] < distances["bfloat16"]
    kept = pd.read_csv(Path(precision.HERE) / "precision_cpu.csv", index_col=0).T
    assert kept.index.tolist() == table.index.tolist()
