"""Documentation that must keep up with the code."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import make_views

import sknnens
from sknnens import datasets, fusion, inspection, metrics

MODULES = ("fusion", "datasets", "inspection", "metrics")
ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    "name",
    [n for n in sknnens.__all__ if not n.startswith("_") and n not in MODULES]
    + [f"datasets.{n}" for n in vars(datasets) if n.startswith("load_")]
    + [f"fusion.{n}" for n in fusion.__all__]
    + [f"inspection.{n}" for n in inspection.__all__]
    + [f"metrics.{n}" for n in metrics.__all__],
)
def test_every_public_name_has_an_api_page(name):
    assert name in (ROOT / "docs" / "api.rst").read_text().split()


def test_the_lowest_versions_are_those_of_the_metadata():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {
        line.replace(">=", "==")
        for line in [*project["dependencies"], *project["optional-dependencies"]["test"]]
    }
    pinned = {
        line
        for line in (ROOT / "constraints-lowest.txt").read_text().split("\n")
        if line and not line.startswith(("#", "torch"))
    }
    assert pinned <= declared
    assert {p.split("==")[0] for p in pinned} >= {"joblib", "numpy", "scikit-learn", "scipy"}


def test_versions_agree():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {sknnens.__version__}\n" in citation


def test_the_readme_s_examples_run(tmp_path, monkeypatch):
    blocks = (ROOT / "README.md").read_text().split("```python\n")[1:]
    code = "".join(block.split("```")[0] for block in blocks)
    for name, view in zip("abc", make_views(60, (8, 8, 5)), strict=True):
        np.save(tmp_path / f"{name}.npy", view)
    np.save(tmp_path / "labels.npy", np.arange(60) % 2)
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(code, scope)
    assert scope["representations"].shape == (60, 8)
    assert scope["search"].best_score_ > 0
