"""Inference with the networks frozen, and the independence of rows on every processor."""

import errno
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from conftest import make_views
from numpy.testing import assert_allclose, assert_array_equal
from test_train import CPU, DOUBLE, as_views, average, plain_loss, plain_mlps, problem
from torch import nn

from sknnens._engine import (
    InferConfig,
    Precision,
    find_inverse_curvature,
    infer,
    init_networks,
    is_out_of_memory,
    layer_sizes,
)
from sknnens._engine._infer import _Chunk
from sknnens._engine._loss import normalize_rows
from sknnens._engine._rows import CHUNK_ROWS, chunk_rows

N_STEPS = 20


def run_infer(views, networks, on_chunk=lambda n, loss: None, newton=False, **options):
    config = {
        "view_weights": [1.0] * len(views.arrays),
        "max_iter": 10,
        "step_size": 1e-2,
        "inverse_curvature": None,
        "non_negative": False,
        "normalize": False,
        "precision": Precision(networks.layers[0][0].weight.dtype),
    }
    start = average(views)
    if newton:
        config["inverse_curvature"] = find_inverse_curvature(
            networks,
            torch.from_numpy(start[:60]),
            torch.from_numpy(np.stack(views.norms)[:, :60] > 0),
            config["view_weights"],
        )
    out = np.empty_like(start)
    config = InferConfig(**{**config, **options})
    n_halvings = infer(views, lambda rows: start[rows], networks, config, out, on_chunk)
    return out, n_halvings


def test_infer_is_a_plain_reading_of_the_inference_phase():
    views, start, networks = problem()
    targets = [torch.from_numpy(unit) for unit in views.units()]
    mlps = plain_mlps(networks)
    reps = nn.Parameter(start.clone())
    adam = torch.optim.Adam([reps], lr=1e-2)
    for _ in range(N_STEPS):
        adam.zero_grad()
        plain_loss(mlps, reps, targets).backward()
        adam.step()
    ours, _ = run_infer(views, networks, max_iter=N_STEPS)
    assert_allclose(ours, reps.detach().numpy(), atol=1e-9)


def test_planted_features_are_recovered():
    """Features that a known MLP makes of known unit vectors can be matched almost exactly."""
    rng = torch.Generator().manual_seed(0)
    truth = normalize_rows(torch.randn(40, 6, generator=rng, dtype=torch.float64))
    _, _, networks = problem(relu=False)
    views = as_views([out.numpy() for out in networks(truth)])
    for newton, most in ((False, 500), (True, 100)):
        losses = []
        for max_iter in (1, most):
            on_chunk = partial(lambda seen, n, loss: seen.append(loss), losses)
            run_infer(views, networks, on_chunk, newton=newton, max_iter=max_iter)
        # the rest are the few rows that end in another minimum
        assert losses[1] < 0.05 * losses[0]


def test_three_newton_steps_get_further_than_fifty_of_adam():
    views, _, networks = problem()
    losses = {}
    for newton, max_iter in ((True, 4), (False, 51)):
        run_infer(  # the loss is the one before the last step
            views,
            networks,
            lambda n, x, newton=newton: losses.update({newton: x}),
            newton=newton,
            max_iter=max_iter,
            step_size=3e-4,
        )
    assert losses[True] < losses[False]


def test_no_steps_leave_rows_at_their_start():
    views, start, networks = problem()
    rows, _ = run_infer(views, networks, max_iter=0)
    assert_array_equal(rows, start.numpy())


@pytest.mark.parametrize("newton", [True, False])
def test_rounding_moves_no_row_further_than_rounding(newton):
    views, start, networks = problem()
    expected, _ = run_infer(views, networks, newton=newton)
    noise = np.random.RandomState(0).randn(*start.shape) * 1e-13
    moved = as_views([x * (1 + noise) for x in views.arrays])
    found, _ = run_infer(moved, networks, newton=newton)
    assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("newton", [True, False])
def test_a_row_does_not_depend_on_its_company_or_place(newton, dtype):
    for width in (*range(1, 41, 3), 2, 5, 8, 33, 64):
        arrays = make_views(150, (width, width), dtype=np.dtype(str(dtype)[6:]))
        arrays[0][:5], arrays[1][5:9] = np.nan, 0
        views = as_views(arrays)
        networks = init_networks(
            layer_sizes(width, None, 2, [width] * 2),
            [True] * 2,
            generator=torch.Generator().manual_seed(0),
            dtype=dtype,
            device=CPU,
        )
        inverse = torch.eye(width, dtype=dtype) + 0.01
        options = {"max_iter": 3, "inverse_curvature": inverse if newton else None}
        whole, _ = run_infer(views, networks, **options)
        order = np.random.RandomState(0).permutation(150)
        assert_array_equal(run_infer(views.take(order), networks, **options)[0], whole[order])
        for rows in (slice(7, 8), slice(40, 149)):
            found, _ = run_infer(views.take(rows), networks, **options)
            assert_array_equal(found, whole[rows], err_msg=f"width {width}")


