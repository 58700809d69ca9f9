"""The measurements behind the page on large data, at sizes that take no time."""

import importlib
import shutil
from pathlib import Path

import pytest

SCALE = Path(__file__).resolve().parents[2] / "examples" / "scale"

pytest.importorskip("pyarrow")


@pytest.fixture
def measure(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(SCALE)
    measure = importlib.reload(importlib.import_module("measure"))
    for name in measure.TABLES:
        monkeypatch.setitem(measure.TABLES, name, tmp_path / f"{name}.csv")
    return measure


def test_tables_are_those_of_the_results(measure):
    measure.write_tables()
    for name, path in measure.TABLES.items():
        assert path.read_text() == (SCALE / f"{name}.csv").read_text()


@pytest.mark.slow
def test_rates_and_out_of_core(measure, monkeypatch, tmp_path):
    shutil.copy(measure.RESULTS, tmp_path / "large_data.json")
    small = {
        "RESULTS": tmp_path / "large_data.json",
        "WIDTH": 8,
        "MODELS": {"learner": 8, "fusion": 8},
        "N_ROWS": 100,
        "GIGABYTES": 0.01,
        "OUT_OF_CORE": (2, 8, 4),
        "FILE_ROWS": 2000,
    }
    for name, value in small.items():
        monkeypatch.setattr(measure, name, value)
    before = measure.TABLES["rates"], measure.RESULTS.read_text()
    measure.main(["rates", "out_of_core"])
    assert measure.RESULTS.read_text() != before[1]
    found = measure.json.loads(measure.RESULTS.read_text())
    assert set(found["rates"]["rows_per_second"]) == {"learner", "fusion"}
    assert found["out_of_core"]["equal"]
    assert found["out_of_core"]["begins"][0] == 0
    assert "learner" in measure.TABLES["rates"].read_text()
