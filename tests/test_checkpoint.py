"""A fit that is cut off goes on where it was, and nothing in the result tells."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from conftest import make_views
from numpy.testing import assert_array_equal, assert_equal
from sklearn.base import BaseEstimator

from sknnens import EnsembleRepresentationLearner
from sknnens._engine._newton import find_inverse_curvature
from sknnens.callbacks import Checkpoint

PARAMS = {"max_iter": 8, "batch_size": 20, "random_state": 0, "warm_start": True}


def with_checkpoint(path, every=1, **params):
    learner = EnsembleRepresentationLearner(**{**PARAMS, **params})
    return learner.set_callbacks(Checkpoint(path, every=every))


class PowerCutError(Exception):
    pass


@pytest.fixture
def cut(monkeypatch):
    """Let fits break off right after some of the states that are saved, counted in all fits."""
    left = []

    def save(self, identity, state, save=Checkpoint.save):
        save(self, identity, state)
        left[:] = [n - 1 for n in left]
        if 0 in left:
            raise PowerCutError

    monkeypatch.setattr(Checkpoint, "save", save)
    return left


def fitted_attributes(learner):
    """Those of nested estimators too."""
    found = {}
    for name, value in vars(learner).items():
        if name.endswith("_"):
            nested = isinstance(value, BaseEstimator)
            found[name] = fitted_attributes(value) if nested else value
    return found


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"warmup": 0, "alpha": 0.1, "non_negative": True},
        {"init": "average", "view_weights": None, "warmup": 1, "n_layers": 3},
        {"tol": 10.0, "n_iter_no_change": 1, "warmup": 0.1},
        {"missing_views": "impute", "batch_size": 7, "precision": "bfloat16"},
        {"random_state": np.random.RandomState(4)},
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("error")
def test_the_result_is_that_of_an_uninterrupted_fit(params, dtype, cut, device, tmp_path):
    views = make_views(dtype=dtype)
    if params.get("missing_views") == "impute":
        views[1][:9] = np.nan
    params = {**PARAMS, "device": device, "warm_start": False, **params}
    state = pickle.dumps(params["random_state"])
    whole = EnsembleRepresentationLearner(**params).fit(views)
    path = tmp_path / "state"
    cut += [1, 3]
    for n_fits in (1, 2, 3):  # each in a new process, which draws its seed anew
        params["random_state"] = pickle.loads(state)
        learner = with_checkpoint(path, every=1 + ("alpha" in params), **params)
        if n_fits < 3:
            with pytest.raises(PowerCutError):
                learner.fit(views)
            assert path.exists()
    learner.fit(views)
    assert not path.exists()
    assert_equal(fitted_attributes(learner), fitted_attributes(whole))
    assert_array_equal(learner.transform(views), whole.transform(views))


def test_files_of_killed_processes_are_removed(views, tmp_path):
    (tmp_path / "run.0123abcd.partial").touch()
    other = tmp_path / "run.other.0123abcd.partial"
    other.touch()
    with_checkpoint(tmp_path / "run").fit(views)
    assert list(tmp_path.iterdir()) == [other]


def test_warm_start_is_resumed_too(views, cut, tmp_path):
    first = pickle.dumps(EnsembleRepresentationLearner(**PARAMS).fit(views))
    whole = pickle.loads(first).fit(views)
    cut += [2]
    loaded = pickle.loads(first).set_callbacks(Checkpoint(tmp_path / "state", every=1))
    with pytest.raises(PowerCutError):
        loaded.fit(views)
    with pytest.raises(ValueError, match="load the learner that it continued first"):
        with_checkpoint(tmp_path / "state").fit(views)
    loaded.fit(views)
    assert_equal(fitted_attributes(loaded), fitted_attributes(whole))


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("make_state", [lambda: 0, lambda: np.random.RandomState(0)])
def test_ctrl_c_keeps_the_last_state(make_state, warm_start, views, tmp_path, monkeypatch):
    path = tmp_path / "state"
    params = {**PARAMS, "warm_start": warm_start}
    whole = EnsembleRepresentationLearner(**{**params, "random_state": make_state()}).fit(views)
    params["random_state"] = make_state()
    n_epochs = []

    def interrupt(bar, n_done, state):
        n_epochs.append(n_done)
        if len(n_epochs) == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sknnens._learner.ProgressBar.update", interrupt)
        learner = with_checkpoint(path, **params)
        with pytest.raises(KeyboardInterrupt, match="fitted by 5 epochs"):
            learner.fit(views)
    assert learner.n_iter_ == 5
    learner.fit(views)
    assert_equal(fitted_attributes(learner), fitted_attributes(whole))
    assert not path.exists()


def test_ctrl_c_after_the_last_epoch(views, monkeypatch):
    whole = EnsembleRepresentationLearner(**PARAMS).fit(views)
    calls = []

    def interrupt(*args):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return find_inverse_curvature(*args)

    monkeypatch.setattr("sknnens._engine.find_inverse_curvature", interrupt)
    learner = EnsembleRepresentationLearner(**PARAMS)
    with pytest.raises(KeyboardInterrupt):
        learner.fit(views)
    assert_equal(fitted_attributes(learner), fitted_attributes(whole))


@pytest.fixture
def path(views, cut, tmp_path):
    """A file that a fit left behind."""
    cut.append(2)
    with pytest.raises(PowerCutError):
        with_checkpoint(tmp_path / "state").fit(views)
    return tmp_path / "state"


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"max_iter": 9}, "max_iter"),
        ({"random_state": 1}, "random_state"),
        ({"view_weights": [1, 1, 2]}, "view_weights"),
        ({"learning_rate": 1e-3, "alpha": 0.1}, "alpha, learning_rate"),
        ({"precision": "bfloat16"}, "precision"),
        ({"missing_views": "impute"}, "missing_views"),  # what views predict is learned then
    ],
)
def test_another_fit_is_an_error(path, views, params, named):
    learner = with_checkpoint(path, **params)
    with pytest.raises(ValueError, match=f"Checkpoint .* differs in {named}. Remove the file"):
        learner.fit(views)
    assert path.exists()


def test_other_data_are_an_error(path, views):
    views[2][17, 3] += 1e-6
    with pytest.raises(ValueError, match=r"a fit that differs in the data\."):
        with_checkpoint(path).fit(views)


def test_what_does_not_matter_may_differ(path, views):
    params = {"device": "cpu", "transform_max_iter": 1, "normalize": False}
    with_checkpoint(str(path), every=3, **params).fit(views)


def test_damaged_files(path, views):
    learner = with_checkpoint(path, warm_start=False)
    expected = EnsembleRepresentationLearner(**{**PARAMS, "warm_start": False}).fit(views)
    whole = path.read_bytes()
    rng = np.random.RandomState(0)
    damaged = [whole[:n] for n in (0, 1, 100, len(whole) - 1)] + [b"text", pickle.dumps([1])]
    for position in rng.randint(len(whole), size=60):
        altered = bytearray(whole)
        altered[position] ^= 1 << rng.randint(8)
        damaged.append(bytes(altered))
    n_errors = 0
    for data in damaged:
        path.write_bytes(data)
        try:
            learner.fit(views)
        except ValueError as error:
            n_errors += "Checkpoint " in str(error) and "Remove the file" in str(error)
        else:
            assert_equal(fitted_attributes(learner), fitted_attributes(expected))
    assert n_errors > 0.8 * len(damaged)  # some bits of a zip file say nothing


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"path": "no/file"}, "path=.* must be the name of a file"),
        ({"path": "file", "every": 0}, "every=0 must be a positive integer"),
    ],
)
def test_arguments_that_cannot_be(params, message):
    with pytest.raises(ValueError, match=message):
        Checkpoint(**params)


def test_the_file_that_is_read_is_not_written_over(tmp_path):
    X = np.hstack(make_views())
    np.save(tmp_path / "x.npy", X)
    learner = with_checkpoint(tmp_path / "x.npy")
    with pytest.raises(ValueError, match="is a file that is read from"):
        learner.fit(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert_array_equal(np.load(tmp_path / "x.npy"), X)


KILLED = """if True:
    import os, pickle, random, signal, sys, time
    import numpy as np
    import torch
    from sknnens import EnsembleRepresentationLearner
    from sknnens.callbacks import Checkpoint
    torch.set_num_threads(1)
    folder, seed = sys.argv[1:]
    rng = random.Random(int(seed))
    X = [np.random.RandomState(i).rand(400, 12).astype(np.float32) for i in range(2)]

    def fit(path):
        learner = EnsembleRepresentationLearner(max_iter=60, batch_size=32, random_state=0)
        return learner.set_callbacks(Checkpoint(path, every=1)).fit(X)

    def in_a_process(path, result):  # a fit takes less time than to import torch
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                fitted = fit(path)
                state = fitted.coefs_, fitted.intercepts_, fitted.loss_curve_
                with open(result + ".part", "wb") as file:
                    pickle.dump((state, fitted.transform(X)), file)
                os.rename(result + ".part", result)
                code = 0
            finally:
                os._exit(code)
        return pid

    begin = time.perf_counter()
    assert os.waitpid(in_a_process(f"{folder}/whole", f"{folder}/expected"), 0)[1] == 0
    duration = time.perf_counter() - begin
    for i in range(10):
        path, result, n_kills = f"{folder}/state_{i}", f"{folder}/found_{i}", 0
        while not os.path.exists(result):
            pid = in_a_process(path, result)
            if n_kills == 0 or rng.random() < 0.5:
                time.sleep(rng.random() * duration)
                os.kill(pid, signal.SIGKILL)
                n_kills += 1
            status = os.waitpid(pid, 0)[1]
            assert status in (0, signal.SIGKILL), status
        print(n_kills, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_kill_at_random_moments(seed, tmp_path):
    env = {**os.environ, "PYTHONPATH": ":".join(x for x in sys.path if x)}
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(seed)]
    out = subprocess.run(command, check=True, env=env, capture_output=True, timeout=300).stdout
    assert sum(map(int, out.split())) >= 10
    expected = pickle.loads((tmp_path / "expected").read_bytes())
    for i in range(10):
        assert_equal(pickle.loads((tmp_path / f"found_{i}").read_bytes()), expected)
    left = {x.name for x in tmp_path.iterdir() if not x.name.startswith(("found", "expected"))}
    assert left == set()  # no states, no half-written files
