"""Batches of fit and chunks of transform."""

import numpy as np
import pytest
import torch

from sknnens._batching import CHUNK_ROWS, padded_chunks, shuffled_batches
from sknnens._device import Precision


@pytest.mark.parametrize(("n", "size"), [(10, 3), (10, 10), (10, 99), (1, 1)])
def test_batches_hold_each_row_once(n, size):
    batches = list(shuffled_batches(n, size, torch.Generator().manual_seed(0)))
    assert sorted(torch.cat(batches).tolist()) == list(range(n))
    assert {len(b) for b in batches[:-1]} <= {size}


def test_batches_are_shuffled_anew():
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.cat(list(shuffled_batches(50, 7, generator))) for _ in range(2))
    assert not torch.equal(first, second)
    assert not torch.equal(first, torch.arange(50))


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_chunks_have_one_size_and_are_padded_with_zeros(extra):
    size = CHUNK_ROWS["cpu"]
    view = np.random.RandomState(0).rand(2 * size + extra, 3)
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    chunks = list(padded_chunks([view, view[:, :1]], Precision(torch.float64), torch.device("cpu")))
    assert {x.shape for _, pair in chunks for x in pair} == {(size, 3), (size, 1)}
    together = np.concatenate([pair[0].numpy()[: p.stop - p.start] for p, pair in chunks])
    np.testing.assert_allclose(together, view, rtol=1e-12)
    part, (last, _) = chunks[-1]
    assert not last[part.stop - part.start :].any()
