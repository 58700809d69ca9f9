"""Devices and precisions."""

from functools import partial

import numpy as np
import pytest
import torch
from conftest import make_views

from sknnens import EnsembleRepresentationLearner
from sknnens._engine._device import Precision, resolve_device, resolve_precision, to_tensor
from sknnens.metrics import recoverability_score

no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@no_cuda
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps", "xpu:1"])
def test_absent_device_is_an_error(name, views):
    learner = EnsembleRepresentationLearner(device=name)
    match = f"device='{name}' cannot be used: .* This machine has 'cpu'; 'auto' takes what there is"
    with pytest.raises(ValueError, match=match):
        learner.fit(views)
    assert not hasattr(learner, "coefs_")
    learner.set_params(device="auto", max_iter=1).fit(views).set_params(device=name)
    for call in (learner.transform, partial(recoverability_score, learner)):
        with pytest.raises(ValueError, match=match):
            call(views)


def test_unknown_device_in_transform(views):
    learner = EnsembleRepresentationLearner(max_iter=1).fit(views).set_params(device="gpu")
    with pytest.raises(ValueError, match="device='gpu' cannot be used"):
        learner.transform(views)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "", "cpu:x", "meta", "hpu", "xla"])
def test_unknown_device(name):
    with pytest.raises(
        ValueError, match=f"device='{name}' cannot be used: .* This machine has"
    ) as raised:
        resolve_device(name)
    assert len(str(raised.value)) < 400


def test_names_of_the_cpu():
    assert resolve_device("cpu") == torch.device("cpu")


@no_cuda
def test_auto_without_cuda():
    assert resolve_device("auto") == torch.device("cpu")


@cuda
def test_auto_takes_cuda():
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("name", "dtype", "expected"),
    [
        ("auto", np.float32, Precision(torch.float32)),
        ("auto", np.float64, Precision(torch.float64)),
        ("float32", np.float64, Precision(torch.float32)),
        ("bfloat16", np.float64, Precision(torch.float32, bfloat16_products=True)),
    ],
)
def test_precision(name, dtype, expected):
    assert resolve_precision(name, dtype, torch.device("cpu")) == expected


@pytest.mark.parametrize(
    ("solver", "name", "tolerance"),
    [
        ("adam", "float32", 1e-4),
        ("adam", "bfloat16", 1e-2),
        ("newton", "float32", 1e-4),
        ("newton", "bfloat16", 1e-1),  # lengths of steps come from differences of gradients
    ],
)
def test_precisions_agree_with_float64(solver, name, tolerance, device):
    views = make_views(200, (32, 32), dtype=np.float64)
    params = {"max_iter": 10, "random_state": 0, "device": device, "transform_solver": solver}
    exact = EnsembleRepresentationLearner(**params).fit_transform(views)
    out = EnsembleRepresentationLearner(precision=name, **params).fit_transform(views)
    # bfloat16 has 8 bits of mantissa, 4e-3 relative, and the errors of some 60 steps add up;
    # the mean over rows, because a row beside a kink of a ReLU can take the other side
    assert np.linalg.norm(out - exact, axis=1).mean() < tolerance


def test_a_device_without_float64(monkeypatch):
    def zeros(*shape, dtype=None, **params):
        if dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    monkeypatch.setattr(torch, "zeros", zeros)
    precision = resolve_precision("auto", np.float64, torch.device("mps"))
    assert precision == Precision(torch.float32)


def test_a_device_without_the_fused_adam(monkeypatch):
    """What other accelerators take; it is the same algorithm."""
    views = make_views(dtype=np.float64)
    params = {
        "max_iter": 10,
        "random_state": 0,
        "representation_learning_rate": 1e-3,
        "warm_start": True,
    }
    expected = EnsembleRepresentationLearner(**params).fit(views)
    monkeypatch.setattr("sknnens._engine._adam.FUSED_DEVICES", ())
    found = EnsembleRepresentationLearner(**params).fit(views)
    np.testing.assert_allclose(found.embedding_, expected.embedding_, atol=1e-12)
    np.testing.assert_allclose(found.coefs_[0][0], expected.coefs_[0][0], atol=1e-12)


def test_modes_of_the_caller(views):
    learner = EnsembleRepresentationLearner(max_iter=1, random_state=0).fit(views)
    expected = learner.transform(views)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.enable_grad():
        np.testing.assert_array_equal(learner.fit(views).transform(views), expected)
        assert torch.is_grad_enabled()


@cuda
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cpu_and_cuda_agree(dtype):
    views = make_views(300, (64, 64, 64), dtype=dtype)
    params = {"max_iter": 10, "random_state": 0}
    on_cpu = EnsembleRepresentationLearner(device="cpu", **params).fit(views)
    on_cuda = EnsembleRepresentationLearner(device="cuda", **params).fit(views)
    assert on_cuda.device_ == "cuda:0"
    # the same operations, rounded in another order
    tolerance = {np.float32: 1e-3, np.float64: 1e-9}[dtype]
    np.testing.assert_allclose(on_cuda.transform(views), on_cpu.transform(views), atol=tolerance)
    # a model fitted on one device works on the other
    moved = on_cuda.set_params(device="cpu").transform(views)
    np.testing.assert_allclose(moved, on_cpu.transform(views), atol=tolerance)


def test_to_tensor_copies_any_layout():
    x = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    for given in (x, np.asfortranarray(x), x[:, ::-1], x[::2]):
        tensor = to_tensor(given, Precision(torch.float32), torch.device("cpu"))
        np.testing.assert_array_equal(tensor.numpy(), given)
        assert tensor.is_contiguous()
        assert not np.shares_memory(tensor.numpy(), given)
