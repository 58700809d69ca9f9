"""The progress bar, and silence without it."""

import sys

import pytest

from sknnens import EnsembleRepresentationLearner


def run(views, verbose):
    learner = EnsembleRepresentationLearner(max_iter=3, verbose=verbose)
    return learner.fit(views).transform(views)


@pytest.mark.parametrize("with_tqdm", [True, False])
def test_bar_shows_fit_and_transform_with_the_loss(views, capfd, monkeypatch, with_tqdm):
    if not with_tqdm:
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    run(views, verbose=1)
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.replace("\r", "\n").split("\n")
    fit = [line for line in lines if line.startswith("fit: ")]
    transform = [line for line in lines if line.startswith("transform: ")]
    assert "3/3" in fit[-1]
    assert "60/60" in transform[-1]
    assert "loss=" in fit[-1]
    assert "loss=" in transform[-1]


def test_silent_by_default(views, capfd):
    run(views, verbose=False)
    assert capfd.readouterr() == ("", "")