PERMUTED = """if True:
    import sys, numpy as np, torch
    torch.set_num_threads(int(sys.argv[1]))
    from sknnens import EnsembleRepresentationLearner
    from sknnens.fusion import GCCA
    from sknnens.fusion._base import multiply_rows
    rng = np.random.RandomState(0)
    order = rng.permutation(130)
    for dtype in (np.float32, np.float64):
        for width in (2, 5, 7, 8, 9, 11, 16, 17, 33, 40):
            views = [rng.rand(130, width).astype(dtype) for _ in range(2)]
            learner = EnsembleRepresentationLearner(max_iter=1, random_state=0).fit(views)
            for model in (learner, GCCA(n_components=min(width, 9)).fit(views)):
                whole = model.transform(views)
                moved = model.transform([x[order] for x in views])
                alone = model.transform([x[77:78] for x in views])
                assert np.array_equal(moved, whole[order]), (model, dtype, width)
                assert np.array_equal(alone[0], whole[77]), (model, dtype, width)
        for shape in [(512, 33), (256, 128), (128, 1000)]:  # for several threads of OpenBLAS
            rows = np.tile(rng.rand(shape[0]).astype(dtype), (16, 1))
            product = multiply_rows(rows, rng.rand(*shape).astype(dtype))
            assert (product == product[0]).all(), (dtype, shape)
"""
PROCESSORS = [  # kernels of OpenBLAS and code paths of MKL, which the fastest CPUs have all
    ({"OPENBLAS_CORETYPE": "Haswell", "MKL_CBWR": "AVX2"}, 1),
    ({"OPENBLAS_CORETYPE": "Haswell", "MKL_CBWR": "AVX2"}, 2),
    ({"OPENBLAS_CORETYPE": "Sandybridge", "MKL_CBWR": "COMPATIBLE"}, 2),
    ({"OPENBLAS_CORETYPE": "SkylakeX", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}, 2),
]


@pytest.mark.slow
@pytest.mark.parametrize(("settings", "n_threads"), PROCESSORS)
def test_rows_are_independent_on_other_processors(settings, n_threads):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(x for x in sys.path if x), **settings}
    env |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(n_threads))
    command = [sys.executable, "-c", PERMUTED, str(n_threads)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    if done.returncode < 0:
        pytest.skip(f"this CPU cannot imitate {settings}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError, MemoryError])
def test_smaller_chunks_when_memory_runs_out(error, monkeypatch):
    """As long as more than 20 rows do not fit; rows that are done are not done again."""
    _, _, networks = problem()
    views = as_views(make_views(200, dtype=np.float64))
    expected, n_halvings = run_infer(views, networks)
    assert n_halvings == 0
    init, seen = _Chunk.__init__, []

    def fail(self, size, *args):
        if size > 20:
            raise error("out of memory")
        init(self, size, *args)

    monkeypatch.setattr(_Chunk, "__init__", fail)
    found, n_halvings = run_infer(views, networks, lambda n, loss: seen.append(n))
    assert n_halvings == 2
    assert CHUNK_ROWS["cpu"] // 4 == max(seen)
    assert sum(seen) == 200
    assert_allclose(found, expected, atol=1e-12)
    monkeypatch.setattr(_Chunk, "__init__", lambda self, *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_infer(views, networks)


def test_chunks_are_chosen_from_free_memory(monkeypatch):
    monkeypatch.setattr("sknnens._engine._rows.free_memory", lambda device: 2**20)
    cuda = torch.device("cuda")
    assert [chunk_rows(cuda, n_bytes) for n_bytes in (10, 1000, 10**9)] == [8192, 512, 1]
    monkeypatch.undo()
    assert chunk_rows(CPU, 10**9) == CHUNK_ROWS["cpu"]


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


def test_padded_networks_are_the_same():
    _, rows, networks = problem(n_layers=3, hidden_size=9)
    padded = networks.padded(16)
    assert {x for layers in padded.weights for w in layers for x in w.shape} == {16}
    outputs = padded(nn.functional.pad(rows, (0, 10)), DOUBLE)
    for output, expected in zip(outputs, networks(rows), strict=True):
        torch.testing.assert_close(output[:, :6], expected)
        assert not output[:, 6:].any()
