"""Threads, worker processes and forks: the same bits as alone, and no setting changes."""

import faulthandler
import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import joblib
import numpy as np
import pytest
import sklearn
import torch
from conftest import make_views
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from threadpoolctl import ThreadpoolController, threadpool_limits

from sknnens import EnsembleRepresentationLearner, stack_views

X, SIZES = stack_views(make_views(700, (40, 40)))
Y = (X[:, 0] > np.median(X[:, 0])).astype(int)
POOLS = ThreadpoolController()
LOKY = {"max_nbytes": 1000, "inner_max_num_threads": 1}  # input as a memory map
HANG = 10  # seconds after which a child that needs less than one is taken to hang


def small(**params):
    defaults = {"max_iter": 2, "batch_size": 64, "random_state": 0, "device": "cpu"}
    return EnsembleRepresentationLearner(SIZES, **{**defaults, **params})


def state_of(learner):
    return joblib.hash(vars(learner))


def settings():
    """What the process has, and the thread that asks."""
    return {
        "torch threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        # after torch's, which sets those of OpenMP in a thread that is new to it
        "threads": [(pool["filepath"], pool["num_threads"]) for pool in POOLS.info()],
        "dtype": torch.get_default_dtype(),
        "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "autocast": torch.is_autocast_enabled("cpu"),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "products": torch.get_float32_matmul_precision(),
        "numpy": joblib.hash(np.random.get_state()),  # noqa: NPY002  the state under test
        "torch": joblib.hash(torch.get_rng_state().numpy()),
        "errors": np.geterr(),
        "sklearn": sklearn.get_config(),
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
    }


def in_new_thread(work):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@contextmanager
def threads(n):
    """Of torch, OpenMP and BLAS."""
    before = torch.get_num_threads()
    with threadpool_limits(n):
        torch.set_num_threads(n)
        yield
        torch.set_num_threads(before)


@pytest.fixture
def one_thread():
    """For each worker as here: with another number of threads products round differently."""
    with threads(1):
        yield


@pytest.fixture
def two_threads():
    """So that a change is seen wherever the tests run."""
    with threads(2):
        yield


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["newton", "adam"])
def test_transform_from_eight_threads(solver):
    learner = small(transform_solver=solver, transform_max_iter=6).fit(X)
    rng, start = np.random.RandomState(0), threading.Barrier(8)
    parts = [rng.choice(len(X), n, replace=False) for n in (1, 5, 16, 60, 200, 300, 512, 700)]
    alone, before = [learner.transform(X[rows]) for rows in parts], state_of(learner)

    def work(rows):
        start.wait()
        return learner.transform(X[rows])

    for _ in range(3):
        with ThreadPoolExecutor(8) as pool:
            for out, expected in zip(pool.map(work, parts), alone, strict=True):
                assert_array_equal(out, expected)
    assert state_of(learner) == before


def in_futures(work):
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda _: work(), range(2)))


def in_joblib(work):
    return Parallel(n_jobs=2, backend="threading")(delayed(work)() for _ in range(2))


@pytest.mark.slow
@pytest.mark.parametrize("in_threads", [in_futures, in_joblib])
def test_fit_in_two_threads_at_once(in_threads):
    """Several times, as a race is not lost each time."""
    expected, before, start = state_of(small().fit(X)), settings(), threading.Barrier(2)

    def work():
        start.wait()
        return state_of(small().fit(X))

    for _ in range(5):
        assert in_threads(work) == [expected] * 2
        assert settings() == before


def checksum(learner, X, y=None):
    """Score that shows a bit that is different."""
    return int(joblib.hash(learner.transform(X))[:12], 16)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_scores_do_not_depend_on_n_jobs(backend, one_thread):
    def scores():
        model = make_pipeline(small(), KNeighborsClassifier(3))
        accuracy = cross_val_score(model, X, Y, cv=2, error_score="raise")
        search = GridSearchCV(
            small(), {"n_layers": [1, 2]}, scoring=checksum, cv=2, refit=False, error_score="raise"
        )
        return np.hstack([accuracy, search.fit(X).cv_results_["mean_test_score"]])

    expected = scores()
    with parallel_config(backend, n_jobs=2, **(LOKY if backend == "loky" else {})):
        assert_array_equal(scores(), expected)


def work_in_worker(learner, X):
    refitted = small(device="auto").fit(X)
    return isinstance(X, np.memmap), refitted.device_, learner.transform(X), refitted.transform(X)


@pytest.mark.slow
def test_worker_has_a_memory_map_and_no_cuda(one_thread, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    get_reusable_executor().shutdown(wait=True)  # its workers began with what was set before
    learner, here = small(device="auto").fit(X), small(device="cpu").fit(X)
    calls = [delayed(work_in_worker)(x, X) for x in (learner, here)]
    with parallel_config("loky", n_jobs=2, **LOKY):
        (*found, theirs, refitted), (*_, same, _) = Parallel()(calls)
    get_reusable_executor().shutdown(wait=True)
    assert found == [True, "cpu"]
    assert_array_equal(same, here.transform(X))
    assert_array_equal(refitted, same)
    np.testing.assert_allclose(theirs, learner.transform(X), atol=1e-4)  # maybe of CUDA


def fork_and_call():
    """Fit here; fuse, transform and fit in a forked child, which ends itself if it hangs."""
    learner = small().fit(X)
    expected, start = learner.transform(X), learner.init_.transform(X)
    torch.zeros(1_000_000).add_(1)  # now torch has its threads

    def child():
        faulthandler.dump_traceback_later(HANG, exit=True)
        errors = []
        for call in (learner.transform, small().fit):
            try:
                call(X)
            except RuntimeError as error:
                errors.append("loky" in str(error))
        same = np.array_equal(learner.init_.transform(X), start)
        torch.set_num_threads(1)  # as the message says
        near = np.allclose(learner.transform(X), expected, atol=1e-5)
        os._exit(0 if errors == [True, True] and same and near else 3)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    sys.exit(process.exitcode)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_gets_an_error_and_does_not_hang():
    call = "import test_concurrency; test_concurrency.fork_and_call()"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", call]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("run", [lambda work: work(), in_new_thread], ids=["here", "in a thread"])
def test_settings_are_left_as_found(run, two_threads):
    torch.rand(1)  # no fit may end in the same state

    def work():
        before = settings()
        learner = small(precision="bfloat16").fit(X)
        assert settings() == before
        learner.transform(X)
        assert settings() == before

    run(work)


def test_no_other_thread_sees_a_change(two_threads):
    learner, seen, done = small(), [], threading.Event()

    def watch():
        while not done.is_set():
            found = in_new_thread(settings)  # in one that begins meanwhile
            if found not in seen:
                seen.append(found)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            for _ in range(3):
                learner.fit(X).transform(X)
        finally:
            done.set()
    watching.result()
    assert seen[1:] == []
