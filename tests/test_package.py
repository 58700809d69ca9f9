"""The names of the package, and when they are imported."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sknnens

ROOT = Path(__file__).resolve().parent.parent


def test_public_names():
    assert dir(sknnens) == sorted(sknnens.__all__)
    for name in sknnens.__all__:
        assert getattr(sknnens, name) is vars(sknnens)[name]
    with pytest.raises(AttributeError, match=r"^module 'sknnens' has no attribute 'learner'$"):
        sknnens.learner  # noqa: B018


@pytest.mark.slow
def test_torch_is_imported_with_the_learner():
    code = """
import sys
import numpy as np
from sknnens import datasets, fusion, inspection, metrics, stack_views
stack_views([np.eye(3), np.eye(3)])
print("torch" in sys.modules)
from sknnens import EnsembleRepresentationLearner
print("torch" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == ["False", "True"], result.stderr


def test_show_versions(capsys):
    sknnens.show_versions()
    lines = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["sknnens"] == sknnens.__version__
    assert lines["torch"].startswith("2.")
    assert lines["devices"].startswith("'cpu'")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_distributions_are_small_and_their_page_has_no_relative_link(kind, tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = tmp_path.iterdir()
    assert built.stat().st_size < 3e6
    shutil.unpack_archive(built, tmp_path, "zip" if kind == "wheel" else "gztar")
    (metadata,) = [*tmp_path.glob("*.dist-info/METADATA"), *tmp_path.glob("*/PKG-INFO")]
    page = metadata.read_text(encoding="utf-8")
    assert "pip install" in page
    assert "Read on" not in page
    links = re.findall(r"\]\((.*?)\)", page)
    assert links
    assert all(link.startswith("https:") for link in links), links
