"""Batches of fit, and rows that are normalized on access."""

import numpy as np
import pytest
import torch

from sknnens._engine._device import Precision
from sknnens._engine._rows import NormalizedRows, shuffled_batches
from sknnens._views import row_norms


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


@pytest.mark.parametrize("magnitude", [1.0, 1e8, 1e-8])
@pytest.mark.parametrize("layout", ["rows", "columns", "backwards", "read-only", "mapped"])
def test_rows_are_brought_to_length_1_as_they_are_taken(magnitude, layout, tmp_path):
    view = (np.random.RandomState(0).randn(20, 3) * magnitude).astype(np.float32)
    view[3], view[5] = 0, np.nan
    expected = np.nan_to_num(view / magnitude)
    expected /= np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1e-9)
    if layout == "columns":
        view = np.asfortranarray(view)
    elif layout == "backwards":
        view = view[::-1].copy()[::-1]
    elif layout == "read-only":
        view.flags.writeable = False
    elif layout == "mapped":
        np.save(tmp_path / "view.npy", view)
        view = np.load(tmp_path / "view.npy", mmap_mode="r")
    before = view.copy()
    index = torch.tensor([7, 3, 5, 0])
    out, scale = torch.empty(4, 3), torch.empty(4)
    precision, cpu = Precision(torch.float32), torch.device("cpu")
    source = NormalizedRows(view, row_norms(view), precision, cpu)
    source.take(index, out, scale)
    np.testing.assert_allclose(out * scale[:, None], expected[index], rtol=1e-6)
    assert scale[1] == scale[2] == 0
    assert not out[1:3].any()
    source.take(slice(2, 6), out, scale)
    np.testing.assert_allclose(out * scale[:, None], expected[2:6], rtol=1e-6)
    np.testing.assert_array_equal(view, before)


def test_rows_of_a_view_are_not_copied():
    view = np.random.RandomState(0).rand(10, 8).astype(np.float32)[:, 2:5]
    source = NormalizedRows(view, row_norms(view), Precision(torch.float32), torch.device("cpu"))
    assert source.rows.data_ptr() == view.ctypes.data
