"""The command line."""

import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import make_views
from numpy.testing import assert_array_equal

from sknnens import EnsembleRepresentationLearner
from sknnens.__main__ import main

pytest.importorskip("safetensors")

N_ROWS = 120
A, B = make_views(N_ROWS, [6, 5])
Y = (A[:, 0] > np.median(A[:, 0])).astype(int)
COLUMNS = ["--columns", "clip", "dino"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("clip.npy", A)
    np.save("dino.npy", B)
    np.save("y.npy", Y)
    return ["clip.npy", "dino.npy"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    columns = {"clip": list(A), "dino": list(B), "y": Y}
    pq.write_table(pa.table(columns), "in/0.parquet", row_group_size=50)
    return ["in"]


@pytest.mark.parametrize("form", ["files", "folder"])
def test_fit_and_transform(form, request, capsys):
    sources = request.getfixturevalue(form)
    columns = COLUMNS if form == "folder" else []
    main(["fit", *sources, *columns, "--out", "learner", "--n-components", "4", "--rows", "100"])
    main(["transform", "learner", *sources, "--out", "rows.npy"])
    learner = EnsembleRepresentationLearner.load("learner")
    assert learner.view_names_.tolist() == ["clip", "dino"]
    assert learner.coefs_[0][0].shape[0] == 4
    X = {"clip": A, "dino": B}
    if form == "folder":
        X = pytest.importorskip("pyarrow").table({name: list(x) for name, x in X.items()})
    assert_array_equal(np.load("rows.npy"), learner.transform(X))
    main(["transform", "learner", *sources, "--out", "rows.npy", "--resume"])
    assert_array_equal(np.load("rows.npy"), learner.transform(X))
    assert "100 samples, 2 view(s): clip (6), dino (5)" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("form", ["files", "folder"])
def test_compare(form, request, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    sources = request.getfixturevalue(form)
    options = ["--labels", "y.npy"] if form == "files" else [*COLUMNS, "--labels", "y"]
    main(["compare", *sources, *options, "--figure", "plot.png"])
    out = capsys.readouterr().out
    assert "k = 5" in out
    assert "clip" in out
    assert (tmp_path / "plot.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "clip.npy", "other.npy", "--out", "x"], "other.npy"),
        (["fit", "clip.npy", "short.npy", "--out", "x"], r"numbers of rows: \[60, 120\]"),
        (["fit", "clip.npy", "more/clip.npy", "--out", "x"], "the same name"),
        (["fit", "clip.npy", "in", "--out", "x"], "or one folder of parquet files"),
        (["fit", "in", "--out", "x"], "--columns clip dino"),
        (["transform", "clip.npy", "clip.npy", "--out", "x"], "no safetensors file"),
    ],
)
def test_errors(files, folder, arguments, message, capsys):
    np.save("short.npy", B[:60])
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("python -m sknnens: ")
    assert re.search(message, line)


@pytest.mark.slow
def test_it_is_a_module():
    command = [sys.executable, "-m", "sknnens", "--help"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "compare" in done.stdout
