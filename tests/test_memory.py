"""Memory that runs out, banks that are kept elsewhere."""

import errno
import warnings
from functools import partial
from itertools import cycle

import numpy as np
import pytest
import torch
from conftest import make_views
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from torch.utils._python_dispatch import TorchDispatchMode

from sknnens import EnsembleRepresentationLearner
from sknnens._engine._bank import new_bank
from sknnens._engine._device import resolve_device, resolve_device_or_auto, resolve_precision
from sknnens._engine._memory import is_out_of_memory
from sknnens._engine._optim import BankAdam
from sknnens._engine._rows import chunk_rows

# few rows a chunk, so that there are many chunks
PARAMS = {"max_iter": 3, "batch_size": 16, "random_state": 0, "transform_solver": "adam"}


class Allocations(TorchDispatchMode):
    """Counts what torch allocates, and lets some of it fail."""

    def __init__(self, failing=(), error=torch.cuda.OutOfMemoryError):
        super().__init__()
        self.failing, self.error = set(failing), error
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        allocates = not func.is_view and not any(
            x.alias_info is not None for x in func._schema.returns
        )
        self.count += allocates
        if allocates and self.count in self.failing:
            raise self.error("out of memory")
        return func(*args, **(kwargs or {}))


def cpu_error(text):
    return RuntimeError("[enforce fail at alloc_cpu.cpp] can't allocate memory")


# of torch, of NumPy, and of torch on the CPU
ERRORS = [torch.cuda.OutOfMemoryError, MemoryError, cpu_error]


def count(function):
    with Allocations() as allocations:
        function()
    return allocations.count


def run_out(function, failing, error=MemoryError):
    """Call with allocations that fail; check that there is one warning."""
    with warnings.catch_warnings(record=True) as found, Allocations(failing, error):
        warnings.simplefilter("always")
        result = function()
    assert [x.category for x in found] == [RuntimeWarning]
    assert found[0].filename == __file__
    assert "Memory ran out in" in str(found[0].message)
    return result, str(found[0].message)


def learner(**params):
    return EnsembleRepresentationLearner(**{**PARAMS, **params})


def test_transform_goes_on_in_smaller_chunks():
    views = make_views(1500, (20, 20, 20))
    fitted = learner(n_components=20, transform_max_iter=5).fit(views)
    expected = fitted.transform(views)
    n_allocations = count(lambda: fitted.transform(views))
    messages = []
    for i, error in zip(np.linspace(1, n_allocations, 12).astype(int), cycle(ERRORS), strict=False):
        rows, message = run_out(lambda: fitted.transform(views), [i], error)
        messages.append(message)
        assert_allclose(rows, expected, atol=1e-5)
    # the networks are put on the device before there is a chunk
    assert sum("512 samples at a time" in message for message in messages) > 9
    rows, message = run_out(lambda: fitted.transform(views), range(1, n_allocations, 90))
    assert "512" not in message
    assert_allclose(rows, expected, atol=1e-5)


def test_rows_are_not_done_twice(tmp_path):
    """What is done when memory runs out stays, and the bar counts each row once."""
    views = make_views(1500, (20, 20, 20))
    fitted = learner(n_components=20, transform_max_iter=5).fit(views)
    expected = fitted.transform(views)
    n_allocations = count(lambda: fitted.transform(views))
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sknnens._learner.ProgressBar.update", lambda bar, n, loss: seen.append(n))
        path = tmp_path / "rows.npy"
        rows, _ = run_out(lambda: fitted.transform(views, out=path), [n_allocations - 5])
    assert sum(seen) == 1500
    assert_allclose(rows, expected, atol=1e-5)


def test_fit_goes_on():
    """A failure that does not come back changes nothing, wherever it is."""
    views = make_views(100)
    whole = learner().fit(views)
    n_allocations = count(lambda: learner().fit(views))
    for i, error in zip(np.linspace(1, n_allocations, 20).astype(int), cycle(ERRORS), strict=False):
        fitted, message = run_out(lambda: learner().fit(views), [i], error)
        assert "with batches whole and" in message
        for name in ("coefs_", "intercepts_", "embedding_", "loss_curve_", "inverse_curvature_"):
            assert_equal(getattr(fitted, name), getattr(whole, name))
        assert_array_equal(fitted.transform(views), whole.transform(views))


def test_fit_goes_on_in_parts_of_batches(monkeypatch):
    """As long as a batch of more than 5 rows does not fit."""
    views = make_views(100, dtype=np.float64)

    def take(self, index, take=BankAdam.take):
        if len(index) > 5:
            raise MemoryError
        return take(self, index)

    params = {"representation_learning_rate": 1e-3, "alpha": 0.01, "max_iter": 6}
    whole = learner(**params).fit(views)
    with monkeypatch.context() as patch:
        patch.setattr(BankAdam, "take", take)
        fitted, message = run_out(lambda: learner(**params).fit(views), [])
    assert "taken in 4 parts" in message
    assert_allclose(fitted.embedding_, whole.embedding_, atol=1e-9)
    assert_allclose(fitted.coefs_[0][0], whole.coefs_[0][0], atol=1e-9)
    assert_allclose(fitted.transform(views), whole.transform(views), atol=1e-9)


def test_memory_that_never_comes_back(views, monkeypatch):
    fitted = learner().fit(views)

    def fail(*args, **kwargs):
        raise MemoryError("not one byte")

    monkeypatch.setattr("sknnens._engine._networks.Pass.forward", fail)
    for call in (fitted.fit, fitted.transform):
        with pytest.raises(MemoryError, match="not one byte"):
            call(views)
    assert fitted.n_iter_ == 3  # as it was


