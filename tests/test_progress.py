"""The progress bar, and silence without it."""

import io
import re
import sys
import threading

import pytest
from numpy.testing import assert_array_equal

from sknnens import EnsembleRepresentationLearner

without_tqdm = pytest.mark.parametrize("with_tqdm", [True, False])


def run(views, verbose):
    learner = EnsembleRepresentationLearner(max_iter=3, verbose=verbose, random_state=0)
    return learner.fit(views).transform(views)


class BrokenStream(io.StringIO):
    """A stream whose other end is gone after some writes."""

    def __init__(self, n_writes):
        super().__init__()
        self.left = n_writes

    def write(self, text):
        self.left -= 1
        if self.left < 0:
            raise BrokenPipeError
        return super().write(text)


def closed_stream():
    stream = io.StringIO()
    stream.close()
    return stream


@without_tqdm
def test_bar_shows_fit_and_transform_with_the_loss(views, capfd, monkeypatch, with_tqdm):
    if not with_tqdm:
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    run(views, verbose=1)
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.replace("\r", "\n").split("\n")
    # what was understood, before the first epoch
    understood = "60 samples, 3 view(s): view0 (6), view1 (6), view2 (6)"
    assert lines[0] == f"fit: {understood}; finding the start"
    fit = [line for line in lines[1:] if line.startswith("fit: ")]
    transform = [line for line in lines if line.startswith("transform: ")]
    assert "3/3" in fit[-1]
    assert "60/60" in transform[-1]
    assert "loss=" in fit[-1]
    assert "loss=" in transform[-1]


def test_silent_by_default(views, capfd):
    run(views, verbose=False)
    assert capfd.readouterr() == ("", "")


@without_tqdm
@pytest.mark.parametrize(
    "make_stream",
    [lambda: None, closed_stream, *(lambda n=n: BrokenStream(n) for n in range(0, 20, 2))],
)
def test_without_a_usable_standard_error(views, monkeypatch, make_stream, with_tqdm):
    if not with_tqdm:
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    expected = run(views, verbose=False)
    monkeypatch.setattr(sys, "stderr", make_stream())
    assert_array_equal(run(views, verbose=1), expected)
    if with_tqdm:  # its monitor would wait for the lock when the process ends
        lock = pytest.importorskip("tqdm").tqdm.get_lock()

        def take():
            with lock:
                pass

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_the_loss_of_transform_is_the_mean_over_its_rows(views, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    learner = EnsembleRepresentationLearner(max_iter=1, random_state=0).fit(views)

    def infer(views, start, networks, config, out, on_chunk):
        on_chunk(20, 1.0)
        on_chunk(40, 4.0)

    monkeypatch.setattr("sknnens._engine.infer", infer)
    learner.set_params(verbose=1).transform(views)
    lines = capfd.readouterr().err.split("\r")[1:]
    assert re.match(r"transform: 20/60 row, \S+/s, \d+ s left, loss=1\.0000", lines[0])
    assert re.match(r"transform: 60/60 row, \S+/s, 0 s left, loss=3\.0000\n", lines[1])
