"""Batches of fit and chunks of transform."""

import numpy as np
import pytest
import torch

from sknnens._engine._device import Precision
from sknnens._engine._rows import (
    BLOCK_ROWS,
    UnitRows,
    chunk_rows,
    multiply_rows,
    padded_chunks,
    shuffled_batches,
)


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
    size = chunk_rows(torch.device("cpu"), 3)
    view = np.random.RandomState(0).rand(2 * size + extra, 3)
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    chunks = list(padded_chunks([view, view[:, :1]], Precision(torch.float64), torch.device("cpu")))
    assert {x.shape for _, pair in chunks for x in pair} == {(size, 3), (size, 1)}
    together = np.concatenate([pair[0].numpy()[: p.stop - p.start] for p, pair in chunks])
    np.testing.assert_allclose(together, view, rtol=1e-12)
    part, (last, _) = chunks[-1]
    assert not last[part.stop - part.start :].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [7, 128, 300])
def test_products_of_a_row_do_not_depend_on_the_others(width, dtype, device):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(3 * BLOCK_ROWS[device] + 5, width, generator=generator, dtype=dtype)
    matrix = torch.randn(width, 200, generator=generator, dtype=dtype).to(device)
    rows = rows.to(device)
    whole = multiply_rows(rows, matrix)
    torch.testing.assert_close(whole, rows @ matrix)
    for some in (
        slice(0),
        slice(3, 4),
        slice(1, BLOCK_ROWS[device] + 4),
        torch.arange(40) ** 2 % 47,
    ):
        assert torch.equal(multiply_rows(rows[some], matrix), whole[some])


def test_chunks_of_wide_rows_are_smaller():
    cpu = torch.device("cpu")
    sizes = [chunk_rows(cpu, width) for width in (16, 512, 768, 2048, 9999)]
    assert sizes == [1024, 1024, 512, 256, 256]


@pytest.mark.parametrize("magnitude", [1.0, 1e30, 1e-30])
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
    source = UnitRows(view, Precision(torch.float32), torch.device("cpu"))
    source.take(index, out, scale)
    np.testing.assert_allclose(out * scale[:, None], expected[index], rtol=1e-6)
    assert scale[1] == scale[2] == 0
    assert not out[1:3].any()
    np.testing.assert_array_equal(view, before)


def test_rows_of_a_view_are_not_copied():
    view = np.random.RandomState(0).rand(10, 8).astype(np.float32)[:, 2:5]
    source = UnitRows(view, Precision(torch.float32), torch.device("cpu"))
    assert source.rows.data_ptr() == view.ctypes.data