def test_other_errors_are_raised_at_once(views, monkeypatch):
    fitted, calls = learner().fit(views), []

    def fail(*args, **kwargs):
        calls.append(1)
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr("sknnens._engine._networks.Pass.forward", fail)
    for call in (fitted.fit, fitted.transform):
        with pytest.raises(RuntimeError, match="sizes do not match"):
            call(views)
    assert len(calls) == 2


def test_chunks_are_chosen_from_what_is_free(monkeypatch):
    free = 2**20
    monkeypatch.setattr("sknnens._engine._rows.free_memory", lambda device: free)
    cuda = torch.device("cuda")
    assert chunk_rows(cuda, 100, 10) == 8192
    assert chunk_rows(cuda, 100, 1000) == 512
    assert chunk_rows(cuda, 100, 10**9) == 1
    assert chunk_rows(torch.device("cpu"), 100, 10**9) == 1024


def test_other_types_are_not_taken_instead(monkeypatch):
    """An allocation that fails says nothing of what a device has."""
    views = make_views(dtype=np.float64)
    fitted, _ = run_out(lambda: learner(random_state=1).fit(views), [3])
    assert fitted.coefs_[0][0].dtype == np.float64

    def zeros(*shape, device, dtype=None):
        raise torch.cuda.OutOfMemoryError("out of memory")

    monkeypatch.setattr(torch, "zeros", zeros)
    for call in (partial(resolve_device, "xpu"), partial(resolve_device_or_auto, "xpu")):
        with pytest.raises(torch.cuda.OutOfMemoryError):
            call()
    with pytest.raises(torch.cuda.OutOfMemoryError):
        resolve_precision("auto", np.float64, torch.device("xpu"))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.0 GB)"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_words_for_no_memory(error):
    assert is_out_of_memory(error)
    assert not is_out_of_memory(type(error)("no space left"))


def test_input_is_not_replaced(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.hstack(make_views()))
    before = path.read_bytes()
    X = np.load(path, mmap_mode="r")
    params = {"views": [6, 6, 6]}
    for name in ("embedding_path", "checkpoint"):
        with pytest.raises(ValueError, match=f"{name}=.* is the file that X is read from"):
            learner(**params, **{name: path}).fit(X)
    fitted = learner(**params).fit(X)
    with pytest.raises(ValueError, match=r"out=.* is the file that X is read from"):
        fitted.transform(X[:20], out=path)
    assert path.read_bytes() == before
    both = {"checkpoint": tmp_path / "a", "embedding_path": tmp_path / "b" / ".." / "a"}
    (tmp_path / "b").mkdir()
    with pytest.raises(ValueError, match="checkpoint and embedding_path are the same file"):
        learner(**params, **both).fit(X)


@pytest.mark.parametrize("missing", [False, True])
def test_bank_in_a_file(missing, tmp_path):
    views = make_views(200)
    if missing:
        views[0][:20] = np.nan
    path = tmp_path / "bank.npy"
    params = {"missing_views": "mask", "batch_size": 64}
    whole = learner(**params).fit(views)
    fitted = learner(embedding_path=path, **params).fit(views)
    assert isinstance(fitted.embedding_, np.memmap)
    assert not fitted.embedding_.flags.writeable
    assert_array_equal(np.load(path), whole.embedding_)
    assert_equal(fitted.coefs_, whole.coefs_)
    assert_array_equal(fitted.transform(views), whole.transform(views))
    assert list(tmp_path.iterdir()) == [path]
    # from the file to the file
    fitted.set_params(warm_start=True).fit(views)
    whole.set_params(warm_start=True).fit(views)
    assert_array_equal(np.load(path), whole.embedding_)


def test_fit_that_fails_leaves_the_file_as_it_was(views, tmp_path):
    path = tmp_path / "bank.npy"
    before = learner(embedding_path=path).fit(views)
    with pytest.raises(ValueError, match="no longer finite"):
        learner(embedding_path=path, learning_rate=1e30, max_iter=30).fit(views)
    assert_array_equal(np.load(path), before.embedding_)
    assert list(tmp_path.iterdir()) == [path]


def test_where_the_bank_is(monkeypatch):
    meta = torch.device("meta")  # one without memory, which every machine has

    def where(**params):
        with new_bank((10, 4), torch.float32, meta, path=None, **params) as bank:
            assert all(x.shape == (10, 4) for x in bank)
            return {x.device.type for x in bank}

    assert where(on_device=True) == {"meta"}
    assert where(on_device=False) == {"cpu"}
    for free, expected in ((959, "cpu"), (960, "meta")):  # twice 3 x 10 x 4 x 4 bytes
        monkeypatch.setattr("sknnens._engine._bank.free_memory", lambda device, free=free: free)
        assert where(on_device=True) == {expected}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_bank_on_the_host(monkeypatch):
    """Where a device has no room for it; the result is the same."""
    device = "cuda"
    views = make_views(200)
    whole = learner(device=device).fit(views)
    monkeypatch.setattr("sknnens._engine._bank.free_memory", lambda device: 1)
    monkeypatch.setattr("sknnens._engine._rows.free_memory", lambda device: None)
    kept = []

    def init(self, bank, *args, init=BankAdam.__init__):
        kept.append(bank.device.type)
        init(self, bank, *args)

    monkeypatch.setattr(BankAdam, "__init__", init)
    fitted = learner(device=device).fit(views)
    assert kept == ["cpu"]
    assert_equal(fitted.coefs_, whole.coefs_)
    assert_array_equal(fitted.embedding_, whole.embedding_)
