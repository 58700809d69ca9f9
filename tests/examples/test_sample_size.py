"""The benchmark of how many rows fit needs, on few rows, and its committed tables."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize


@pytest.fixture(scope="module")
def sample_size(benchmarks):
    return benchmarks("sample_size")


@pytest.fixture
def data(sample_size):
    return sample_size.planted(400, 50, 4)


def test_planted(sample_size, data):
    assert [view.shape for view in data.views] == [(450, 64)] * 3
    assert all(view.dtype == np.float32 and view.min() == 0 for view in data.views)
    again = sample_size.planted(400, 50, 4)
    np.testing.assert_equal(again.views, data.views)
    assert set(data.y) == set(range(4))


def test_accuracies(sample_size, data):
    found = sample_size.accuracies(data.views[0], data)
    train, test = np.split(normalize(data.views[0]), [400])
    y, wanted = np.split(data.y, [400])
    for k in sample_size.NEIGHBORS:
        score = KNeighborsClassifier(k).fit(train, y).score(test, wanted)
        assert found[f"k{k}"] == pytest.approx(100 * score)
    assert 25 < found["few_labels"] < found["k20"]
    every = data._replace(y=np.zeros_like(data.y))
    assert set(sample_size.accuracies(data.views[0], every).values()) == {100.0}


def test_measured_cells(sample_size, data, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sample_size, "ENSEMBLES", {"planted": lambda: data})
    monkeypatch.setattr(sample_size, "N_SEEDS", 2)
    monkeypatch.setattr(sample_size, "SHARES", (0.1, 1.0))
    results = tmp_path / "results.csv"
    options = ["sample_size.py", "--results", str(results), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", options)
    sample_size.main()
    found = pd.read_csv(results)
    assert list(found) == sample_size.FIELDS
    assert found.groupby(["method", "rows"]).size().to_dict() == {
        ("concatenation", 400): 1,
        ("learner", 40): 2,
        ("learner", 400): 2,
        ("projection", 40): 2,
        ("projection", 400): 2,
    }
    assert found.notna().all(axis=None)
    fits = [f"{name}, {rows} rows" for name in ("learner", "projection") for rows in (40, 400)]
    for name, expected in {
        "accuracies": [*fits, "concatenation, 400 rows"],
        "differences": fits[::2],
        "seconds": [*fits, "concatenation, 400 rows"],
    }.items():
        assert pd.read_csv(tmp_path / f"sample_size_{name}.csv")["fit"].tolist() == expected

    # what is there is not measured again, what is lost is
    results.write_text("".join(results.read_text().splitlines(keepends=True)[:-1]))
    capsys.readouterr()
    sample_size.main()
    assert len(capsys.readouterr().out.splitlines()) == 1
    again = pd.read_csv(results)
    pd.testing.assert_frame_equal(again[found.columns[:-2]], found[found.columns[:-2]])


def test_intervals(sample_size):
    rows = [("learner", 0.1, seed, 80.0 + seed) for seed in range(3)]
    rows += [("learner", 1.0, seed, 82.0 + 2 * seed) for seed in range(2)]
    results = pd.DataFrame(rows, columns=["method", "share", "seed", "k1"])
    results = results.assign(ensemble="planted", rows=9, fit_seconds=1.0, transform_seconds=0.1)
    results = results.assign(**dict.fromkeys(sample_size.SCORES, results["k1"]))
    tables = sample_size.make_tables(results)
    # the interval of three values is 4.30 / sqrt(3), that of two 12.7 / sqrt(2), deviations
    assert tables["accuracies"]["k = 5"].tolist() == ["81.00 ± 2.48", "83.00 ± 12.71"]
    assert tables["differences"]["k = 5"].tolist() == ["-2.50 ± 6.35"]


def test_the_committed_tables_are_those_of_the_results(sample_size):
    for name, table in sample_size.make_tables(pd.read_csv(sample_size.RESULTS)).items():
        written = sample_size.TABLES[name].read_text("utf-8")
        assert written == table.to_csv(index=False, lineterminator="\n")
